-- Servers that are stopped in the middle of things: what is idle is closed at once, what
-- is active finishes or is killed in time, and the address is free at once.

local helper = require "helper"
local gevent = require "gevent"
local peer = require "helper_ws"
local StreamServer = require("gevent.server").StreamServer
local slope = require "helper_slope"
local socket = require "gevent.socket"
local tls = require "helper_tls"
local web = require "helper_http"
local it = helper.it
local masked, closing = peer.masked, peer.closing

local function list(...) return table.pack(...) end

local function echo(req)
  local body = req:body()
  return body and req.method .. " " .. req.path .. " " .. body
end

describe("stop", function()
  it("closes idle connections at once, lets active ones finish", function()
    local gate = helper.gate()
    local server = web.serve(function(req)
      if req.path == "/slow" then gate:wait() end
      return "done"
    end)
    local idle <close> = web.connect(server)
    local used <close> = web.connect(server)
    local active <close> = web.connect(server)
    assert(used:sendall(web.request("GET", "/")))
    web.response(used)
    assert(active:sendall(web.request("GET", "/slow")))
    helper.wait_until(function() return server._count == 3 end)
    helper.wait_all_blocked()
    local began = helper.now()
    local stopper = gevent.spawn(server.stop, server, 5)
    assert.is_true(web.is_closed(idle))
    assert.is_true(web.is_closed(used))
    assert.is_true(helper.now() - began < helper.scale)
    gate:open()
    local res = web.response(active)
    assert.equal("done", res.body)
    assert.equal("close", res.headers.connection)
    assert.is_true(web.is_closed(active))
    stopper:get()
    assert.is_true(server.closed)
  end)

  -- A proxy may have chosen the connection just before: it would say 502.
  it("answers a request that is there but was not read yet", function()
    local server = web.serve(echo)
    local sock <close> = web.connect(server)
    assert(sock:sendall(web.request("GET", "/first")))
    web.response(sock)
    helper.wait_all_blocked()
    assert(sock:sendall(web.request("GET", "/second")))
    server:stop(5)
    local res = web.response(sock)
    assert.equal("GET /second ", res.body)
    assert.equal("close", res.headers.connection)
    assert.is_true(web.is_closed(sock))
  end)

  it("waits a moment for the first request of a new connection", function()
    local server = web.serve(echo)
    local new <close> = web.connect(server)
    local silent <close> = web.connect(server)
    helper.wait_until(function() return server._count == 2 end)
    helper.wait_all_blocked()
    local stopper = gevent.spawn(server.stop, server, 5)
    helper.wait_all_blocked()
    assert.is_false(stopper:ready())
    assert(new:sendall(web.request("GET", "/")))
    local res = web.response(new)
    assert.equal("GET / ", res.body)
    assert.equal("close", res.headers.connection)
    assert.is_true(web.is_closed(silent))
    assert.is_true(stopper:join(helper.scale))
  end)

  it("kills what is not done in time", function()
    local unwound = false
    local server = web.serve(function()
      local _ <close> = helper.defer(function() unwound = true end)
      gevent.sleep(60)
    end)
    local sock <close> = web.connect(server)
    assert(sock:sendall(web.request("GET", "/")))
    helper.wait_until(function() return server._count == 1 end)
    helper.wait_all_blocked()
    server:stop(0.01)
    assert.is_true(unwound)
    assert.is_true(web.is_closed(sock))
  end)

  it("frees the address", function()
    local http = require "gevent.http"
    local server = web.serve(function() return "x" end)
    local sock <close> = web.connect(server)
    local port = server.port
    server:stop()
    local again <close> = http.Server("127.0.0.1:" .. port, function() return "y" end)
    assert(again:start())
    assert.equal("y", web.ask(again, "GET", "/").body)
    assert.is_true(web.is_closed(sock))
  end)

  it("can be called by a handler", function()
    local server
    server = web.serve(function()
      server:stop(1)
      return "stopped"
    end)
    local res = web.ask(server, "GET", "/")
    assert.equal("stopped", res.body)
    assert.equal("close", res.headers.connection)
    assert.is_true(server.closed)
  end)

  it("ends a client that only drips a head", function()
    local server = web.serve(echo)
    local sock <close> = web.connect(server)
    assert(sock:sendall("GET / HT"))
    helper.wait_until(function() return server._count == 1 end)
    helper.wait_all_blocked()
    server:stop(0.01)
    assert.is_true(web.is_closed(sock))
  end)
end)

-- The acceptor gives way between two connections: it may hold one then.
describe("StreamServer:stop", function()
  local interval = gevent.getswitchinterval()
  before_each(function() gevent.setswitchinterval(1e-9) end)
  after_each(function() gevent.setswitchinterval(interval) end)

  it("waits for the handler of a connection that was accepted just now", function()
    local late = 0
    for turns = 0, 3 do
      local begun, ended, server = 0, 0, nil
      server = StreamServer("127.0.0.1:0", function()
        begun = begun + 1
        if server.closed then late = late + 1 end
        gevent.sleep(0.0005 * begun) -- the last one takes longest
        ended = ended + 1
      end)
      assert(server:start())
      local socks = {}
      for i = 1, 120 do
        socks[i] = assert(socket.socket())
        socks[i]:settimeout(0)
        socks[i]:connect("127.0.0.1", server.port)
      end
      local _ <close> = helper.closing(table.unpack(socks))
      for _ = 1, turns do gevent.sleep(0) end
      server:stop(5)
      helper.wait_all_blocked()
      assert.equal(begun, ended)
    end
    assert.is_true(late > 0)
  end)
end)

describe("a server that stops", function()
  it("tells its websockets 1001", function()
    local ended = {}
    local server = peer.serve(function(ws)
      local results = list(ws:receive())
      ended[#ended + 1] = results
    end)
    local socks = {}
    for i = 1, 3 do socks[i] = peer.raw(server) end
    local client = peer.connect(server)
    local stopper = gevent.spawn(server.stop, server, 5)
    for _, sock in ipairs(socks) do
      assert.equal(1001, peer.read(sock).code)
      sock:sendall(masked(8, closing(1001)))
      assert.is_nil(peer.read(sock))
      sock:close()
    end
    assert.same(list(nil, "", "closed", 1001), list(client:receive()))
    stopper:get()
    assert.equal(4, #ended)
    for _, results in ipairs(ended) do
      assert.same(list(nil, "", "closed", 1001), results)
    end
  end)

  it("waits no longer than its time-out for an answer", function()
    local server = peer.serve(peer.echo)
    local sock <close> = peer.raw(server)
    local started = helper.now()
    server:stop(0.02)
    assert.is_true(helper.now() - started < 3 * helper.scale)
    assert.equal(1001, peer.read(sock).code)
    assert.is_nil(peer.read(sock))
  end)
end)

describe("a server that stops with all kinds of things under way", function()
  it("ends all of them, and its port is free", function()
    local began = 0
    local web_server = web.serve(function(req)
      began = began + 1
      req:body()
      gevent.sleep(60)
    end)
    local port = web_server.port
    local socks = {}
    local _ <close> = helper.defer(function()
      for _, sock in ipairs(socks) do sock:close() end
    end)
    for i, text in ipairs {"", "GET", web.request("GET", "/"),
      web.request("POST", "/", "Content-Length: 10\r\n") .. "abc",
      web.request("POST", "/", "Transfer-Encoding: chunked\r\n") .. "3\r\nab"} do
      socks[i] = web.connect(web_server)
      assert(socks[i]:sendall(text))
    end
    helper.wait_until(function() return began == 3 end)
    helper.wait_all_blocked()
    web_server:stop(0.01)
    for _, sock in ipairs(socks) do
      local text, _, code = sock:read("a")
      assert.is_true(text ~= nil or code == "ECONNRESET", code)
    end
    local again <close> = assert(socket.create_server("127.0.0.1:" .. port))
    assert.equal(port, (select(2, again:getsockname())))
    assert.equal("ECONNREFUSED", (function()
      again:close()
      return (select(3, socket.create_connection("127.0.0.1", port)))
    end)())
  end)

  it("does not wait for TLS handshakes that do not go on", function()
    if not tls.have "openssl" then return end
    local srv = StreamServer("127.0.0.1:0", function(sock) sock:recv(1) end,
      {ssl_context = tls.server(), error_log = false})
    assert(srv:start())
    local silent, halfway = {}, {}
    for i = 1, 3 do
      silent[i] = assert(socket.create_connection("127.0.0.1", srv.port))
      halfway[i] = assert(socket.create_connection("127.0.0.1", srv.port))
      halfway[i]:sendall("\22\3\1\2\0\1\0\1\252\3\3")
    end
    local plain = assert(socket.create_connection("127.0.0.1", srv.port))
    local done = assert(tls.client():wrap_socket(plain, {server_hostname = "localhost"}))
    helper.wait_until(function() return srv._count == 7 end)
    helper.wait_all_blocked()
    assert.is_nil(gevent.with_timeout(20 * helper.scale, srv.stop, srv, 0.01))
    assert.is_true(srv.closed)
    for i = 1, 3 do
      for _, sock in ipairs {silent[i], halfway[i]} do
        sock:settimeout(5 * helper.scale)
        local data, _, code = sock:recv(100)
        assert.is_true(data ~= nil or code == "ECONNRESET", code)
        sock:close()
      end
    end
    done:close()
  end)

  it("may be stopped again, at the same time, by several, and in its handler", function()
    local srv
    srv = StreamServer("127.0.0.1:0", function(sock)
      srv:stop(0)
      sock:sendall("x")
    end)
    assert(srv:start())
    local sock <close> = assert(socket.create_connection("127.0.0.1", srv.port))
    local stoppers = {}
    helper.wait_until(function() return srv.closed end)
    for i = 1, 3 do stoppers[i] = gevent.spawn(srv.stop, srv, 0) end
    gevent.joinall(stoppers, nil, {raise_error = true})
    assert.equal("x", sock:read("a"))
  end)
end)

slope.it("a server that comes and goes", function()
  return function()
    local srv = StreamServer("127.0.0.1:0", function(sock) sock:recv(1) end)
    assert(srv:start())
    local sock <close> = assert(socket.create_connection("127.0.0.1", srv.port))
    gevent.sleep(0)
    srv:stop(0)
    assert(sock:recv(1) == "")
  end
end)

slope.it("an HTTP server that comes and goes", function()
  return function()
    local srv = web.serve(echo)
    assert(web.ask(srv, "GET", "/").status == 200)
    local sock <close> = web.connect(srv)
    srv:stop(0)
    assert(web.is_closed(sock))
  end
end, {times = 4})
