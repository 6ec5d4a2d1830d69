-- spawn, spawn_later, spawn_raw, getcurrent, kill: how greenlets begin, in
-- which order they run, and how one is ended from outside.

local helper = require "helper"
local gevent = require "gevent"
local it = helper.it

local function letters()
  local log = {}
  return log, function(text) log[#log + 1] = text end
end

describe("spawn", function()
  it("does not run before the spawner blocks", function()
    local ran = false
    local g = gevent.spawn(function() ran = true end)
    assert.is_false(ran)
    assert.is_false(g:ready())
    gevent.sleep(0)
    assert.is_true(ran)
    assert.is_true(g:ready())
  end)

  it("runs greenlets in spawn order", function()
    local log, say = letters()
    for i = 1, 100 do gevent.spawn(say, i) end
    gevent.sleep(0)
    assert.equal(100, #log)
    for i = 1, 100 do assert.equal(i, log[i]) end
  end)

  it("passes all arguments, nils too", function()
    local got
    gevent.spawn(function(...) got = table.pack(...) end, nil, 2, nil):join()
    assert.same({nil, 2, nil, n = 3}, got)
  end)

  it("takes a callable object", function()
    local callable = setmetatable({}, {
      __call = function(self, a, b) return self, a, b end,
    })
    local self, a, b = gevent.spawn(callable, 1, 2):get()
    assert.is_true(rawequal(callable, self))
    assert.same({1, 2}, {a, b})
  end)

  it("takes a C function", function()
    assert.equal("b", gevent.spawn(string.sub, "abc", 2, 2):get())
  end)

  it("returns a started Greenlet", function()
    local g = gevent.spawn(function() end)
    assert.is_true(g.started)
    assert.is_false(g.dead)
    g:join()
  end)

  it("gives each greenlet its turn: 1A 2A 1B 2B", function()
    local log, say = letters()
    local function worker(name)
      say(name .. "A")
      gevent.sleep(0)
      say(name .. "B")
    end
    gevent.joinall {gevent.spawn(worker, 1), gevent.spawn(worker, 2)}
    assert.same({"1A", "2A", "1B", "2B"}, log)
  end)

  it("nests without depth", function()
    local depth = 0
    local function descend(n)
      depth = depth + 1
      if n > 1 then return gevent.spawn(descend, n - 1) end
    end
    gevent.spawn(descend, 5000)
    helper.wait_all_blocked()
    assert.equal(5000, depth)
  end)

  it("joins a chain of nested joins", function()
    local function descend(n)
      if n == 0 then return 0 end
      return 1 + gevent.spawn(descend, n - 1):get()
    end
    assert.equal(1000, gevent.spawn(descend, 1000):get())
  end)

  it("runs what is spawned by a greenlet after what was there", function()
    local log, say = letters()
    gevent.spawn(function()
      say "a"
      gevent.spawn(say, "c")
    end)
    gevent.spawn(say, "b")
    gevent.sleep(0)
    helper.wait_all_blocked()
    assert.same({"a", "b", "c"}, log)
  end)

  it("keeps an unreferenced greenlet alive while it is ready", function()
    local ran = false
    gevent.spawn(function()
      gevent.sleep(0)
      collectgarbage()
      gevent.sleep(0.001)
      ran = true
    end)
    collectgarbage()
    helper.wait_until(function() return ran end)
    assert.is_true(ran)
  end)

  it("collects a finished greenlet and its results", function()
    local seen = setmetatable({}, {__mode = "v"})
    local g = gevent.spawn(function()
      local value = {}
      seen.value = value
      return value
    end)
    seen.greenlet = g
    g:join()
    g = nil -- luacheck: ignore
    helper.wait_all_blocked()
    collectgarbage()
    collectgarbage()
    assert.is_nil(seen.greenlet)
    assert.is_nil(seen.value)
  end)

  it("refuses what cannot be called", function()
    for _, value in ipairs {1, "f", {}, true} do
      local ok, err = pcall(gevent.spawn, value)
      assert.is_false(ok)
      assert.matches("argument #1", err)
      assert.matches("spawn", err)
    end
    assert.is_false(pcall(gevent.spawn))
    assert.is_false(pcall(gevent.spawn, nil))
  end)
end)

describe("spawn_later", function()
  it("runs not earlier than told", function()
    local start = helper.now()
    local at
    local g = gevent.spawn_later(0.02, function() at = helper.now() end)
    g:join()
    assert.is_true(at - start >= 0.02)
  end)

  it("passes arguments and results", function()
    local g = gevent.spawn_later(0.001, function(...) return ... end, 1, nil, 3)
    assert.same({1, nil, 3, n = 3}, table.pack(g:get()))
  end)

  it("with 0 runs after what is ready", function()
    local log, say = letters()
    local later = gevent.spawn_later(0, say, "later")
    gevent.spawn(say, "a")
    gevent.spawn(say, "b")
    later:join()
    assert.same({"a", "b", "later"}, log)
  end)

  it("orders by time, then by spawn order", function()
    local log, say = letters()
    local list = {
      gevent.spawn_later(0.02, say, "late"),
      gevent.spawn_later(0.005, say, "early"),
    }
    gevent.joinall(list)
    assert.same({"early", "late"}, log)
  end)

  it("never runs when killed before its time", function()
    local ran = false
    local timers = gevent.get_hub():stats().timers
    local g = gevent.spawn_later(0.01, function() ran = true end)
    assert.equal(timers + 1, gevent.get_hub():stats().timers)
    g:kill()
    assert.equal(timers, gevent.get_hub():stats().timers)
    assert.is_true(g.dead)
    gevent.sleep(0.02)
    assert.is_false(ran)
  end)

  it("refuses a negative time, a missing time, a missing function", function()
    for _, args in ipairs {{-1, print}, {"x", print}, {0.01}, {0.01, 42}} do
      local ok, err = pcall(gevent.spawn_later, table.unpack(args))
      assert.is_false(ok)
      assert.matches("argument #%d", err)
    end
  end)
end)

describe("spawn_raw", function()
  it("runs with its arguments, in spawn order", function()
    local log, say = letters()
    gevent.spawn_raw(say, "a")
    gevent.spawn(say, "b")
    gevent.spawn_raw(say, "c")
    helper.wait_all_blocked()
    assert.same({"a", "b", "c"}, log)
  end)

  it("may block", function()
    local gate = helper.gate()
    local done = false
    gevent.spawn_raw(function()
      gate:wait()
      gevent.sleep(0.001)
      done = true
    end)
    helper.wait_all_blocked()
    assert.is_false(done)
    gate:open()
    helper.wait_until(function() return done end)
  end)

  it("can be killed", function()
    local seen
    local raw = gevent.spawn_raw(function()
      local _ <close> = helper.defer(function(err) seen = err end)
      gevent.sleep(60)
    end)
    helper.wait_all_blocked()
    gevent.kill(raw)
    helper.wait_all_blocked()
    assert.is_true(gevent.isinstance(seen, gevent.GreenletExit))
  end)

  it("never runs when killed before it began", function()
    local ran = false
    gevent.kill(gevent.spawn_raw(function() ran = true end))
    helper.wait_all_blocked()
    assert.is_false(ran)
  end)

  it("reports an error and lets the others go on", function()
    local printed <close> = helper.capture_errors()
    local ran = false
    gevent.spawn_raw(function() error("raw trouble") end)
    gevent.spawn_raw(function() ran = true end)
    helper.wait_all_blocked()
    assert.is_true(ran)
    assert.matches("raw trouble", printed:text())
    assert.matches("spawn_spec%.lua:%d+", printed:text())
  end)

  it("is accepted by killall", function()
    local ended = 0
    local list = {}
    for i = 1, 3 do
      list[i] = gevent.spawn_raw(function()
        local _ <close> = helper.defer(function() ended = ended + 1 end)
        gevent.sleep(60)
      end)
    end
    helper.wait_all_blocked()
    gevent.killall(list)
    helper.wait_all_blocked()
    assert.equal(3, ended)
  end)

  it("refuses what cannot be called", function()
    local ok, err = pcall(gevent.spawn_raw, 42)
    assert.is_false(ok)
    assert.matches("argument #1", err)
  end)
end)

describe("getcurrent", function()
  it("is the running greenlet", function()
    local inside
    local g = gevent.spawn(function()
      inside = gevent.getcurrent()
      gevent.sleep(0)
      assert(rawequal(inside, gevent.getcurrent()))
    end)
    g:get()
    assert.is_true(rawequal(g, inside))
  end)

  it("is one and the same object in main", function()
    local main = gevent.getcurrent()
    assert.is_truthy(main)
    gevent.sleep(0)
    assert.is_true(rawequal(main, gevent.getcurrent()))
    assert.is_false(rawequal(main, gevent.spawn(gevent.getcurrent):get()))
  end)

  it("is the greenlet, not the coroutine, inside a generator", function()
    local gco = require "gevent.coroutine"
    local g
    g = gevent.spawn(function()
      return rawequal(g, gco.wrap(gevent.getcurrent)()),
        rawequal(g, coroutine.wrap(gevent.getcurrent)())
    end)
    assert.same({true, true}, {g:get()})
  end)

  it("is a greenlet in link callbacks and metamethods too", function()
    local main = gevent.getcurrent()
    local seen
    local g = gevent.spawn(function() end)
    g:link(function() seen = gevent.getcurrent() end)
    g:join()
    helper.wait_all_blocked()
    assert.is_truthy(seen)
    assert.is_false(rawequal(seen, main))
    assert.is_false(rawequal(seen, g))
  end)
end)

describe("kill", function()
  it("never blocks: the victim ends later", function()
    local g = helper.spawn_blocked(gevent.sleep, 60)
    gevent.kill(g)
    assert.is_false(g:ready())
    gevent.sleep(0)
    assert.is_true(g:ready())
  end)

  it("raises a class as a new instance, anything else as it is", function()
    local Reason = gevent.exception "Reason"
    local instance = Reason "r"
    local seen = {}
    local function victim(key)
      local _, err = pcall(gevent.sleep, 60)
      seen[key] = err
    end
    for key, exception in pairs {
      class = Reason, instance = instance, text = "text", number = 42,
      none = gevent.GreenletExit,
    } do
      local g = helper.spawn_blocked(victim, key)
      gevent.kill(g, exception)
      g:join()
    end
    assert.is_true(gevent.isinstance(seen.class, Reason))
    assert.is_false(rawequal(seen.class, instance))
    assert.is_true(rawequal(seen.instance, instance))
    assert.equal("text", seen.text)
    assert.equal(42, seen.number)
    assert.is_true(gevent.isinstance(seen.none, gevent.GreenletExit))
  end)

  it("of oneself is raised at the next blocking call", function()
    local log, say = letters()
    local g = gevent.spawn(function()
      gevent.kill(gevent.getcurrent())
      say "after kill"
      gevent.sleep(0)
      say "survived"
    end)
    g:join()
    assert.same({"after kill"}, log)
    assert.is_true(gevent.isinstance(g:get(), gevent.GreenletExit))
  end)

  it("of a dead greenlet does nothing", function()
    local g = gevent.spawn(function() return "value" end)
    g:join()
    gevent.kill(g)
    helper.wait_all_blocked()
    assert.equal("value", g:get())
  end)

  it("of one that is ready hits its next blocking call", function()
    local log, say = letters()
    local g
    g = gevent.spawn(function()
      gevent.sleep(0)
      say "ran"
      gevent.sleep(0)
      say "survived"
    end)
    gevent.sleep(0) -- g is now queued by its own sleep(0)
    gevent.kill(g)
    g:join()
    assert.same({"ran"}, log)
  end)

  it("refuses the main greenlet", function()
    local main = gevent.getcurrent()
    local ok, err = pcall(gevent.kill, main)
    assert.is_false(ok)
    assert.matches("main", tostring(err))
    local g = gevent.spawn(function() return pcall(gevent.kill, main) end)
    assert.is_false((g:get()))
    gevent.sleep(0) -- nothing was scheduled
  end)

  it("refuses what is no greenlet", function()
    for _, value in ipairs {42, "g", {}, print} do
      local ok, err = pcall(gevent.kill, value)
      assert.is_false(ok)
      assert.matches("argument #1", err)
    end
  end)
end)

describe("getswitchinterval", function()
  it("is 5 ms by default and can be set", function()
    assert.equal(0.005, gevent.getswitchinterval())
    gevent.setswitchinterval(0.01)
    assert.equal(0.01, gevent.getswitchinterval())
    gevent.setswitchinterval(0.005)
  end)

  it("lets timers in between callbacks that never end", function()
    local stop = false
    local turns = 0
    local busy = gevent.spawn(function()
      while not stop do
        turns = turns + 1
        gevent.sleep(0)
      end
    end)
    gevent.sleep(0.02)
    stop = true
    busy:join()
    assert.is_true(turns > 1)
  end)

  it("refuses what is no positive time", function()
    for _, value in ipairs {-1, "x"} do
      local ok, err = pcall(gevent.setswitchinterval, value)
      assert.is_false(ok)
      assert.matches("argument #1", err)
    end
    assert.equal(0.005, gevent.getswitchinterval())
  end)
end)
