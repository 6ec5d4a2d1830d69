-- Timeout and with_timeout: which object surfaces where, and never early.

local helper = require "helper"
local gevent = require "gevent"
local Timeout = gevent.Timeout
local it = helper.it

local function noop() end

--- pcall that also says how long it took.
local function timed(fn, ...)
  local start = helper.now()
  local ok, err = pcall(fn, ...)
  return ok, err, helper.now() - start
end

describe("Timeout", function()
  it("raises itself in the greenlet that started it, not early", function()
    local t = Timeout(0.02)
    t:start()
    local ok, err, took = timed(gevent.sleep, 60)
    assert.is_false(ok)
    assert.is_true(rawequal(t, err))
    assert.is_true(took >= 0.02)
    assert.is_true(gevent.isinstance(err, Timeout))
  end)

  it("is raised in a greenlet that started it only", function()
    local raised
    local g = gevent.spawn(function()
      local t = Timeout.start_new(0.01)
      local ok, err = pcall(gevent.sleep, 60)
      raised = not ok and rawequal(t, err)
    end)
    gevent.sleep(0.03)
    g:get()
    assert.is_true(raised)
  end)

  it("is never early, whatever the time", function()
    for _, seconds in ipairs {0.001, 0.0015, 0.0099, 0.0101} do
      local t = Timeout.start_new(seconds)
      local ok, err, took = timed(gevent.sleep, 60)
      assert.is_false(ok)
      assert.is_true(rawequal(t, err))
      assert.is_true(took >= seconds)
    end
  end)

  it("is pending from its start to its end", function()
    local t = Timeout(0.005)
    assert.is_false(t.pending)
    t:start()
    assert.is_true(t.pending)
    assert.is_false((pcall(gevent.sleep, 60)))
    assert.is_false(t.pending)
    t:start()
    assert.is_true(t.pending)
    t:cancel()
    assert.is_false(t.pending)
    t:close()
    assert.is_false(t.pending)
  end)

  it("knows its seconds", function()
    assert.equal(1.5, Timeout(1.5).seconds)
    assert.is_nil(Timeout().seconds)
  end)

  it("of 0 fires at the first block", function()
    local t = Timeout.start_new(0)
    local ok, err = pcall(gevent.sleep, 60)
    assert.is_false(ok)
    assert.is_true(rawequal(t, err))
  end)

  it("of nil never fires and takes no timer", function()
    local timers = gevent.get_hub():stats().timers
    local t = Timeout.start_new(nil)
    assert.equal(timers, gevent.get_hub():stats().timers)
    gevent.sleep(0.01)
    t:close()
  end)

  it("that is cancelled never fires, and its timer is gone", function()
    local timers = gevent.get_hub():stats().timers
    local t = Timeout.start_new(0.005)
    assert.equal(timers + 1, gevent.get_hub():stats().timers)
    t:cancel()
    assert.equal(timers, gevent.get_hub():stats().timers)
    gevent.sleep(0.02)
    t:cancel()
    t:close()
  end)

  it("may start again after cancel and after firing", function()
    local t = Timeout(0.005)
    for round = 1, 3 do
      t:start()
      local ok, err = pcall(gevent.sleep, 60)
      assert.is_false(ok)
      assert.is_true(rawequal(t, err), "round " .. round)
    end
    t:start()
    t:cancel()
    t:start()
    assert.is_false((pcall(gevent.sleep, 60)))
  end)

  it("refuses to be started while it is pending", function()
    local t = Timeout.start_new(60)
    local ok, err = pcall(t.start, t)
    assert.is_false(ok)
    assert.is_string(err)
    assert.is_true(t.pending)
    t:cancel()
  end)

  it("refuses to be started after close", function()
    local t = Timeout.start_new(0.005)
    t:close()
    t:close()
    local ok, err = pcall(t.start, t)
    assert.is_false(ok)
    assert.is_string(err)
    gevent.sleep(0.01)
  end)

  it("refuses negative seconds and what is no number", function()
    for _, value in ipairs {-1, -0.001, "x", true} do
      for _, make in ipairs {Timeout, Timeout.start_new} do
        local ok, err = pcall(function() make(value) end)
        assert.is_false(ok)
        assert.matches("argument #1", err)
      end
    end
  end)

  it("works with <close>", function()
    local t
    do
      local scoped <close> = Timeout.start_new(0.005)
      t = scoped
      assert.is_true(t.pending)
    end
    assert.is_false(t.pending)
    gevent.sleep(0.01)
  end)

  it("that ends by a finished greenlet hits nobody", function()
    gevent.spawn(function() Timeout.start_new(0.005) end):join()
    gevent.sleep(0.02)
  end)

  it("fires once", function()
    local t = Timeout.start_new(0.005)
    assert.is_false((pcall(gevent.sleep, 60)))
    gevent.sleep(0.02)
    assert.is_false(t.pending)
  end)

  it("that expired while the greenlet computed is raised at its next block",
    function()
      local t = Timeout.start_new(0.005)
      local start = helper.now()
      while helper.now() - start < 0.01 do noop() end
      local ok, err = pcall(gevent.sleep, 60)
      assert.is_false(ok)
      assert.is_true(rawequal(t, err))
    end)

  it("that expired while the greenlet computed can still be cancelled",
    function()
      local t = Timeout.start_new(0.002)
      local start = helper.now()
      while helper.now() - start < 0.005 do noop() end
      t:cancel()
      gevent.sleep(0.01)
    end)

  it("breaks an endless sleep(0) loop", function()
    local t = Timeout.start_new(0.01)
    local ok, err = pcall(function()
      while true do gevent.sleep(0) end
    end)
    assert.is_false(ok)
    assert.is_true(rawequal(t, err))
  end)

  it("breaks a sleep(0) loop beside another one", function()
    local stop = false
    local busy = gevent.spawn(function()
      while not stop do gevent.sleep(0) end
    end)
    local g = gevent.spawn(function()
      local t <close> = Timeout.start_new(0.01)
      local ok, err = pcall(function()
        while true do gevent.sleep(0) end
      end)
      return not ok and rawequal(t, err)
    end)
    assert.is_true(g:get())
    stop = true
    busy:join()
  end)

  it("says its seconds", function()
    assert.matches("2 seconds", tostring(Timeout(2)))
    assert.matches("1 second", tostring(Timeout(1)))
    assert.not_matches("1 seconds", tostring(Timeout(1)))
    assert.matches("0%.5 seconds", tostring(Timeout(0.5)))
    assert.is_string(tostring(Timeout()))
  end)

  it("is collected while it is not pending", function()
    local seen = setmetatable({}, {__mode = "k"})
    do
      local t = Timeout.start_new(60)
      seen[t] = true
      t:cancel()
    end
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(seen))
  end)

  it("keeps firing though nobody holds it", function()
    Timeout.start_new(0.01)
    collectgarbage()
    local ok, err = pcall(gevent.sleep, 60)
    assert.is_false(ok)
    assert.is_true(gevent.isinstance(err, Timeout))
  end)
end)

describe("Timeout with an exception", function()
  it("raises a class as a new instance", function()
    local Late = gevent.exception "Late"
    local t <close> = Timeout.start_new(0.005, Late)
    local ok, err = pcall(gevent.sleep, 60)
    assert.is_false(ok)
    assert.is_true(gevent.isinstance(err, Late))
    assert.is_false(t.pending)
  end)

  it("raises anything else as it is", function()
    for _, value in ipairs {{}, "late", 42} do
      local t <close> = Timeout.start_new(0.005, value)
      local ok, err = pcall(gevent.sleep, 60)
      assert.is_false(ok)
      assert.is_true(rawequal(value, err))
      assert.is_false(t.pending)
    end
  end)
end)

describe("nested timeouts", function()
  it("the inner ends first: only it surfaces", function()
    local outer <close> = Timeout.start_new(60)
    do
      local inner <close> = Timeout.start_new(0.005)
      local ok, err = pcall(gevent.sleep, 60)
      assert.is_false(ok)
      assert.is_true(rawequal(inner, err))
    end
    assert.is_true(outer.pending)
  end)

  it("the outer ends first: it surfaces inside the inner", function()
    local outer <close> = Timeout.start_new(0.005)
    do
      local inner <close> = Timeout.start_new(60)
      local ok, err = pcall(gevent.sleep, 60)
      assert.is_false(ok)
      assert.is_true(rawequal(outer, err))
      assert.is_true(inner.pending)
    end
    assert.is_false(outer.pending)
  end)

  it("with the same deadline surface one after the other", function()
    local outer <close> = Timeout.start_new(0.01)
    local inner <close> = Timeout.start_new(0.01)
    local ok1, first = pcall(gevent.sleep, 60)
    local ok2, second = pcall(gevent.sleep, 60)
    assert.same({false, false}, {ok1, ok2})
    assert.is_false(rawequal(first, second))
    for _, err in ipairs {first, second} do
      assert.is_true(rawequal(err, outer) or rawequal(err, inner))
    end
    gevent.sleep(0.005)
  end)

  it("one that expires in a cleanup is raised there, once", function()
    local log = {}
    local outer
    local ok, err = pcall(function()
      outer = Timeout.start_new(0.01)
      local _ <close> = helper.defer(function()
        local fine, e = pcall(gevent.sleep, 60)
        log[#log + 1] = not fine and rawequal(e, outer)
      end)
      local inner <close> = Timeout.start_new(0.002)
      gevent.sleep(inner.seconds + 60)
    end)
    assert.is_false(ok)
    assert.is_true(gevent.isinstance(err, Timeout))
    assert.is_false(rawequal(err, outer))
    assert.same({true}, log)
    gevent.sleep(0.01)
  end)

  it("many in one greenlet each fire in their order", function()
    local list = {}
    for i = 1, 10 do list[i] = Timeout.start_new(0.002 * i) end
    for i = 1, 10 do
      local ok, err = pcall(gevent.sleep, 60)
      assert.is_false(ok)
      assert.is_true(rawequal(list[i], err))
    end
  end)
end)

describe("start_new", function()
  it("starts and returns a Timeout that is passed in", function()
    local t = Timeout(60)
    assert.is_true(rawequal(t, Timeout.start_new(t)))
    assert.is_true(t.pending)
    assert.is_true(rawequal(t, Timeout.start_new(t)))
    t:close()
  end)
end)

describe("with_timeout", function()
  it("returns the results of the function", function()
    assert.same({1, nil, 3, n = 3},
      table.pack(gevent.with_timeout(60, function(...)
        gevent.sleep(0)
        return ...
      end, 1, nil, 3)))
    assert.equal(0, select("#", gevent.with_timeout(60, noop)))
    assert.equal(1, gevent.with_timeout(nil, function() return 1 end))
  end)

  it("returns nil, message, code when its own time is over", function()
    local start = helper.now()
    assert.same({nil, "timed out", "timeout", n = 3},
      table.pack(gevent.with_timeout(0.01, gevent.sleep, 60)))
    assert.is_true(helper.now() - start >= 0.01)
  end)

  it("lets a foreign Timeout through", function()
    local foreign <close> = Timeout.start_new(0.005)
    local ok, err = pcall(gevent.with_timeout, 60, gevent.sleep, 60)
    assert.is_false(ok)
    assert.is_true(rawequal(foreign, err))
  end)

  it("nests: each takes its own", function()
    local inner
    local outer = table.pack(gevent.with_timeout(0.02, function()
      inner = table.pack(gevent.with_timeout(0.005, gevent.sleep, 60))
      gevent.sleep(60)
    end))
    assert.same({nil, "timed out", "timeout", n = 3}, inner)
    assert.same({nil, "timed out", "timeout", n = 3}, outer)
    inner = "untouched"
    outer = table.pack(gevent.with_timeout(0.005, function()
      inner = table.pack(gevent.with_timeout(60, gevent.sleep, 60))
    end))
    assert.equal("untouched", inner)
    assert.same({nil, "timed out", "timeout", n = 3}, outer)
  end)

  it("raises the function's error as it is, and leaves no timer", function()
    local timers = gevent.get_hub():stats().timers
    local trouble = {}
    local ok, err = pcall(gevent.with_timeout, 60, error, trouble)
    assert.is_false(ok)
    assert.is_true(rawequal(trouble, err))
    assert.equal(timers, gevent.get_hub():stats().timers)
  end)

  it("runs the function in the caller's greenlet", function()
    assert.is_true(rawequal(gevent.getcurrent(),
      gevent.with_timeout(60, gevent.getcurrent)))
  end)

  it("runs <close> variables at expiry", function()
    local seen
    gevent.with_timeout(0.005, function()
      local _ <close> = helper.defer(function(err) seen = err end)
      gevent.sleep(60)
    end)
    assert.is_true(gevent.isinstance(seen, Timeout))
  end)

  it("of 0 lets a function that does not block return", function()
    assert.equal(1, gevent.with_timeout(0, function() return 1 end))
    assert.is_nil((gevent.with_timeout(0, gevent.sleep, 60)))
  end)

  it("ends what catches the Timeout with what that returns", function()
    assert.equal("caught", (gevent.with_timeout(0.005, function()
      pcall(gevent.sleep, 60)
      return "caught"
    end)))
  end)

  it("refuses negative seconds and what cannot be called", function()
    for _, args in ipairs {{-1, noop}, {"x", noop}, {1, 42}, {1}} do
      local ok, err = pcall(gevent.with_timeout, table.unpack(args))
      assert.is_false(ok)
      assert.matches("argument #%d", err)
    end
  end)

  it("may be churned without a trace", function()
    local before = gevent.get_hub():stats().timers
    for _ = 1, 10000 do gevent.with_timeout(60, noop) end
    assert.equal(before, gevent.get_hub():stats().timers)
  end)
end)
