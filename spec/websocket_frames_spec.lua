-- What comes in, frame by frame, over a socket: the rules themselves are tested in
-- spec/c/websocket_test.c, on memory.

local helper = require "helper"
local gevent = require "gevent"
local peer = require "helper_ws"
local it = helper.it
local frame, masked, closing = peer.frame, peer.masked, peer.closing

local SHORT = 0.01 -- seconds: a timeout that is meant to expire

--- What `receive` gives for each of the inputs; then the other end's answer.
local function received(ws)
  return table.pack(ws:receive(5 * helper.scale))
end

local function list(...) return table.pack(...) end

describe("websocket messages", function()
  it("come as text and as binary data", function()
    local ws <close>, sock = peer.pair()
    sock:sendall(masked(1, "h\u{e9}llo") .. masked(2, "\0\xff") .. masked(1, ""))
    assert.same(list("h\u{e9}llo", "text"), received(ws))
    assert.same(list("\0\xff", "binary"), received(ws))
    assert.same(list("", "text"), received(ws))
    sock:close()
  end)

  it("come in fragments, with pings between", function()
    local ws <close>, sock = peer.pair()
    sock:sendall(masked(1, "a\xc3", {fin = false}) .. masked(9, "p1")
      .. masked(0, "\xa9b", {fin = false}) .. masked(10, "q") .. masked(0, "c"))
    assert.same(list("a\u{e9}bc", "text"), received(ws))
    assert.same({fin = true, rsv = 0, opcode = 10, masked = false, payload = "p1"},
      peer.read(sock))
    sock:close()
  end)

  it("come byte by byte", function()
    local ws <close>, sock = peer.pair()
    local all = masked(1, "h\u{e9}llo", {fin = false}) .. masked(9, "ping")
      .. masked(0, " w\u{1f600}rld") .. masked(2, ("x"):rep(200))
      .. masked(8, closing(1000, "bye"))
    local sender = gevent.spawn(peer.trickle, sock, all)
    assert.same(list("h\u{e9}llo w\u{1f600}rld", "text"), received(ws))
    assert.same(list(("x"):rep(200), "binary"), received(ws))
    assert.same(list(nil, "bye", "closed", 1000), received(ws))
    sender:get()
    assert.equal("ping", peer.read(sock).payload)
    assert.equal(1000, peer.read(sock).code)
    assert.is_nil(peer.read(sock))
  end)

  it("of any size come whole", function()
    local ws <close>, sock = peer.pair()
    for _, n in ipairs {125, 126, 127, 4095, 4096, 4097, 65535, 65536, 300000} do
      local data = ("0123456789abcdef"):rep(n // 16 + 1):sub(1, n)
      local sender = gevent.spawn(sock.sendall, sock, masked(2, data))
      assert.same(list(data, "binary"), received(ws))
      assert.is_true(sender:get())
    end
    sock:close()
  end)

  it("come to a client unmasked", function()
    local ws <close>, sock = peer.pair {server = false}
    sock:sendall(frame(1, "hello") .. frame(9, "p"))
    assert.same(list("hello", "text"), received(ws))
    assert.same(list(nil, "timed out", "timeout"), table.pack(ws:receive(SHORT)))
    local pong = peer.read(sock)
    assert.is_true(pong.masked)
    assert.equal("p", pong.payload)
    sock:close()
  end)

  it("are iterated over until the end", function()
    local ws <close>, sock = peer.pair()
    sock:sendall(masked(1, "a") .. masked(2, "b") .. masked(8, closing(1001)))
    local got = {}
    for data, kind in ws:messages() do got[#got + 1] = data .. kind end
    assert.same({"atext", "bbinary"}, got)
    assert.equal(1001, ws.close_code)
  end)
end)

describe("websocket pings", function()
  it("are answered in their order", function()
    local ws <close>, sock = peer.pair()
    local all = {}
    for i = 1, 10 do all[i] = masked(9, "ping " .. i) end
    sock:sendall(table.concat(all) .. masked(1, "x"))
    assert.same(list("x", "text"), received(ws))
    for i = 1, 10 do
      local pong = peer.read(sock)
      assert.equal(10, pong.opcode)
      assert.equal("ping " .. i, pong.payload)
    end
    sock:close()
  end)

  it("of ours go out, and their pongs are ignored", function()
    local ws <close>, sock = peer.pair()
    assert.is_true(ws:ping())
    assert.is_true(ws:ping("data"))
    assert.equal("", peer.read(sock).payload)
    local ping = peer.read(sock)
    assert.equal(9, ping.opcode)
    assert.equal("data", ping.payload)
    sock:sendall(masked(10, "data") .. masked(10, "never asked for") .. masked(1, "x"))
    assert.same(list("x", "text"), received(ws))
    assert.has_error(function() ws:ping(("x"):rep(126)) end)
    sock:close()
  end)
end)

describe("websocket receive", function()
  it("keeps what has come of a message across time-outs", function()
    local ws <close>, sock = peer.pair()
    local bytes = masked(1, "h\u{e9}l", {fin = false}) .. masked(0, "lo")
    for i = 1, #bytes - 1 do
      sock:sendall(bytes:sub(i, i))
      assert.same(list(nil, "timed out", "timeout"), list(ws:receive(0)))
      if i % 5 == 0 then
        assert.same(list(nil, "timed out", "timeout"), list(ws:receive(0.0005)))
      end
    end
    sock:sendall(bytes:sub(-1))
    assert.same(list("h\u{e9}llo", "text"), received(ws))
    sock:close()
  end)

  it("keeps it across kills", function()
    local ws <close>, sock = peer.pair()
    local bytes = masked(1, "h\u{e9}l", {fin = false}) .. masked(0, "lo")
    for i = 1, #bytes - 1 do
      sock:sendall(bytes:sub(i, i))
      local g = helper.spawn_blocked(ws.receive, ws)
      g:kill()
    end
    sock:sendall(bytes:sub(-1))
    assert.same(list("h\u{e9}llo", "text"), received(ws))
    sock:close()
  end)

  it("takes one greenlet at a time", function()
    local ws <close>, sock = peer.pair()
    local g = helper.spawn_blocked(ws.receive, ws)
    local ok, err = pcall(ws.receive, ws)
    assert.is_false(ok)
    assert.is_true(gevent.isinstance(err, gevent.ConcurrentObjectUseError), tostring(err))
    assert.matches("receive", tostring(err))
    sock:sendall(masked(1, "x"))
    assert.equal("x", (g:get()))
    sock:close()
  end)

  it("goes on while another greenlet sends", function()
    local ws <close>, sock = peer.pair()
    local g = helper.spawn_blocked(ws.receive, ws)
    assert.is_true(ws:send("out"))
    assert.equal("out", peer.read(sock).payload)
    sock:sendall(masked(1, "in"))
    assert.equal("in", (g:get()))
    sock:close()
  end)

  it("tells of a peer that is gone without a Close", function()
    local ws <close>, sock = peer.pair()
    sock:sendall(masked(1, "cut", {fin = false}))
    sock:close()
    local data, reason, what, code = ws:receive()
    assert.is_nil(data)
    assert.matches("without a close frame", reason)
    assert.equal("closed", what)
    assert.equal(1006, code)
    assert.is_true(ws:close())
  end)

  it("lets others run while messages keep coming", function()
    local ws <close>, sock = peer.pair()
    local turns, done = 0, false
    local g = gevent.spawn(function()
      while not done do
        turns = turns + 1
        gevent.sleep(0)
      end
    end)
    local sender = gevent.spawn(function()
      local many = masked(1, "x"):rep(1000)
      while not done do sock:sendall(many) end
      sock:shutdown("w")
    end)
    while turns < 3 do assert.equal("x", (ws:receive())) end
    done = true
    repeat local data = ws:receive() until not data
    g:join()
    sender:join()
    sock:close()
  end)
end)

helper.battery("websocket receive", function()
  local ws, sock = peer.pair()
  return {
    call = function(timeout) return ws:receive(timeout) end,
    release = function() sock:sendall(masked(1, "x")) end,
    expect = function(...) assert.same({"x", "text", n = 2}, table.pack(...)) end,
    takes_timeout = true,
    cleanup = function()
      sock:close()
      ws:close()
    end,
  }
end)
