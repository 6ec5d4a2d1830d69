-- gevent.pool: Group and Pool as sets of greenlets. Their maps are in
-- pool_map_spec.

local helper = require "helper"
local sync = require "helper_sync"
local gevent = require "gevent"
local pool = require "gevent.pool"
local it = helper.it
local letters, expect_misuse = sync.letters, sync.expect_misuse

local function noop() end

local function members(group)
  local set = {}
  for g in group:iter() do set[g] = true end
  return set
end

for _, kind in ipairs {"Group", "Pool"} do
  local make = pool[kind]

  describe(kind, function()
    it("knows its members as long as they run", function()
      local p = make()
      assert.equal(0, #p)
      local g = p:spawn(gevent.sleep, 0)
      assert.equal(1, #p)
      assert.same({[g] = true}, members(p))
      g:join()
      helper.wait_all_blocked()
      assert.equal(0, #p)
      assert.same({}, members(p))
    end)

    it("spawn passes arguments and returns the greenlet", function()
      local p = make()
      local g = p:spawn(function(...) return ... end, 1, nil, 3)
      assert.is_true(g.started)
      assert.same({1, nil, 3, n = 3}, table.pack(g:get()))
      expect_misuse("argument #%d", p.spawn, p, 42)
      assert.equal(0, #p)
    end)

    it("add takes a greenlet in, start starts it as well", function()
      local p = make()
      local running = gevent.spawn(gevent.sleep, 0)
      assert.is_true(p:add(running))
      local fresh = gevent.Greenlet(noop)
      assert.is_true(p:start(fresh))
      assert.is_true(fresh.started)
      assert.equal(2, #p)
      assert.is_true(p:add(running)) -- once is enough
      assert.equal(2, #p)
      assert.is_true(p:join())
      assert.is_true(running.dead and fresh.dead)
    end)

    it("add of a finished greenlet lets it go again", function()
      local p = make()
      local g = gevent.spawn(noop)
      g:join()
      p:add(g)
      helper.wait_all_blocked()
      assert.equal(0, #p)
      assert.is_true(p:join())
    end)

    it("discard lets one go that runs on", function()
      local p = make()
      local g = p:spawn(gevent.sleep, 0.005)
      p:discard(g)
      assert.equal(0, #p)
      p:discard(g)
      assert.is_true(p:join())
      assert.is_false(g:ready())
      g:join()
      helper.wait_all_blocked()
      assert.equal(0, #p)
    end)

    it("refuses what is no greenlet", function()
      local p = make()
      for _, name in ipairs {"add", "start"} do
        expect_misuse("argument #%d", p[name], p, 42)
        expect_misuse("argument #%d", p[name], p, noop)
      end
    end)

    it("join waits for all, is true, and at expiry false", function()
      local p = make()
      assert.is_true(p:join())
      assert.is_true(p:join(0))
      local done = 0
      for i = 1, 5 do
        p:spawn(function()
          gevent.sleep(0.001 * i)
          done = done + 1
        end)
      end
      assert.is_false(p:join(0))
      assert.is_false(p:join(0.0001))
      assert.is_true(p:join())
      assert.equal(5, done)
      expect_misuse("argument #%d", p.join, p, -1)
    end)

    it("join waits for those that came meanwhile too", function()
      local p = make()
      local done = 0
      p:spawn(function()
        gevent.sleep(0)
        p:spawn(function()
          gevent.sleep(0.002)
          done = done + 1
        end)
      end)
      p:join()
      assert.equal(1, done)
    end)

    it("join does not raise, unless told", function()
      local printed <close> = helper.capture_errors()
      local p = make()
      local problem = {}
      p:spawn(error, problem)
      assert.is_true(p:join())
      p:spawn(gevent.sleep, 0.002)
      p:spawn(error, problem)
      local ok, err = pcall(p.join, p, nil, true)
      assert.is_false(ok)
      assert.is_true(rawequal(problem, err))
      assert.is_true(p:join(nil, true))
      p:spawn(gevent.sleep, 60)
      assert.is_false(p:join(0.001, true))
      p:kill()
      assert.is_string(printed:text())
    end)

    it("kill ends all members and waits for it", function()
      local p = make()
      local log, say = letters()
      for i = 1, 5 do
        p:spawn(function()
          local _ <close> = helper.defer(function() say(i) end)
          gevent.sleep(60)
        end)
      end
      helper.wait_all_blocked()
      p:spawn(say, "never")
      p:kill()
      assert.equal(5, #log)
      assert.equal(0, #p)
      p:kill()
    end)

    it("kill hits each member once, and those that come meanwhile", function()
      local p = make()
      local hits, late = 0, false
      p:spawn(function()
        for _ = 1, 3 do
          if not pcall(gevent.sleep, 0.002) then hits = hits + 1 end
        end
        p:spawn(function()
          gevent.sleep(60)
          late = true
        end)
      end)
      helper.wait_all_blocked()
      p:kill()
      assert.equal(1, hits)
      assert.is_false(late)
      assert.equal(0, #p)
    end)

    it("kill with block=false returns at once", function()
      local p = make()
      local g = p:spawn(gevent.sleep, 60)
      helper.wait_all_blocked()
      p:kill(nil, false)
      assert.is_false(g:ready())
      assert.is_true(p:join())
      assert.is_true(g.dead)
    end)

    it("kill gives up at its timeout", function()
      local p = make()
      local gate = helper.gate()
      local g = p:spawn(function()
        pcall(gevent.sleep, 60)
        gate:wait()
      end)
      helper.wait_all_blocked()
      p:kill(nil, true, 0.005)
      p:kill(nil, true, 0)
      assert.is_false(g:ready())
      assert.equal(1, #p)
      gate:open()
      assert.is_true(p:join())
      expect_misuse("argument #%d", p.kill, p, nil, true, -1)
    end)

    it("kill raises the exception given", function()
      local printed <close> = helper.capture_errors()
      local p = make()
      local Reason = gevent.exception "Reason"
      local g = p:spawn(gevent.sleep, 60)
      helper.wait_all_blocked()
      p:kill(Reason)
      assert.is_true(gevent.isinstance(g.exception, Reason))
      assert.matches("Reason", printed:text())
    end)

    it("kill by a member spares the member", function()
      local p = make()
      local other = p:spawn(gevent.sleep, 60)
      local g = p:spawn(function()
        gevent.sleep(0)
        p:kill()
        return "alive"
      end)
      assert.equal("alive", g:get())
      assert.is_true(other.dead)
      assert.is_true(p:join())
    end)

    it("killone ends one of them", function()
      local p = make()
      local a, b = p:spawn(gevent.sleep, 60), p:spawn(gevent.sleep, 60)
      helper.wait_all_blocked()
      p:killone(a)
      assert.is_true(a.dead)
      assert.is_false(b.dead)
      helper.wait_all_blocked()
      assert.equal(1, #p)
      local stranger = helper.spawn_blocked(gevent.sleep, 60)
      p:killone(stranger)
      assert.is_false(stranger.dead)
      stranger:kill()
      p:kill()
    end)

    it("without size is never full", function()
      local p = make()
      for _ = 1, 100 do p:spawn(gevent.sleep, 0) end
      assert.is_false(p:full())
      assert.is_true(p:free_count() >= 1)
      assert.is_true(p:wait_available())
      assert.is_true(p:wait_available(0))
      p:join()
    end)

    it("apply returns the results, and raises the error", function()
      local printed <close> = helper.capture_errors()
      local p = make()
      assert.same({1, nil, 3, n = 3},
        table.pack(p:apply(function(...) return ... end, 1, nil, 3)))
      local problem = {}
      local ok, err = pcall(p.apply, p, error, problem)
      assert.is_false(ok)
      assert.is_true(rawequal(problem, err))
      helper.wait_all_blocked()
      assert.equal(0, #p)
      expect_misuse("argument #%d", p.apply, p, 42)
      assert.is_string(printed:text())
    end)

    it("apply_async returns a greenlet with the outcome", function()
      local printed <close> = helper.capture_errors()
      local p = make()
      local g = p:apply_async(function(x) return x + 1 end, 1)
      assert.equal(2, g:get())
      local bad = p:apply_async(error, "bad")
      assert.same({false, "bad"}, {pcall(bad.get, bad)})
      p:join()
      assert.is_string(printed:text())
    end)

    it("close waits for all, and may be called again", function()
      local p = make()
      local g = p:spawn(gevent.sleep, 0.001)
      p:close()
      assert.is_true(g:ready())
      p:close()
    end)

    it("joins at the end of a scope", function()
      local done = 0
      do
        local p <close> = make()
        for _ = 1, 3 do
          p:spawn(function()
            gevent.sleep(0.001)
            done = done + 1
          end)
        end
      end
      assert.equal(3, done)
    end)

    it("kills where the scope is left by an error", function()
      local printed <close> = helper.capture_errors()
      local g
      local ok, err = pcall(function()
        local p <close> = make()
        g = p:spawn(gevent.sleep, 60)
        helper.wait_all_blocked()
        error("in the scope", 0)
      end)
      assert.is_false(ok)
      assert.equal("in the scope", err)
      assert.is_true(g.dead)
      assert.equal("in the scope", g.exception)
      assert.is_string(printed:text())
    end)

    it("is killed with the greenlet that holds it", function()
      local inner
      local g = helper.spawn_blocked(function()
        local p <close> = make()
        inner = p:spawn(gevent.sleep, 60)
        p:join()
      end)
      g:kill()
      assert.is_true(inner.dead)
      assert.is_true(sync.is_exit((inner:get())))
    end)

    it("shows its size", function()
      local p = make()
      p:spawn(noop)
      assert.matches("^<" .. kind .. " at 0x%x+ size 1", tostring(p))
      p:join()
    end)

    it("lets go of finished greenlets", function()
      local p = make()
      local seen = setmetatable({}, {__mode = "v"})
      seen.greenlet = p:spawn(noop)
      p:join()
      helper.wait_all_blocked()
      collectgarbage()
      collectgarbage()
      assert.is_nil(seen.greenlet)
    end)
  end)

  helper.battery(kind .. ":join", function()
    local p = make()
    local gate = helper.gate()
    p:spawn(gate.wait, gate)
    return {
      call = function(timeout) return p:join(timeout) end,
      release = function() gate:open() end,
      expect = function(...) assert.same({true, n = 1}, table.pack(...)) end,
      takes_timeout = true,
      timeout_result = false,
      cleanup = function()
        gate:open()
        p:join()
      end,
    }
  end)

  helper.battery(kind .. ":apply", function()
    local p = make()
    local gate = helper.gate()
    return {
      call = function()
        return p:apply(function()
          gate:wait()
          return "applied", nil, 3
        end)
      end,
      release = function() gate:open() end,
      expect = function(...)
        assert.same({"applied", nil, 3, n = 3}, table.pack(...))
      end,
      fname = "get",
      cleanup = function() p:kill() end,
    }
  end)
end

describe("Group", function()
  it("is made of the greenlets given", function()
    local a, b = gevent.spawn(noop), gevent.spawn(noop)
    local group = pool.Group(a, b)
    assert.same({[a] = true, [b] = true}, members(group))
    assert.is_true(group:join())
    expect_misuse("Greenlet", pool.Group, 42)
  end)

  it("iterates over those that were there, whatever happens", function()
    local group = pool.Group()
    for _ = 1, 10 do group:spawn(gevent.sleep, 60) end
    local n = 0
    for g in group:iter() do
      g:kill()
      n = n + 1
    end
    assert.equal(10, n)
    assert.is_true(group:join(1))
  end)
end)
