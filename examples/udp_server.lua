-- usage: lua5.4 examples/udp_server.lua 127.0.0.1:7002
-- A UDP server: answers each datagram with its text in upper case. Each has a
-- greenlet of its own, so a slow answer holds up nobody else's.
-- It runs until Ctrl-C. The argument is the address (127.0.0.1:7002).
-- spec: 127.0.0.1:0
-- and in another terminal: lua5.4 examples/udp_client.lua hello 127.0.0.1 7002
local DatagramServer = require "gevent.server".DatagramServer

local server
server = DatagramServer(arg[1] or "127.0.0.1:7002", function(data, host, port)
  print(("%s:%d: %d bytes"):format(host, port, #data))
  server:sendto(data:upper(), host, port)
end)
assert(server:start())
print("listening on port " .. server.port)
io.stdout:flush()
server:serve_forever()
