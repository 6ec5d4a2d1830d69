-- Random programs of put, get, kill, time-out and close over queues,
-- semaphores, events and pools, each checked against a simple sequential
-- model: who gets what, in which order, and that nobody is stuck. A failure
-- prints the seed and the program; GEVENT_SPEC_SEED runs that seed alone.

local helper = require "helper"
local model = require "helper_model"
local gevent = require "gevent"
local event = require "gevent.event"
local lock = require "gevent.lock"
local pool = require "gevent.pool"
local queue = require "gevent.queue"
local it = helper.it

local SEEDS = math.max(20, math.floor(500 / helper.scale)) -- of each kind
local LENGTH = 40

local only = tonumber(os.getenv "GEVENT_SPEC_SEED")

local function shift(list) return table.remove(list, 1) end

-- Queues ------------------------------------------------------------------------

-- Where the model of each kind puts a new item, and takes the next one from.
local orders = {
  Queue = {insert = table.insert, next = function() return 1 end},
  LifoQueue = {insert = table.insert, next = function(items) return #items end},
  PriorityQueue = {
    insert = function(items, item)
      table.insert(items, item)
      table.sort(items)
    end,
    next = function() return 1 end,
  },
}
orders.JoinableQueue, orders.Channel = orders.Queue, orders.Queue

local TIMED_OUT = {nil, "timed out", "timeout"}
local CLOSED = {nil, "closed", "closed"}

local function timed_out() return table.unpack(TIMED_OUT, 1, 3) end
local function closed_results() return table.unpack(CLOSED, 1, 3) end

local Model = {}
Model.__index = Model

function Model:room()
  if self.kind == "Channel" then return false end
  return self.maxsize == 0 or #self.items < self.maxsize
end

--- True if the item is in or given away.
function Model:put_now(item)
  while #self.getters > 0 do
    local getter = shift(self.getters)
    self.program:finish(getter, item)
    if getter.takes then
      self.unfinished = self.unfinished + 1
      return true
    end
  end
  if not self:room() then return false end
  self.order.insert(self.items, item)
  self.unfinished = self.unfinished + 1
  return true
end

function Model:get_now()
  local item
  if #self.items > 0 then
    item = table.remove(self.items, self.order.next(self.items))
    while self:room() and #self.putters > 0 do
      local putter = shift(self.putters)
      self.order.insert(self.items, putter.item)
      self.unfinished = self.unfinished + 1
      self.program:finish(putter, true)
    end
  elseif #self.putters > 0 then
    local putter = shift(self.putters)
    item = putter.item
    self.unfinished = self.unfinished + 1
    self.program:finish(putter, true)
  end
  return item
end

function Model:peek_now()
  if #self.items > 0 then return self.items[self.order.next(self.items)] end
  return self.putters[1] and self.putters[1].item
end

function Model:close()
  self.closed = true
  for _, list in ipairs {self.getters, self.putters} do
    while #list > 0 do self.program:finish(shift(list), closed_results()) end
  end
end

local function same_count(q, name, list)
  local n = tonumber(tostring(q):match(name .. " (%d+)"))
  assert(n == #list, ("%s: %s, not %d"):format(tostring(q), name, #list))
end

local function queue_steps(program, kind)
  local maxsize = kind == "Channel" and 0 or math.random(0, 3)
  local q = queue[kind](kind ~= "Channel" and maxsize or nil)
  local m = setmetatable({program = program, kind = kind, maxsize = maxsize,
    order = orders[kind], items = {}, getters = {}, putters = {},
    joiners = {}, unfinished = 0, closed = false}, Model)
  local last = 0
  program:say("%s(%d)", kind, maxsize)

  local function item()
    last = last + 1
    return kind == "PriorityQueue" and math.random(100) * 1000 + last or last
  end

  local function put()
    local value = item()
    program:spawn("put " .. value, function(actor)
      actor.item = value
      if m.closed then return program:finish(actor, closed_results()) end
      if m:put_now(value) then return program:finish(actor, true) end
      program:wait(actor, m.putters, timed_out())
    end, function(timeout) return q:put(value, timeout) end)
  end

  local function getter(name, now, takes)
    return function()
      program:spawn(name, function(actor)
        actor.takes = takes
        local value = now(m)
        if value then return program:finish(actor, value) end
        if m.closed then return program:finish(actor, closed_results()) end
        program:wait(actor, m.getters, timed_out())
      end, function(timeout) return q[name](q, timeout) end)
    end
  end
  local get, peek = getter("get", m.get_now, true),
    getter("peek", m.peek_now, false)

  local function put_nowait()
    local value = item()
    program:say("put_nowait %d", value)
    local expected = m.closed and "closed"
      or (m:put_now(value) and "put" or "full")
    local ok, _, code = q:put_nowait(value)
    assert((ok and "put" or code) == expected, tostring(code))
  end

  local function get_nowait()
    program:say "get_nowait"
    local expected = m:get_now() or (m.closed and "closed" or "empty")
    local value, _, code = q:get_nowait()
    assert((value or code) == expected, ("got %s, not %s"):format(
      value or code, expected))
  end

  local function close()
    if math.random() < 0.9 then return end
    program:say "close"
    m:close()
    q:close()
  end

  local function check()
    assert(#q == #m.items, ("%d items, not %d"):format(#q, #m.items))
    same_count(q, "getters", m.getters)
    same_count(q, "putters", m.putters)
    if kind == "JoinableQueue" then
      assert(q:join(0) == (m.unfinished == 0), "join")
    end
  end

  local steps = {put, put, put, get, get, get, peek, put_nowait, get_nowait,
    close, function() program:kill() end}

  if kind == "JoinableQueue" then
    steps[#steps + 1] = function()
      program:spawn("join", function(actor)
        if m.unfinished == 0 then return program:finish(actor, true) end
        program:wait(actor, m.joiners, false)
      end, function(timeout) return q:join(timeout) end)
    end
    steps[#steps + 1] = function()
      program:say "task_done"
      assert(pcall(q.task_done, q) == (m.unfinished > 0), "task_done")
      m.unfinished = math.max(0, m.unfinished - 1)
      if m.unfinished > 0 then return end
      while #m.joiners > 0 do program:finish(shift(m.joiners), true) end
    end
  end

  steps.check = check
  function steps.finish()
    program:say "the end"
    m:close()
    q:close()
    while #m.items > 0 do
      local expected, got = m:get_now(), q:get_nowait()
      assert(expected == got, ("%s is left, not %s"):format(got, expected))
    end
    assert(q:get_nowait() == nil, "more is left")
    while m.unfinished > 0 and kind == "JoinableQueue" do
      m.unfinished = m.unfinished - 1
      q:task_done()
    end
    while #m.joiners > 0 do program:finish(shift(m.joiners), true) end
  end
  return steps
end

-- Semaphores ----------------------------------------------------------------------

local function semaphore_steps(program, kind)
  local n = math.random(1, 3)
  local s = lock[kind](n)
  local counter, waiters = n, {}
  program:say("%s(%d)", kind, n)

  local function acquire()
    program:spawn("acquire", function(actor)
      if counter == 0 then return program:wait(actor, waiters, false) end
      counter = counter - 1
      program:finish(actor, true)
    end, function(timeout) return s:acquire(timeout) end)
  end

  local function release()
    program:say "release"
    local allowed = kind ~= "BoundedSemaphore" or counter < n
    assert(pcall(s.release, s) == allowed, "release")
    if not allowed then return end
    if #waiters > 0 then return program:finish(shift(waiters), true) end
    counter = counter + 1
  end

  local steps = {acquire, acquire, release, function() program:kill() end}
  function steps.check()
    assert(s.counter == counter, ("counter %d, not %d"):format(s.counter,
      counter))
    same_count(s, "waiters", waiters)
    assert(s:locked() == (counter == 0), "locked")
  end
  function steps.finish()
    while #waiters > 0 do release() end
  end
  return steps
end

-- Events --------------------------------------------------------------------------

local function event_steps(program)
  local e = event.Event()
  local is_set, waiters = false, {}

  local function set()
    program:say "set"
    is_set = true
    while #waiters > 0 do program:finish(shift(waiters), true) end
    e:set()
  end

  local steps = {
    function()
      program:spawn("wait", function(actor)
        if is_set then return program:finish(actor, true) end
        program:wait(actor, waiters, false)
      end, function(timeout) return e:wait(timeout) end)
    end,
    set,
    function()
      program:say "clear"
      is_set = false
      e:clear()
    end,
    function() program:kill() end,
  }
  steps[#steps + 1] = steps[1]
  function steps.check()
    assert(e:is_set() == is_set, "is_set")
    same_count(e, "waiters", waiters)
  end
  steps.finish = set
  return steps
end

-- Pools ---------------------------------------------------------------------------

local function pool_steps(program)
  local size = math.random(1, 3)
  local p = pool.Pool(size)
  local members, waiters = {}, {}
  program:say("Pool(%d)", size)

  local function enter(actor)
    table.insert(members, actor)
    program:finish(actor, true)
  end

  --- A member ends; its place goes to who waits first.
  local function leave(how)
    if #members == 0 then return end
    local actor = table.remove(members, math.random(#members))
    program:say("%s the member of %d", how, actor.id)
    if how == "kill" then
      gevent.kill(actor.member)
    elseif how == "discard" then
      p:discard(actor.member)
    end
    actor.gate:open()
    if #waiters > 0 then enter(shift(waiters)) end
  end

  local function start()
    local gate = helper.gate()
    program:spawn("start", function(actor)
      actor.gate = gate
      if #members < size then return enter(actor) end
      program:wait(actor, waiters, timed_out())
    end, function(timeout, actor)
      actor.member = gevent.Greenlet(gate.wait, gate)
      return p:start(actor.member, timeout)
    end)
  end

  local steps = {slow = true, start, start, start,
    function() leave "end" end, function() leave "kill" end,
    function() leave "discard" end, function() program:kill() end}
  function steps.check()
    assert(#p == #members, ("%d members, not %d"):format(#p, #members))
    assert(p:free_count() == size - #members, "free_count")
    assert(p:full() == (#members == size), "full")
  end
  function steps.finish()
    while #members > 0 do
      leave "end"
      program:settle()
    end
    steps.check()
  end
  return steps
end

-- All of them -----------------------------------------------------------------------

local kinds = {
  Event = event_steps,
  Pool = pool_steps,
}
for _, kind in ipairs {"Semaphore", "BoundedSemaphore"} do
  kinds[kind] = function(program) return semaphore_steps(program, kind) end
end
for kind in pairs(orders) do
  kinds[kind] = function(program) return queue_steps(program, kind) end
end

describe("random programs", function()
  for kind, make in pairs(kinds) do
    it("over a " .. kind .. " do what the model says", function()
      local interval = gevent.getswitchinterval()
      local _ <close> = helper.defer(function()
        gevent.setswitchinterval(interval)
      end)
      gevent.setswitchinterval(10) -- one pass at a time: the order is known
      for seed = only or 1, only or SEEDS do
        model.run(seed, make, LENGTH)
      end
    end, {deadline = 60})
  end
end)
