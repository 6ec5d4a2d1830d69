-- kill, Timeout and wake in the same loop turn, in every order, for every
-- primitive: one of them wins, and no item, permit or wake-up is lost.
--
-- Two greenlets wait; the first is killed, timed out (by the call's own
-- time-out or by a Timeout around it) and woken at once; the second is only
-- woken. What was handed out must then be with the first, with the second, or
-- still in the object.

local helper = require "helper"
local sync = require "helper_sync"
local gevent = require "gevent"
local event = require "gevent.event"
local lock = require "gevent.lock"
local pool = require "gevent.pool"
local queue = require "gevent.queue"
local slope = require "helper_slope"
local it, closing = helper.it, helper.closing

local TIMEOUT = 0.0005 * helper.scale -- of the first waiter

-- When a deed is done: by main before the loop turns, or by a greenlet whose
-- timer falls due in the turn of the waiter's, before or after it.
local MOMENTS = {"never", "now", "before", "after"}

-- The primitives ----------------------------------------------------------------

-- `wait(timeout)` blocks and returns true if it was woken. `wake()` wakes one
-- and returns true, or false where there was nobody who could have been.
-- `rest()` is how many wake-ups the object holds; nil where a wake is for all
-- who wait. `check()`, at the end, asserts that the object is as it was.
local makers = {}

local function one_item(q)
  local function rest()
    local n = 0
    while q:get_nowait() do n = n + 1 end
    return n
  end
  return {
    wait = function(timeout) return q:get(timeout) == "item" end,
    wake = function() return q:put_nowait "item" == true end,
    rest = rest,
  }
end

for _, kind in ipairs {"Queue", "LifoQueue", "PriorityQueue", "JoinableQueue",
  "Channel"} do
  makers[kind .. ":get"] = function() return one_item(queue[kind]()) end
  makers[kind .. ":iter"] = function()
    local q = queue[kind]()
    local case = one_item(q)
    local next_item = q:iter()
    function case.wait(timeout)
      return gevent.with_timeout(timeout or 60, next_item) == "item"
    end
    return case
  end
end

for _, kind in ipairs {"Queue", "LifoQueue", "PriorityQueue",
  "JoinableQueue"} do
  makers[kind .. ":put"] = function()
    local q = queue[kind](1, {1})
    return {
      wait = function(timeout) return q:put(2, timeout) == true end,
      wake = function() return q:get_nowait() ~= nil end,
      rest = function() return 1 - #q end,
    }
  end
end

makers["Channel:put"] = function()
  local c = queue.Channel()
  return {
    wait = function(timeout) return c:put(1, timeout) == true end,
    wake = function() return c:get_nowait() == 1 end,
    rest = function() return 0 end,
  }
end

makers["Queue:peek"] = function()
  local q = queue.Queue()
  return {
    wait = function(timeout) return q:peek(timeout) == "item" end,
    wake = function() return q:put_nowait "item" end,
  }
end

makers["Queue:get, closed"] = function()
  local q = queue.Queue()
  return {
    wait = function(timeout) return select(3, q:get(timeout)) == "closed" end,
    wake = function()
      q:close()
      return true
    end,
  }
end

makers["JoinableQueue:join"] = function()
  local q = queue.JoinableQueue(nil, {1})
  return {
    wait = function(timeout) return q:join(timeout) end,
    wake = function()
      if not q:join(0) then q:task_done() end
      return true
    end,
  }
end

for _, kind in ipairs {"Semaphore", "BoundedSemaphore"} do
  local function make()
    local s = lock[kind](2)
    s:acquire()
    s:acquire()
    return s
  end
  makers[kind] = function()
    local s = make()
    return {
      wait = function(timeout) return s:acquire(timeout) end,
      wake = function()
        s:release()
        return true
      end,
      rest = function() return s.counter end,
    }
  end
  makers[kind .. ":hold"] = function()
    local s = make()
    return {
      wait = function(timeout)
        local held <close> = s:hold(timeout)
        return held ~= nil
      end,
      wake = function()
        s:release()
        return true
      end,
      check = function() assert.is_true(s.counter >= 1) end,
    }
  end
end

makers["RLock"] = function()
  local r = lock.RLock()
  local gate = helper.gate()
  gevent.spawn(function()
    local _ <close> = r:hold()
    gate:wait()
  end)
  gevent.sleep(0)
  return {
    wait = function(timeout)
      local held <close> = r:hold(timeout)
      return held ~= nil
    end,
    wake = function()
      gate:open()
      return true
    end,
    check = function() assert.is_false(r:locked()) end,
  }
end

for _, over in ipairs {"RLock", "Semaphore"} do
  makers["Condition over " .. over] = function()
    local c = lock.Condition(lock[over]())
    local waiting, notified = 0, 0
    return {
      wait = function(timeout)
        local _ <close> = c:hold()
        waiting = waiting + 1
        local _ <close> = helper.defer(function() waiting = waiting - 1 end)
        local woken = c:wait(timeout)
        if woken then notified = notified - 1 end
        return woken
      end,
      wake = function()
        local held <close> = c:hold(0)
        if not held or waiting <= notified then return false end
        c:notify()
        notified = notified + 1
        return true
      end,
      rest = function() return 0 end,
      check = function()
        assert.is_false(c:locked())
        assert.equal(0, waiting)
      end,
    }
  end
end

makers["Event"] = function()
  local e = event.Event()
  return {
    wait = function(timeout) return e:wait(timeout) end,
    wake = function()
      e:set()
      return true
    end,
  }
end

for _, way in ipairs {"get", "wait"} do
  makers["AsyncResult:" .. way] = function()
    local r = event.AsyncResult()
    return {
      wait = function(timeout)
        if way == "wait" then return r:wait(timeout) end
        local ok, value = pcall(r.get, r, timeout)
        if not ok and not (timeout and sync.is_timeout(value)) then
          error(value, 0)
        end
        return ok and value
      end,
      wake = function()
        r:set(true)
        return true
      end,
    }
  end
end

local function gated(wait)
  local gate = helper.gate()
  return {
    wait = function(timeout)
      return gevent.with_timeout(timeout or 60, wait, gate) == true
    end,
    wake = function()
      gate:open()
      return true
    end,
  }
end

local gated_waits = {
  ["Greenlet:join"] = function(gate) return gate:wait() end,
  ["Greenlet:get"] = function(gate)
    return gate.greenlet:get() == nil
  end,
  joinall = function(gate) return #gevent.joinall {gate.greenlet} == 1 end,
  wait = function(gate) return #gevent.wait {gate.greenlet} == 1 end,
  iwait = function(gate)
    return #sync.collect(gevent.iwait {gate.greenlet}) == 1
  end,
  nursery = function(gate)
    local n <close> = gevent.nursery()
    n:spawn(gate.wait, gate)
    n:join()
    return true
  end,
  ["Group:join"] = function(gate)
    local group <close> = pool.Group()
    group:spawn(gate.wait, gate)
    return group:join()
  end,
  ["Group:apply"] = function(gate)
    return pool.Group():apply(gate.wait, gate)
  end,
  ["Pool:map"] = function(gate)
    local p <close> = pool.Pool(1)
    return #p:map(function() return gate:wait() end, {1, 2}) == 2
  end,
}
for name, wait in pairs(gated_waits) do
  makers[name] = function() return gated(wait) end
end

for _, way in ipairs {"spawn", "start", "add", "wait_available"} do
  makers["Pool:" .. way] = function()
    local p, gate = pool.Pool(2), helper.gate()
    local members = {p:spawn(gate.wait, gate), p:spawn(gate.wait, gate)}
    gevent.sleep(0)
    local function rest() return p:free_count() end
    return {
      wait = function(timeout)
        if way == "wait_available" then return p:wait_available(timeout) end
        if way == "spawn" then
          return gevent.with_timeout(timeout or 60, p.spawn, p, gate.wait,
            gate) ~= nil
        end
        local g = gevent.spawn(gate.wait, gate)
        return p[way](p, g, timeout) == true
      end,
      wake = function()
        local member = table.remove(members)
        p:discard(member)
        return true
      end,
      rest = way ~= "wait_available" and rest or nil,
      check = function()
        gate:open()
        p:join()
        assert.equal(2, p:free_count())
      end,
    }
  end
end

-- The programs --------------------------------------------------------------------

-- Where all is slow each primitive takes its share of them, in turn.
local STRIDE = helper.scale > 5 and 7 or helper.scale > 1 and 3 or 1
local seen = 0

local function take_turn(visit, program)
  seen = seen + 1
  if seen % STRIDE == 0 then visit(program) end
end

local function each_program(visit)
  for _, timeout in ipairs {"none", "own", "foreign"} do
    for _, kill in ipairs(MOMENTS) do
      for _, wake in ipairs(MOMENTS) do
        for _, first in ipairs {"kill", "wake"} do
          if first == "kill" or kill == wake and kill ~= "never" then
            take_turn(visit,
              {timeout = timeout, kill = kill, wake = wake, first = first})
          end
        end
      end
    end
  end
end

--- The first waiter: waits, then blocks again to see what comes late.
local function spawn_first(case, program)
  local log = {}
  local function body()
    local foreign = gevent.Timeout(TIMEOUT)
    if program.timeout == "foreign" then foreign:start() end
    log.foreign = foreign
    log.ok, log.result = pcall(case.wait,
      program.timeout == "own" and TIMEOUT or nil)
    foreign:close()
    local ok, late = pcall(log.tail.wait, log.tail)
    log.late = not ok and late or nil
  end
  log.tail = helper.gate()
  log.greenlet = gevent.spawn(body)
  return log
end

local function spawn_second(case)
  local log = {}
  log.greenlet = gevent.spawn(function() log.result = case.wait() end)
  return log
end

--- Does both deeds at their moments; returns what they did.
local function act(case, program, first)
  local done = {wakes = 0, killed = false}
  local function kill()
    done.killed = not first.greenlet.dead
    gevent.kill(first.greenlet)
  end
  local function wake()
    if case.wake() then done.wakes = done.wakes + 1 end
  end
  local deeds = {{program.kill, kill}, {program.wake, wake}}
  if program.first == "wake" then deeds[1], deeds[2] = deeds[2], deeds[1] end
  local later = {}
  for _, deed in ipairs(deeds) do
    local factor = ({before = 0.5, after = 1.5})[deed[1]]
    if factor then
      later[#later + 1] = gevent.spawn_later(TIMEOUT * factor, deed[2])
    end
  end
  sync.spin(2 * TIMEOUT)
  for _, deed in ipairs(deeds) do
    if deed[1] == "now" then deed[2]() end
  end
  gevent.joinall(later, nil, {raise_error = true})
  done.wake = wake
  return done
end

--- How the first one ended is something that was done to it, and once.
local function check_first(program, first, done)
  local exits = 0
  if not first.ok then
    local exit = sync.is_exit(first.result)
    exits = exits + (exit and 1 or 0)
    assert(exit or rawequal(first.result, first.foreign),
      "raised " .. tostring(first.result))
  elseif not first.result then
    assert(program.timeout == "own", "ended without a reason")
  end
  if first.late then
    assert(sync.is_exit(first.late), "late: " .. tostring(first.late))
    exits = exits + 1
  end
  assert(exits == (done.killed and 1 or 0), exits .. " kills arrived")
end

local function count(log) return log.result == true and 1 or 0 end

local function settle(log, key, what)
  for turn = 1, 1000 do
    if log[key] ~= nil then return end
    gevent.sleep(turn > 5 and 0.0005 or 0)
  end
  error(what .. " is stuck")
end

local function run(make, program)
  local case = make()
  local first, second = spawn_first(case, program), spawn_second(case)
  gevent.sleep(0)
  gevent.sleep(0)
  local done = act(case, program, first)
  if program.wake == "never" and program.timeout == "none"
    and program.kill == "never" then
    gevent.kill(first.greenlet)
    done.killed = true
  end
  settle(first, "ok", "the first")
  helper.wait_all_blocked()
  if second.result == nil then done.wake() end
  settle(second, "result", "the second")
  first.tail:open()
  gevent.joinall {first.greenlet, second.greenlet}
  second.greenlet:get()
  check_first(program, first, done)
  assert(second.result == true, "the second was not woken")
  if case.rest then
    local had, rest = count(first) + count(second), case.rest()
    assert(done.wakes == had + rest, ("%d wake-ups, %d had, %d left"):format(
      done.wakes, had, rest))
  end
  if case.check then case.check() end
end

for name, make in pairs(makers) do
  describe("races of " .. name, function()
    it("have one winner, and lose nothing", function()
      local printed <close> = helper.capture_errors()
      each_program(function(program)
        local ok, err = xpcall(run, debug.traceback, make, program)
        if not ok then
          error(("timeout %s, kill %s, wake %s, %s first: %s"):format(
            program.timeout, program.kill, program.wake, program.first, err))
        end
      end)
      assert.is_string(printed:text()) -- a scope kills with what it was left by
    end, {deadline = 60})
  end)
end

-- Sockets ---------------------------------------------------------------------------

describe("a kill or a time-out in the turn in which data comes", function()
  --- Two greenlets wait in the same poll: one for data, one that ends the first
  -- when its own comes. Returns what the reader saw, and what was left.
  local function race(reader_first, finish)
    local a, b = helper.pair()
    local c, d = helper.pair()
    local _ <close> = closing(a, b, c, d)
    local got = {}
    local reader
    local function receive()
      got.data = a:recv(10)
      gevent.sleep(0) -- a wait that was over when the kill came returns
      gevent.sleep(0)
      got.went_on = true
    end
    local function ender()
      c:recv(10)
      finish(reader)
    end
    reader = helper.spawn_blocked(receive)
    local other = helper.spawn_blocked(ender)
    local first, second = b, d
    if not reader_first then first, second = d, b end
    first:sendall("data")
    second:sendall("data")
    gevent.joinall {reader, other}
    return got, a:recv(10, 0)
  end

  it("has one outcome, and loses nothing", function()
    for _, reader_first in ipairs {true, false} do
      for _ = 1, 20 do
        local got, left = race(reader_first, function(reader)
          gevent.kill(reader)
        end)
        assert.is_true((got.data == "data") ~= (left == "data"))
        assert.is_nil(got.went_on)
      end
    end
  end)

  it("is data where that was there when the time was over", function()
    for _ = 1, 50 do
      local a, b = helper.pair()
      local _ <close> = closing(a, b)
      local got
      local reader = gevent.spawn(function()
        got = {a:recv(10, 0.002 * helper.scale)}
      end)
      gevent.sleep(0)
      b:sendall("data")
      local until_then = os.clock() + 0.003 * helper.scale
      while os.clock() < until_then do end -- both are due in the next poll
      reader:join()
      local left = a:recv(10, 0)
      assert.is_true((got[1] == "data") ~= (left == "data"))
    end
  end)
end)

slope.it("a kill and data in one turn", function()
  return function()
    local a, b = helper.pair()
    local reader = gevent.spawn(a.recv, a, 1)
    gevent.sleep(0)
    b:sendall("x")
    reader:kill(nil, false)
    reader:join()
    a:close()
    b:close()
  end
end)
