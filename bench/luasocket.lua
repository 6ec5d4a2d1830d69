-- bench/luasocket.lua - the luasocket figure: a client written for LuaSocket,
-- which sends a line of 64 bytes to an echo server and awaits it: as it is, or
-- under gevent.monkey, by one greenlet or by 64 with a connection each.
-- usage: lua5.4 bench/luasocket.lua LINES PORT [plain|GREENLETS=1]
-- output: luasocket PROGRAM NS LINES, PROGRAM luasocket, gevent or gevent-64
local n, port = math.tointeger(arg[1]), math.tointeger(arg[2])
assert(n and port, "usage: lua5.4 bench/luasocket.lua LINES PORT [plain|GREENLETS]")
local plain = arg[3] == "plain"
local clients = plain and 1 or math.tointeger(arg[3] or 1)
if not plain then require "gevent.monkey".patch_socket() end

local gevent = not plain and require "gevent"
local socket = require "socket"

local line = ("x"):rep(63)

local function client(sock, count)
  for _ = 1, count do
    assert(sock:send(line .. "\n"))
    assert(sock:receive("*l") == line)
  end
end

local socks = {}
for i = 1, clients do
  socks[i] = assert(socket.connect("127.0.0.1", port))
  socks[i]:setoption("tcp-nodelay", true)
end

local function all(total)
  if plain then return client(socks[1], total) end
  local greenlets = {}
  for i, sock in ipairs(socks) do
    greenlets[i] = gevent.spawn(client, sock, total // clients)
  end
  gevent.joinall(greenlets, nil, {raise_error = true})
end

all(n // 10)
local start = os.clock()
all(n)
local took = os.clock() - start
n = n // clients * clients
local program = plain and "luasocket" or clients == 1 and "gevent" or "gevent-" .. clients
print(("luasocket %s %.1f %d"):format(program, took * 1e9 / n, n))
