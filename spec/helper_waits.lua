-- Every kind of call that blocks, each on objects of its own, so that one thing can be
-- done to all: kill, close, lua_close. Needs no busted: programs that specs run in
-- fresh interpreters use it too.
--
-- `waits.kinds(tls)` lists them, those of TLS if `tls` is true: `{name=, make=}` and
-- `closable` (it waits on an object that can be closed under it), `once` (the call cannot
-- be made again), `slow` (the object takes long to make), `light` (it needs no
-- descriptor). `make()` gives `{call=, finish=}` and, where it is closable, `sock`. Kinds of
-- TLS need `waits.certificate`, `{cert=, key=}`, two paths, when they are made.

local gevent = require "gevent"
local event = require "gevent.event"
local fileobject = require "gevent.fileobject"
local gco = require "gevent.coroutine"
local gos = require "gevent.os"
local http = require "gevent.http"
local lock = require "gevent.lock"
local pool = require "gevent.pool"
local queue = require "gevent.queue"
local resolver = require "gevent.resolver"
local select = require "gevent.select"
local server = require "gevent.server"
local socket = require "gevent.socket"
local ssl = require "gevent.ssl"
local subprocess = require "gevent.subprocess"
local threadpool = require "gevent.threadpool"
local websocket = require "gevent.websocket"

local waits = {}

local kinds = {}

local function kind(name, make, flags)
  local new = {name = name, make = make}
  for flag, value in pairs(flags or {}) do new[flag] = value end
  kinds[#kinds + 1] = new
end

local function noop() end

--- A function that closes all of these; nothing of it waits.
local function closing(...)
  local all = table.pack(...)
  return function()
    for i = 1, all.n do
      local each = all[i]
      if each and each.settimeout then each:settimeout(0) end
      if each then each:close() end
    end
  end
end

--- Fills what goes to the peer, so that the next write blocks.
function waits.fill(sock)
  sock:settimeout(0)
  while sock:send(("x"):rep(65536)) do noop() end
  sock:settimeout(nil)
end

-- Greenlets and what they wait for each other with --------------------------------

--- A kind whose call is a method of an object that nobody else has to do with.
local function plain(name, make, flags)
  kind(name, function()
    local call, finish = make()
    return {call = call, finish = finish or noop}
  end, flags or {light = true})
end

plain("sleep", function() return function() gevent.sleep(3600) end end)

plain("Event:wait", function()
  local e = event.Event()
  return function() e:wait() end
end)

plain("AsyncResult:get", function()
  local result = event.AsyncResult()
  return function() result:get() end
end)

plain("Queue:get", function()
  local q = queue.Queue()
  return function() q:get() end
end)

plain("Queue:peek", function()
  local q = queue.PriorityQueue()
  return function() q:peek() end
end)

plain("Queue:put", function()
  local q = queue.Queue(1, {1})
  return function() q:put(2) end
end)

plain("Channel:put", function()
  local c = queue.Channel()
  return function() c:put(1) end
end)

plain("Channel:get", function()
  local c = queue.Channel()
  return function() c:get() end
end)

plain("JoinableQueue:join", function()
  local q = queue.JoinableQueue(nil, {1})
  return function() q:join() end
end)

plain("Semaphore:acquire", function()
  local s = lock.Semaphore(0)
  return function() s:acquire() end
end)

plain("RLock:acquire", function()
  local r = lock.RLock()
  gevent.spawn(r.acquire, r):join() -- whoever had it has ended with it
  return function() r:acquire() end
end)

plain("Condition:wait", function()
  local c = lock.Condition()
  return function()
    local _held <close> = c:hold()
    c:wait()
  end
end)

plain("Greenlet:join", function()
  local never = gevent.Greenlet(noop)
  return function() never:join() end
end)

plain("Greenlet:get", function()
  local never = gevent.Greenlet(noop)
  return function() never:get(3600) end
end)

plain("joinall", function()
  local list = {gevent.Greenlet(noop), gevent.Greenlet(noop)}
  return function() gevent.joinall(list) end
end)

plain("wait", function()
  local list = {event.Event(), queue.Queue()}
  return function() gevent.wait(list) end
end)

plain("iwait", function()
  local list = {event.Event(), lock.Semaphore(0)}
  return function() for _ in gevent.iwait(list) do noop() end end
end)

plain("kill", function()
  local over = false
  local stubborn = gevent.spawn(function()
    while not over do pcall(gevent.sleep, 3600) end
  end)
  gevent.sleep(0)
  return function() stubborn:kill() end, function()
    over = true
    stubborn:kill()
  end
end)

plain("Group:join", function()
  local group = pool.Group()
  local member = group:spawn(gevent.sleep, 3600)
  return function() group:join() end, function() member:kill() end
end)

plain("Pool:spawn", function()
  local full = pool.Pool(1)
  local member = full:spawn(gevent.sleep, 3600)
  return function() full:spawn(noop) end, function() member:kill() end
end)

plain("nursery", function()
  return function()
    local n <close> = gevent.nursery()
    n:spawn(gevent.sleep, 3600)
  end
end)

plain("with_timeout", function()
  local e = event.Event()
  return function() gevent.with_timeout(3600, e.wait, e) end
end)

plain("a generator", function()
  local e = event.Event()
  return function() gco.wrap(function() e:wait() end)() end
end)

plain("ThreadPool:apply", function()
  local threads = threadpool.ThreadPool(1)
  return function()
    threads:apply(function() while true do local _ = 1 end end)
  end, function() threads:kill() end
end, {slow = true})

-- Sockets ----------------------------------------------------------------------------

local CLOSABLE = {closable = true}

--- A kind on one end of a pair; `make(a, b)` gives the call and more to close.
local function on_pair(name, make, flags)
  flags = flags or CLOSABLE
  kind(name, function()
    local a, b = socket.socketpair("unix", flags.dgram and "dgram" or "stream")
    local call, more = make(a, b)
    return {call = call, sock = a, finish = closing(a, b, more)}
  end, flags)
end

local function method(name, ...)
  local arguments = table.pack(...)
  return function(a)
    return function() return a[name](a, table.unpack(arguments, 1, arguments.n)) end
  end
end

--- The same, where there is no room to write.
local function when_full(make)
  return function(a, b)
    waits.fill(a)
    return make(a, b)
  end
end

--- And something is in the buffer.
local function when_buffered(make)
  return when_full(function(a, b)
    a:setvbuf("full")
    a:write("x")
    return make(a, b)
  end)
end

on_pair("recv", method("recv", 1))
on_pair("read", method("read", "a"))
on_pair("readuntil", method("readuntil", "x"))
on_pair("readexactly", method("readexactly", 5))
on_pair("recvfds", method("recvfds", 1, 5))
on_pair("send", when_full(method("send", "x")))
on_pair("sendall", method("sendall", ("x"):rep(10000000)), {closable = true, slow = true})
on_pair("sendv", when_full(method("sendv", {"x", "y"})))
on_pair("write", when_full(method("write", "x", "y")))
on_pair("flush", when_buffered(method("flush")))
on_pair("a flushing shutdown", when_buffered(method("shutdown", "w")))
on_pair("a flushing close", when_buffered(function(a)
  return function()
    assert(a:close() == true)
    return a:recv(1) -- it was closed by whoever came second
  end
end), {closable = true, once = true})
on_pair("sendfile", when_full(function(a)
  local file = io.tmpfile()
  file:write("x")
  file:flush()
  return function() return a:sendfile(file) end, file
end))
on_pair("sendfds", when_full(function(a, b)
  return function() return a:sendfds("x", {b}) end
end))
on_pair("recvfrom", method("recvfrom", 1), {closable = true, dgram = true})
on_pair("recv of datagrams", method("recv", 100000), {closable = true, dgram = true})
on_pair("wait_read", function(a)
  return function() return socket.wait_read(a:fileno()) end
end)
on_pair("select", function(a)
  return function() return select.select({a}, nil, nil) end
end)
on_pair("poll", function(a)
  local set = select.poll()
  set:register(a, "r")
  return function() return set:poll() end
end)

kind("accept", function()
  local listener = assert(socket.create_server("127.0.0.1:0"))
  return {call = function() return listener:accept() end, sock = listener,
    finish = closing(listener)}
end, CLOSABLE)

-- Nobody accepts, and the backlog is full.
kind("connect", function()
  local listener = assert(socket.socket())
  listener:bind("127.0.0.1", 0)
  listener:listen(0)
  local _, port = listener:getsockname()
  local first = assert(socket.create_connection("127.0.0.1", port))
  local sock = assert(socket.socket())
  return {call = function() return sock:connect("127.0.0.1", port) end, sock = sock,
    finish = closing(listener, first, sock)}
end, CLOSABLE)

-- TLS ----------------------------------------------------------------------------------

local function context(role)
  local own = waits.certificate
  return assert(ssl.create_default_context {role = role,
    cert = role == "server" and own.cert or nil, key = role == "server" and own.key or nil,
    verify_mode = role == "client" and "none" or nil,
    check_hostname = role ~= "client" and nil})
end

--- Two TLS sockets, and what closes them.
local function tls_pair()
  local a, b = socket.socketpair()
  local client_context = context "client"
  local other = gevent.spawn(function()
    return assert(context "server":wrap_socket(b, {server_side = true}))
  end)
  local client = assert(client_context:wrap_socket(a, {server_hostname = "localhost"}))
  local peer = other:get()
  return client, peer, closing(client, peer)
end

local function encrypted(name, make)
  kind(name, make, {tls = true, closable = true, once = true, slow = true})
end

for _, role in ipairs {"client", "server"} do
  encrypted("a TLS handshake, " .. role, function()
    local a, b = socket.socketpair() -- which says nothing
    local sock = assert(context(role):wrap_socket(a, {do_handshake = false,
      server_side = role == "server",
      server_hostname = role == "client" and "localhost" or nil}))
    return {call = function() return sock:do_handshake() end, sock = sock,
      finish = closing(sock, b)}
  end)
end

for name, call in pairs {
  ["TLS recv"] = function(sock) return sock:recv(1) end,
  ["TLS sendall"] = function(sock) return sock:sendall(("x"):rep(10000000)) end,
  ["TLS unwrap"] = function(sock) return sock:unwrap() end,
} do
  encrypted(name, function()
    local sock, _, finish = tls_pair()
    return {call = function() return call(sock) end, sock = sock, finish = finish}
  end)
end

-- Names, processes, files ----------------------------------------------------------------

for _, look_up in ipairs {"getaddrinfo", "gethostbyaddr"} do
  kind(look_up, function()
    local silent = assert(socket.socket("inet", "dgram"))
    assert(silent:bind("127.0.0.1", 0))
    local _, port = silent:getsockname()
    local ares = resolver.Ares {servers = {"127.0.0.1:" .. port}, timeout = 3600,
      tries = 1, hosts = false, domains = {}}
    local what = look_up == "getaddrinfo" and "host.example" or "192.0.2.1"
    return {call = function() return ares[look_up](ares, what, 80) end,
      finish = closing(ares, silent)}
  end)
end

for name, call in pairs {
  ["Popen:wait"] = function(p) return p:wait() end,
  ["Popen:communicate"] = function(p) return p:communicate() end,
  ["waitpid"] = function(p) return gos.waitpid(p.pid) end,
} do
  kind(name, function()
    -- An input that ends with this process, and which communicate does not close.
    local r, w = assert(gos.pipe())
    local p = assert(subprocess.Popen({"cat"}, {stdin = r, stdout = subprocess.PIPE}))
    gos.close(r)
    return {call = function() return call(p) end, finish = function()
      gos.close(w)
      p:close()
    end}
  end, {slow = true})
end

local function pipe()
  local r, w = assert(gos.pipe())
  return assert(fileobject.FileObject(r)), assert(fileobject.FileObject(w))
end

kind("reading a pipe", function()
  local r, w = pipe()
  return {call = function() return r:read("l") end, sock = r, finish = closing(r, w)}
end, CLOSABLE)

kind("writing a pipe", function()
  local r, w = pipe()
  waits.fill(w)
  return {call = function() return w:write("x") end, sock = w, finish = closing(r, w)}
end, CLOSABLE)

-- Servers and clients ---------------------------------------------------------------------

kind("serve_forever", function()
  local srv = server.StreamServer("127.0.0.1:0", noop)
  return {call = function() return srv:serve_forever() end,
    finish = function() srv:stop(0) end}
end, {once = true})

kind("http.get", function()
  local silent = assert(socket.create_server("127.0.0.1:0"))
  local _, port = silent:getsockname()
  return {call = function() return http.get("http://127.0.0.1:" .. port) end,
    finish = closing(silent)}
end)

for name, call in pairs {
  ["WebSocket:receive"] = function(ws) return ws:receive() end,
  ["WebSocket:send"] = function(ws) return ws:send(("x"):rep(12000000)) end,
  ["WebSocket:close"] = function(ws) return ws:close() end,
} do
  kind(name, function()
    local srv = http.Server("127.0.0.1:0", function(req, res)
      local _ws <close> = assert(websocket.upgrade(req, res, {timeout = 0.001}))
      gevent.sleep(3600) -- and reads nothing; its close is not patient
    end)
    assert(srv:start())
    local ws = assert(websocket.connect("ws://127.0.0.1:" .. srv.port))
    return {call = function() return call(ws) end, finish = function()
      srv:stop(0)
      ws:close()
    end}
  end, {once = true, slow = true})
end

-- ------------------------------------------------------------------------------------------

table.sort(kinds, function(a, b) return a.name < b.name end)

function waits.kinds(tls)
  local list = {}
  for _, each in ipairs(kinds) do
    if tls or not each.tls then list[#list + 1] = each end
  end
  return list
end

return waits
