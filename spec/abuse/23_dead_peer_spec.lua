-- Writing to a peer that is gone: EPIPE or ECONNRESET from every call that writes, no
-- signal, and what could not be sent is freed.

local helper = require "helper"
local faults = require "helper_faults"
local fileobject = require "gevent.fileobject"
local gevent = require "gevent"
local gos = require "gevent.os"
local peer = require "helper_ws"
local slope = require "helper_slope"
local socket = require "gevent.socket"
local tls = require "helper_tls"
local web = require "helper_http"
local it = helper.it

local GONE = {EPIPE = true, ECONNRESET = true}

--- Asserts that results tell of a peer that is gone.
local function expect_gone(ok, message, code)
  assert.is_nil(ok)
  assert.equal("string", type(message))
  assert.is_true(GONE[code], tostring(code))
end

--- The same where that was told before: TLS is out of order after any error.
local function expect_still_gone(ok, message, code)
  assert.is_true(code == "ESSL" or not expect_gone(ok, message, code))
end

-- Each makes a connection: the end that writes, what ends the other, what closes all.
local connections = {}

local function finish(...)
  local all = {...}
  return function()
    for _, each in ipairs(all) do each:close() end
  end
end

connections["TCP, reset"] = function()
  local a, b = helper.tcp_pair()
  return a, function()
    b:setsockopt("linger", 0)
    b:close()
  end, finish(a, b)
end

connections["TCP, closed"] = function()
  local a, b = helper.tcp_pair()
  return a, function() b:close() end, finish(a, b)
end

connections["a Unix socket"] = function()
  local a, b = helper.pair()
  return a, function() b:close() end, finish(a, b)
end

connections["a pipe"] = function()
  local r, w = assert(gos.pipe())
  local writer = assert(fileobject.FileObject(w))
  return writer, function()
    if r then gos.close(r) end
    r = nil
  end, finish(writer)
end

if tls.have "openssl" then
  connections["TLS, reset"] = function()
    local client, server = tls.pair {tcp = true}
    return client, function()
      local plain = assert(socket.fromfd(server:detach()))
      plain:setsockopt("linger", 0)
      plain:close()
    end, finish(client, server)
  end
end

local writes = {
  send = function(sock, text) return sock:send(text) end,
  sendall = function(sock, text) return sock:sendall(text) end,
  sendv = function(sock, text) return sock:sendv {text, text} end,
  write = function(sock, text) return sock:write(text) end,
  ["write and flush"] = function(sock, text)
    sock:setvbuf("full")
    local ok, message, code = sock:write(text)
    if not ok then return ok, message, code end
    return sock:flush()
  end,
}

describe("a peer that is gone", function()
  for name, connect in pairs(connections) do
    for call, write in pairs(writes) do
      it(("is an error of %s: %s"):format(call, name), function()
        local sock, vanish, close = connect()
        local _ <close> = helper.defer(close)
        if not sock[call:match("%a+")] then return end -- pipes have fewer
        vanish()
        local results
        helper.wait_until(function() -- what the system takes first is not sent either
          results = table.pack(write(sock, ("x"):rep(100000)))
          return not results[1]
        end)
        expect_gone(table.unpack(results, 1, results.n))
        expect_still_gone(write(sock, "more"))
      end)
    end

    it("ends whoever writes ten MiB to it: " .. name, function()
      local sock, vanish, close = connect()
      local _ <close> = helper.defer(close)
      local writer = helper.spawn_blocked(function()
        return sock:sendall(("x"):rep(10 << 20))
      end)
      vanish()
      local ok, message, code, sent = writer:get(5 * helper.scale)
      expect_gone(ok, message, code)
      assert.is_true(math.type(sent) == "integer" and sent < 10 << 20, tostring(sent))
    end)
  end
end)

describe("a peer that is gone", function()
  it("with a reset gives ECONNRESET once, then the end", function()
    local a <close>, b = helper.tcp_pair()
    local reader = helper.spawn_blocked(a.recv, a, 1)
    b:setsockopt("linger", 0)
    b:close()
    assert.equal("ECONNRESET", select(3, reader:get()))
    assert.equal("", a:recv(1))
    assert.equal("EPIPE", select(3, a:send("x")))
  end)

  it("wakes reader and writer with a reset", function()
    local a <close>, b = helper.tcp_pair()
    local writer = helper.spawn_blocked(a.sendall, a, ("x"):rep(100000000))
    local reader = helper.spawn_blocked(a.recv, a, 1)
    b:setsockopt("linger", 0)
    b:close()
    local codes = {[select(3, writer:get()) or "none"] = true}
    local data, _, code = reader:get()
    codes[code or data] = true
    assert.is_true(codes.ECONNRESET)
  end)

  it("raises no signal: EPIPE is returned by every call", function()
    local code, out, err = helper.run_lua [[
      local socket = require "gevent.socket"
      local codes = {}
      for _, method in ipairs {"send", "sendall", "sendv", "write"} do
        local a, b = socket.socketpair()
        b:close()
        local data = method == "sendv" and {"x", "y"} or "x"
        codes[#codes + 1] = select(3, a[method](a, data))
      end
      print(table.concat(codes, " "))
    ]]
    assert.same({0, "EPIPE EPIPE EPIPE EPIPE\n", ""}, {code, out, err})
  end)

  it("leaves what it had sent before", function()
    local a <close>, b = helper.tcp_pair()
    b:sendall("last words")
    b:close()
    gevent.sleep(0.001)
    assert.equal("last words", a:recv(100))
    assert.equal("", a:recv(100))
  end)
end)

describe("a connection that is reset with much under way", function()
  it("ends the writer with what went out; the rest is freed", function()
    local client, sock = helper.tcp_pair()
    local writer = helper.spawn_blocked(client.sendall, client,
      ("x"):rep(10 << 20))
    sock:setsockopt("linger", 0)
    sock:close()
    local ok, _, code, sent = writer:get()
    assert.is_nil(ok)
    assert.is_true(code == "ECONNRESET" or code == "EPIPE", code)
    assert.is_true(sent > 0 and sent < 10 << 20)
    ok, _, code = client:sendall("x")
    assert.is_nil(ok)
    assert.is_true(code == "ECONNRESET" or code == "EPIPE", code)
    client:close()
  end)
end)

describe("a fault of the system", function()
  faults.cases {
    {"in reading leaves what was gathered", {"recvfrom:error=ECONNRESET:when=2"}, [[
      local a, b = socket.socketpair()
      b:sendall("half a line")
      local line, _, code = a:read("l")
      assert(not line and code == "ECONNRESET", code)
      b:sendall(", and the rest\n")
      assert(a:read("l") == "half a line, and the rest")
    ]]},
    {"in writing says what is out", {"sendto,sendmsg:error=ENOBUFS:when=2"}, [[
      local a, b = socket.socketpair()
      assert(a:sendall("12345"))
      local ok, _, code, sent = a:sendall("67890")
      assert(not ok and code == "ENOBUFS" and sent == 0)
      a:setvbuf("full", 100)
      a:write("67890")
      assert(a:flush())
      assert(b:readexactly(10) == "1234567890")
    ]]},
  }
end)

describe("a client that is gone", function()
  it("at any moment disturbs nobody", function()
    local printed <close> = helper.capture_errors()
    local server <close> = web.serve(function(req) return "GET " .. req.path .. " " end)
    local texts = {"", "GET", "GET / HTTP/1.1\r\n", web.request("GET", "/"),
      web.request("POST", "/", "Content-Length: 10\r\n") .. "abc", "\r\n", "\0"}
    for i = 1, 50 do
      local sock = web.connect(server)
      sock:sendall(texts[i % #texts + 1])
      if i % 3 == 0 then sock:setsockopt("linger", 0) end
      if i % 2 == 0 then gevent.sleep(0) end
      sock:close()
    end
    assert.equal("GET /x ", web.ask(server, "GET", "/x").body)
    helper.wait_until(function() return server._count == 0 end)
    assert.equal("", printed:text())
  end)

  it("is told to an HTTP handler that writes, and to nobody else", function()
    local printed <close> = helper.capture_errors()
    local result
    local server <close> = web.serve(function(_, res)
      repeat result = table.pack(res:write(("x"):rep(100000))) until not result[1]
    end)
    local sock = web.connect(server)
    assert(sock:sendall(web.request("GET", "/")))
    assert(sock:recv(1) == "H")
    sock:setsockopt("linger", 0)
    sock:close()
    helper.wait_until(function() return result and not result[1] end)
    assert.equal("string", type(result[2]))
    helper.wait_until(function() return server._count == 0 end)
    assert.equal("", printed:text())
  end)

  it("is told to a WebSocket's handler that sends", function()
    local result
    local server <close> = peer.serve(function(ws)
      repeat result = table.pack(ws:send(("x"):rep(100000))) until not result[1]
    end)
    local sock = peer.raw(server)
    sock:setsockopt("linger", 0)
    sock:close()
    helper.wait_until(function() return result and not result[1] end)
    assert.is_true(result[3] == "closed" or GONE[result[3]], result[3])
  end)
end)

slope.it("a peer that is gone", function()
  return function()
    local a, b = helper.tcp_pair()
    b:setsockopt("linger", 0)
    b:close()
    a:sendall(("x"):rep(100000))
    assert(not a:sendall("more"))
    a:close()
  end
end)
