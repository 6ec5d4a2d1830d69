-- Peers that abuse a WebSocket: bad frames, lengths that are lies, floods, bombs, texts
-- that are none, a close that is never answered. The right code of closing, in bounded
-- memory and time; against a real server, and between two ends without one.

local helper = require "helper"
local gevent = require "gevent"
local peer = require "helper_ws"
local slope = require "helper_slope"
local websocket = require "gevent.websocket"
local it = helper.it
local frame, masked, closing = peer.frame, peer.masked, peer.closing

local SHORT = 0.01 -- seconds: a timeout that is meant to expire

--- What `receive` gives for each of the inputs; then the other end's answer.
local function received(ws)
  return table.pack(ws:receive(5 * helper.scale))
end

local function list(...) return table.pack(...) end

-- What is refused: name, bytes, code of the Close that answers.
local REFUSED = {
  {"an unmasked frame", frame(1, "x"), 1002},
  {"a reserved bit", masked(1, "x", {rsv = 4}), 1002},
  {"another", masked(1, "x", {rsv = 1}), 1002},
  {"a reserved opcode", masked(3, "x"), 1002},
  {"a reserved control opcode", masked(11, "x"), 1002},
  {"a ping of 126 bytes", masked(9, ("x"):rep(126)), 1002},
  {"a fragmented ping", masked(9, "x", {fin = false}), 1002},
  {"a continuation of nothing", masked(0, "x"), 1002},
  {"a message in a message", masked(1, "x", {fin = false}) .. masked(1, "y"), 1002},
  {"a length of 2^63", "\x82\xff\x80\0\0\0\0\0\0\0", 1009},
  {"2^63 - 1 bytes", "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff1234", 1009},
  {"too many bytes", masked(2, ("x"):rep(101)), 1009},
  {"too many in fragments", masked(2, ("x"):rep(60), {fin = false})
    .. masked(0, ("x"):rep(41)), 1009},
  {"bad UTF-8", masked(1, "a\xff"), 1007},
  {"bad UTF-8 over fragments", masked(1, "\xf0\x9f", {fin = false})
    .. masked(0, "\x28"), 1007},
  {"UTF-8 cut short", masked(1, "\xf0\x9f"), 1007},
  {"a Close of one byte", masked(8, "\3"), 1002},
  {"a Close with 1005", masked(8, closing(1005)), 1002},
  {"a Close with 999", masked(8, closing(999)), 1002},
  {"a Close with 2999", masked(8, closing(2999)), 1002},
  {"a Close whose reason is not UTF-8", masked(8, closing(1000, "\xff")), 1007},
}

describe("a server of WebSockets", function()
  for _, case in ipairs(REFUSED) do
    local name, bytes, code = table.unpack(case)
    it(("closes with %d, and serves the others: %s"):format(code, name), function()
      local ended
      local server <close> = peer.serve(function(ws)
        repeat
          local data, _, what, got = ws:receive()
          if data then ws:send(data) elseif what == "closed" then ended = ended or got end
        until not data
      end, {upgrade = {max_message = 100}})
      local other <close> = peer.connect(server)
      local sock <close> = peer.raw(server)
      assert(sock:sendall(bytes))
      assert.equal(code, assert(peer.read_close(sock)).code)
      helper.wait_until(function() return ended end)
      assert.equal(code, ended)
      assert.is_true(other:send("hello"))
      assert.same({"hello", "text"}, {other:receive(5 * helper.scale)})
      assert.is_true(other:close())
    end)
  end

  it("takes no more memory for a message than its limit, however it comes", function()
    local server <close> = peer.serve(peer.echo, {upgrade = {max_message = 1 << 20}})
    collectgarbage()
    collectgarbage()
    local before = collectgarbage("count")
    for _, size in ipairs {1, 100, 60000} do
      local sock <close> = peer.raw(server)
      local piece = masked(0, ("x"):rep(size), {fin = false})
      local pieces = piece:rep(math.max(1, 30000 // #piece))
      assert(sock:sendall(masked(2, "x", {fin = false})))
      local closed
      local reader = gevent.spawn(function() closed = peer.read_close(sock) end)
      local sent = 0
      while not closed and sent < 100 << 20 do -- fragments without end
        if not sock:sendall(pieces) then break end
        sent = sent + #pieces
        assert.is_true(collectgarbage("count") - before < 32 * 1024)
      end
      reader:join(5 * helper.scale)
      assert.is_true(sent < 100 << 20)
      if closed then assert.equal(1009, closed.code) end
      collectgarbage()
    end
  end, {deadline = 30})

  it("lets nobody wait whose handshake is no good", function()
    local refusals = 0
    local server <close> = peer.serve(peer.echo, {refused = function()
      refusals = refusals + 1
    end})
    local sock <close> = assert(require "gevent.socket".create_connection("127.0.0.1",
      server.port))
    sock:settimeout(5 * helper.scale)
    assert(sock:sendall("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: "
      .. "Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n"))
    assert.matches("^HTTP/1.1 400 ", assert(sock:readuntil("\r\n")))
    assert.equal(1, refusals)
  end)
end)

describe("websocket refuses", function()
  for _, case in ipairs(REFUSED) do
    local name, bytes, code = table.unpack(case)

    it(name, function()
      local ws <close>, sock = peer.pair {max_message = 100}
      assert(sock:sendall(bytes))
      local data, reason, what, got = ws:receive(5 * helper.scale)
      assert.is_nil(data)
      assert.is_true(#reason > 0)
      assert.equal("closed", what)
      assert.equal(code, got)
      assert.same(list(nil, reason, "closed", code), received(ws))
      assert.same(list(nil, reason, "closed", code), table.pack(ws:send("x")))
      local answer = assert(peer.read_close(sock))
      assert.equal(code, answer.code)
      assert.is_nil(peer.read(sock)) -- half-closed, while it reads on
      sock:close()
      assert.is_true(ws:close())
    end)
  end

  it("a masked frame from a server", function()
    local ws <close>, sock = peer.pair {server = false}
    assert(sock:sendall(masked(1, "x")))
    assert.equal(1002, select(4, ws:receive()))
    assert.equal(1002, peer.read_close(sock).code)
    sock:close()
  end)

  it("one peer, and keeps its own promise to read on", function()
    local ws <close>, sock = peer.pair()
    assert(sock:sendall(masked(3, "x") .. ("y"):rep(100000)))
    assert.equal(1002, select(4, ws:receive()))
    for _ = 1, 20 do assert(sock:sendall(("z"):rep(10000))) end
    assert.equal(1002, peer.read_close(sock).code)
    sock:close()
    assert.is_true(ws:close())
  end)

  it("to wait for ever for what it has refused", function()
    local ws <close>, sock = peer.pair {close_timeout = SHORT}
    assert(sock:sendall(masked(3, "x")))
    assert.equal(1002, select(4, ws:receive()))
    assert.is_true(ws:close())
    helper.wait_until(function() return ws._stream.closed end)
  end)
end)

describe("websocket pings", function()
  it("in a flood take no memory, and the last is answered", function()
    local ws <close>, sock = peer.pair()
    sock:setsockopt("rcvbuf", 4096)
    ws._stream:setsockopt("sndbuf", 4096)
    local reader = gevent.spawn(ws.receive, ws)
    local all = {}
    for i = 1, 500 do all[i] = masked(9, i .. ("."):rep(100)) end
    all = table.concat(all)
    for _ = 1, 10 do
      sock:sendall(all)
      assert.is_true(ws:_pending() < 10000)
    end
    sock:sendall(masked(9, "the last one"))
    sock:setsockopt("rcvbuf", 1048576) -- small ones are slow
    local pong
    repeat pong = assert(peer.read(sock)) until pong.payload == "the last one"
    sock:sendall(masked(1, "x"))
    assert.same(list("x", "text"), list(reader:get()))
    sock:close()
  end)
end)

describe("compressed messages", function()
  it("that are bombs are refused before they go off", function()
    local server <close> = peer.serve(peer.echo,
      {upgrade = {deflate = true, max_message = 100000}})
    local ws = peer.connect(server, {deflate = true})
    assert.is_true(ws:send(("\0"):rep(50 * 1000 * 1000)))
    local data, reason, what, code = ws:receive()
    assert.same({nil, "message too big", "closed", 1009}, {data, reason, what, code})
  end)

  it("that are bombs are refused by clients, too", function()
    local server <close> = peer.serve(function(ws)
      ws:send(("\0"):rep(50 * 1000 * 1000))
      ws:receive()
    end, {upgrade = {deflate = true}})
    local ws <close> = assert(websocket.connect(peer.url(server),
      {deflate = true, max_message = 100000}))
    local data, _, what, code = ws:receive(20 * helper.scale)
    assert.same({nil, "closed", 1009}, {data, what, code})
  end)
end)

describe("a close that is not answered", function()
  it("gives up where there is no answer", function()
    local ws, sock = peer.pair {close_timeout = SHORT}
    assert.same(list(nil, "timed out", "timeout"), list(ws:close()))
    assert.is_true(ws._stream.closed)
    assert.is_true(ws:close())
    sock:close()
  end)

  it("keeps neither a handler nor a server", function()
    local done
    local server <close> = peer.serve(function(ws)
      done = table.pack(ws:close())
    end, {upgrade = {timeout = SHORT}})
    local sock <close> = peer.raw(server)
    assert.equal(1000, assert(peer.read(sock)).code)
    helper.wait_until(function() return done end)
    assert.same(list(nil, "timed out", "timeout"), done)
    helper.wait_until(function() return server._count == 0 end)
  end)
end)

slope.it("a frame that is refused", function()
  return function()
    local ws, sock = peer.pair {max_message = 100}
    sock:sendall("\x82\xff\x80\0\0\0\0\0\0\0")
    assert(select(4, ws:receive()) == 1009)
    sock:close()
    ws:close()
  end
end, {times = 2})
