-- The opening handshake: what a server answers, what a client accepts.

local helper = require "helper"
local gevent = require "gevent"
local http = require "gevent.http"
local peer = require "helper_ws"
local socket = require "gevent.socket"
local web = require "helper_http"
local websocket = require "gevent.websocket"
local it = helper.it

local KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
local UPGRADE = "Upgrade: websocket\r\nConnection: Upgrade\r\n"
local VERSION = "Sec-WebSocket-Version: 13\r\n"

local function head_of(...)
  return "GET / HTTP/1.1\r\nHost: localhost\r\n" .. table.concat({...}) .. "\r\n"
end

--- The answer of a server to those bytes, and what `upgrade` returned.
local function ask(bytes, upgrade)
  local refused
  local server <close> = peer.serve(function(ws) ws:close() end, {
    upgrade = upgrade,
    refused = function(...) refused = table.pack(...) end,
  })
  local sock <close> = web.connect(server)
  sock:sendall(bytes)
  local line = assert(sock:readuntil("\r\n"))
  local status = math.tointeger(line:match("^HTTP/1.1 (%d+) "))
  local headers = {}
  for field in assert(sock:readuntil("\r\n\r\n")):gmatch("(.-)\r\n") do
    local name, value = field:match("^(.-): (.*)$")
    if name then headers[name:lower()] = value end
  end
  return status, headers, refused
end

describe("websocket.upgrade", function()
  it("accepts what the RFC shows", function()
    local status, headers, refused = ask(head_of(UPGRADE, KEY, VERSION))
    assert.equal(101, status)
    assert.equal(peer.ACCEPT, headers["sec-websocket-accept"])
    assert.equal("websocket", headers["upgrade"]:lower())
    assert.equal("upgrade", headers["connection"]:lower())
    assert.is_nil(headers["sec-websocket-protocol"])
    assert.is_nil(headers["sec-websocket-extensions"])
    assert.is_nil(headers["transfer-encoding"])
    assert.is_nil(refused)
  end)

  it("takes the words in any case, among others", function()
    assert.equal(101, (ask(head_of("UPGRADE: WebSocket\r\n",
      "connection: keep-alive, uPgRaDe\r\n", KEY, VERSION))))
  end)

  local REFUSED = {
    {"a plain request", 426, head_of()},
    {"another upgrade", 426, head_of("Upgrade: h2c\r\nConnection: Upgrade\r\n", KEY, VERSION)},
    {"another version", 426, head_of(UPGRADE, KEY, "Sec-WebSocket-Version: 8\r\n")},
    {"no version", 400, head_of(UPGRADE, KEY)},
    {"no Connection", 400, head_of("Upgrade: websocket\r\n", KEY, VERSION)},
    {"no key", 400, head_of(UPGRADE, VERSION)},
    {"a short key", 400, head_of(UPGRADE, "Sec-WebSocket-Key: AAAA\r\n", VERSION)},
    {"a key that is no base64", 400,
      head_of(UPGRADE, "Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!==\r\n", VERSION)},
    {"two keys", 400, head_of(UPGRADE, KEY, KEY, VERSION)},
    {"a POST", 405, (head_of(UPGRADE, KEY, VERSION, "Content-Length: 0\r\n")
      :gsub("^GET", "POST"))},
    {"a body", 400, head_of(UPGRADE, KEY, VERSION, "Content-Length: 3\r\n") .. "abc"},
    {"HTTP/1.0", 400, (head_of(UPGRADE, KEY, VERSION):gsub("1%.1", "1.0", 1))},
    {"a foreign origin", 403, head_of(UPGRADE, KEY, VERSION, "Origin: http://evil\r\n")},
    {"origin null", 403, head_of(UPGRADE, KEY, VERSION, "Origin: null\r\n")},
  }

  for _, case in ipairs(REFUSED) do
    local name, expected, bytes = table.unpack(case)
    it(("answers %s with %d"):format(name, expected), function()
      local status, headers, refused = ask(bytes)
      assert.equal(expected, status)
      assert.equal(expected, refused[3])
      assert.equal("handshake", refused[2])
      assert.is_true(#refused[1] > 0)
      assert.equal(expected == 426 and "13" or nil, headers["sec-websocket-version"])
      assert.equal(expected == 405 and "GET" or nil, headers["allow"])
    end)
  end

  it("keeps the connection after a refusal", function()
    local server <close> = peer.serve(peer.echo)
    local sock <close> = web.connect(server)
    sock:sendall(head_of())
    assert.equal(426, web.response(sock).status)
    sock:sendall(peer.request() .. peer.masked(1, "x"))
    assert.matches("^HTTP/1.1 101 ", sock:readuntil("\r\n\r\n"))
    assert.equal("x", peer.read(sock).payload)
  end)

  it("leaves what comes with the handshake to receive", function()
    local server <close> = peer.serve(peer.echo)
    local sock <close> = web.connect(server)
    sock:sendall(peer.request() .. peer.masked(1, "early") .. peer.masked(1, "bird"))
    assert.matches("^HTTP/1.1 101 ", sock:readuntil("\r\n\r\n"))
    assert.equal("early", peer.read(sock).payload)
    assert.equal("bird", peer.read(sock).payload)
  end)

  it("checks the origin", function()
    local function status(origin, origins)
      return (ask(head_of(UPGRADE, KEY, VERSION, "Origin: " .. origin .. "\r\n"),
        {origins = origins}))
    end
    assert.equal(101, status("http://localhost"))
    assert.equal(101, status("https://LOCALHOST"))
    assert.equal(101, status("http://localhost:80"))
    assert.equal(403, status("http://localhost:8080"))
    assert.equal(403, status("http://localhost.evil"))
    assert.equal(101, status("http://a.example", {"http://a.example"}))
    assert.equal(403, status("http://b.example", {"http://a.example"}))
    assert.equal(403, status("http://localhost", {}))
    assert.equal(101, status("http://b.example", "*"))
    assert.equal(101, status("x", function(origin, req)
      return origin == "x" and req.path == "/"
    end))
    assert.equal(403, status("y", function() return false end))
    assert.equal(101, (ask(head_of(UPGRADE, KEY, VERSION), {origins = {"http://a"}})))
  end)

  it("chooses the subprotocol it likes best", function()
    local function chosen(offered, own)
      local _, headers = ask(head_of(UPGRADE, KEY, VERSION, offered), {protocols = own})
      return headers["sec-websocket-protocol"]
    end
    local offered = "Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Protocol: c\r\n"
    assert.equal("b", chosen(offered, {"x", "b", "a"}))
    assert.equal("c", chosen(offered, {"c"}))
    assert.is_nil(chosen(offered, {"A"}))
    assert.is_nil(chosen(offered))
    assert.is_nil(chosen("", {"a"}))
  end)

  it("sends the fields of the response along", function()
    local server <close> = http.Server("127.0.0.1:0", function(req, res)
      res.headers["X-Mine"] = "1"
      res:set_cookie("a", "b")
      res.headers["Connection"] = "close"
      res.headers["Content-Length"] = "5"
      return websocket.upgrade(req, res):close()
    end)
    server:start()
    local sock <close>, head = peer.raw(server)
    assert.matches("\r\nX%-Mine: 1\r\n", head)
    assert.matches("\r\nSet%-Cookie: a=b\r\n", head)
    assert.is_nil(head:find("close") or head:find("Length"))
    sock:close()
  end)

  it("cannot come after an answer", function()
    local results
    local server <close> = http.Server("127.0.0.1:0", function(req, res)
      res:write("begun")
      results = table.pack(websocket.upgrade(req, res))
    end)
    server:start()
    local sock <close> = web.connect(server)
    sock:sendall(peer.request())
    assert.equal("begun", web.response(sock).body)
    assert.same({nil, "an answer has begun", "handshake", n = 3}, results)
  end)

  it("raises on what are no options", function()
    local errors = {}
    local server <close> = http.Server("127.0.0.1:0", function(req, res)
      for i, opts in ipairs {
        {protocols = "a"}, {protocols = {"a b"}}, {origins = 1}, {max_message = 0},
        {max_message = 1.5}, {timeout = -1}, {deflate = 1}, {deflate = {level = 10}},
        {deflate = {unknown = 1}}, {fragment_size = "x"},
      } do
        local ok, err = pcall(websocket.upgrade, req, res, opts)
        errors[i] = not ok and err:match("option '([%w_.]+)'")
      end
      errors[#errors + 1] = not pcall(websocket.upgrade, req, res, 1)
    end)
    server:start()
    web.ask(server, "GET", "/")
    assert.same({"protocols", "protocols", "origins", "max_message", "max_message",
      "timeout", "deflate", "deflate.level", "deflate.unknown", "fragment_size", true},
      errors)
  end)
end)

-- A server that reads a request and answers by `answer(head, key)`.
local function scripted(answer)
  local listener = assert(socket.create_server("127.0.0.1:0"))
  local _, port = listener:getsockname()
  local g = gevent.spawn(function()
    local sock <close> = assert(listener:accept())
    local head = assert(sock:readuntil("\r\n\r\n"))
    local key = head:match("Sec%-WebSocket%-Key: (%S+)\r\n")
    local text = answer(head, key, sock)
    if text then sock:sendall(text) end
    sock:read("a") -- until the client goes
    listener:close()
  end)
  return "ws://127.0.0.1:" .. port .. "/", g
end

local core = require "gevent._core"

local function accepted(key, more)
  return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
    .. "Connection: Upgrade\r\nSec-WebSocket-Accept: " .. core.websocket_accept(key)
    .. "\r\n" .. (more or "") .. "\r\n"
end

--- What connect returns for such an answer.
local function try(answer, opts)
  local url, g = scripted(answer)
  local results = table.pack(websocket.connect(url, opts))
  if results[1] then results[1]._stream:close() end
  g:join()
  return table.unpack(results, 1, results.n)
end

describe("websocket.connect", function()
  it("says what the RFC wants said", function()
    local seen
    local ws = try(function(head, key)
      seen = head
      return accepted(key)
    end, {headers = {["X-A"] = {"1", "2"}, Origin = "http://o"}, protocols = {"p", "q"}})
    assert.is_truthy(ws)
    assert.matches("^GET / HTTP/1%.1\r\nHost: 127%.0%.0%.1:%d+\r\n", seen)
    assert.matches("\r\nUpgrade: websocket\r\n", seen)
    assert.matches("\r\nConnection: Upgrade\r\n", seen)
    assert.matches("\r\nSec%-WebSocket%-Version: 13\r\n", seen)
    assert.matches("\r\nSec%-WebSocket%-Key: [%w+/]+==\r\n", seen)
    assert.matches("\r\nSec%-WebSocket%-Protocol: p, q\r\n", seen)
    assert.matches("\r\nX%-A: 1\r\nX%-A: 2\r\n", seen)
    assert.matches("\r\nOrigin: http://o\r\n", seen)
    assert.is_nil(seen:find("Extensions"))
  end)

  it("has another key each time", function()
    local keys = {}
    for i = 1, 2 do
      try(function(_, key) keys[i] = key return accepted(key) end)
    end
    assert.not_equal(keys[1], keys[2])
  end)

  it("takes the subprotocol", function()
    local url, g = scripted(function(_, key)
      return accepted(key, "Sec-WebSocket-Protocol: b\r\n")
    end)
    local ws = assert(websocket.connect(url, {protocols = {"a", "b"}}))
    assert.equal("b", ws.protocol)
    ws._stream:close()
    g:join()
  end)

  local function bad(text) return function() return text end end
  local REFUSED = {
    {"a redirect", bad("HTTP/1.1 302 Found\r\nLocation: ws://x/\r\n\r\n"), 302},
    {"a 403", bad("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"), 403},
    {"a 200", bad("HTTP/1.1 200 OK\r\n\r\n"), 200},
    {"HTTP/1.0", bad("HTTP/1.0 101 X\r\n\r\n")},
    {"what is no HTTP", bad("SSH-2.0-x\r\n\r\n")},
    {"a head without end", bad("HTTP/1.1 101 X\r\n" .. ("X-A: b\r\n"):rep(3000))},
    {"too many fields", function(_, key) return accepted(key, ("A: b\r\n"):rep(200)) end, 101},
    {"no accept", bad("HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
      101},
    {"the accept of another key", bad(accepted("dGhlIHNhbXBsZSBub25jZQ==")), 101},
    {"no upgrade", function(_, key)
      return (accepted(key):gsub("Upgrade: websocket\r\n", ""))
    end, 101},
    {"another upgrade", function(_, key)
      return (accepted(key):gsub("websocket", "h2c", 1))
    end, 101},
    {"no connection", function(_, key)
      return (accepted(key):gsub("Connection: Upgrade\r\n", ""))
    end, 101},
    {"a subprotocol", function(_, key)
      return accepted(key, "Sec-WebSocket-Protocol: p\r\n")
    end, 101},
    {"an extension", function(_, key)
      return accepted(key, "Sec-WebSocket-Extensions: permessage-deflate\r\n")
    end, 101},
    {"a malformed field", function(_, key) return accepted(key, "a b: c\r\n") end, 101},
  }

  for _, case in ipairs(REFUSED) do
    local name, answer, status = table.unpack(case)
    it("refuses " .. name, function()
      local ws, message, code, got = try(answer)
      assert.is_nil(ws)
      assert.is_true(#message > 0)
      assert.equal("handshake", code)
      assert.equal(status, got)
    end)
  end

  it("refuses a subprotocol that was not offered", function()
    local ws, _, code = try(function(_, key)
      return accepted(key, "Sec-WebSocket-Protocol: c\r\n")
    end, {protocols = {"a", "b"}})
    assert.is_nil(ws)
    assert.equal("handshake", code)
  end)

  it("tells of a server that hangs up, at any byte", function()
    local text
    for cut = 0, 150, 10 do
      local ws, _, code = try(function(_, key, sock)
        text = accepted(key)
        sock:sendall(text:sub(1, math.min(cut, #text - 1)))
        sock:shutdown("w")
      end)
      assert.is_nil(ws)
      assert.equal("closed", code)
    end
  end)

  it("reads an answer that comes byte by byte, with a message behind", function()
    local url, g = scripted(function(_, key, sock)
      peer.trickle(sock, accepted(key) .. peer.frame(1, "hi"))
    end)
    local ws = assert(websocket.connect(url))
    assert.equal("hi", (ws:receive()))
    ws._stream:close()
    g:join()
  end)

  it("times out as a whole", function()
    local ws, message, code = try(function() end, {timeout = 0.02})
    assert.same({nil, "timed out", "timeout"}, {ws, message, code})
    ws, message, code = try(function(_, key, sock)
      local answer = accepted(key)
      for i = 1, #answer do
        if not sock:sendall(answer:sub(i, i)) then return end
        gevent.sleep(0.005)
      end
    end, {timeout = 0.02})
    assert.same({nil, "timed out", "timeout"}, {ws, message, code})
  end)

  it("tells of a host that is not there", function()
    local listener = assert(socket.create_server("127.0.0.1:0"))
    local _, port = listener:getsockname()
    listener:close()
    local ws, _, code = websocket.connect("ws://127.0.0.1:" .. port)
    assert.is_nil(ws)
    assert.equal("ECONNREFUSED", code)
  end)

  it("reads URLs", function()
    local function seen(url, opts)
      local head
      local base, g = scripted(function(text, key)
        head = text
        return accepted(key)
      end)
      local port = base:match(":(%d+)/$")
      local ws = assert(websocket.connect((url:gsub("PORT", port)), opts))
      ws._stream:close()
      g:join()
      return head:match("^GET (%S+) "), head:match("\r\nHost: (.-)\r\n"):gsub(port, "PORT"),
        head:match("\r\nAuthorization: (.-)\r\n")
    end
    assert.same({"/a/b?c=d", "127.0.0.1:PORT"}, {seen("ws://127.0.0.1:PORT/a/b?c=d")})
    assert.same({"/?x", "127.0.0.1:PORT"}, {seen("WS://127.0.0.1:PORT?x")})
    assert.same({"/", "localhost:PORT", "Basic dTpwOkA="},
      {seen("ws://u:p%3a%40@localhost:PORT")})
    assert.same({"/", "example.org"},
      {seen("ws://127.0.0.1:PORT", {headers = {Host = "example.org"}})})
  end)

  it("raises on what is no URL, and no option", function()
    for _, url in ipairs {"", "http://a", "ws://", "ws:///x", "ws://a:0", "ws://a:70000",
      "ws://a/b c", "ws://a/#f", "ws://a:x", "ws://[::1", "ws://a\r\nb", "ws://a/\u{e9}"} do
      assert.has_error(function() websocket.connect(url) end)
    end
    assert.has_error(function() websocket.connect(nil) end)
    for _, opts in ipairs {
      {headers = {["a b"] = "c"}}, {headers = {A = "b\r\nc: d"}}, {headers = "x"},
      {headers = {Upgrade = "x"}}, {headers = {["sec-websocket-key"] = "x"}},
      {protocols = {""}}, {timeout = 0}, {max_message = "1"},
    } do
      assert.has_error(function() websocket.connect("ws://127.0.0.1:1/", opts) end)
    end
  end)

  it("keeps nothing when it is killed at any step", function()
    local url, g = scripted(function(_, key, sock)
      sock:sendall(accepted(key):sub(1, 40))
    end)
    local client = helper.spawn_blocked(websocket.connect, url)
    client:kill()
    g:join()
  end)
end)

helper.battery("websocket.connect", function()
  local listener = assert(socket.create_server("127.0.0.1:0"))
  local _, port = listener:getsockname()
  local gate, open, sessions = helper.gate(), false, {}
  local acceptor = gevent.spawn(function()
    while true do
      local sock = listener:accept()
      if not sock then return end
      sessions[#sessions + 1] = gevent.spawn(function()
        local _ <close> = sock
        local head = sock:readuntil("\r\n\r\n")
        if not open then gate:wait() end
        if head then
          sock:sendall(accepted(head:match("Sec%-WebSocket%-Key: (%S+)\r\n")))
          sock:read("a")
        end
      end)
    end
  end)
  return {
    call = function(timeout)
      return websocket.connect("ws://127.0.0.1:" .. port,
        {timeout = timeout ~= 0 and timeout or nil})
    end,
    release = function()
      open = true
      gate:open()
    end,
    expect = function(ws)
      assert.is_truthy(ws)
      ws._stream:close()
    end,
    cleanup = function()
      open = true
      gate:open()
      listener:close()
      collectgarbage() -- what a killed call had connected
      gevent.joinall(sessions)
      acceptor:join()
    end,
  }
end)
