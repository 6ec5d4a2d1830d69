-- gevent.lock: Condition.

local helper = require "helper"
local sync = require "helper_sync"
local gevent = require "gevent"
local lock = require "gevent.lock"
local it = helper.it
local letters = sync.letters

--- A greenlet that waits on the condition, then calls `fn` with the result.
local function spawn_waiter(condition, fn, timeout)
  return helper.spawn_blocked(function()
    local _ <close> = condition:hold()
    local result = condition:wait(timeout)
    if fn then fn(result) end
    return result
  end)
end

local function notify(condition, n)
  local _ <close> = condition:hold()
  condition:notify(n)
end

local locks = {
  ["its own RLock"] = function() end,
  ["an RLock"] = lock.RLock,
  ["a Semaphore"] = lock.Semaphore,
  ["a BoundedSemaphore"] = lock.BoundedSemaphore,
}

for name, make in pairs(locks) do
  describe("Condition over " .. name, function()
    it("wait gives the lock up and takes it again", function()
      local c = lock.Condition(make())
      local held
      local g = spawn_waiter(c, function() held = c:locked() end)
      assert.is_false(c:locked())
      notify(c)
      assert.is_true(g:get())
      assert.is_true(held)
      assert.is_false(c:locked())
    end)

    it("notify wakes n in the order of their coming", function()
      local c = lock.Condition(make())
      local log, say = letters()
      local list = sync.times(6, function(i)
        return spawn_waiter(c, function() say(i) end)
      end)
      notify(c)
      helper.wait_all_blocked()
      assert.same({1}, log)
      notify(c, 2)
      helper.wait_all_blocked()
      assert.same({1, 2, 3}, log)
      do
        local _ <close> = c:hold()
        c:notify_all()
        assert.equal(3, #log) -- they need the lock first
      end
      gevent.joinall(list)
      assert.same({1, 2, 3, 4, 5, 6}, log)
      notify(c) -- nobody there: nothing is kept
      local _ <close> = c:hold()
      assert.is_false(c:wait(0.001))
    end)

    it("wait is false at expiry, and holds the lock", function()
      local c = lock.Condition(make())
      local _ <close> = c:hold()
      assert.is_false(c:wait(0.005))
      assert.is_true(c:locked())
      assert.is_false(c:wait(0))
      assert.is_true(c:locked())
    end)

    it("without the lock is misuse", function()
      local c = lock.Condition(make())
      assert.is_false((pcall(c.wait, c)))
      assert.is_false((pcall(c.wait, c, 0)))
      assert.is_false((pcall(c.notify, c)))
      assert.is_false((pcall(c.notify_all, c)))
      assert.is_false(c:locked())
    end)

    it("a killed waiter holds the lock while it unwinds", function()
      local c = lock.Condition(make())
      local held
      local g = helper.spawn_blocked(function()
        local _ <close> = c:hold()
        local _ <close> = helper.defer(function() held = c:locked() end)
        c:wait()
      end)
      g:kill()
      assert.is_true(held)
      assert.is_false(c:locked())
      assert.is_true(sync.is_exit((g:get())))
    end)

    it("a waiter killed while it takes the lock again has it", function()
      local c = lock.Condition(make())
      local log, say = letters()
      local g = helper.spawn_blocked(function()
        local _ <close> = c:hold()
        local _ <close> = helper.defer(function() say(c:locked()) end)
        c:wait()
        gevent.sleep(60)
      end)
      do
        local _ <close> = c:hold()
        c:notify()
        gevent.sleep(0) -- now it waits for the lock
        gevent.kill(g)
        gevent.sleep(0)
        say "main has it"
      end
      g:join()
      assert.same({"main has it", true}, log)
      assert.is_true(sync.is_exit((g:get())))
      assert.is_false(c:locked())
    end)

    it("a Timeout in a wait is raised with the lock held", function()
      local c = lock.Condition(make())
      local mine <close> = gevent.Timeout.start_new(0.005)
      local ok, err = pcall(function()
        local _ <close> = c:hold()
        c:wait()
      end)
      assert.is_false(ok)
      assert.is_true(rawequal(mine, err))
      assert.is_false(c:locked())
    end)

    it("a killed waiter's notification goes to the next", function()
      local c = lock.Condition(make())
      local first = spawn_waiter(c)
      local second = spawn_waiter(c)
      gevent.kill(first)
      notify(c)
      assert.is_true(second:get())
      first:join()
    end)
  end)
end

describe("Condition", function()
  it("gives up an RLock whatever its depth, and gets it back so", function()
    local c = lock.Condition()
    local depth
    local g = helper.spawn_blocked(function()
      c:acquire()
      c:acquire()
      c:acquire()
      c:wait()
      depth = 0
      while pcall(c.release, c) do depth = depth + 1 end
    end)
    assert.is_false(c:locked())
    notify(c)
    g:get()
    assert.equal(3, depth)
  end)

  it("is misuse for a greenlet that does not own the RLock", function()
    local c = lock.Condition()
    local _ <close> = c:hold()
    gevent.spawn(function()
      assert.is_false((pcall(c.wait, c)))
      assert.is_false((pcall(c.notify, c)))
      assert.is_false((pcall(c.release, c)))
    end):get()
  end)

  it("is a bounded buffer in a dozen lines", function()
    local c = lock.Condition()
    local buffer, got = {}, {}
    local function put(item)
      local _ <close> = c:hold()
      while #buffer == 3 do c:wait() end
      buffer[#buffer + 1] = item
      c:notify_all()
    end
    local function take()
      local _ <close> = c:hold()
      while #buffer == 0 do c:wait() end
      c:notify_all()
      return table.remove(buffer, 1)
    end
    local list = {}
    for p = 1, 3 do
      list[#list + 1] = gevent.spawn(function()
        for i = 1, 30 do put(p * 100 + i) end
      end)
      list[#list + 1] = gevent.spawn(function()
        for _ = 1, 30 do got[take()] = true end
      end)
    end
    gevent.joinall(list, nil, {raise_error = true})
    for p = 1, 3 do
      for i = 1, 30 do assert.is_true(got[p * 100 + i]) end
    end
  end)

  it("shows its state", function()
    assert.matches("^<Condition at 0x%x+", tostring(lock.Condition()))
  end)

  it("refuses what is no lock", function()
    for _, value in ipairs {42, "lock", {}, print} do
      sync.expect_misuse("argument #1", lock.Condition, value)
    end
  end)

  it("refuses a negative timeout, and what is no number", function()
    local c = lock.Condition()
    local _ <close> = c:hold()
    sync.expect_misuse("argument #%d", c.wait, c, -1)
    assert.is_true(c:locked())
    sync.expect_misuse("argument #%d", c.notify, c, "all")
    assert.is_true(c:locked())
  end)
end)

for name, make in pairs(locks) do
  helper.battery("Condition over " .. name .. ": wait", function()
    local c = lock.Condition(make())
    return {
      call = function(timeout)
        local _ <close> = c:hold()
        return c:wait(timeout)
      end,
      release = function()
        local held <close> = c:hold(0)
        if held then c:notify() end
      end,
      expect = function(...) assert.same({true, n = 1}, table.pack(...)) end,
      takes_timeout = true,
      timeout_result = false,
      direct = true,
    }
  end)
end
