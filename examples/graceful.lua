-- usage: lua5.4 examples/graceful.lua 7000 30
-- A server that ends well: SIGTERM and SIGINT stop accepting, and give those who
-- are being served some time to finish; SIGHUP, sent by a child process here, tells
-- how many there were. It sends itself SIGTERM after so many seconds.
-- The arguments are the port, 0 for any, and the seconds.
-- spec: 0 0.2
local gevent = require "gevent"
local gos = require "gevent.os"
local subprocess = require "gevent.subprocess"
local StreamServer = require "gevent.server".StreamServer

local PATIENCE = 3 -- seconds
local served = 0

local server = StreamServer("127.0.0.1:" .. (arg[1] or 0), function(sock)
  served = served + 1
  sock:sendall("hello\n")
end)

local function stop(name)
  print(name .. ": no more, thank you")
  server:stop(PATIENCE)
end

for _, name in ipairs {"SIGTERM", "SIGINT"} do gevent.signal_handler(name, stop, name) end
gevent.signal_handler("SIGHUP", function() print("served: " .. served) end)

gevent.spawn_later(tonumber(arg[2] or 5), function()
  subprocess.call("kill -HUP " .. gos.getpid())
  gevent.sleep(0.01)
  gos.kill(gos.getpid(), "TERM")
end)
assert(server:start())
print("listening on port " .. server.port)
server:serve_forever()
print "done"
