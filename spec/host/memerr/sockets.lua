-- Sockets: listening, connecting, all ways of reading and writing, datagrams,
-- files, descriptors; select.
local gevent = require "gevent"
local select = require "gevent.select"
local server = require "gevent.server"
local socket = require "gevent.socket"

local silent = {write = function() end}

local function closing(...)
  local socks = {...}
  return setmetatable(socks, {__close = function()
    for _, sock in ipairs(socks) do sock:close() end
  end})
end

local function streams()
  local srv <close> = server.StreamServer("127.0.0.1:0", function(sock)
    for line in sock:lines("L") do assert(sock:sendall(line)) end
  end, {error_log = silent})
  srv._patience = 0.02
  assert(srv:start())
  local a <close> = assert(socket.create_connection("127.0.0.1", srv.port))
  assert(a:sendall("1\n2\n3\n4 and so on\n"))
  assert(a:sendv{"a", "b", 3, "\n"})
  assert(a:read("l", "L") == "1")
  assert(a:readuntil("\n") == "3\n")
  assert(a:readexactly(4) == "4 an")
  assert(a:recv(3) == "d s")
  assert(a:read("l") == "o on" and a:read("l") == "ab3")
  assert(tostring(a) and a:getsockname() and a:getpeername())
  assert(a:setsockopt("nodelay", true) and a:getsockopt("nodelay"))
  a:settimeout(5)
  assert(a:shutdown("w"))
  assert(a:read("a") == "")
end

local function pairs_of_sockets()
  local a, b = assert(socket.socketpair())
  local _ <close> = closing(a, b)
  local big = ("0123456789abcdef"):rep(20000)
  local writer = _G.task(function()
    assert(a:sendall(big))
    a:setvbuf("full", 100)
    assert(a:write("buffered ", 1, " more"))
    assert(a:flush())
    assert(a:shutdown("w"))
  end)
  local text = assert(b:read("a"))
  assert(text == big .. "buffered 1 more")
  writer:get()
  local late = b:dup()
  late:close()
  assert(b:recv(1) == "")
end

local function files()
  local a, b = assert(socket.socketpair())
  local _ <close> = closing(a, b)
  local file <close> = io.tmpfile()
  file:write(("from a file "):rep(1000))
  file:flush()
  local sender = _G.task(a.sendfile, a, file)
  local got = 0
  while got < 12000 do got = got + #assert(b:recv(5000)) end
  assert(sender:get() == 12000)
end

local function descriptors()
  local a, b = assert(socket.socketpair())
  local _ <close> = closing(a, b)
  local c, d = assert(socket.socketpair())
  local _ <close> = closing(c, d)
  assert(a:sendfds("x", {c}))
  local data, fds = b:recvfds(10, 1)
  assert(data == "x")
  local ok, sock
  repeat ok, sock = pcall(socket.fromfd, fds[1]) until ok -- else it is still ours
  local _ <close> = sock
  assert(sock:sendall("through the other"))
  assert(d:recv(100) == "through the other")
end

local function datagrams()
  local a <close> = assert(socket.socket("inet", "dgram"))
  local b <close> = assert(socket.socket("inet", "dgram"))
  assert(a:bind("127.0.0.1", 0))
  assert(b:sendto("one", a:getsockname()) == 3)
  local data, host, port = a:recvfrom(10)
  assert(data == "one" and host and port)
  local srv <close> = server.DatagramServer("127.0.0.1:0", function(text, h, p)
    b:sendto(text:upper(), h, p)
  end)
  srv._patience = 0.02
  assert(srv:start())
  assert(b:sendto("two", "127.0.0.1", srv.port))
  b:settimeout(0.2)
  local answer, message = b:recvfrom(10)
  if not answer then error(message, 0) end
end

local function selects()
  local a, b = assert(socket.socketpair())
  local _ <close> = closing(a, b)
  _G.task(b.sendall, b, "x")
  local readable = select.select({a}, nil, nil, 5)
  assert(readable[1] == a)
  local poll <close> = select.poll()
  poll:register(a, "r")
  assert(#poll:poll(5) == 1)
  poll:modify(a, "rw")
  poll:unregister(a)
  assert(socket.wait_write(a:fileno(), 5))
end

local function failures()
  local sock, _, code = socket.create_connection("127.0.0.1", 1)
  assert(not sock and code == "ECONNREFUSED")
  local a, b = assert(socket.socketpair())
  local _ <close> = closing(a, b)
  local reader = gevent.spawn(a.recv, a, 1)
  gevent.sleep(0)
  a:close()
  assert(not reader:get())
  assert(socket.socket("unix"):close() == nil or true)
  assert(not b:readexactly(5, 0.001))
end

return _G.guarded(function()
  streams()
  pairs_of_sockets()
  files()
  descriptors()
  datagrams()
  selects()
  failures()
end)
