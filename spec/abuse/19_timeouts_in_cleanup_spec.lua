-- Time-outs in one another, in clean-up, and too late: exactly the right one surfaces,
-- once, and the clean-up is completed.

local helper = require "helper"
local sync = require "helper_sync"
local gevent = require "gevent"
local event = require "gevent.event"
local queue = require "gevent.queue"
local slope = require "helper_slope"
local it = helper.it

local Timeout = gevent.Timeout
local SOON = 0.002 -- seconds
local LATE = 60

local function forever() gevent.sleep(LATE) end

--- Keeps the processor until a time-out of `seconds` that began before is over.
local function spin(seconds) sync.spin(2 * seconds) end

local function is(expected, ok, err)
  assert.is_false(ok)
  assert.is_true(rawequal(expected, err), tostring(err))
end

-- Each is run in main, in a greenlet, and in a generator.
local cases = {}

cases["that fires in __close ends the clean-up's wait, and only that"] = function()
  local log = {}
  local outer = Timeout.start_new(SOON)
  local ok, err = pcall(function()
    local _ <close> = helper.defer(function(reason)
      log.reason = reason
      log.inner = table.pack(gevent.with_timeout(SOON, forever))
      log.done = true
    end)
    forever()
  end)
  is(outer, ok, err)
  assert.is_true(rawequal(outer, log.reason))
  sync.expect_timed_out(table.unpack(log.inner, 1, log.inner.n))
  assert.is_true(log.done)
end

cases["from outside that falls due in a clean-up is raised there, and replaces the error"]
= function()
  local outer = Timeout.start_new(SOON)
  local first
  local ok, err = pcall(function()
    local _ <close> = helper.defer(function(reason)
      first = reason
      forever()
    end)
    error("the first", 0)
  end)
  is(outer, ok, err)
  assert.equal("the first", first)
end

cases["that falls due in a clean-up which shields itself comes after it"] = function()
  local done
  local outer = Timeout.start_new(SOON)
  local ok, err = pcall(function()
    do
      local _ <close> = helper.defer(function()
        gevent.shield(function()
          gevent.sleep(2 * SOON)
          done = true
        end)
      end)
    end
    assert.is_true(done)
    forever()
  end)
  is(outer, ok, err)
end

cases["in another: the inner first"] = function()
  local outer = Timeout.start_new(LATE)
  local inner = Timeout.start_new(SOON)
  is(inner, pcall(forever))
  assert.is_true(outer.pending)
  outer:close()
end

cases["in another: the outer first"] = function()
  local outer = Timeout.start_new(SOON)
  local inner = Timeout.start_new(LATE)
  is(outer, pcall(forever))
  assert.is_true(inner.pending)
  inner:close()
  gevent.sleep(SOON)
end

cases["of one deadline with another: each once, that which is due first before"] = function()
  local all, seen = {}, {}
  for i = 1, 5 do all[i] = Timeout.start_new(SOON) end
  spin(SOON)
  for i = 1, 5 do
    local ok, err = pcall(forever)
    assert.is_false(ok)
    seen[i] = err
  end
  for i = 1, 5 do assert.is_true(rawequal(all[i], seen[i]), tostring(i)) end
  gevent.sleep(SOON) -- and no more
end

cases["of with_timeout in with_timeout, of one length: only one is told of"] = function()
  for _ = 1, 20 do
    local inner_results
    local results = table.pack(gevent.with_timeout(0.0005, function()
      inner_results = table.pack(gevent.with_timeout(0.0005, forever))
      return "the inner one"
    end))
    if results[1] ~= "the inner one" then sync.expect_timed_out(table.unpack(results)) end
    if inner_results then sync.expect_timed_out(table.unpack(inner_results)) end
  end
end

cases["that falls due after the work is done, and is cancelled, is never raised"] = function()
  for _, finish in ipairs {"cancel", "close"} do
    local late = Timeout.start_new(SOON)
    local q = queue.Queue(nil, {"done"})
    assert.equal("done", q:get())
    spin(SOON)
    late[finish](late)
    gevent.sleep(0)
    gevent.sleep(SOON)
  end
end

cases["of a scope is cancelled at its end, and never fires later"] = function()
  for _ = 1, 20 do
    do
      local _ <close> = Timeout.start_new(SOON)
      gevent.sleep(0)
    end
    spin(SOON / 4)
    gevent.sleep(0)
  end
  gevent.sleep(2 * SOON)
end

cases["is due when the wait is over: one of both, and the result is not lost"] = function()
  for _ = 1, 20 do
    local q = queue.Queue()
    local t = Timeout.start_new(SOON)
    gevent.spawn(function()
      spin(SOON)
      q:put("item")
    end)
    local ok, item = pcall(q.get, q)
    t:close()
    if ok then
      assert.equal("item", item)
    else
      assert.is_true(rawequal(t, item))
      assert.equal("item", q:get_nowait())
    end
  end
end

cases["fires while a kill is being cleaned up: the kill stays the outcome"] = function()
  local cleaned
  local victim = gevent.spawn(function()
    local t = Timeout.start_new(SOON)
    local _ <close> = helper.defer(function()
      local ok, err = pcall(forever)
      cleaned = not ok and rawequal(err, t)
    end)
    forever()
  end)
  gevent.sleep(0)
  victim:kill()
  assert.is_true(cleaned)
  assert.is_true(sync.is_exit(victim:get()))
end

cases["fires in each of many nested clean-ups"] = function()
  local fired = 0
  local function nested(depth)
    local _ <close> = helper.defer(function()
      local ok = gevent.with_timeout(0.0005, forever)
      if ok == nil then fired = fired + 1 end
    end)
    if depth > 1 then return nested(depth - 1), nil end -- no tail call
    forever()
  end
  sync.expect_timed_out(gevent.with_timeout(SOON, nested, 10))
  assert.equal(10, fired)
end

cases["that was caught may be started again, and fires again"] = function()
  local t = Timeout(SOON)
  for _ = 1, 5 do
    t:start()
    is(t, pcall(forever))
  end
  local e = event.Event()
  assert.is_false(e:wait(0))
end

describe("a time-out", function()
  for name, case in pairs(cases) do
    it(name .. ", in main", case)
    it(name .. ", in a greenlet", function()
      local g = gevent.spawn(case)
      g:get()
    end)
    it(name .. ", in a generator", function()
      gevent.spawn(function() require "gevent.coroutine".wrap(case)() end):get()
    end)
  end
end)

slope.it("time-outs in one another, and in __close", function()
  return function()
    assert(select(3, gevent.with_timeout(0.0005, function()
      local _ <close> = helper.defer(function()
        gevent.with_timeout(0.0005, forever)
      end)
      gevent.with_timeout(60, forever)
    end)) == "timeout")
  end
end)
