-- gevent.event: Event and AsyncResult.

local helper = require "helper"
local sync = require "helper_sync"
local gevent = require "gevent"
local event = require "gevent.event"
local it = helper.it
local Event, AsyncResult = event.Event, event.AsyncResult
local letters, expect_misuse = sync.letters, sync.expect_misuse

describe("Event", function()
  it("is clear, then set, then clear", function()
    local e = Event()
    assert.is_false(e:is_set())
    e:set()
    assert.is_true(e:is_set())
    e:set()
    assert.is_true(e:is_set())
    e:clear()
    assert.is_false(e:is_set())
    e:clear()
  end)

  it("shows its state", function()
    local e = Event()
    assert.matches("^<Event at 0x%x+ clear", tostring(e))
    e:set()
    assert.matches("^<Event at 0x%x+ set", tostring(e))
  end)

  it("wait returns at once where it is set, and tells at 0", function()
    local e = Event()
    assert.is_false(e:wait(0))
    e:set()
    assert.is_true(e:wait())
    assert.is_true(e:wait(0))
    assert.is_true(e:wait(10))
  end)

  it("wakes all who wait, in the order of their coming", function()
    local e = Event()
    local log, say = letters()
    local list = sync.times(100, function(i)
      return gevent.spawn(function()
        e:wait()
        say(i)
      end)
    end)
    helper.wait_all_blocked()
    e:set()
    assert.equal(0, #log) -- set does not switch
    gevent.joinall(list)
    assert.same(sync.times(100, function(i) return i end), log)
  end)

  it("counts as set for whoever waited, also if cleared since", function()
    local e = Event()
    local seen = 0
    local list = sync.times(1000, function()
      return gevent.spawn(function()
        if e:wait() then seen = seen + 1 end
      end)
    end)
    helper.wait_all_blocked()
    e:set()
    e:clear()
    gevent.joinall(list)
    assert.equal(1000, seen)
    assert.is_false(e:is_set())
    assert.is_false(e:wait(0))
  end)

  it("waiting again after a set and clear waits for the next set", function()
    local e = Event()
    local rounds = 0
    local g = gevent.spawn(function()
      while e:wait() do
        rounds = rounds + 1
        e:clear()
      end
    end)
    for i = 1, 5 do
      helper.wait_all_blocked()
      e:set()
      helper.wait_all_blocked()
      assert.equal(i, rounds)
    end
    g:kill()
  end)

  it("lets those pass first who waited before it was set", function()
    local e = Event()
    local log, say = letters()
    local function wait_and_say(text)
      e:wait()
      say(text)
    end
    local list = {gevent.spawn(wait_and_say, 1), gevent.spawn(wait_and_say, 2)}
    helper.wait_all_blocked()
    e:set()
    wait_and_say(3) -- is set, but 1 and 2 are still on their way
    assert.same({1, 2, 3}, log)
    gevent.joinall(list)
    local turns = 0
    local other = gevent.spawn(function() turns = turns + 1 end)
    assert.is_true(e:wait()) -- nobody on the way: at once
    assert.equal(0, turns)
    other:join()
  end)

  it("reports false only at expiry", function()
    local e = Event()
    local start = helper.now()
    assert.is_false(e:wait(0.01))
    assert.is_true(helper.now() - start >= 0.01)
    gevent.spawn_later(0.005, e.set, e)
    assert.is_true(e:wait(10))
  end)

  it("forgets a waiter that was killed or timed out", function()
    local e = Event()
    local killed = helper.spawn_blocked(e.wait, e)
    local expired = gevent.spawn(e.wait, e, 0.001)
    local patient = helper.spawn_blocked(e.wait, e)
    killed:kill()
    assert.is_false(expired:get())
    assert.matches("waiters 1", tostring(e))
    e:set()
    assert.is_true(patient:get())
  end)

  it("is collected while its only waiter is blocked for ever", function()
    local seen = setmetatable({}, {__mode = "v"})
    do
      local e = Event()
      seen.event = e
      local g = helper.spawn_blocked(e.wait, e)
      g:kill()
    end
    helper.wait_all_blocked()
    collectgarbage()
    collectgarbage()
    assert.is_nil(seen.event)
  end)

  it("can be made before anything else and in any number", function()
    for _ = 1, 10000 do Event() end
    collectgarbage()
  end)

  it("refuses bad arguments", function()
    local e = Event()
    expect_misuse("argument #%d", e.wait, e, -1)
    expect_misuse("argument #%d", e.wait, e, "soon")
    expect_misuse("argument #%d", e.wait, e, 0 / 0)
    expect_misuse("Event", e.wait, {})
    expect_misuse("Event", e.set, 42)
  end)

  it("blocking for ever is LoopExit in main, and names it", function()
    local e = Event()
    local ok, err = pcall(e.wait, e)
    assert.is_false(ok)
    assert.is_true(gevent.isinstance(err, gevent.LoopExit))
    assert.matches("Event", tostring(err))
    e:set()
    assert.is_true(e:wait())
  end, {deadline = false})
end)

helper.battery("Event:wait", function()
  local e = Event()
  return {
    call = function(timeout) return e:wait(timeout) end,
    release = function() e:set() end,
    expect = function(...) assert.same({true, n = 1}, table.pack(...)) end,
    takes_timeout = true,
    timeout_result = false,
    direct = true,
  }
end)

describe("AsyncResult", function()
  it("begins with nothing", function()
    local r = AsyncResult()
    assert.is_false(r:ready())
    assert.is_false(r:successful())
    assert.is_nil(r.value)
    assert.is_nil(r.exception)
    assert.is_false(r:wait(0))
    local ok, err = pcall(r.get, r, 0)
    assert.is_false(ok)
    assert.is_true(sync.is_timeout(err))
  end)

  it("carries all values, nils too", function()
    local r = AsyncResult()
    r:set(nil, 2, nil)
    assert.is_true(r:ready())
    assert.is_true(r:successful())
    assert.same({nil, 2, nil, n = 3}, table.pack(r:get()))
    assert.same({nil, 2, nil, n = 3}, table.pack(r:get(0)))
    assert.is_nil(r.value)
    r:set("a", "b")
    assert.equal("a", r.value)
    assert.is_nil(r.exception)
    assert.is_true(r:wait())
  end)

  it("set without arguments is a result as well", function()
    local r = AsyncResult()
    r:set()
    assert.is_true(r:ready())
    assert.is_true(r:successful())
    assert.is_nil((r:get()))
  end)

  it("raises the same error to everybody, each time", function()
    local r = AsyncResult()
    local err = setmetatable({}, {__tostring = function() return "bad" end})
    local waiter = helper.spawn_blocked(function() return pcall(r.get, r) end)
    r:set_exception(err)
    assert.is_true(r:ready())
    assert.is_false(r:successful())
    assert.is_true(rawequal(err, r.exception))
    assert.is_nil(r.value)
    assert.is_true(r:wait())
    for _ = 1, 2 do
      local ok, raised = pcall(r.get, r)
      assert.is_false(ok)
      assert.is_true(rawequal(err, raised))
    end
    assert.is_true(rawequal(err, (select(2, waiter:get()))))
  end)

  it("makes an instance of an exception class", function()
    local r, Mine = AsyncResult(), gevent.exception "Mine"
    r:set_exception(Mine)
    assert.is_true(gevent.isinstance(r.exception, Mine))
    assert.is_true(gevent.isinstance(select(2, pcall(r.get, r)), Mine))
  end)

  it("raises a string error as it was given", function()
    local r = AsyncResult()
    r:set_exception("plain")
    assert.same({false, "plain"}, {pcall(r.get, r)})
  end)

  it("wakes all who get or wait, in order", function()
    local r = AsyncResult()
    local log, say = letters()
    local list = sync.times(20, function(i)
      return gevent.spawn(function()
        if i % 2 == 0 then r:wait() else r:get() end
        say(i)
      end)
    end)
    helper.wait_all_blocked()
    r:set(true)
    assert.equal(0, #log)
    gevent.joinall(list)
    assert.same(sync.times(20, function(i) return i end), log)
  end)

  it("may be set again: the last value holds, a value beats an error",
    function()
      local r = AsyncResult()
      r:set(1)
      r:set(2)
      assert.equal(2, r:get())
      local failed = AsyncResult()
      failed:set_exception("bad")
      failed:set("good")
      assert.equal("good", failed:get())
      r:set_exception("late")
      assert.equal(2, r:get())
      assert.is_true(r:successful())
      assert.equal("late", r.exception)
    end)

  it("is what a greenlet can be linked to", function()
    local r = AsyncResult()
    gevent.spawn(function() return 1, nil, 3 end):link(r)
    assert.same({1, nil, 3, n = 3}, table.pack(r:get()))
    local printed <close> = helper.capture_errors()
    local bad, problem = AsyncResult(), {}
    gevent.spawn(error, problem):link(bad)
    assert.is_true(bad:wait())
    assert.is_true(rawequal(problem, bad.exception))
    assert.is_true(rawequal(problem, (select(2, pcall(bad.get, bad)))))
    assert.is_string(printed:text())
    local killed = AsyncResult()
    local g = helper.spawn_blocked(gevent.sleep, 60)
    g:link(killed)
    g:kill()
    assert.is_true(sync.is_exit(killed:get()))
    assert.is_true(killed:successful())
  end)

  it("get raises Timeout at its expiry, wait returns false", function()
    local r = AsyncResult()
    local ok, err = pcall(r.get, r, 0.005)
    assert.is_false(ok)
    assert.is_true(sync.is_timeout(err))
    assert.is_false(r:wait(0.005))
    r:set "late"
    assert.equal("late", r:get(0.005))
  end)

  it("passes a foreign Timeout on, from get and from wait", function()
    for _, name in ipairs {"get", "wait"} do
      local r = AsyncResult()
      local mine <close> = gevent.Timeout.start_new(0.005)
      local ok, err = pcall(r[name], r, 60)
      assert.is_false(ok)
      assert.is_true(rawequal(mine, err))
    end
  end)

  it("shows its state", function()
    local r = AsyncResult()
    local before = tostring(r)
    assert.matches("^<AsyncResult at 0x%x+", before)
    r:set(1)
    assert.not_equal(before, tostring(r))
  end)

  it("refuses bad arguments", function()
    local r = AsyncResult()
    expect_misuse("argument #%d", r.get, r, -1)
    expect_misuse("argument #%d", r.wait, r, -1)
    expect_misuse("argument #%d", r.wait, r, "x")
  end)
end)

for _, way in ipairs {"get", "wait"} do
  helper.battery("AsyncResult:" .. way, function()
    local r = AsyncResult()
    return {
      call = function(timeout) return r[way](r, timeout) end,
      release = function() r:set(true) end,
      expect = function(...) assert.same({true, n = 1}, table.pack(...)) end,
      takes_timeout = true,
      timeout_result = way == "get" and "raises" or false,
      direct = true,
    }
  end)
end
