-- Connecting, accepting, names, what goes wrong.
local t = ...
local socket = require "socket"

local listener = socket.bind("127.0.0.1", 0)
local host, port, family = listener:getsockname()
print(host, type(port), family, listener.class, listener:getfamily())
print(listener:getpeername())
local master = socket.tcp()
print(master:getfd(), master:getfamily(), master:getsockname())
print(master:getpeername())
print(master:connect(host, port), master.class, master:getfamily(), master:getfd() > 2)
print(master:getpeername() == host, select(2, master:getpeername()) == port,
  select(3, master:getpeername()))
local accepted = listener:accept()
print(accepted.class, accepted:getfamily(), math.type(accepted:getfd()))
print(accepted:getpeername() == host,
  select(2, accepted:getpeername()) == select(2, master:getsockname()))
t.show(master:getstats() == 0)
master:send("12345\r\n")
accepted:receive()
print(select(2, master:getstats()), accepted:getstats() == 7, #{accepted:getstats()})
print(accepted:setstats(1, 2, 3), (accepted:getstats()), select(2, accepted:getstats()),
  select(3, accepted:getstats()) >= 3, accepted:setstats())
print(master:shutdown("send"), accepted:receive(), master:shutdown(), master:shutdown("both"))
t.try(master.shutdown, master, "x")

-- in the wrong state
print(socket.tcp():listen())
print(socket.tcp4():bind(host, port))
print(socket.bind(host, port))
local four = socket.tcp4()
print(four:bind("*", 0), four:getsockname() == "0.0.0.0", four:listen(5), four.class)
print(socket.connect("127.0.0.1", 1))
local refused = socket.tcp()
print(refused:connect("127.0.0.1", 1), refused.class, refused:getfd() > 2, refused:send("x"))
print(refused:receive())
print(socket.tcp():connect("127.0.0.1", "nosuchservice"))
print(socket.tcp():connect("127.0.0.1", 80.5))
print(socket.tcp():bind("256.256.256.256", 0))
print(socket.tcp4():connect("::1", port))
t.try(socket.connect, "127.0.0.1")
t.try(socket.connect, "127.0.0.1", port, nil, nil, "x")
t.try(socket.tcp().connect, socket.tcp(), "127.0.0.1")
t.try(socket.tcp().bind, socket.tcp(), {}, 1)
t.try(four.listen, socket.tcp4(), "x")

for _, odd in ipairs {"", "*", "127.1", "0x7f.0.0.1", "1.2.3", "::ffff:127.0.0.1", "[::1]", " "} do
  print(odd, (select(2, socket.tcp4():connect(odd, 1))), (select(2, socket.tcp4():bind(odd, 0))))
  print((select(2, socket.udp4():sendto("x", odd, 9))))
end

-- from an address of one's own
local own = assert(socket.connect(host, port, "127.0.0.2", 0))
print(own:getsockname() == "127.0.0.2", own.class, listener:accept():getpeername() == "127.0.0.2")
own:close()
for _, connect in ipairs {socket.connect, socket.connect4} do
  local c = assert(connect(host, port))
  print(c.class, c:getfamily(), listener:accept() ~= nil, c:close())
end

-- little by little
local patient = socket.tcp()
patient:settimeout(0)
local ok, err = patient:connect(host, port)
print(ok == 1 or err == "timeout", patient.class)
print(#select(2, socket.select(nil, {patient}, 1)), patient:getoption("error"))
print(patient:getpeername() == host, patient:connect(host, port) or "", listener:accept() ~= nil)
patient:close()
print(patient:getpeername())

-- a descriptor changes hands
local a = t.pair()
local other = socket.tcp()
print(other:setfd(a:getfd()), a:setfd(-1), a:getfd(), a:send("x"))
getmetatable(other).__index.connect(other, "127.0.0.1", 1) -- it becomes a client
local b
a, b = t.pair()
local adopted = t.pair()
adopted:close()
adopted:setfd(a:getfd())
a:setfd(-1)
print(adopted:send("hello\n"), b:receive(), a:close(), adopted:send("again\n"), b:receive())
t.try(a.setfd, a)
adopted:close()
print(b:receive())
listener:close()
print(listener:accept())
