-- Answers to pipelined requests go out together, but none of them waits for
-- anything but the requests that are there.

local helper = require "helper"
local gevent = require "gevent"
local http = require "gevent.http"
local socket = require "gevent.socket"
local tls = require "helper_tls"
local web = require "helper_http"
local websocket = require "gevent.websocket"
local it = helper.it

local GET = web.request("GET", "/")

local function close_of(path)
  return web.request("GET", path, "Connection: close\r\n")
end

--- The bodies of the answers that come until the end.
local function bodies(sock)
  local list = {}
  while true do
    local res = web.response(sock)
    if not res then return list end
    list[#list + 1] = res.status == 200 and res.body or tostring(res.status)
  end
end

local function path_of(req) return req.path end

describe("pipelined requests", function()
  it("are answered in order, by few writes", function()
    local server <close> = web.serve(path_of)
    local sock <close> = web.connect(server)
    local requests, expected = {}, {}
    for i = 1, 200 do
      requests[i] = web.request("GET", "/" .. i)
      expected[i] = "/" .. i
    end
    requests[201] = close_of("/end")
    expected[201] = "/end"
    local sent = gevent.spawn(sock.sendall, sock, table.concat(requests))
    assert.same(expected, bodies(sock))
    sent:get()
  end)

  it("do not wait for the handler of a later one that blocks", function()
    local gate = helper.gate()
    local server <close> = web.serve(function(req)
      if req.path == "/slow" then gate:wait() end
      return req.path
    end)
    local sock <close> = web.connect(server)
    assert(sock:sendall(GET .. GET .. web.request("GET", "/slow") .. close_of("/end")))
    assert.equal("/", web.response(sock).body)
    assert.equal("/", web.response(sock).body)
    gate:open()
    assert.same({"/slow", "/end"}, bodies(sock))
  end)

  it("do not wait for the rest of a later one", function()
    local server <close> = web.serve(function(req) return req:body() or "none" end)
    local sock <close> = web.connect(server)
    assert(sock:sendall(web.request("POST", "/", nil, "one") .. "POST / HT"))
    assert.equal("one", web.response(sock).body)
    assert(sock:sendall("TP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"))
    assert(sock:sendall("two"))
    assert.equal("two", web.response(sock).body)
  end)

  it("do not wait for a body that is to come", function()
    local server <close> = web.serve(function(req) return req:body() end)
    local sock <close> = web.connect(server)
    assert(sock:sendall(web.request("POST", "/", nil, "one")
      .. web.request("POST", "/", "Expect: 100-continue\r\nContent-Length: 3\r\n")))
    assert.equal("one", web.response(sock).body)
    assert.equal(100, web.response(sock).status)
    assert(sock:sendall("two"))
    assert.equal("two", web.response(sock).body)
  end)

  it("go before what a later handler sends by itself", function()
    local server <close> = web.serve(function(req, res)
      if req.path == "/parts" then
        res:write("some")
        gevent.sleep(0)
        return res:finish(" more")
      elseif req.path == "/big" then
        return ("x"):rep(1000000)
      elseif req.path == "/file" then
        return res:sendfile("LICENSE")
      elseif req.path == "/iterator" then
        local n = 0
        return function()
          n = n + 1
          return n < 4 and tostring(n) or nil
        end
      end
      return req.path
    end)
    local sock <close> = web.connect(server)
    local list = {"/a", "/parts", "/b", "/big", "/c", "/file", "/d", "/iterator", "/e"}
    local text = ""
    for _, path in ipairs(list) do text = text .. web.request("GET", path) end
    assert(sock:sendall(text .. close_of("/end")))
    assert.same({"/a", "some more", "/b", ("x"):rep(1000000), "/c", helper.slurp "LICENSE",
      "/d", "123", "/e", "/end"}, bodies(sock))
  end)

  it("go before a later one that fails, or is none", function()
    local printed <close> = helper.capture_errors()
    local server <close> = web.serve(function(req)
      if req.path == "/bad" then error "no" end
      return req.path
    end)
    for _, case in ipairs {{web.request("GET", "/bad"), "500"},
      {"GET / HTTP/9.9\r\n\r\n", "505"}} do
      local sock <close> = web.connect(server)
      assert(sock:sendall(GET .. GET .. case[1] .. GET))
      assert.same({"/", "/", case[2]}, bodies(sock))
    end
    assert.matches("no\n", printed:text())
  end)

  it("go out when the server stops in a later one", function()
    local server
    server = web.serve(function(req)
      if req.path == "/stop" then gevent.spawn(server.stop, server, 5):join(0) end
      if req.path == "/stop" then gevent.sleep(0) end
      return req.path
    end)
    local sock <close> = web.connect(server)
    assert(sock:sendall(GET .. web.request("GET", "/stop") .. GET))
    assert.same({"/", "/stop"}, bodies(sock))
  end)

  it("go out though the handler of a later one is killed", function()
    local victim
    local server <close> = web.serve(function(req)
      if req.path == "/victim" then
        victim = gevent.getcurrent()
        gevent.sleep(60)
      end
      return req.path
    end)
    local sock <close> = web.connect(server)
    assert(sock:sendall(GET .. web.request("GET", "/victim")))
    helper.wait_until(function() return victim end)
    helper.wait_all_blocked()
    gevent.kill(victim)
    assert.same({"/"}, bodies(sock))
  end)

  it("go before a stream that a later handler takes over", function()
    local server <close> = web.serve(function(req, res)
      if req.path ~= "/ws" then return req.path end
      local ws = assert(websocket.upgrade(req, res))
      ws:send "hello"
      ws:close()
    end)
    local sock <close> = web.connect(server)
    assert(sock:sendall(GET .. web.request("GET", "/ws", "Connection: Upgrade\r\n"
      .. "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
      .. "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")))
    assert.equal("/", web.response(sock).body)
    assert.equal(101, web.response(sock).status)
    assert.equal("\x81\5hello", sock:readexactly(7))
  end)

  -- The kernel's buffers are full when the small answer comes up.
  it("come when the client reads on, whatever a later handler waits for", function()
    local gate = helper.gate()
    local blocked = false
    local listener <close> = assert(socket.create_server("127.0.0.1:0"))
    assert(listener:setsockopt("sndbuf", 4096))
    local server <close> = http.Server(listener, function(req)
      if req.path == "/big" then return ("x"):rep(300000) end
      if req.path == "/slow" then
        blocked = true
        gate:wait()
      end
      return ("y"):rep(12000) .. "z"
    end)
    assert(server:start())
    local sock <close> = assert(socket.socket())
    assert(sock:setsockopt("rcvbuf", 2048))
    assert(sock:connect("127.0.0.1", server.port))
    sock:settimeout(5 * helper.scale)
    assert(sock:sendall(web.request("GET", "/big") .. GET .. web.request("GET", "/slow")))
    local last = ""
    while not blocked do last = assert(sock:recv(1000)) end
    helper.wait_all_blocked()
    while last:sub(-1) ~= "z" do last = assert(sock:recv(65536)) end
    gate:open()
    assert.equal(12001, #web.response(sock).body)
  end)

  it("are logged one by one", function()
    local lines = {}
    local server <close> = web.serve(path_of, {log = function(line)
      lines[#lines + 1] = line:match '"GET (%S+)'
      gevent.sleep(0.001)
    end})
    local sock <close> = web.connect(server)
    assert(sock:sendall(GET .. web.request("GET", "/2") .. close_of("/3")))
    assert.same({"/", "/2", "/3"}, bodies(sock))
    assert.same({"/", "/2", "/3"}, lines)
  end)

  it("end with a client that goes away", function()
    local done = 0
    local server <close> = web.serve(function(req)
      done = done + 1
      if req.path == "/slow" then gevent.sleep(0.01) end
      return ("z"):rep(3000)
    end)
    for _ = 1, 20 do
      local sock <close> = web.connect(server)
      assert(sock:sendall(GET:rep(10) .. web.request("GET", "/slow") .. GET:rep(10)))
      assert(sock:setsockopt("linger", 0))
    end
    helper.wait_until(function() return server._count == 0 end)
    assert.is_true(done > 0)
  end)

  it("are answered over TLS", function()
    if not tls.have "openssl" then return pending "openssl is not installed" end
    local server <close> = web.serve(path_of, {ssl_context = tls.server()})
    local sock <close> = assert(socket.create_connection("127.0.0.1", server.port,
      {ssl = tls.client(), server_hostname = "localhost"}))
    assert(sock:sendall(GET:rep(50) .. close_of("/end")))
    local list = bodies(sock)
    assert.equal(51, #list)
    assert.equal("/end", list[51])
  end)
end)
