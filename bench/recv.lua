-- bench/recv.lua - the recv figure: a byte there and back between two greenlets
-- over a Unix socket, where each recv has to wait; with a time-out, or without.
-- usage: lua5.4 bench/recv.lua [N] [timeout]
-- output: recv gevent[-timeout] NS N
local gevent = require "gevent"
local socket = require "gevent.socket"

local n = math.tointeger(arg[1] or 300000)
local timeout = arg[2] and 60 or nil -- seconds

local a, b = socket.socketpair()
gevent.spawn(function()
  while b:sendall(b:recv(100, timeout)) do end
end)

local function rounds(count)
  for _ = 1, count do
    a:sendall("x")
    a:recv(100, timeout)
  end
end

rounds(n // 10)
local before = os.clock()
rounds(n)
print(("recv gevent%s %.1f %d"):format(arg[2] and "-timeout" or "",
  (os.clock() - before) * 1e9 / n, n))
os.exit(0)
