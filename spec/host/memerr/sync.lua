-- What greenlets wait on: events, results, locks, queues, pools.
local gevent = require "gevent"
local event = require "gevent.event"
local lock = require "gevent.lock"
local pool = require "gevent.pool"
local queue = require "gevent.queue"
local greenlet_local = require "gevent.local"

local function events()
  local flag, result = event.Event(), event.AsyncResult()
  local waiters = {}
  for i = 1, 3 do
    waiters[i] = _G.task(function() return flag:wait() and result:get() end)
  end
  gevent.sleep(0)
  flag:set()
  gevent.sleep(0)
  result:set("value", 2)
  for _, waiter in ipairs(waiters) do assert(waiter:get() == "value") end
  assert(not event.Event():wait(0.001))
  local failure = event.AsyncResult()
  _G.task(failure.set_exception, failure, {"e"})
  assert(not gevent.pcall(failure.get, failure))
end

local function locks()
  local semaphore, rlock = lock.Semaphore(1), lock.RLock()
  local condition, inside = lock.Condition(), 0
  local function enter(object)
    local _ <close> = object:hold()
    inside = inside + 1
    gevent.sleep(0)
  end
  local all = {}
  for _, object in ipairs{semaphore, rlock, semaphore, rlock} do
    all[#all + 1] = _G.task(enter, object)
  end
  all[#all + 1] = _G.task(function()
    local _ <close> = condition:hold()
    assert(condition:wait(5))
  end)
  gevent.joinall(all, 0)
  gevent.sleep(0)
  do
    local _ <close> = condition:hold()
    condition:notify_all()
  end
  gevent.joinall(all, nil, {raise_error = true})
  assert(inside == 4 and not semaphore:locked())
  assert(semaphore:acquire() and not semaphore:acquire(0.001))
end

local function queues()
  local sum, kinds = 0, {queue.Queue(2), queue.LifoQueue(2),
    queue.PriorityQueue(2), queue.JoinableQueue(2), queue.Channel()}
  for _, q in ipairs(kinds) do
    local producer = _G.task(function()
      for i = 1, 5 do q:put(i) end
      q:close()
    end)
    for i in q:iter() do
      sum = sum + i
      if q.task_done then q:task_done() end
    end
    producer:get()
  end
  assert(sum == 75)
  local q = queue.Queue()
  assert(select(3, q:get(0.001)) == "timeout")
  for i = 1, 40 do q:put(i) end
  local getter = _G.task(q.get, q)
  assert(getter:get() == 1 and #q == 39)
end

local function pools()
  local p = pool.Pool(2)
  local list = p:map(function(x) gevent.sleep(0) return x * x end, {1, 2, 3, 4})
  assert(list[4] == 16)
  local n = 0
  for x in p:imap_unordered(tostring, {1, 2, 3}) do n = n + #x end
  for x in p:imap(tostring, {1, 2, 3}, {maxsize = 1}) do n = n + #x end
  assert(n == 6 and p:apply(math.max, 1, 2) == 2)
  p:spawn(gevent.sleep, 60)
  p:kill()
  assert(#p == 0)
  local group <close> = pool.Group()
  group:spawn(gevent.sleep, 0)
  group:join()
end

return _G.guarded(function()
  events()
  locks()
  queues()
  pools()
  local of_greenlet = greenlet_local()
  of_greenlet.x = 1
  _G.task(function() of_greenlet.x = 2 end):join()
  assert(of_greenlet.x == 1)
end)
