-- shield: a part of a greenlet that kills and foreign Timeouts cannot enter.

local helper = require "helper"
local sync = require "helper_sync"
local gevent = require "gevent"
local gco = require "gevent.coroutine"
local it = helper.it
local letters = sync.letters

describe("shield", function()
  it("passes arguments and results", function()
    local results = table.pack(gevent.shield(function(...) return ... end,
      1, nil, 3, nil))
    assert.same({1, nil, 3, nil, n = 4}, results)
    assert.equal(0, select("#", gevent.shield(function() end)))
    gevent.spawn(function()
      assert.equal("x", gevent.shield(function()
        gevent.sleep(0)
        return "x"
      end))
    end):get()
  end)

  it("passes errors", function()
    local problem = {}
    for _, block in ipairs {false, true} do
      gevent.spawn(function()
        local ok, err = pcall(gevent.shield, function()
          if block then gevent.sleep(0) end
          error(problem)
        end)
        assert.is_false(ok)
        assert.is_true(rawequal(problem, err))
      end):get()
    end
  end)

  it("makes a kill wait, which then comes at the next blocking call",
    function()
      local log, say = letters()
      local g = helper.spawn_blocked(function()
        local _ <close> = helper.defer(function() say "closed" end)
        gevent.shield(function()
          gevent.sleep(0.002)
          say "in"
          gevent.sleep(0)
          say "in still"
        end)
        say "out"
        gevent.sleep(0)
        say "never"
      end)
      assert.is_true(g:kill())
      assert.same({"in", "in still", "out", "closed"}, log)
      assert.is_true(sync.is_exit((g:get())))
    end)

  it("makes a foreign Timeout wait, and still only that is raised",
    function()
      for _, where in ipairs {"main", "greenlet"} do
        local function body()
          local mine <close> = gevent.Timeout.start_new(0.002)
          local log, say = letters()
          local ok, err = pcall(function()
            gevent.shield(function()
              gevent.sleep(0.01)
              say "in"
            end)
            say "out"
            gevent.sleep(0.01)
          end)
          assert.is_false(ok)
          assert.is_true(rawequal(mine, err))
          assert.same({"in", "out"}, log)
          assert.is_false(mine.pending)
          gevent.sleep(0)
        end
        if where == "main" then body() else gevent.spawn(body):get() end
      end
    end)

  it("a Timeout cancelled before the shield is lifted never comes", function()
    local outer = gevent.Timeout.start_new(0.002)
    gevent.shield(gevent.sleep, 0.01)
    outer:cancel()
    gevent.sleep(0.001)
    outer:close()
  end)

  it("does not hold back a Timeout that was started inside", function()
    local outer <close> = gevent.Timeout.start_new(0.001)
    local ok, err = pcall(function()
      gevent.shield(function()
        local inner <close> = gevent.Timeout.start_new(0.005)
        local inner_ok, inner_err = pcall(gevent.sleep, 60)
        assert.is_false(inner_ok)
        assert.is_true(rawequal(inner, inner_err))
        sync.expect_timed_out(gevent.with_timeout(0.002, gevent.sleep, 60))
      end)
      gevent.sleep(60)
    end)
    assert.is_false(ok)
    assert.is_true(rawequal(outer, err))
  end)

  it("leaves the time-outs of calls as they are", function()
    local e = require("gevent.event").Event()
    assert.is_false(gevent.shield(e.wait, e, 0.002))
  end)

  it("nests: only the outermost lifts it", function()
    local log, say = letters()
    local g = helper.spawn_blocked(function()
      gevent.shield(function()
        gevent.shield(gevent.sleep, 0.002)
        say "inner done"
        gevent.sleep(0)
        say "outer still shielded"
      end)
      say "out"
      gevent.sleep(0)
      say "never"
    end)
    g:kill()
    assert.same({"inner done", "outer still shielded", "out"}, log)
  end)

  it("several kills that waited come one by one", function()
    local first, second = {}, {}
    local seen = {}
    local g = helper.spawn_blocked(function()
      gevent.shield(gevent.sleep, 0.002)
      for i = 1, 3 do
        local _, err = pcall(gevent.sleep, 0)
        seen[i] = err or "none"
      end
    end)
    gevent.kill(g, first)
    gevent.kill(g, second)
    g:join()
    assert.is_true(rawequal(first, seen[1]))
    assert.is_true(rawequal(second, seen[2]))
    assert.equal("none", seen[3])
  end)

  it("is lifted by an error, too", function()
    local log, say = letters()
    local g = helper.spawn_blocked(function()
      pcall(gevent.shield, function()
        gevent.sleep(0.002)
        error "in it"
      end)
      say "out"
      gevent.sleep(60)
      say "never"
    end)
    g:kill()
    assert.same({"out"}, log)
  end)

  it("covers __close: cleaning up in peace", function()
    local log, say = letters()
    local g = helper.spawn_blocked(function()
      local _ <close> = helper.defer(function()
        gevent.shield(function()
          gevent.sleep(0.002)
          say "cleaned"
        end)
      end)
      gevent.sleep(60)
    end)
    gevent.kill(g)
    gevent.sleep(0)
    gevent.kill(g) -- the impatient second one
    g:join()
    assert.same({"cleaned"}, log)
    assert.is_true(g.dead)
  end)

  it("covers what runs in generators inside it", function()
    local log, say = letters()
    local g = helper.spawn_blocked(function()
      gevent.shield(function()
        for item in gco.wrap(function()
          gevent.sleep(0.001)
          gco.yield "a"
          gevent.sleep(0.001)
          gco.yield "b"
        end) do say(item) end
      end)
      gevent.sleep(60)
      say "never"
    end)
    g:kill()
    assert.same({"a", "b"}, log)
  end)

  it("in a coroutine that is closed inside it ends there", function()
    local survived = false
    local g = helper.spawn_blocked(function()
      local co = gco.create(function()
        gevent.shield(function() gco.yield "inside" end)
      end)
      gco.resume(co)
      gco.close(co)
      gevent.sleep(0.02)
      survived = true
    end)
    gevent.kill(g)
    g:join()
    assert.is_false(survived)
  end)

  it("does not shield another greenlet", function()
    local g
    local other = helper.spawn_blocked(gevent.sleep, 60)
    gevent.shield(function()
      g = gevent.spawn(gevent.sleep, 60)
      gevent.sleep(0)
      g:kill()
      other:kill()
    end)
    assert.is_true(g.dead and other.dead)
  end)

  it("kill with a timeout gives up on a shielded greenlet", function()
    local gate = helper.gate()
    local g = helper.spawn_blocked(gevent.shield, gate.wait, gate)
    assert.is_false(g:kill(nil, true, 0.005))
    assert.is_false(g.dead)
    gate:open()
    assert.is_true(g:join(5))
  end)

  it("one that ends in its shield was killed or not: it returns", function()
    local g = helper.spawn_blocked(function()
      return gevent.shield(function()
        gevent.sleep(0.002)
        return "value"
      end)
    end)
    g:kill()
    assert.equal("value", g:get())
    assert.is_true(g:successful())
  end)

  it("before the greenlet begins there is no shield", function()
    local began = false
    local g = gevent.spawn(gevent.shield, function() began = true end)
    g:kill()
    assert.is_false(began)
  end)

  it("refuses what is no function", function()
    sync.expect_misuse("argument #1", gevent.shield, 42)
    sync.expect_misuse("argument #1", gevent.shield)
    local g = gevent.spawn(gevent.sleep, 60)
    gevent.sleep(0)
    assert.is_true(g:kill()) -- nothing is shielded by a refused call
  end)

  it("costs no wait where nothing blocks", function()
    local ran = false
    local other = gevent.spawn(function() ran = true end)
    gevent.shield(function() end)
    assert.is_false(ran)
    other:join()
  end)
end)

describe("a shielded wait that can never end", function()
  it("is a LoopExit of the main greenlet", function()
    local forever = require("gevent.event").Event()
    local ok, err = pcall(gevent.shield, forever.wait, forever)
    assert.is_false(ok)
    assert.is_true(gevent.isinstance(err, gevent.LoopExit))
  end, {deadline = false})
end)
