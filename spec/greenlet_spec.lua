-- Greenlet: its states, results and scope. Killing, linking and fields have
-- files of their own.

local helper = require "helper"
local gevent = require "gevent"
local it = helper.it

--- All that a greenlet says about itself.
local function flags(g)
  return {
    dead = g.dead, started = g.started, ready = g:ready(),
    successful = g:successful(), value = g.value, exception = g.exception,
  }
end

local NEW = {dead = false, started = false, ready = false, successful = false}
local RUNNING = {
  dead = false, started = true, ready = false, successful = false,
}

local function finished(value)
  return {
    dead = true, started = false, ready = true, successful = true,
    value = value,
  }
end

local function failed(exception)
  return {
    dead = true, started = false, ready = true, successful = false,
    exception = exception,
  }
end

describe("states", function()
  it("of one that returns", function()
    local gate = helper.gate()
    local g = gevent.Greenlet(function()
      gate:wait()
      return 5
    end)
    assert.same(NEW, flags(g))
    g:start()
    assert.same(RUNNING, flags(g))
    helper.wait_all_blocked()
    assert.same(RUNNING, flags(g))
    gate:open()
    g:join()
    assert.same(finished(5), flags(g))
  end)

  it("of one that fails", function()
    local printed <close> = helper.capture_errors()
    local gate = helper.gate()
    local trouble = {}
    local g = gevent.Greenlet(function()
      gate:wait()
      error(trouble)
    end)
    assert.same(NEW, flags(g))
    g:start()
    assert.same(RUNNING, flags(g))
    helper.wait_all_blocked()
    assert.same(RUNNING, flags(g))
    gate:open()
    g:join()
    assert.same(failed(trouble), flags(g))
    assert.is_true(rawequal(trouble, g.exception))
    assert.is_not_equal("", printed:text())
  end)

  it("of one that is seen from inside", function()
    local seen
    local g
    g = gevent.spawn(function() seen = flags(g) end)
    g:join()
    assert.same(RUNNING, seen)
  end)

  it("of one that returns nothing, nil, false", function()
    for _, results in ipairs {{n = 0}, {nil, n = 1}, {false, n = 1}} do
      local g = gevent.spawn(table.unpack, results, 1, results.n)
      g:join()
      assert.same(finished(results[1]), flags(g))
      assert.same(results, table.pack(g:get()))
    end
  end)

  it("of one that was started later", function()
    local g = gevent.Greenlet(function() return 1 end)
    g:start_later(0.005)
    assert.is_false(g.dead)
    assert.is_true(g.started)
    assert.is_false(g:ready())
    g:join()
    assert.same(finished(1), flags(g))
  end)

  it("do not change by a second start", function()
    local runs = 0
    local g = gevent.Greenlet(function() runs = runs + 1 end)
    g:start()
    g:start()
    g:start_later(0.001)
    g:join()
    g:start()
    g:start_later(0)
    gevent.sleep(0.005)
    assert.equal(1, runs)
    assert.same(finished(nil), flags(g))
  end)

  it("of an unstarted one stay as they are", function()
    local g = gevent.Greenlet(function() end)
    helper.wait_all_blocked()
    assert.same(NEW, flags(g))
  end)
end)

describe("Greenlet", function()
  it("refuses what cannot be called, at once", function()
    for _, value in ipairs {42, "f", true} do
      local ok, err = pcall(function() gevent.Greenlet(value) end)
      assert.is_false(ok)
      assert.matches("argument #1", err)
    end
  end)

  it("hands its arguments to the function", function()
    local g = gevent.Greenlet(function(...) return select("#", ...), ... end,
      "a", nil, nil)
    g:start()
    assert.same({3, "a", nil, nil, n = 4}, table.pack(g:get()))
  end)

  it("has spawn and spawn_later of its own", function()
    local a = gevent.Greenlet.spawn(function(x) return x end, 1)
    local b = gevent.Greenlet.spawn_later(0.001, function(x) return x end, 2)
    assert.equal(1, a:get())
    assert.equal(2, b:get())
  end)

  it("refuses a negative delay", function()
    local g = gevent.Greenlet(function() end)
    local ok, err = pcall(function() g:start_later(-1) end)
    assert.is_false(ok)
    assert.matches("start_later", err)
    assert.is_false(g.started)
  end)

  it("refuses to be used on what is no greenlet", function()
    local g = gevent.Greenlet(function() end)
    for _, name in ipairs {"start", "join", "get", "kill", "ready", "link"} do
      local ok, err = pcall(g[name], {})
      assert.is_false(ok, name)
      assert.is_string(err)
    end
  end)
end)

describe("get", function()
  it("returns all results, every time", function()
    local g = gevent.spawn(function() return 1, nil, 3, nil end)
    local expected = {1, nil, 3, nil, n = 4}
    assert.same(expected, table.pack(g:get()))
    assert.same(expected, table.pack(g:get()))
    assert.same(expected, table.pack(gevent.spawn(g.get, g):get()))
    assert.equal(1, g.value)
  end)

  it("raises the very error of the greenlet, every time", function()
    local printed <close> = helper.capture_errors()
    for _, trouble in ipairs {{}, "text", 42, true} do
      local g = gevent.spawn(error, trouble, 0)
      for _ = 1, 2 do
        local ok, err = pcall(g.get, g)
        assert.is_false(ok)
        assert.is_true(rawequal(trouble, err))
      end
      assert.is_true(rawequal(trouble, g.exception))
    end
    assert.is_not_equal("", printed:text())
  end)

  it("raises nil as Lua raises it", function()
    local printed <close> = helper.capture_errors()
    local g = gevent.spawn(error, nil)
    assert.is_false((pcall(g.get, g)))
    assert.is_false(g:successful())
    assert.is_not_equal("", printed:text())
  end)

  it("raises to several getters", function()
    local printed <close> = helper.capture_errors()
    local trouble = {}
    local gate = helper.gate()
    local g = gevent.spawn(function()
      gate:wait()
      error(trouble)
    end)
    local caught = 0
    local list = {}
    for i = 1, 5 do
      list[i] = gevent.spawn(function()
        local ok, err = pcall(g.get, g)
        if not ok and rawequal(err, trouble) then caught = caught + 1 end
      end)
    end
    helper.wait_all_blocked()
    gate:open()
    gevent.joinall(list)
    assert.equal(5, caught)
    assert.is_not_equal("", printed:text())
  end)

  it("raises Timeout when its own time is over", function()
    local g = helper.spawn_blocked(gevent.sleep, 60)
    for _, timeout in ipairs {0.005, 0} do
      local ok, err = pcall(g.get, g, timeout)
      assert.is_false(ok)
      assert.is_true(gevent.isinstance(err, gevent.Timeout))
    end
    assert.is_false(g:ready())
    g:kill()
  end)

  it("of a finished one does not switch", function()
    local g = gevent.spawn(function() return 1 end)
    g:join()
    local switched = false
    local other = gevent.spawn(function() switched = true end)
    g:get(0)
    g:join(0)
    g:get()
    assert.is_false(switched)
    other:join()
  end)
end)

describe("join", function()
  it("returns true at the end, false at expiry, and raises nothing",
    function()
      local printed <close> = helper.capture_errors()
      local g = helper.spawn_blocked(function()
        gevent.sleep(0.02)
        error("trouble")
      end)
      assert.is_false(g:join(0))
      assert.is_false(g:join(0.001))
      assert.is_true(g:join())
      assert.is_true(g:join(0))
      assert.matches("trouble", printed:text())
    end)

  it("of oneself is misuse", function()
    local g
    g = gevent.spawn(function()
      local ok, err = pcall(g.join, g)
      return ok, tostring(err), (pcall(g.get, g))
    end)
    local ok, text, got = g:get()
    assert.same({false, false}, {ok, got})
    assert.matches("itself", text)
  end)

  it("wakes all joiners, in order", function()
    local gate = helper.gate()
    local g = gevent.spawn(gate.wait, gate)
    local log = {}
    local list = {}
    for i = 1, 5 do
      list[i] = gevent.spawn(function()
        g:join()
        log[#log + 1] = i
      end)
    end
    helper.wait_all_blocked()
    gate:open()
    gevent.joinall(list)
    assert.same({1, 2, 3, 4, 5}, log)
  end)
end)

helper.battery("Greenlet:join", function()
  local gate = helper.gate()
  return {
    call = function(timeout) return gate.greenlet:join(timeout) end,
    release = function() gate:open() end,
    expect = function(...) assert.same({true, n = 1}, table.pack(...)) end,
    takes_timeout = true,
    timeout_result = false,
  }
end)

helper.battery("Greenlet:get", function()
  local g = gevent.Greenlet(function() return "a", nil, "c" end)
  return {
    call = function(timeout) return g:get(timeout) end,
    release = function() g:start() end,
    expect = function(...)
      assert.same({"a", nil, "c", n = 3}, table.pack(...))
    end,
    takes_timeout = true,
    timeout_result = "raises",
  }
end)

describe("scope of a greenlet", function()
  it("joins when left normally", function()
    local done = false
    do
      local _ <close> = gevent.spawn(function()
        gevent.sleep(0.005)
        done = true
      end)
    end
    assert.is_true(done)
  end)

  it("kills with the error when left by one", function()
    local printed <close> = helper.capture_errors()
    local trouble = {}
    local seen, g
    local ok, err = pcall(function()
      local scoped <close> = gevent.spawn(function()
        local _ <close> = helper.defer(function(e) seen = e end)
        gevent.sleep(60)
      end)
      g = scoped
      gevent.sleep(0)
      error(trouble)
    end)
    assert.is_false(ok)
    assert.is_true(rawequal(trouble, err))
    assert.is_true(g.dead)
    assert.is_true(rawequal(trouble, seen))
    assert.is_true(rawequal(trouble, g.exception))
    assert.is_string(printed:text())
  end)

  it("kills when a kill of the owner leaves it", function()
    local inner
    local owner = helper.spawn_blocked(function()
      local scoped <close> = gevent.spawn(gevent.sleep, 60)
      inner = scoped
      gevent.sleep(60)
    end)
    owner:kill()
    assert.is_true(owner.dead)
    assert.is_true(inner.dead)
  end)

  it("of one that is over already is left at once", function()
    do
      local g <close> = gevent.spawn(function() end)
      g:join()
    end
    assert.equal(0, gevent.get_hub():stats().ready)
  end)
end)

describe("a bare coroutine.yield in a greenlet", function()
  it("is an error there", function()
    local ok, err, after
    local g = gevent.spawn(function()
      ok, err = pcall(coroutine.yield, "stray")
      gevent.sleep(0)
      after = true
    end)
    g:get()
    assert.is_false(ok)
    assert.matches("yield", tostring(err))
    assert.is_true(after)
  end)

  it("fails a greenlet that does not catch it", function()
    local printed <close> = helper.capture_errors()
    local g = gevent.spawn(function() coroutine.yield() end)
    assert.is_false((pcall(g.get, g)))
    assert.is_false(g:successful())
    assert.matches("yield", printed:text())
  end)

  it("is fine in a coroutine of the user's", function()
    local g = gevent.spawn(function()
      local next_item = coroutine.wrap(function()
        for i = 1, 3 do coroutine.yield(i) end
      end)
      return next_item(), next_item(), next_item()
    end)
    assert.same({1, 2, 3}, {g:get()})
  end)
end)
