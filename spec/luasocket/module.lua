-- What the modules offer.
local t = ...
local socket = require "socket"
local unix = require "socket.unix"

t.names("socket", socket)
t.names("socket.dns", socket.dns)
t.names("socket.unix", unix)
print(require "socket.core" == socket, socket._VERSION, socket._SETSIZE,
  socket._SOCKETINVALID, socket._DATAGRAMSIZE, socket.BLOCKSIZE)
print(type(socket.gettime()), math.abs(socket.gettime() - os.time()) < 2)
print(socket.skip(1, "a", "b", "c"), socket.skip(5, "a"), socket.skip(0))
print(select("#", socket.skip(1, "a", nil, nil)))
t.try(socket.skip)
t.try(socket.sleep)
t.try(socket.sleep, "x")
socket.sleep(-1)
print(select("#", socket.sleep(0)), socket.__unload())
print(socket.dns.gethostname() == socket.dns.gethostname())
print(pcall(socket.choose({default = function(...) return ... end}), "default", 1, 2))
