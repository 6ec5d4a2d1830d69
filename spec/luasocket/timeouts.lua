-- settimeout: both modes, and none.
local t = ...
local socket = require "socket"
local a, b, listener = t.pair()

print(a:gettimeout())
for _, args in ipairs {{0.5}, {2, "t"}, {1, "b"}, {3, "r"}, {}, {nil, "t"}, {-5}, {"7"},
  {1, "total"}, {1, "block"}} do
  print(a:settimeout(table.unpack(args, 1, 2)))
  print(a:gettimeout())
end
t.try(a.settimeout, a, "x")
t.try(a.settimeout, a, 1, "x")
t.try(a.settimeout, a, 1, {})

local function timed(limit, fn, ...)
  local start = socket.gettime()
  t.show(fn(...))
  local elapsed = socket.gettime() - start
  print(elapsed >= limit - 0.005, elapsed < limit + 5)
end

for _, args in ipairs {{0.06}, {0.06, "t"}, {0}, {0, "t"}} do
  local c, d = t.pair()
  c:settimeout(table.unpack(args))
  d:send("some")
  timed(args[1], c.receive, c, 10)
  timed(args[1], c.receive, c)
  timed(args[1], c.receive, c, "*a")
  local big = ("x"):rep(20000000)
  local start = socket.gettime()
  local last, err, sent = c:send(big)
  print(last, err, sent < #big, socket.gettime() - start < args[1] + 5)
  c:close()
  d:close()
end
-- both at once: the shorter
local c, d = t.pair()
c:settimeout(0.05)
c:settimeout(10, "t")
timed(0.05, c.receive, c)
c:settimeout(10)
c:settimeout(0.05, "t")
timed(0.05, c.receive, c)
listener:settimeout(0.05)
timed(0.05, listener.accept, listener)
listener:settimeout(0)
timed(0, listener.accept, listener)
local udp = socket.udp()
udp:setsockname("127.0.0.1", 0)
udp:settimeout(0.05)
timed(0.05, udp.receive, udp)
timed(0.05, udp.receivefrom, udp)
udp:settimeout(0)
timed(0, udp.receive, udp)
for _, object in ipairs {a, b, c, d, listener, udp} do object:close() end
