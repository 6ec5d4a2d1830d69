-- The closing handshake, and what becomes of a WebSocket when its handler ends, is
-- killed, or its server stops.

local helper = require "helper"
local gevent = require "gevent"
local peer = require "helper_ws"
local it = helper.it
local masked, closing = peer.masked, peer.closing

local SHORT = 0.01 -- seconds: a timeout that is meant to expire

local function list(...) return table.pack(...) end

describe("websocket close", function()
  it("sends code and reason, and waits for the answer", function()
    local ws, sock = peer.pair()
    local closer = helper.spawn_blocked(ws.close, ws, 3000, "b\u{e9}")
    local frame = peer.read(sock)
    assert.equal(8, frame.opcode)
    assert.equal(3000, frame.code)
    assert.equal("b\u{e9}", frame.reason)
    assert.is_false(closer:ready())
    assert.is_false(ws._stream.closed)
    sock:sendall(masked(8, closing(3000)))
    assert.is_true(closer:get())
    assert.is_true(ws._stream.closed)
    assert.is_nil(peer.read(sock))
    assert.same(list(nil, "b\u{e9}", "closed", 3000), list(ws:receive()))
    assert.same(list(nil, "b\u{e9}", "closed", 3000), list(ws:send("x")))
    assert.same(list(nil, "b\u{e9}", "closed", 3000), list(ws:ping()))
    assert.equal(3000, ws.close_code)
    assert.is_true(ws:close())
    sock:close()
  end)

  it("is 1000 unless told", function()
    local ws, sock = peer.pair()
    local closer = helper.spawn_blocked(ws.close, ws)
    assert.equal(1000, peer.read(sock).code)
    sock:sendall(masked(8, ""))
    assert.is_true(closer:get())
    sock:close()
  end)

  it("throws away what comes before the answer", function()
    local ws, sock = peer.pair()
    local closer = helper.spawn_blocked(ws.close, ws)
    peer.trickle(sock, masked(1, "late") .. masked(9, "p") .. masked(2, "x", {fin = false}))
    sock:sendall(masked(8, closing(1000)))
    assert.is_true(closer:get())
    assert.equal(1000, peer.read(sock).code)
    assert.is_nil(peer.read(sock)) -- no pong after a Close
    sock:close()
  end)

  it("ends with the connection", function()
    local ws, sock = peer.pair()
    local closer = helper.spawn_blocked(ws.close, ws)
    sock:close()
    assert.is_true(closer:get())
  end)

  it("ends with what breaks the rules", function()
    local ws, sock = peer.pair {close_timeout = 0.05}
    local closer = helper.spawn_blocked(ws.close, ws)
    sock:sendall(masked(3, "x"))
    assert.same(list(nil, "timed out", "timeout"), list(closer:get()))
    sock:close()
  end)

  it("gives up where nothing can be written", function()
    local ws, sock = peer.pair {close_timeout = SHORT}
    local sender = helper.spawn_blocked(ws.send, ws, ("x"):rep(20000000))
    assert.same(list(nil, "timed out", "timeout"), list(ws:close()))
    local ok, _, code = sender:get()
    assert.is_nil(ok)
    assert.equal("closed", code)
    sock:close()
  end)

  it("answers the peer's, once", function()
    local ws, sock = peer.pair()
    sock:sendall(masked(8, closing(3001, "why")) .. masked(1, "x"))
    for _ = 1, 2 do
      assert.same(list(nil, "why", "closed", 3001), list(ws:receive()))
    end
    assert.same(list(nil, "why", "closed", 3001), list(ws:send("x")))
    assert.equal("why", ws.close_reason)
    assert.is_true(ws:close())
    local frame = peer.read(sock)
    assert.equal(3001, frame.code)
    assert.is_nil(peer.read(sock))
    sock:close()
  end)

  it("answers an empty one with an empty one", function()
    local ws, sock = peer.pair()
    sock:sendall(masked(8, ""))
    assert.same(list(nil, "", "closed", 1005), list(ws:receive()))
    assert.equal("", peer.read(sock).payload)
    sock:close()
  end)

  it("wakes who receives", function()
    local ws, sock = peer.pair()
    local receiver = helper.spawn_blocked(ws.receive, ws)
    local closer = helper.spawn_blocked(ws.close, ws, 1001, "away")
    assert.same(list(nil, "away", "closed", 1001), list(receiver:get()))
    assert.is_false(closer:ready())
    sock:sendall(masked(8, closing(1001)))
    assert.is_true(closer:get())
    sock:close()
  end)

  it("by two greenlets is one", function()
    local ws, sock = peer.pair()
    local first = helper.spawn_blocked(ws.close, ws, 3000)
    local second = helper.spawn_blocked(ws.close, ws, 3001)
    assert.equal(3000, peer.read(sock).code)
    sock:sendall(masked(8, closing(3000)))
    assert.is_true(first:get())
    assert.is_true(second:get())
    assert.is_nil(peer.read(sock))
    sock:close()
  end)

  it("that is killed closes all the same", function()
    local ws, sock = peer.pair()
    local closer = helper.spawn_blocked(ws.close, ws)
    local second = helper.spawn_blocked(ws.close, ws)
    closer:kill()
    assert.is_true(ws._stream.closed)
    assert.is_true(second:get())
    sock:close()
  end)

  it("is what a scope does", function()
    local codes = {}
    for i, fn in ipairs {
      function() return true end, function() error("no", 0) end,
    } do
      local ws, sock = peer.pair()
      local g = gevent.spawn(function()
        codes[i] = peer.read(sock).code
        sock:sendall(masked(8, closing(1000)))
      end)
      pcall(function()
        local _ws <close> = ws
        fn()
      end)
      g:join()
      sock:close()
    end
    assert.same({1000, 1011}, codes)
  end)

  it("raises on codes and reasons that no Close has", function()
    local ws, sock = peer.pair()
    for _, code in ipairs {0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 1000.5, "1000"} do
      assert.has_error(function() ws:close(code) end)
    end
    for _, reason in ipairs {("x"):rep(124), "\xff", 1, {}} do
      assert.has_error(function() ws:close(1000, reason) end)
    end
    assert.is_false(ws._stream.closed)
    sock:close()
    ws:close()
  end)

  it("is seen in its text", function()
    local ws, sock = peer.pair()
    assert.matches("^<WebSocket at 0x%x+ server fd %d+ open>$", tostring(ws))
    sock:close()
    ws:close()
    assert.matches(" closed>$", tostring(ws))
  end)

  it("comes with the collector where nobody closes", function()
    local _, sock = peer.pair()
    _ = nil
    collectgarbage()
    collectgarbage()
    assert.is_nil(peer.read(sock))
    sock:close()
  end)
end)

describe("the handler of a websocket", function()
  it("closes with 1000 when it returns", function()
    local server <close> = peer.serve(function() return "ignored" end)
    local sock <close> = peer.raw(server)
    assert.equal(1000, peer.read(sock).code)
    sock:sendall(masked(8, closing(1000)))
    assert.is_nil(peer.read(sock))
  end)

  it("closes with 1011 when it fails, and is reported", function()
    local printed <close> = helper.capture_errors()
    local server <close> = peer.serve(function() error("oops") end)
    local sock <close> = peer.raw(server)
    assert.equal(1011, peer.read(sock).code)
    sock:sendall(masked(8, closing(1011)))
    assert.is_nil(peer.read(sock))
    assert.matches("oops", printed:text())
  end)

  it("may close as it likes", function()
    local server <close> = peer.serve(function(ws) ws:close(4000, "mine") end)
    local ws = peer.connect(server)
    assert.same(list(nil, "mine", "closed", 4000), list(ws:receive()))
  end)

  it("hears of the client's end", function()
    local ended
    local server <close> = peer.serve(function(ws) ended = list(ws:receive()) end)
    local ws = peer.connect(server)
    assert.is_true(ws:close(4001, "bye"))
    helper.wait_until(function() return ended end)
    assert.same(list(nil, "bye", "closed", 4001), ended)
  end)

  it("tells the client what it did wrong before it hangs up", function()
    local server <close> = peer.serve(peer.echo)
    local sock <close> = peer.raw(server)
    sock:sendall(masked(1, "\xff") .. ("more"):rep(1000))
    assert.equal(1007, peer.read(sock).code)
    assert.is_nil(peer.read(sock))
  end)
end)

describe("a state that is closed", function()
  it("takes its websockets with it, whatever they wait for", function()
    local code, out, err = helper.run_lua([[
      local gevent = require "gevent"
      local http = require "gevent.http"
      local websocket = require "gevent.websocket"
      local server = http.Server("127.0.0.1:0", function(req, res)
        local ws <close> = websocket.upgrade(req, res, {deflate = true})
        if req.path == "/sleep" then gevent.sleep(100) end
        for data in ws:messages() do ws:send(data) end
      end)
      assert(server:start())
      local url = "ws://127.0.0.1:" .. server.port
      local function connect(path)
        return assert(websocket.connect(url .. path, {deflate = true}))
      end
      local echo, one, two, three = connect "/", connect "/sleep", connect "/sleep", connect "/"
      echo:send("hello")
      assert(echo:receive() == "hello")
      gevent.spawn(one.close, one)
      gevent.spawn(two.send, two, function() gevent.sleep(100) return "x" end)
      gevent.spawn(two.send, two, "after it")
      gevent.spawn(three.receive, three)
      gevent.sleep(0.01)
      print "done"
      os.exit(true, true)
    ]])
    assert.same({0, "done\n", ""}, {code, out, err})
  end)
end)

helper.battery("websocket close", function()
  local ws, sock = peer.pair()
  local fresh = true
  return {
    call = function()
      if not fresh then -- a call that was ended has closed it: another
        sock:close()
        ws, sock = peer.pair()
      end
      fresh = false
      return ws:close()
    end,
    release = function() sock:sendall(masked(8, closing(1000))) end,
    expect = function(ok) assert.is_true(ok) end,
    cleanup = function()
      sock:close()
      ws:close()
    end,
  }
end)
