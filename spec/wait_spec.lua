-- wait and iwait over everything that can be waited for.

local helper = require "helper"
local sync = require "helper_sync"
local gevent = require "gevent"
local event = require "gevent.event"
local lock = require "gevent.lock"
local pool = require "gevent.pool"
local queue = require "gevent.queue"
local it = helper.it
local expect_misuse = sync.expect_misuse

--- The same objects in the same order.
local function expect_list(expected, list)
  assert.equal(#expected, #list)
  for i, object in ipairs(expected) do
    assert.is_true(rawequal(object, list[i]))
  end
end

--- Of each kind one that is not ready, and what makes it so.
local waitables = {
  Greenlet = function()
    local g = gevent.Greenlet(function() end)
    return g, function() g:start() end
  end,
  ["raw greenlet"] = function()
    local gate = helper.gate()
    local g = gevent.spawn_raw(gate.wait, gate)
    return g, function() gate:open() end, function() gate:open() end
  end,
  Event = function()
    local e = event.Event()
    return e, function() e:set() end
  end,
  ["AsyncResult with a value"] = function()
    local r = event.AsyncResult()
    return r, function() r:set(1) end
  end,
  ["AsyncResult with an error"] = function()
    local r = event.AsyncResult()
    return r, function() r:set_exception "bad" end
  end,
  Semaphore = function()
    local s = lock.Semaphore(0)
    return s, function() s:release() end
  end,
  BoundedSemaphore = function()
    local s = lock.BoundedSemaphore(1)
    s:acquire()
    return s, function() s:release() end
  end,
  RLock = function()
    local r, gate = lock.RLock(), helper.gate()
    gevent.spawn(function()
      local _ <close> = r:hold()
      gate:wait()
    end)
    gevent.sleep(0)
    return r, function() gate:open() end, function() gate:open() end
  end,
  Queue = function()
    local q = queue.Queue()
    return q, function() q:put(1) end
  end,
  ["Queue that is closed"] = function()
    local q = queue.Queue()
    return q, function() q:close() end
  end,
  LifoQueue = function()
    local q = queue.LifoQueue()
    return q, function() q:put(1) end
  end,
  PriorityQueue = function()
    local q = queue.PriorityQueue()
    return q, function() q:put(1) end
  end,
  JoinableQueue = function()
    local q = queue.JoinableQueue()
    return q, function() q:put(1) end
  end,
  Channel = function()
    local c = queue.Channel()
    local g
    return c, function() g = g or gevent.spawn(c.put, c, 1) end,
      function() if g then g:kill() end end
  end,
}

for kind, make in pairs(waitables) do
  describe("wait for a " .. kind, function()
    it("returns it when it is ready", function()
      local object, release, cleanup = make()
      local _ <close> = helper.defer(cleanup or function() end)
      local g = helper.spawn_blocked(gevent.wait, {object})
      release()
      expect_list({object}, (g:get()))
      expect_list({object}, gevent.wait {object})
      expect_list({object}, gevent.wait({object}, 0))
    end)

    it("returns nothing at expiry, and leaves nothing behind", function()
      local object, release, cleanup = make()
      local _ <close> = helper.defer(cleanup or function() end)
      helper.wait_all_blocked()
      expect_list({}, gevent.wait({object}, 0))
      expect_list({}, gevent.wait({object}, 0.001))
      expect_list({}, sync.collect(gevent.iwait({object}, 0.001)))
      release()
      expect_list({object}, gevent.wait({object}, 5))
    end)

    it("iwait gives it, once", function()
      local object, release, cleanup = make()
      local _ <close> = helper.defer(cleanup or function() end)
      local releaser = gevent.spawn(release)
      local never = event.Event()
      local n = 0
      for ready in gevent.iwait({never, object}, nil, 1) do
        assert.is_true(rawequal(object, ready))
        n = n + 1
      end
      assert.equal(1, n)
      releaser:join()
    end)
  end)

  helper.battery("wait for a " .. kind .. ": wait", function()
    local object, release, cleanup = make()
    local ready = event.Event()
    ready:set()
    return {
      call = function(timeout) return gevent.wait({object, ready}, timeout) end,
      release = release,
      expect = function(list)
        assert.equal(2, #list)
        assert.is_true(rawequal(ready, list[1]))
        assert.is_true(rawequal(object, list[2]))
      end,
      takes_timeout = true,
      timeout_result = function(list) expect_list({ready}, list) end,
      cleanup = cleanup,
    }
  end)
end

describe("wait", function()
  it("returns objects in the order they get ready", function()
    local events = sync.times(5, function() return event.Event() end)
    local g = helper.spawn_blocked(gevent.wait, events)
    for _, i in ipairs {3, 1, 5, 2, 4} do events[i]:set() end
    expect_list({events[3], events[1], events[5], events[2], events[4]},
      (g:get()))
  end)

  it("mixes kinds", function()
    local objects, releases = {}, {}
    for _, kind in ipairs {"Greenlet", "Event", "Queue", "Semaphore"} do
      objects[#objects + 1], releases[#releases + 1] = waitables[kind]()
    end
    local g = helper.spawn_blocked(gevent.wait, objects)
    for i = #releases, 1, -1 do
      releases[i]()
      helper.wait_all_blocked()
    end
    local list = g:get()
    expect_list({objects[4], objects[3], objects[2], objects[1]}, list)
  end)

  it("counts", function()
    local events = sync.times(5, function() return event.Event() end)
    events[2]:set()
    events[4]:set()
    expect_list({}, gevent.wait(events, nil, 0))
    expect_list({events[2]}, gevent.wait(events, nil, 1))
    expect_list({events[2], events[4]}, gevent.wait(events, nil, 2))
    expect_list({events[2], events[4]}, gevent.wait(events, 0.001, 3))
    expect_list({events[2], events[4]}, gevent.wait(events, 0.001))
    for _, e in ipairs(events) do e:set() end
    assert.equal(5, #gevent.wait(events, nil, 99))
  end)

  it("of an empty list returns at once", function()
    expect_list({}, gevent.wait {})
    expect_list({}, gevent.wait({}, 0))
    expect_list({}, sync.collect(gevent.iwait {}))
  end)

  it("takes nothing: the item and the permit are still there", function()
    local q, s = queue.Queue(nil, {"item"}), lock.Semaphore(1)
    assert.equal(2, #gevent.wait {q, s})
    assert.equal("item", q:get(0))
    assert.is_true(s:acquire(0))
  end)

  it("counts an event that was cleared again since", function()
    local e = event.Event()
    local g = helper.spawn_blocked(gevent.wait, {e})
    e:set()
    e:clear()
    expect_list({e}, (g:get()))
    expect_list({}, gevent.wait({e}, 0.001))
  end)

  it("begun while an event's waiters are woken does not see the old set",
    function()
      local e = event.Event()
      local setter
      gevent.spawn(function()
        setter = gevent.spawn(e.set, e)
        assert.is_true(e:wait())
        setter:join()
        e:clear()
        expect_list({}, gevent.wait({e}, 0.005))
        assert.is_false(e:is_set())
      end):get()
    end)

  it("names the object that cannot be waited for", function()
    for _, value in ipairs {42, "x", {}, lock.DummySemaphore(), pool.Group()} do
      expect_misuse("argument #1.*object 2", gevent.wait,
        {event.Event(), value})
    end
    expect_misuse("argument #1", gevent.wait, 42)
    expect_misuse("argument #2", gevent.wait, {}, -1)
    expect_misuse("count", gevent.wait, {}, nil, -1)
    expect_misuse("argument #1", gevent.iwait)
  end)

  it("leaves no link behind when it is interrupted", function()
    local e = event.Event()
    local list = sync.times(50, function() return e end)
    for _ = 1, 20 do
      local g = helper.spawn_blocked(gevent.wait, list)
      g:kill()
    end
    assert.matches("waiters 0", tostring(e))
    assert.matches("clear", tostring(e))
  end)

  it("without objects waits until the loop has nothing left", function()
    local done = false
    gevent.spawn_later(0.002, function() done = true end)
    assert.is_true(gevent.wait())
    assert.is_true(done)
    assert.is_true(gevent.wait())
    local g = gevent.spawn(gevent.sleep, 60)
    assert.is_false(gevent.wait(nil, 0.002))
    g:kill()
    local stuck = helper.spawn_blocked(event.Event().wait, event.Event())
    assert.is_true(gevent.wait()) -- whom nobody can wake does not count
    stuck:kill()
  end, {deadline = false})

  it("without objects is for the main greenlet", function()
    gevent.spawn(function()
      assert.is_false((pcall(gevent.wait)))
    end):get()
  end)
end)

describe("iwait", function()
  it("gives each as it gets ready; in between others may run", function()
    local events = sync.times(4, function() return event.Event() end)
    local setter = gevent.spawn(function()
      for _, i in ipairs {4, 2, 1, 3} do
        events[i]:set()
        gevent.sleep(0)
      end
    end)
    local order = {}
    for ready in gevent.iwait(events) do
      order[#order + 1] = ready
      gevent.sleep(0)
      gevent.sleep(0) -- several get ready meanwhile: none is lost
    end
    expect_list({events[4], events[2], events[1], events[3]}, order)
    setter:join()
  end)

  it("ends at its timeout, which is for the whole of it", function()
    local e, never = event.Event(), event.Event()
    gevent.spawn(function()
      e:set()
    end)
    local start = helper.now()
    expect_list({e}, sync.collect(gevent.iwait({never, e}, 0.02)))
    assert.is_true(helper.now() - start >= 0.02)
  end)

  it("left early links nothing any more", function()
    local events = sync.times(3, function() return event.Event() end)
    events[1]:set()
    for ready in gevent.iwait(events) do
      if ready == events[1] then break end
    end
    for i = 2, 3 do assert.matches("waiters 0", tostring(events[i])) end
  end)

  it("passes a foreign Timeout on", function()
    local mine <close> = gevent.Timeout.start_new(0.002)
    local ok, err = pcall(function()
      for _ in gevent.iwait {event.Event()} do assert.is_true(false) end
    end)
    assert.is_false(ok)
    assert.is_true(rawequal(mine, err))
  end)

  it("does not mind that the list is changed meanwhile", function()
    local list = sync.times(3, function() return event.Event() end)
    local first, second, third = list[1], list[2], list[3]
    local seen = {}
    local setter = gevent.spawn(function()
      for _, e in ipairs {first, second, third} do e:set() end
    end)
    for ready in gevent.iwait(list) do
      seen[#seen + 1] = ready
      for i = #list, 1, -1 do list[i] = nil end
      collectgarbage()
    end
    expect_list({first, second, third}, seen)
    setter:join()
  end)

  it("keeps its objects alive, whatever becomes of the list", function()
    for _ = 1, 20 do
      local list = sync.times(3, function() return event.Event() end)
      local _, _, _, waiter = gevent.iwait(list)
      for i = 1, 3 do list[i] = nil end
      collectgarbage()
      collectgarbage()
      local junk = sync.times(50, function() return event.Event() end)
      waiter:close() -- takes its nodes out of queues that still exist
      for _, e in ipairs(junk) do assert.matches("waiters 0", tostring(e)) end
    end
  end)

  it("abandoned without an end is collected", function()
    local e = event.Event()
    do
      local take = gevent.iwait({e}, 0)
      take = take and nil -- luacheck: ignore
    end
    collectgarbage()
    collectgarbage()
    assert.matches("waiters 0", tostring(e))
  end)
end)

helper.battery("iwait", function()
  local e = event.Event()
  return {
    call = function(timeout)
      return #sync.collect(gevent.iwait({e}, timeout))
    end,
    release = function() e:set() end,
    expect = function(n) assert.equal(1, n) end,
    takes_timeout = true,
    timeout_result = function(n) assert.equal(0, n) end,
  }
end)
