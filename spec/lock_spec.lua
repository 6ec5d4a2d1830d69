-- gevent.lock: Semaphore, BoundedSemaphore, DummySemaphore, RLock, Condition.

local helper = require "helper"
local sync = require "helper_sync"
local gevent = require "gevent"
local lock = require "gevent.lock"
local it = helper.it
local letters, expect_misuse = sync.letters, sync.expect_misuse

describe("Semaphore", function()
  it("has as many permits as it was made with, 1 unless told", function()
    local s = lock.Semaphore()
    assert.equal(1, s.counter)
    assert.is_false(s:locked())
    assert.is_true(s:acquire())
    assert.equal(0, s.counter)
    assert.is_true(s:locked())
    assert.is_false(s:acquire(0))
    s:release()
    assert.equal(1, s.counter)
    local three = lock.Semaphore(3)
    for _ = 1, 3 do assert.is_true(three:acquire(0)) end
    assert.is_false(three:acquire(0))
    assert.is_true(lock.Semaphore(0):locked())
  end)

  it("may be released more often than it was acquired", function()
    local s = lock.Semaphore(1)
    s:release()
    s:release()
    assert.equal(3, s.counter)
  end)

  it("acquire returns false at expiry", function()
    local s = lock.Semaphore(0)
    local start = helper.now()
    assert.is_false(s:acquire(0.01))
    assert.is_true(helper.now() - start >= 0.01)
    assert.equal(0, s.counter)
  end)

  it("serves waiters in the order of their coming", function()
    local s = lock.Semaphore(0)
    local log, say = letters()
    local list = sync.times(10, function(i)
      return gevent.spawn(function()
        s:acquire()
        say(i)
        s:release()
      end)
    end)
    helper.wait_all_blocked()
    assert.matches("waiters 10", tostring(s))
    s:release()
    gevent.joinall(list)
    assert.same(sync.times(10, function(i) return i end), log)
    assert.equal(1, s.counter)
  end)

  it("wakes as many as it is released", function()
    local s = lock.Semaphore(0)
    local woken = 0
    local list = sync.times(5, function()
      return gevent.spawn(function()
        s:acquire()
        woken = woken + 1
      end)
    end)
    helper.wait_all_blocked()
    s:release()
    s:release()
    helper.wait_all_blocked()
    assert.equal(2, woken)
    for _ = 1, 3 do s:release() end
    gevent.joinall(list)
    assert.equal(0, s.counter)
  end)

  it("is fair: two that take turns both get on", function()
    local s = lock.Semaphore(1)
    local counts = {0, 0}
    local list = sync.times(2, function(i)
      return gevent.spawn(function()
        while counts[1] + counts[2] < 100 do
          s:acquire()
          counts[i] = counts[i] + 1
          gevent.sleep(0)
          s:release()
        end
      end)
    end)
    gevent.joinall(list)
    assert.is_true(counts[1] > 30 and counts[2] > 30)
  end)

  it("a permit that was handed over is not taken by another", function()
    local s = lock.Semaphore(0)
    local g = helper.spawn_blocked(s.acquire, s)
    s:release()
    assert.is_false(s:acquire(0))
    assert.is_true(g:get())
  end)

  it("forgets waiters that were killed or timed out", function()
    local s = lock.Semaphore(0)
    local killed = helper.spawn_blocked(s.acquire, s)
    local expired = gevent.spawn(s.acquire, s, 0.001)
    local patient = helper.spawn_blocked(s.acquire, s)
    killed:kill()
    assert.is_false(expired:get())
    s:release()
    assert.is_true(patient:get())
    assert.equal(0, s.counter)
  end)

  it("a deadlock is LoopExit in main", function()
    local s = lock.Semaphore(0)
    local ok, err = pcall(s.acquire, s)
    assert.is_false(ok)
    assert.is_true(gevent.isinstance(err, gevent.LoopExit))
    assert.matches("acquire", tostring(err))
    s:release()
    assert.is_true(s:acquire())
  end, {deadline = false})

  it("shows its state", function()
    assert.matches("^<Semaphore at 0x%x+ counter 2", tostring(lock.Semaphore(2)))
  end)

  it("refuses bad arguments", function()
    expect_misuse("argument #1", lock.Semaphore, -1)
    expect_misuse("argument #1", lock.Semaphore, "x")
    local s = lock.Semaphore()
    expect_misuse("argument #%d", s.acquire, s, -1)
    expect_misuse("Semaphore", s.acquire, {})
  end)
end)

describe("BoundedSemaphore", function()
  it("refuses a release too many", function()
    for n = 1, 3 do
      local s = lock.BoundedSemaphore(n)
      expect_misuse("too many", s.release, s)
      for _ = 1, n do s:acquire() end
      for _ = 1, n do s:release() end
      expect_misuse("too many", s.release, s)
      assert.equal(n, s.counter)
    end
    assert.equal(1, lock.BoundedSemaphore().counter)
    assert.matches("^<BoundedSemaphore", tostring(lock.BoundedSemaphore()))
  end)

  it("refuses it also when waiters came in between", function()
    local s = lock.BoundedSemaphore(1)
    s:acquire()
    local g = helper.spawn_blocked(function()
      s:acquire()
      s:release()
    end)
    s:release()
    g:get()
    expect_misuse("too many", s.release, s)
  end)
end)

describe("DummySemaphore", function()
  it("never blocks", function()
    local s = lock.DummySemaphore()
    for _ = 1, 3 do assert.is_true(s:acquire(0)) end
    assert.is_true(s:acquire())
    s:release()
    assert.is_false(s:locked())
    do
      local held <close> = s:hold()
      assert.is_truthy(held)
    end
    assert.is_string(tostring(s))
    assert.is_truthy(s.counter)
  end)
end)

describe("RLock", function()
  it("may be acquired again by its owner", function()
    local r = lock.RLock()
    assert.is_false(r:locked())
    for _ = 1, 3 do assert.is_true(r:acquire()) end
    assert.is_true(r:locked())
    r:release()
    r:release()
    assert.is_true(r:locked())
    local other = gevent.spawn(r.acquire, r, 0)
    assert.is_false(other:get())
    r:release()
    assert.is_false(r:locked())
  end)

  it("is another's only when it was released as often", function()
    local r = lock.RLock()
    r:acquire()
    r:acquire()
    local log, say = letters()
    local g = helper.spawn_blocked(function()
      r:acquire()
      say "other"
      r:release()
    end)
    r:release()
    helper.wait_all_blocked()
    assert.same({}, log)
    r:release()
    g:get()
    assert.same({"other"}, log)
  end)

  it("refuses a release by who does not hold it", function()
    local r = lock.RLock()
    assert.is_false((pcall(r.release, r)))
    r:acquire()
    gevent.spawn(function() assert.is_false((pcall(r.release, r))) end):get()
    assert.is_true(r:locked())
    r:release()
    assert.is_false((pcall(r.release, r)))
  end)

  it("belongs to the greenlet, not to a coroutine in it", function()
    local gco = require "gevent.coroutine"
    local r = lock.RLock()
    r:acquire()
    assert.is_true(gco.wrap(function() return r:acquire(0) end)())
    r:release()
    r:release()
  end)

  it("is handed over in order, and survives killed waiters", function()
    local r = lock.RLock()
    local log, say = letters()
    r:acquire()
    local list = sync.times(6, function(i)
      return helper.spawn_blocked(function()
        local _ <close> = r:hold()
        say(i)
      end)
    end)
    gevent.kill(list[1])
    gevent.kill(list[4])
    r:release()
    gevent.joinall(list)
    assert.same({2, 3, 5, 6}, log)
    assert.is_false(r:locked())
  end)

  it("shows its state and refuses a negative timeout", function()
    local r = lock.RLock()
    assert.matches("^<RLock at 0x%x+", tostring(r))
    r:acquire()
    gevent.spawn(function()
      expect_misuse("argument #%d", r.acquire, r, -1)
    end):get()
    r:release()
  end)
end)

describe("hold", function()
  for name, make in pairs(lock) do
    it("of a " .. name .. " releases at the end of the scope", function()
      local l = make()
      do
        local held <close> = l:hold()
        assert.is_truthy(held)
        assert.equal(name ~= "DummySemaphore", l:locked())
      end
      assert.is_false(l:locked())
      local ok, err = pcall(function()
        local _ <close> = l:hold()
        error("in the scope", 0)
      end)
      assert.is_false(ok)
      assert.equal("in the scope", err)
      assert.is_false(l:locked())
    end)
  end

  it("at expiry is nil, timed out, timeout", function()
    local s = lock.Semaphore(0)
    sync.expect_timed_out(s:hold(0))
    sync.expect_timed_out(s:hold(0.002))
    do local _ <close> = s:hold(0) end -- nil has nothing to close
    assert.equal(0, s.counter)
  end)

  it("closed by hand does not release again", function()
    local s = lock.Semaphore(1)
    do
      local held <close> = s:hold()
      held:close()
      assert.equal(1, s.counter)
    end
    assert.equal(1, s.counter)
  end)

  it("releases when its holder is killed", function()
    local s = lock.Semaphore(1)
    local g = helper.spawn_blocked(function()
      local _ <close> = s:hold()
      gevent.sleep(60)
    end)
    local waiter = helper.spawn_blocked(s.acquire, s)
    g:kill()
    assert.is_true(waiter:get())
    assert.equal(0, s.counter)
  end)
end)

local function expect_true(...) assert.same({true, n = 1}, table.pack(...)) end

for _, name in ipairs {"Semaphore", "BoundedSemaphore"} do
  helper.battery(name .. ":acquire", function()
    local s = lock[name](1)
    s:acquire()
    return {
      call = function(timeout) return s:acquire(timeout) end,
      release = function() s:release() end,
      expect = expect_true,
      takes_timeout = true,
      timeout_result = false,
      direct = true,
    }
  end)
end

helper.battery("Semaphore:hold", function()
  local s = lock.Semaphore(0)
  return {
    call = function(timeout)
      local held <close>, message, code = s:hold(timeout)
      if held then return "held" end
      return nil, message, code
    end,
    release = function() s:release() end,
    expect = function(...) assert.same({"held", n = 1}, table.pack(...)) end,
    takes_timeout = true,
    direct = true,
    fname = "acquire",
  }
end)

helper.battery("RLock:acquire", function()
  local r = lock.RLock()
  local gate = helper.gate()
  local holder = gevent.spawn(function()
    local _ <close> = r:hold()
    gate:wait()
  end)
  gevent.sleep(0)
  return {
    call = function(timeout) return r:acquire(timeout) end,
    release = function() gate:open() end,
    expect = expect_true,
    takes_timeout = true,
    timeout_result = false,
    cleanup = function()
      gate:open()
      holder:join()
    end,
  }
end)
