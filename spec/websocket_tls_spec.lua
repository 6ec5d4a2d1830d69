-- wss: the same over TLS.

local helper = require "helper"
local gevent = require "gevent"
local core = require "gevent._core"
local peer = require "helper_ws"
local tls = require "helper_tls"
local websocket = require "gevent.websocket"
local it = helper.it
local masked, closing = peer.masked, peer.closing

local BIG = ("x"):rep(8000000) -- more than the buffers between two sockets

local function list(...) return table.pack(...) end

if not tls.have "openssl" then
  describe("wss", function()
    pending("the openssl program is not installed", function() end)
  end)
  return
end

local function serve(handle, opts)
  local all = {ssl_context = tls.server()}
  for name, value in pairs(opts or {}) do all[name] = value end
  return peer.serve(handle, all)
end

local function url(server)
  return ("wss://localhost:%d/"):format(server.port)
end

local function connect(server, opts)
  local all = {ssl_context = tls.client()}
  for name, value in pairs(opts or {}) do all[name] = value end
  return websocket.connect(url(server), all)
end

--- A WebSocket of ours over TLS, and the TLS socket at the other end.
local function pair()
  local sock, own = tls.pair {tcp = true}
  sock:settimeout(5 * helper.scale)
  local ws = core.websocket(own, {
    _stream = own, _timeout = 5 * helper.scale, _close_timeout = 5 * helper.scale,
  }, {server = true, max_message = 10000000, fragment = 0})
  return ws, sock
end

describe("wss", function()
  it("carries messages both ways", function()
    local scheme
    local server <close> = serve(function(ws, req)
      scheme = req.scheme
      return peer.echo(ws)
    end, {upgrade = {deflate = true}})
    for _, deflate in ipairs {false, true} do
      local ws = assert(connect(server, {deflate = deflate}))
      for _, n in ipairs {0, 1, 125, 126, 16384, 16385, 300000} do
        local data = ("0123456789"):rep(n // 10 + 1):sub(1, n)
        assert.is_true(ws:send(data, "binary"))
        assert.same(list(data, "binary"), list(ws:receive()))
      end
      assert.is_true(ws:ping())
      assert.is_true(ws:close(1000, "bye"))
    end
    assert.equal("https", scheme)
  end)

  it("takes the origin of a page that came by https", function()
    local server <close> = serve(peer.echo)
    local ws = assert(connect(server,
      {headers = {Origin = "https://localhost:" .. server.port}}))
    ws:close()
    local _, _, code, status = connect(server, {headers = {Origin = "https://localhost"}})
    assert.same({"handshake", 403}, {code, status})
  end)

  it("refuses a server that it does not know", function()
    local server <close> = serve(peer.echo)
    local ws, _, code = websocket.connect(url(server))
    assert.is_nil(ws)
    assert.equal("ESSL", code)
  end)

  it("is not answered by a server without TLS", function()
    local server <close> = peer.serve(peer.echo)
    local ws, _, code = connect(server, {timeout = 5 * helper.scale})
    assert.is_nil(ws)
    assert.equal("ESSL", code)
  end)

  it("hears of the end: by a Close, a failure, a stop", function()
    local server = serve(function(ws) ws:receive() end)
    local ws = assert(connect(server))
    ws:send("x")
    assert.same(list(nil, "", "closed", 1000), list(ws:receive()))
    ws = assert(connect(server))
    local stopper = gevent.spawn(server.stop, server, 5)
    assert.same(list(nil, "", "closed", 1001), list(ws:receive()))
    stopper:join()
  end)

  it("comes byte by byte", function()
    local ws, sock = pair()
    local g = gevent.spawn(peer.trickle, sock, masked(1, "h\u{e9}l", {fin = false})
      .. masked(9, "p") .. masked(0, "lo") .. masked(8, closing(3000, "x")))
    assert.same(list("h\u{e9}llo", "text"), list(ws:receive()))
    assert.same(list(nil, "x", "closed", 3000), list(ws:receive()))
    g:join()
    assert.equal("p", peer.read(sock).payload)
    assert.equal(3000, peer.read(sock).code)
    sock:close()
  end)

  it("receives while it sends, and completes what a killed sender had begun", function()
    local ws, sock = pair()
    local sender = helper.spawn_blocked(ws.send, ws, BIG)
    sock:sendall(masked(1, "x"))
    assert.equal("x", (ws:receive()))
    sender:kill()
    local got = 0
    repeat
      local frame = assert(peer.read(sock))
      got = got + #frame.payload
    until frame.fin
    assert.equal(#BIG, got)
    sock:close()
    ws:close()
  end)

  it("tells the peer what it did wrong before it hangs up", function()
    local ws, sock = pair()
    sock:sendall(masked(3, "x") .. ("y"):rep(10000))
    assert.equal(1002, select(4, ws:receive()))
    assert.equal(1002, peer.read_close(sock).code)
    sock:close()
    assert.is_true(ws:close())
  end)
end)

helper.battery("websocket receive over TLS", function()
  local ws, sock = pair()
  return {
    call = function(timeout) return ws:receive(timeout) end,
    release = function() sock:sendall(masked(1, "x")) end,
    expect = function(...) assert.same({"x", "text", n = 2}, table.pack(...)) end,
    fname = "receive",
    takes_timeout = true,
    cleanup = function()
      sock:close()
      ws:close()
    end,
  }
end)
