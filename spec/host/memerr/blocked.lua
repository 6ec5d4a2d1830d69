-- A state that is closed while greenlets are in the middle of things.
local gevent = require "gevent"
local event = require "gevent.event"
local queue = require "gevent.queue"
local lock = require "gevent.lock"
local socket = require "gevent.socket"
local coroutine = require "gevent.coroutine"

return _G.guarded(function()
  local function spawn(fn, ...)
    return gevent.spawn(function(...)
      local _ <close> = setmetatable({}, {__close = function()
        pcall(gevent.sleep, 1)
      end})
      fn(...)
    end, ...)
  end
  local q, full, semaphore = queue.Queue(), queue.Queue(1, {1}), lock.Semaphore(0)
  local a, b = assert(socket.socketpair())
  local listener = assert(socket.create_server("127.0.0.1:0"))
  spawn(gevent.sleep, 60)
  spawn(q.get, q)
  spawn(full.put, full, 2)
  spawn(semaphore.acquire, semaphore)
  spawn(event.Event().wait, event.Event())
  spawn(a.recv, a, 1)
  spawn(b.sendall, b, ("x"):rep(2000000))
  spawn(listener.accept, listener)
  spawn(gevent.spawn(gevent.sleep, 60).join, gevent.spawn(gevent.sleep, 60))
  spawn(gevent.wait, {q, semaphore})
  spawn(socket.getaddrinfo, "localhost", 80)
  spawn(coroutine.wrap(function() gevent.sleep(60) end))
  spawn(gevent.with_timeout, 60, gevent.sleep, 60)
  gevent.sleep(0)
  gevent.sleep(0)
end)
