-- Sending: turns, parts, a peer that does not read, kills and time-outs.

local helper = require "helper"
local gevent = require "gevent"
local peer = require "helper_ws"
local it = helper.it
local masked, closing = peer.masked, peer.closing

local SHORT = 0.01 -- seconds: a timeout that is meant to expire
local BIG = ("x"):rep(8000000) -- more than the buffers between two sockets

local function list(...) return table.pack(...) end

--- The payload of the next message, and the number of its frames; other frames are
-- left out.
local function read_message(sock)
  local parts, kind = {}, nil
  while true do
    local frame = assert(peer.read(sock))
    if frame.opcode < 8 then
      assert((frame.opcode == 0) == (kind ~= nil), "messages are interleaved")
      kind = kind or frame.opcode
      parts[#parts + 1] = frame.payload
      if frame.fin then return table.concat(parts), #parts, kind end
    end
  end
end

describe("websocket send", function()
  it("sends a text unless told", function()
    local ws <close>, sock = peer.pair()
    assert.is_true(ws:send("h\u{e9}llo"))
    assert.is_true(ws:send("\xff\0", "binary"))
    assert.is_true(ws:send(""))
    assert.is_true(ws:send(12, "text"))
    assert.same({fin = true, rsv = 0, opcode = 1, masked = false, payload = "h\u{e9}llo"},
      peer.read(sock))
    assert.same({fin = true, rsv = 0, opcode = 2, masked = false, payload = "\xff\0"},
      peer.read(sock))
    assert.equal("", peer.read(sock).payload)
    assert.equal("12", peer.read(sock).payload)
    sock:close()
  end)

  it("masks what a client sends, each time anew", function()
    local ws <close>, sock = peer.pair {server = false}
    local masks = {}
    for i = 1, 200 do
      ws:send("hello")
      local bytes = assert(sock:readexactly(11))
      assert.equal("\x81\x85", bytes:sub(1, 2))
      masks[i] = bytes:sub(3, 6)
      assert.is_nil(masks[masks[i]])
      masks[masks[i]] = true
    end
    sock:close()
  end)

  it("raises on what is no text, no kind, no data", function()
    local ws <close>, sock = peer.pair()
    for _, args in ipairs {{"\xff"}, {"a\xc3"}, {"x", "txt"}, {"x", 1}, {nil}, {true}, {{}}} do
      assert.has_error(function() ws:send(args[1], args[2]) end)
    end
    assert.error_matches(function() ws:send() end, "string or iterator expected")
    assert.is_true(ws:send("x"))
    assert.equal("x", peer.read(sock).payload)
    sock:close()
  end)

  it("cuts messages into frames of a size", function()
    local ws <close>, sock = peer.pair {fragment = 1000}
    local data = ("0123456789"):rep(1024)
    ws:send(data)
    ws:send("x", "binary")
    assert.same(list(data, 11, 1), list(read_message(sock)))
    assert.same(list("x", 1, 2), list(read_message(sock)))
    sock:close()
  end)

  it("of several greenlets never interleaves, and keeps their order", function()
    for _, fragment in ipairs {0, 65536} do
      local ws <close>, sock = peer.pair {fragment = fragment}
      local senders = {}
      for i = 1, 6 do
        senders[i] = gevent.spawn(function()
          assert(ws:send(tostring(i):rep(700000)))
          assert(ws:send("small" .. i))
        end)
      end
      local pinger = gevent.spawn(function() return ws:ping("p") end)
      helper.wait_all_blocked()
      local big, seen = {}, {}
      for _ = 1, 12 do
        local data = read_message(sock)
        if data:find("^small") then
          assert.is_true(seen[data:sub(6)]) -- after its sender's first
        else
          assert.equal(data:sub(1, 1):rep(700000), data)
          seen[data:sub(1, 1)] = true
          big[#big + 1] = data:sub(1, 1)
        end
      end
      assert.equal("123456", table.concat(big))
      gevent.joinall(senders, nil, {raise_error = true})
      assert.is_true(pinger:get())
      sock:close()
    end
  end)

  it("waits for a peer that does not read, and no longer than its time-out", function()
    local ws <close>, sock = peer.pair {timeout = SHORT}
    assert.same(list(nil, "timed out", "timeout"), list(ws:send(BIG)))
    assert.same(list(nil, "timed out", "timeout"), list(ws:send("after")))
    sock:close()
  end)

  it("completes what a killed sender had begun", function()
    local ws <close>, sock = peer.pair()
    local first = helper.spawn_blocked(ws.send, ws, BIG)
    local second = helper.spawn_blocked(ws.send, ws, "second")
    local third = helper.spawn_blocked(ws.send, ws, "third")
    second:kill() -- it had not begun
    first:kill()
    assert.equal(#BIG, #(read_message(sock)))
    assert.equal("third", (read_message(sock)))
    assert.is_true(third:get())
    sock:close()
  end)

  it("completes it though nobody sends again", function()
    local ws <close>, sock = peer.pair()
    local sender = helper.spawn_blocked(ws.send, ws, BIG)
    sender:kill()
    assert.equal(#BIG, #(read_message(sock)))
    sock:close()
  end)

  it("is not waited for by who receives", function()
    local ws <close>, sock = peer.pair()
    local sender = helper.spawn_blocked(ws.send, ws, BIG)
    for i = 1, 100 do
      sock:sendall(masked(9, "p" .. i) .. masked(1, "m" .. i))
      assert.equal("m" .. i, (ws:receive()))
    end
    assert.is_false(sender:ready())
    assert.equal(#BIG, #(read_message(sock)))
    assert.is_true(sender:get())
    assert.equal("p100", peer.read(sock).payload) -- the last stands for all
    sock:close()
  end)

  it("answers pings though nobody sends nor receives again", function()
    local ws <close>, sock = peer.pair()
    sock:setsockopt("rcvbuf", 4096)
    ws._stream:setsockopt("sndbuf", 4096)
    local reader = helper.spawn_blocked(ws.receive, ws)
    local count = 0
    repeat
      for _ = 1, 50 do
        count = count + 1
        sock:sendall(masked(9, count .. "." .. ("x"):rep(100)))
      end
      helper.wait_all_blocked()
    until ws:_pending() > 0
    sock:setsockopt("rcvbuf", 1048576) -- small ones are slow
    local last
    repeat last = tonumber(peer.read(sock).payload:match("^%d+")) until last == count
    reader:kill()
    sock:close()
  end)

  it("tells of a peer that is gone", function()
    local ws <close>, sock = peer.pair()
    local sender = helper.spawn_blocked(ws.send, ws, BIG)
    sock:close()
    local ok, message, code = sender:get()
    assert.is_nil(ok)
    assert.is_true(#message > 0)
    assert.is_true(code == "EPIPE" or code == "ECONNRESET", code)
  end)

  it("in the middle is ended by the peer's close", function()
    local ws <close>, sock = peer.pair()
    local sender = helper.spawn_blocked(ws.send, ws, BIG)
    local waiting = helper.spawn_blocked(ws.send, ws, "x")
    sock:sendall(masked(8, closing(1001)))
    assert.equal(1001, select(4, ws:receive()))
    assert.equal(1001, select(4, ws:send("y")))
    assert.equal(#BIG, #(read_message(sock))) -- whole, and then the answer
    assert.equal(1001, peer.read(sock).code)
    assert.is_true(sender:get())
    assert.same(list(nil, "", "closed", 1001), list(waiting:get()))
    sock:close()
  end)
end)

local function parts_of(values)
  local i = 0
  return function()
    i = i + 1
    return values[i]
  end
end

describe("websocket send of an iterator", function()
  it("sends a frame for each part", function()
    local ws <close>, sock = peer.pair()
    assert.is_true(ws:send(parts_of {"a", "", "b\xc3", "\xa9"}))
    assert.same(list("ab\u{e9}", 4, 1), list(read_message(sock)))
    assert.is_true(ws:send(parts_of {"\xff"}, "binary"))
    assert.same(list("\xff", 2, 2), list(read_message(sock)))
    assert.is_true(ws:send(parts_of {}))
    assert.same(list("", 1, 1), list(read_message(sock)))
    sock:close()
  end)

  it("sends each part at once, and others wait; control frames do not", function()
    local ws <close>, sock = peer.pair()
    local gate = helper.gate()
    local sender = gevent.spawn(function()
      local n = 0
      return ws:send(function()
        n = n + 1
        if n == 2 then gate:wait() end
        return n < 4 and "part" .. n or nil
      end)
    end)
    assert.equal("part1", peer.read(sock).payload)
    local other = helper.spawn_blocked(ws.send, ws, "other")
    sock:sendall(masked(9, "p") .. masked(1, "x"))
    assert.equal("x", (ws:receive()))
    assert.equal("p", peer.read(sock).payload)
    gate:open()
    assert.equal("part2", peer.read(sock).payload)
    assert.equal("part3", peer.read(sock).payload)
    assert.is_true(peer.read(sock).fin)
    assert.equal("other", peer.read(sock).payload)
    assert.is_true(sender:get())
    assert.is_true(other:get())
    sock:close()
  end)

  --- The error of a send whose iterator does that; the Close that follows.
  local function broken(fn)
    local ws, sock = peer.pair()
    local ok, err = pcall(ws.send, ws, function() return fn(ws) end)
    local close = assert(peer.read_close(sock))
    assert.is_false(ok)
    assert.same(list(nil, close.reason, "closed", close.code), list(ws:send("x")))
    sock:sendall(masked(8, closing(close.code)))
    assert.is_true(ws:close())
    sock:close()
    return err, close.code
  end

  it("ends the connection when the iterator fails", function()
    local n = 0
    local err, code = broken(function()
      n = n + 1
      if n == 2 then error("no more", 0) end
      return "part"
    end)
    assert.equal("no more", err)
    assert.equal(1011, code)
  end)

  it("ends it when a part is no string, or no text", function()
    local err, code = broken(parts_of {"a", true})
    assert.matches("boolean", err)
    assert.equal(1011, code)
    err, code = broken(parts_of {"a", "\xff"})
    assert.matches("UTF%-8", err)
    assert.equal(1011, code)
    err = broken(parts_of {"a", "\xc3"})
    assert.matches("UTF%-8", err)
  end)

  it("ends it when the iterator sends", function()
    local err, code = broken(function(ws) return ws:send("inside") end)
    assert.matches("must not send", err)
    assert.equal(1011, code)
  end)

  it("ends when the iterator closes", function()
    local ws, sock = peer.pair()
    local sender = gevent.spawn(ws.send, ws, function()
      ws:close(3000)
      return "late"
    end)
    assert.equal(3000, peer.read(sock).code)
    sock:sendall(masked(8, closing(3000)))
    assert.same(list(nil, "", "closed", 3000), list(sender:get()))
    sock:close()
  end)

  it("does not keep a close waiting", function()
    local ws, sock = peer.pair()
    local gate = helper.gate()
    local sender = helper.spawn_blocked(ws.send, ws, function()
      gate:wait()
      return "late"
    end)
    local closer = helper.spawn_blocked(ws.close, ws, 3000)
    assert.equal(3000, peer.read(sock).code)
    sock:sendall(masked(8, closing(3000)))
    assert.is_true(closer:get())
    gate:open()
    assert.same(list(nil, "", "closed", 3000), list(sender:get()))
    sock:close()
  end)

  it("ends it when the sender is killed between two parts", function()
    local ws, sock = peer.pair()
    local gate = helper.gate()
    local sender = helper.spawn_blocked(ws.send, ws, function()
      gate:wait()
      return "x"
    end)
    local other = helper.spawn_blocked(ws.send, ws, "other")
    sender:kill()
    assert.equal(1011, peer.read_close(sock).code)
    assert.equal(1011, select(4, other:get()))
    sock:close()
    assert.is_true(ws:close())
  end)
end)

helper.battery("websocket send", function()
  local ws, sock = peer.pair()
  helper.spawn_blocked(ws.send, ws, BIG)
  local reader
  return {
    call = function() return ws:send("x") end,
    release = function() reader = gevent.spawn(sock.read, sock, "a") end,
    expect = function(ok) assert.is_true(ok) end,
    cleanup = function()
      sock:close()
      ws:close()
      if reader then reader:join() end
    end,
  }
end)

helper.battery("websocket ping", function()
  local ws, sock = peer.pair()
  helper.spawn_blocked(ws.send, ws, BIG)
  local reader
  return {
    call = function() return ws:ping("x") end,
    release = function() reader = gevent.spawn(sock.read, sock, "a") end,
    expect = function(ok) assert.is_true(ok) end,
    cleanup = function()
      sock:close()
      ws:close()
      if reader then reader:join() end
    end,
  }
end)
