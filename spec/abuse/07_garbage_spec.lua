-- Objects that nobody refers to any more are closed by the collector, with what they had
-- under way; what a greenlet waits on stays, and so does the greenlet.

local helper = require "helper"
local core = require "gevent.core"
local fileobject = require "gevent.fileobject"
local gevent = require "gevent"
local gos = require "gevent.os"
local http = require "gevent.http"
local resolver = require "gevent.resolver"
local select = require "gevent.select"
local server = require "gevent.server"
local slope = require "helper_slope"
local socket = require "gevent.socket"
local subprocess = require "gevent.subprocess"
local threadpool = require "gevent.threadpool"
local tls = require "helper_tls"
local waits = require "helper_waits"
local it = helper.it

local function noop() end

--- Each makes something, uses it if it can be used, and lets go of it.
local dropped = {}

dropped["a socket"] = function() assert(socket.socket()) end

dropped["connected sockets"] = function()
  local a, b = helper.tcp_pair()
  b:sendall("unread")
  assert(a:recv(1) == "u")
end

dropped["a socket with a time-out behind it"] = function()
  local a = helper.pair()
  assert(not a:recv(1, 0.0001))
end

dropped["a socket that could not write it all"] = function()
  local a = helper.pair()
  a:setvbuf("full", 1 << 20)
  a:write(("x"):rep(500000))
end

dropped["a listener with connections in its queue"] = function()
  local listener = assert(socket.create_server("127.0.0.1:0"))
  local _, port = listener:getsockname()
  assert(socket.create_connection("127.0.0.1", port))
end

dropped["a datagram socket"] = function()
  local sock = assert(socket.socket("inet", "dgram"))
  assert(sock:bind("127.0.0.1", 0))
  sock:settimeout(0)
  sock:recvfrom(1)
end

dropped["a pipe"] = function()
  local r, w = assert(gos.pipe())
  local reader = assert(fileobject.FileObject(r))
  assert(fileobject.FileObject(w)):write("x\n")
  assert(reader:read("l") == "x")
end

dropped["a file"] = function()
  assert(assert(fileobject.open("/dev/zero")):read(1) == "\0")
end

dropped["a server that was not started"] = function()
  server.StreamServer("127.0.0.1:0", noop)
end

dropped["a poll object"] = function()
  local a = helper.pair()
  local set = select.poll()
  set:register(a, "r")
  set:poll(0)
end

dropped["watchers that were stopped"] = function()
  local a = helper.pair()
  for _, watcher in ipairs {core.io(a:fileno(), "r"), core.timer(60), core.idle(),
    core.prepare(), core.check(), core.async(), core.signal("USR1")} do
    watcher:start(noop)
    watcher:stop()
  end
end

dropped["a Timeout"] = function()
  gevent.Timeout(60)
  gevent.Timeout.start_new(60):cancel()
end

dropped["greenlets that never began"] = function()
  gevent.Greenlet(noop)
end

dropped["an HTTP client with a connection"] = function()
  local srv <close> = http.Server("127.0.0.1:0", function() return "x" end)
  assert(srv:start())
  assert(http.Client():get("http://127.0.0.1:" .. srv.port).body == "x")
end

dropped["a resolver with queries on their way"] = function()
  local silent <close> = assert(socket.socket("inet", "dgram"))
  assert(silent:bind("127.0.0.1", 0))
  local _, port = silent:getsockname()
  local ares = resolver.Ares {servers = {"127.0.0.1:" .. port}, hosts = false, domains = {}}
  gevent.with_timeout(0.0005, ares.getaddrinfo, ares, "host.example", 80)
end

dropped["a thread pool"] = function()
  assert(threadpool.ThreadPool(1):apply(function() return 1 end) == 1)
end

dropped["a process"] = function()
  assert(subprocess.Popen({"true"}, {stdin = subprocess.PIPE, stdout = subprocess.PIPE})):wait()
end

if tls.have "openssl" then
  dropped["TLS sockets"] = function()
    local client, peer = tls.pair()
    peer:sendall("x")
    assert(client:recv(1) == "x")
  end
end

local COSTLY = {["a process"] = 40, ["a thread pool"] = 10, ["TLS sockets"] = 10,
  ["a resolver with queries on their way"] = 2,
  ["an HTTP client with a connection"] = 2}

describe("what nobody refers to is collected:", function()
  for name, drop in pairs(dropped) do
    slope.it(name, function()
      return function()
        drop()
        collectgarbage()
      end, function() gevent.sleep(0) end
    end, {times = COSTLY[name] or 2})
  end
end)

describe("who waits stays, though nobody refers to the greenlet:", function()
  setup(function()
    if tls.have "openssl" then waits.certificate = tls.certificate "localhost" end
  end)

  for _, kind in ipairs(waits.kinds(tls.have "openssl")) do
    it(kind.name, function()
      local wait = kind.make()
      local _ <close> = helper.defer(wait.finish)
      local weak = setmetatable({}, {__mode = "v"})
      weak.greenlet = gevent.spawn(wait.call)
      helper.wait_all_blocked()
      for _ = 1, 3 do
        collectgarbage()
        gevent.sleep(0)
      end
      assert.is_false(weak.greenlet:ready())
      weak.greenlet:kill()
    end)
  end
end)

describe("sockets that nobody refers to", function()
  it("are closed by the collector", function()
    local a, b = helper.pair()
    b:send("x")
    assert.equal("x", a:recv(1))
    local g = helper.spawn_blocked(b.recv, b, 1)
    a = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.equal("", g:get(), "the peer saw no end")
    b:close()
  end)

  it("stay while a greenlet waits on them", function()
    local b
    local g = helper.spawn_blocked(function()
      local a, other = helper.pair()
      b = other
      return a:recv(5)
    end)
    for _ = 1, 3 do
      collectgarbage()
      gevent.sleep(0)
    end
    b:send("alive")
    assert.equal("alive", g:get())
    b:close()
  end)

  it("do not pile up", function()
    local listener <close> = assert(socket.create_server("127.0.0.1:0"))
    local _, port = listener:getsockname()
    for i = 1, 300 do
      local client = assert(socket.create_connection("127.0.0.1", port))
      local other = assert(listener:accept())
      client:settimeout(0)
      client:recv(1)
      other:setsockopt("linger", 0)
      if i % 50 == 0 then
        collectgarbage()
        gevent.sleep(0)
      end
    end
  end)
end)
