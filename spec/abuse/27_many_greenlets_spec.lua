-- A hundred thousand sleepers, a million timers, and greenlets one after the other: no
-- error, and the memory comes back. Each measurement runs in a fresh interpreter, which
-- prints what it found; hostile modes take smaller numbers.

local helper = require "helper"
local scale = require "helper_scale"
local it = helper.it
local scaled, measure, expect_back = scale.scaled, scale.measure, scale.expect_back
local NO_DEADLINE = scale.NO_DEADLINE

describe("memory comes back to within 10 %", function()
  it("after a million of spawn and join", function()
    expect_back(measure(scaled(1000000), [[
      local before, sum = used(), 0
      local function work(i) return i end
      for i = 1, N do sum = sum + gevent.spawn(work, i):get() end
      assert(sum == N * (N + 1) // 2)
      local after = used()
      stats_are_zero()
      print(before, after)
    ]]))
  end, NO_DEADLINE)

  it("after a million spawned a thousand at a time", function()
    expect_back(measure(scaled(1000000), [[
      local before, done = used(), 0
      local function work() gevent.sleep(0) done = done + 1 end
      for _ = 1, N // 1000 do
        local list = {}
        for i = 1, 1000 do list[i] = gevent.spawn(work) end
        gevent.joinall(list)
      end
      assert(done == N // 1000 * 1000)
      local after = used()
      stats_are_zero()
      print(before, after)
    ]]))
  end, NO_DEADLINE)

  it("after 100,000 sleepers, half of them killed", function()
    local before, after, each = measure(scaled(100000), [[
      local monotonic = require "gevent.time".monotonic
      local before, woken = used(), 0
      local list, start = {}, monotonic()
      for i = 1, N do
        list[i] = gevent.spawn(function()
          gevent.sleep(i % 2 == 0 and 0.5 or 3600)
          woken = woken + 1
        end)
      end
      gevent.sleep(0)
      local each = (collectgarbage "count" - before) / N
      -- Where it takes that long to begin, some are awake again.
      assert(gevent.get_hub():stats().timers == N or monotonic() - start > 0.5)
      local victims, others = {}, {}
      for i = 1, N do
        table.insert(i % 2 == 0 and others or victims, list[i])
      end
      gevent.killall(victims)
      assert(gevent.get_hub():stats().timers <= N // 2)
      gevent.joinall(others)
      assert(woken == #others)
      list, victims, others = nil, nil, nil
      local after = used()
      stats_are_zero()
      print(before, after, each)
    ]])
    expect_back(before, after)
    assert.is_true(each < 4, ("%g KB each"):format(each))
  end, NO_DEADLINE)

  it("after a million timers that were cancelled", function()
    expect_back(measure(scaled(1000000), [[
      local before = used()
      for _ = 1, N do
        local t <close> = gevent.Timeout.start_new(3600)
      end
      assert(gevent.get_hub():stats().timers == 0)
      local after = used()
      stats_are_zero()
      print(before, after)
    ]]))
  end, NO_DEADLINE)

  it("after 100,000 waiters on one event, queue, semaphore", function()
    expect_back(measure(scaled(100000), [[
      local e = require("gevent.event").Event()
      local q = require("gevent.queue").Queue()
      local s = require("gevent.lock").Semaphore(0)
      local before = used()
      local list = {}
      for i = 1, N do
        local kind = i % 3
        list[i] = gevent.spawn(function()
          if kind == 0 then return e:wait() end
          if kind == 1 then return q:get() end
          return s:acquire()
        end)
      end
      gevent.sleep(0)
      e:set()
      for i = 1, N do
        if i % 3 == 1 then q:put(i) elseif i % 3 == 2 then s:release() end
      end
      gevent.joinall(list)
      for i = 1, N do assert(list[i].value, i) end
      list = nil
      local after = used()
      stats_are_zero()
      print(before, after)
    ]]))
  end, NO_DEADLINE)

  -- A sanitizer and valgrind keep freed memory back, so there it would say
  -- nothing about ours.
  local plain = (os.getenv "GEVENT_SPEC_MODE" or "plain") == "plain" and it or pending
  plain("of the process, too: a second round takes no more", function()
    local first, second = measure(scaled(50000), [[
      local function round()
        local list = {}
        for i = 1, N do list[i] = gevent.spawn(gevent.sleep, 0.01) end
        gevent.joinall(list)
        list = nil
        used()
        return rss()
      end
      round()
      local first = round()
      round()
      print(first, round())
    ]])
    expect_back(first, second)
  end, NO_DEADLINE)
end)
