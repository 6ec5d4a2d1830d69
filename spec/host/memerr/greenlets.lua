-- Greenlets: spawned, joined, killed, linked; Timeouts; nurseries; waits.
local gevent = require "gevent"
local event = require "gevent.event"
require "gevent.util"

local function count(n)
  for _ = 1, n do gevent.sleep(0) end
  return n, "more"
end

return _G.guarded(function()
  local a, b = gevent.spawn(count, 3), gevent.spawn_later(0.001, count, 1)
  local linked
  a:link(function(g) linked = g end)
  a:rawlink(function() end)
  a.field = "of the user's"
  local raw = gevent.spawn_raw(count, 1)
  assert(select("#", a:get()) == 2 and b:get() == 1)
  assert(linked == a)
  gevent.joinall{a, b, raw}

  local host = gevent.spawn(function() -- the others run on its stack
    local plain, many = gevent.spawn(function() return 1 end), gevent.spawn(count, 2)
    local last
    many:link(function(g) last = g end)
    plain:join()
    many:join()
    gevent.sleep(0)
    assert(last == many)
    return many:get()
  end)
  assert(select("#", host:get()) == 2)

  local blocked = gevent.spawn(gevent.sleep, 60)
  local closed = false
  local tidy = gevent.spawn(function()
    local _ <close> = setmetatable({}, {__close = function()
      gevent.sleep(0)
      closed = true
    end})
    gevent.sleep(60)
  end)
  local never = gevent.spawn(error, "runs")
  never:kill()
  gevent.sleep(0)
  gevent.killall{blocked, tidy}
  assert(closed and gevent.isinstance(tidy.value, gevent.GreenletExit))

  local failing = gevent.spawn(error, {})
  failing:join()
  assert(failing.exception and failing.traceback and not failing:successful())
  assert(not gevent.pcall(failing.get, failing))

  assert(select(3, gevent.with_timeout(0.001, gevent.sleep, 60)) == "timeout")
  local timeout = gevent.Timeout.start_new(0.001)
  local ok, err = pcall(gevent.sleep, 60)
  assert(not ok, "it is to be interrupted")
  if not rawequal(err, timeout) then error(err, 0) end

  do
    local n <close> = gevent.nursery()
    for i = 1, 3 do n:spawn(count, i) end
  end
  ok, err = gevent.pcall(function()
    local n <close> = gevent.nursery()
    n:spawn(gevent.sleep, 60)
    n:spawn(error, "a child's")
    gevent.sleep(60)
  end)
  assert(not ok)
  if err ~= "a child's" then error(err, 0) end

  local flag = event.Event()
  local results = {}
  _G.task(function()
    gevent.sleep(0.001)
    flag:set()
  end)
  for object in gevent.iwait{flag, _G.task(count, 2)} do
    results[#results + 1] = object
  end
  assert(#results == 2)
  assert(gevent.shield(count, 2) == 2)
  local Worker = gevent.Greenlet:subclass("Worker")
  function Worker:_run(n) return self.base + n end
  local worker = Worker(1)
  worker.base = 41
  worker:start()
  assert(worker:get() == 42)
  assert(tostring(worker) and worker.spawn_tree_locals)
  gevent.wait({_G.task(gevent.idle)}, 5)
end)
