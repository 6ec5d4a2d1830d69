-- https: verified, kept, resumed; through proxies and Unix sockets; cut off.

local helper = require "helper"
local gevent = require "gevent"
local http = require "gevent.http"
local socket = require "gevent.socket"
local origin = require "helper_origin"
local tls = require "helper_tls"
local web = require "helper_http"
local it = helper.it

if not tls.have "openssl" then
  describe("https", function() pending("needs the openssl program") end)
  return
end

local function urlof(server, path)
  return ("https://localhost:%d%s"):format(server.port, path or "/")
end

local function serve(handler, opts)
  local all = {ssl_context = tls.server()}
  for name, value in pairs(opts or {}) do all[name] = value end
  return web.serve(handler or function(req) return req.scheme .. " " .. req.path end, all)
end

--- A raw TLS server: `script(tls socket, number of the connection)`.
local function raw(script)
  local context = tls.server()
  return origin.serve(function(sock, number, self)
    local secure = context:wrap_socket(sock, {server_side = true})
    if not secure then return end
    self.socks[secure] = true
    secure:settimeout(5 * helper.scale)
    script(secure, number, self)
    secure:close()
    self.socks[secure] = nil
  end)
end

local function idle(client)
  return tonumber(tostring(client):match("(%d+) idle"))
end

describe("https", function()
  it("is asked and answered", function()
    local server <close> = serve()
    local ctx = tls.client()
    local res = assert(http.get(urlof(server, "/a"), {ssl_context = ctx}))
    assert.equal("https /a", res.body)
    assert.equal(urlof(server, "/a"), res.url)
    local ip = ("https://127.0.0.1:%d/"):format(server.port)
    assert.equal("https /", http.get(ip, {ssl_context = ctx}).body)
  end)

  it("keeps its connections", function()
    local server <close> = serve()
    local client <close> = http.Client {ssl_context = tls.client()}
    for _ = 1, 3 do
      assert.equal("https /", client:get(urlof(server)).body)
      gevent.sleep(0.005)
      assert.equal(1, idle(client))
    end
  end)

  it("is verified unless told otherwise", function()
    local server <close> = serve(nil, {error_log = false})
    local printed <close> = helper.capture_errors()
    local res, message, code = http.get(urlof(server))
    assert.is_nil(res)
    assert.equal("ESSL", code)
    assert.is_truthy(message:find("certificate", 1, true), message)
    local _
    res, _, code = http.get(("https://127.0.0.2:%d/"):format(server.port),
      {ssl_context = tls.client()})
    assert.is_nil(res)
    assert.is_true(code == "ESSL" or code == "ECONNREFUSED", code)
    local careless = tls.client {verify_mode = "none", check_hostname = false}
    assert.equal("https /", http.get(urlof(server), {ssl_context = careless}).body)
    assert.is_string(printed:text())
  end)

  it("does not share connections between contexts", function()
    local server <close> = serve(nil, {error_log = false})
    local printed <close> = helper.capture_errors()
    local client <close> = http.Client()
    local careless = tls.client {verify_mode = "none", check_hostname = false}
    assert(client:get(urlof(server), {ssl_context = careless}))
    assert.equal(1, idle(client))
    local res, _, code = client:get(urlof(server))
    assert.is_nil(res)
    assert.equal("ESSL", code)
    assert.is_string(printed:text())
  end)

  it("resumes sessions", function()
    local resumed = {}
    local server <close> = raw(function(sock, number)
      origin.request(sock)
      resumed[number] = sock:session_reused()
      sock:sendall(origin.answer("x", "Connection: close\r\n"))
    end)
    local context = tls.client()
    local client <close> = http.Client {ssl_context = context}
    for _ = 1, 3 do assert(client:get(urlof(server))) end
    assert.same({false, true, true}, resumed)
    assert(client:get(urlof(server), {ssl_context = tls.client()}))
    assert.is_false(resumed[4])
  end)

  it("carries large bodies both ways at once", function()
    local server <close> = serve(function(req, res)
      while true do
        local piece = req:read(65536)
        if not piece then break end
        assert(res:write(piece))
      end
      res:finish()
    end, {max_body_bytes = false})
    local size = 4 * 1024 * 1024
    local res = assert(http.post(urlof(server), ("y"):rep(size), {ssl_context = tls.client()}))
    assert.equal(size, #res.body)
  end, {deadline = 20})

  it("notices a body that was cut off", function()
    local server <close> = raw(function(sock)
      origin.request(sock)
      sock:sendall("HTTP/1.1 200 OK\r\n\r\nall of i")
      socket.fromfd(sock:detach()):close() -- without close_notify
    end)
    local res, _, code = http.get(urlof(server), {ssl_context = tls.client()})
    assert.is_nil(res)
    assert.equal("ESSL", code)
  end)

  it("ends a body with the connection where that is ended well", function()
    local server <close> = raw(function(sock)
      origin.request(sock)
      sock:sendall("HTTP/1.1 200 OK\r\n\r\nall of it")
      sock:unwrap(1)
    end)
    assert.equal("all of it", http.get(urlof(server), {ssl_context = tls.client()}).body)
  end)

  it("times out in the handshake", function()
    local server <close> = origin.serve(function(sock) sock:recv(10000) sock:recv(1) end)
    local client <close> = http.Client {ssl_context = tls.client()}
    for _, opts in ipairs {{timeout = 0.05}, {connect_timeout = 0.05}} do
      local res, message, code = client:get(urlof(server), opts)
      assert.same({nil, "timed out", "timeout"}, {res, message, code})
    end
    local g = helper.spawn_blocked(client.get, client, urlof(server))
    g:kill()
    assert.is_truthy(tostring(client):find("0 connections busy, 0 idle", 1, true))
  end)

  it("leaves nothing when it is killed at any moment", function()
    local server <close> = serve(function(_, res)
      res:write("x")
      gevent.sleep(60)
    end)
    local client <close> = http.Client {ssl_context = tls.client()}
    for i = 0, 8 do
      local g = gevent.spawn(client.get, client, urlof(server))
      gevent.sleep(i / 1000)
      g:kill()
      assert.is_truthy(tostring(client):find("0 connections busy, 0 idle", 1, true))
    end
    server:stop(0)
  end)

  it("does not lead to http by a redirection", function()
    local plain <close> = origin.replies(function() return origin.answer("plain") end)
    local server <close> = serve(function(_, res) return res:redirect(plain.url) end)
    local opts = {ssl_context = tls.client()}
    local res, message, code = http.get(urlof(server), opts)
    assert.same({nil, "redirection from https to http", "redirect"}, {res, message, code})
    opts.allow_downgrade = true
    assert.equal("plain", http.get(urlof(server), opts).body)
  end)

  it("goes through a tunnel", function()
    local server <close> = serve()
    local asked
    local proxy <close> = origin.serve(function(sock)
      asked = origin.request(sock)
      local there <close> = assert(socket.create_connection("127.0.0.1", server.port))
      sock:sendall("HTTP/1.1 200 OK\r\n\r\n")
      local function pipe(from, to)
        while true do
          local data = from:recv(65536)
          if not data or data == "" then break end
          to:sendall(data)
        end
        to:shutdown("w")
      end
      local back = gevent.spawn(pipe, there, sock)
      pipe(sock, there)
      back:join()
    end)
    local client <close> = http.Client {ssl_context = tls.client(), proxy = proxy.url}
    assert.equal("https /a", assert(client:get(urlof(server, "/a"))).body)
    assert.equal("https /b", assert(client:get(urlof(server, "/b"))).body)
    assert.equal("CONNECT localhost:" .. server.port .. " HTTP/1.1", asked.line)
    assert.equal(1, proxy.connections)
  end)

  it("asks a proxy over TLS", function()
    local proxy <close> = raw(function(sock)
      local req = origin.request(sock)
      sock:sendall(origin.answer(req.line))
    end)
    local client <close> = http.Client {ssl_context = tls.client(),
      proxy = ("https://localhost:%d"):format(proxy.port)}
    assert.equal("GET http://x.example/ HTTP/1.1",
      assert(client:get("http://x.example/")).body)
  end)

  it("goes over Unix sockets", function()
    local path = os.tmpname()
    os.remove(path)
    local server <close> = http.Server("unix:" .. path, function(req)
      return req.scheme .. " " .. req.host
    end, {ssl_context = tls.server()})
    assert(server:start())
    assert.equal("https localhost", assert(http.get("https://localhost/",
      {unix = path, ssl_context = tls.client()})).body)
    local res, _, code = http.get("https://elsewhere/", {unix = path,
      ssl_context = tls.client()})
    assert.is_nil(res)
    assert.equal("ESSL", code)
  end)
end)
