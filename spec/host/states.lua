-- What each state of states.c does: a bit of everything, then it ends with
-- greenlets blocked, sockets open, timers and threads under way.
local gevent = require "gevent"
local event = require "gevent.event"
local queue = require "gevent.queue"
local server = require "gevent.server"
local socket = require "gevent.socket"
local threadpool = require "gevent.threadpool"

local srv = server.StreamServer("127.0.0.1:0", function(sock)
  for line in sock:lines("L") do sock:sendall(line) end
end)
assert(srv:start())

local function client(i)
  local sock <close> = assert(socket.create_connection("127.0.0.1", srv.port))
  for round = 1, 5 do
    local line = ("%d %d %d\n"):format(_G.THREAD, i, round)
    assert(sock:sendall(line))
    assert(sock:read("L") == line)
  end
end

local clients = {}
for i = 1, 5 do clients[i] = gevent.spawn(client, i) end
gevent.joinall(clients, nil, {raise_error = true})

local numbers, sum = queue.Queue(2), 0
gevent.spawn(function()
  for i = 1, 100 do numbers:put(i) end
  numbers:close()
end)
for i in numbers:iter() do sum = sum + i end
assert(sum == 5050)
assert(not gevent.with_timeout(0.002, gevent.sleep, 10))
assert(socket.getaddrinfo("localhost", 80))

local pool = threadpool.ThreadPool(2)
assert(pool:map(function(x) return x * x end, {1, 2, 3})[3] == 9)
pool:spawn(function() while true do end end)

for _ = 1, 3 do gevent.spawn(gevent.sleep, 60) end
gevent.spawn(function()
  local _ <close> = setmetatable({}, {__close = function() end})
  event.Event():wait()
end)
gevent.spawn(client, 0)
gevent.sleep(0)
