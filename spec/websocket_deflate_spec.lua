-- permessage-deflate: its negotiation, and compressed messages end to end.

local helper = require "helper"
local gevent = require "gevent"
local core = require "gevent._core"
local peer = require "helper_ws"
local pmdeflate = require "gevent._pmdeflate"
local socket = require "gevent.socket"
local websocket = require "gevent.websocket"
local it = helper.it
local masked = peer.masked

local function list(...) return table.pack(...) end

local NAME = "permessage-deflate"

--- The header that a server with these options answers to the offers.
local function answer(offers, opts)
  return (pmdeflate.accept(offers, opts or {}))
end

describe("the negotiation of permessage-deflate", function()
  it("accepts what is offered", function()
    assert.equal(NAME, answer(NAME))
    assert.equal(NAME, answer("foo; bar=1, " .. NAME))
    assert.equal(NAME, answer(NAME .. "; client_max_window_bits"))
    assert.equal(NAME .. "; server_no_context_takeover",
      answer(NAME .. ";server_no_context_takeover"))
    assert.equal(NAME .. "; client_no_context_takeover",
      answer(NAME .. "; client_no_context_takeover"))
    assert.equal(NAME .. "; server_max_window_bits=10",
      answer(NAME .. "; server_max_window_bits=10"))
    assert.equal(NAME .. "; client_max_window_bits=9",
      answer(NAME .. '; client_max_window_bits="9"'))
  end)

  it("takes the first offer that will do", function()
    assert.equal(NAME .. "; server_max_window_bits=9",
      answer(NAME .. "; nonsense, " .. NAME .. "; server_max_window_bits=9, " .. NAME))
  end)

  it("declines what the RFC does not know", function()
    for _, params in ipairs {
      "x", "server_no_context_takeover=1", "server_max_window_bits",
      "server_max_window_bits=7", "server_max_window_bits=16",
      "server_max_window_bits=08", "client_max_window_bits=x",
      "client_max_window_bits=", "server_max_window_bits=9; server_max_window_bits=9",
    } do
      assert.is_nil(answer(NAME .. "; " .. params), params)
    end
    for _, text in ipairs {"", ",", "x", NAME .. ";", NAME .. ' x', "@", NAME .. "; a=\""} do
      assert.is_nil(answer(text), text)
    end
  end)

  it("adds what the server wants", function()
    local opts = {server_no_context_takeover = true, client_no_context_takeover = true,
      server_max_window_bits = 11, client_max_window_bits = 12}
    assert.equal(NAME .. "; server_max_window_bits=10; client_max_window_bits=12; "
      .. "server_no_context_takeover; client_no_context_takeover",
      answer(NAME .. "; client_max_window_bits; server_max_window_bits=10", opts))
    -- a client that does not offer it cannot be told its window
    assert.is_nil(answer(NAME, opts):find("client_max_window_bits"))
  end)

  it("is refused by a client whose wishes the server ignores", function()
    local function agree(text, opts) return pmdeflate.agree(text, opts or {}) end
    assert.is_nil(agree(nil))
    assert.equal(15, agree(NAME).own_bits)
    assert.equal(9, agree(NAME .. "; client_max_window_bits=9").own_bits)
    assert.equal(8, agree(NAME .. "; server_max_window_bits=8").peer_bits)
    assert.is_true(agree(NAME .. "; server_no_context_takeover").peer_reset)
    assert.is_true(agree(NAME .. "; client_no_context_takeover").own_reset)
    for _, text in ipairs {
      "x", NAME .. ", " .. NAME, NAME .. "; client_max_window_bits", NAME .. "; y", "",
    } do
      assert.is_false(agree(text), text)
    end
    assert.is_false(agree(NAME, {server_max_window_bits = 10}))
    assert.is_false(agree(NAME, {server_no_context_takeover = true}))
    assert.is_false(pmdeflate.agree(NAME, nil))
  end)
end)

-- Lua values in many lines: what compresses well, and no line twice.
local function lines(n)
  local all = {}
  for i = 1, n do all[i] = ('{"id": %d, "name": "item %d"}'):format(i, i * 7) end
  return table.concat(all, "\n")
end

local OPTIONS = {
  {}, {server_no_context_takeover = true}, {client_no_context_takeover = true},
  {server_max_window_bits = 9}, {client_max_window_bits = 9},
  {server_max_window_bits = 8, client_max_window_bits = 8}, {level = 1}, {level = 9},
  {server_no_context_takeover = true, client_no_context_takeover = true,
    server_max_window_bits = 12, client_max_window_bits = 10, level = 3},
}

describe("compressed messages", function()
  for i, options in ipairs(OPTIONS) do
    for _, side in ipairs {"server", "client", "both"} do
      it(("go both ways, with options %d at the %s"):format(i, side), function()
        local server <close> = peer.serve(peer.echo, {
          upgrade = {deflate = side ~= "client" and options or true},
        })
        local ws <close> = peer.connect(server,
          {deflate = side ~= "server" and options or true})
        assert.equal(NAME, ws.extensions)
        for _, n in ipairs {0, 1, 2, 100, 3000} do
          local data = lines(n)
          for _, kind in ipairs {"text", "binary"} do
            assert.is_true(ws:send(data, kind))
            assert.same(list(data, kind), list(ws:receive()))
          end
        end
        local n = 0
        assert.is_true(ws:send(function()
          n = n + 1
          return n < 5 and "part " .. n or nil
        end))
        assert.equal("part 1part 2part 3part 4", (ws:receive()))
        assert.is_true(ws:send("after"))
        assert.equal("after", (ws:receive()))
      end)
    end
  end

  it("are small, and the second time smaller", function()
    local server <close> = peer.serve(peer.echo, {upgrade = {deflate = true}})
    local sock <close>, head = peer.raw(server, "Sec-WebSocket-Extensions: " .. NAME .. "\r\n")
    assert.matches("\r\nSec%-WebSocket%-Extensions: permessage%-deflate\r\n", head)
    local data, sizes = lines(100), {}
    for i = 1, 2 do
      sock:sendall(masked(1, data))
      local frame = peer.read(sock)
      assert.equal(4, frame.rsv)
      sizes[i] = #frame.payload
    end
    assert.is_true(sizes[1] < #data / 2)
    assert.is_true(sizes[2] < sizes[1] / 2)
  end)

  it("are not made where nobody has agreed to it", function()
    local server <close> = peer.serve(peer.echo, {upgrade = {deflate = true}})
    local plain <close> = peer.serve(peer.echo)
    local ws <close> = peer.connect(server)
    assert.is_nil(ws.extensions)
    local other <close> = peer.connect(plain, {deflate = true})
    assert.is_nil(other.extensions)
  end)

  it("are refused by the server where they were not agreed to", function()
    local server <close> = peer.serve(peer.echo)
    local sock <close> = peer.raw(server, "Sec-WebSocket-Extensions: " .. NAME .. "\r\n")
    sock:sendall(masked(1, "\xf2\x48\xcd\xc9\xc9\7\0", {rsv = 4}))
    assert.equal(1002, peer.read(sock).code)
  end)

  it("come byte by byte, in fragments, with pings between", function()
    local deflate = {own_bits = 15, peer_bits = 15, level = -1}
    local ws <close>, sock = peer.pair {deflate = deflate}
    local g = gevent.spawn(peer.trickle, sock, masked(1, "\xf2\x48", {fin = false, rsv = 4})
      .. masked(9, "p") .. masked(0, "\xcd\xc9\xc9", {fin = false}) .. masked(0, "\7\0")
      .. masked(1, "\xf2\0\x11\0\0", {rsv = 4}))
    assert.same(list("Hello", "text"), list(ws:receive()))
    assert.same(list("Hello", "text"), list(ws:receive()))
    g:join()
    sock:close()
  end)

  it("that are broken are refused", function()
    for _, payload in ipairs {"\xff\xff\xff", "\xf2\x48\xcd"} do
      local deflate = {own_bits = 15, peer_bits = 15, level = -1}
      local ws, sock = peer.pair {deflate = deflate}
      sock:sendall(masked(1, payload, {rsv = 4}))
      assert.equal(1007, select(4, ws:receive()))
      sock:close()
      ws:close()
    end
  end)

  it("are checked to be UTF-8 when they are texts", function()
    local deflate = {own_bits = 15, peer_bits = 15, level = -1}
    local ws, sock = peer.pair {deflate = deflate}
    sock:sendall(masked(1, "\0\1\0\xfe\xff\xff\0", {rsv = 4})) -- stored: FF
    assert.equal(1007, select(4, ws:receive()))
    sock:close()
    ws:close()
  end)
end)

describe("a client that asked for compression", function()
  --- What connect returns where the server answers with that extension.
  local function try(extension, opts)
    local listener <close> = assert(socket.create_server("127.0.0.1:0"))
    local _, port = listener:getsockname()
    local g = gevent.spawn(function()
      local sock <close> = assert(listener:accept())
      local key = sock:readuntil("\r\n\r\n"):match("Sec%-WebSocket%-Key: (%S+)\r\n")
      sock:sendall("HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        .. "Sec-WebSocket-Accept: " .. core.websocket_accept(key) .. "\r\n"
        .. "Sec-WebSocket-Extensions: " .. extension .. "\r\n\r\n")
      sock:read("a")
    end)
    local results = list(websocket.connect("ws://127.0.0.1:" .. port, opts))
    if results[1] then results[1]._stream:close() end
    g:join()
    return results[1], results[3]
  end

  it("takes what it may be given, and nothing else", function()
    assert.is_truthy(try(NAME, {deflate = true}))
    assert.is_truthy(try(NAME .. "; client_max_window_bits=8", {deflate = true}))
    assert.same({nil, "handshake"}, {try(NAME .. "; x", {deflate = true})})
    assert.same({nil, "handshake"}, {try("x-webkit-deflate-frame", {deflate = true})})
    assert.same({nil, "handshake"}, {try(NAME)})
  end)
end)
