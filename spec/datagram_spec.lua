-- recvfrom and sendto, and DatagramServer.

local helper = require "helper"
local gevent = require "gevent"
local server = require "gevent.server"
local socket = require "gevent.socket"
local it = helper.it

local function bound(family, host)
  local sock = assert(socket.socket(family or "inet", "dgram"))
  assert(sock:bind(host or "127.0.0.1", 0))
  return sock, select(2, sock:getsockname())
end

describe("datagrams", function()
  it("go there and back, with their addresses", function()
    local a, aport = bound()
    local b, bport = bound()
    local _a <close> = a
    local _b <close> = b
    assert.equal(5, a:sendto("hello", "127.0.0.1", bport))
    assert.same({"hello", "127.0.0.1", aport}, {b:recvfrom(100)})
    assert.equal(0, b:sendto("", "127.0.0.1", aport))
    assert.same({"", "127.0.0.1", bport}, {a:recvfrom(100)})
  end)

  it("keep their bounds; what does not fit is lost", function()
    local a = bound()
    local b, bport = bound()
    local _a <close> = a
    local _b <close> = b
    a:sendto("first one", "127.0.0.1", bport)
    a:sendto("second", "127.0.0.1", bport)
    assert.equal("first", (b:recvfrom(5)))
    assert.equal("second", (b:recvfrom(100)))
  end)

  it("may be 65507 bytes long, and no longer", function()
    local a = bound()
    local b, bport = bound()
    local _a <close> = a
    local _b <close> = b
    local text = ("x"):rep(65507)
    assert.equal(#text, a:sendto(text, "127.0.0.1", bport))
    assert.equal(text, (b:recvfrom(65535)))
    local n, _, code = a:sendto(text .. "y", "127.0.0.1", bport)
    assert.is_nil(n)
    assert.equal("EMSGSIZE", code)
  end)

  it("may be empty, by sendto and by send", function()
    local a <close>, b = socket.socketpair("unix", "dgram")
    local _b <close> = b
    assert.equal(0, a:send(""))
    assert.equal("", (b:recv(10, 1)))
    local here <close> = socket.socket("inet", "dgram")
    local there <close> = socket.socket("inet", "dgram")
    here:bind("127.0.0.1", 0)
    assert.equal(0, there:sendto("", here:getsockname()))
    assert.equal("", (here:recvfrom(10, 1)))
    there:connect(here:getsockname())
    assert.equal(0, there:send(""))
    assert.equal("", (here:recvfrom(10, 1)))
  end)

  it("may be longer over Unix sockets, for recv and recvfrom", function()
    local a, b = socket.socketpair("unix", "dgram")
    local _a <close> = a
    local _b <close> = b
    local text = ("0123456789"):rep(12000)
    assert.equal(#text, a:send(text))
    assert.equal(text, (b:recvfrom(200000)))
    a:send(text)
    a:send("short")
    assert.equal(text, b:recv(200000))
    assert.equal("short", b:recv(1 << 40))
    assert.same({nil, "timed out", "timeout"}, {b:recv(200000, 0)})
    a:send(text)
    assert.equal(text:sub(1, 100), b:recv(100)) -- the rest is lost
    local reader = helper.spawn_blocked(b.recv, b, 200000)
    a:send(text)
    assert.equal(text, reader:get())
    assert.same({nil, "timed out", "timeout"}, {b:recv(200000, 0.001)})
  end)

  it("go to a host by name", function()
    local a = bound()
    local b, bport = bound()
    local _a <close> = a
    local _b <close> = b
    assert.equal(2, a:sendto("hi", "localhost", bport))
    assert.equal("hi", (b:recvfrom(10, 5)))
  end)

  it("go over Unix sockets", function()
    local path = os.tmpname()
    os.remove(path)
    local a <close> = assert(socket.socket("unix", "dgram"))
    local b <close> = assert(socket.socket("unix", "dgram"))
    assert(b:bind(path))
    local _remove <close> = helper.defer(function() os.remove(path) end)
    assert.equal(3, a:sendto("abc", path))
    assert.same({"abc", ""}, {b:recvfrom(10)})
  end)

  it("connected ones are sent and received without an address", function()
    local a = bound()
    local b, bport = bound()
    local _a <close> = a
    local _b <close> = b
    assert(a:connect("127.0.0.1", bport))
    assert.equal(4, a:send("text"))
    local _, host, port = b:recvfrom(10)
    b:sendto("back", host, port)
    assert.equal("back", a:recv(10))
  end)

  it("misuse raises", function()
    local a <close> = (bound())
    assert.has_error(function() a:recvfrom() end)
    assert.has_error(function() a:recvfrom(-1) end)
    assert.has_error(function() a:sendto({}, "127.0.0.1", 1) end)
    assert.has_error(function() a:sendto("x", "127.0.0.1", 70000) end)
  end)

  it("a closed socket is EBADF", function()
    local a = bound()
    a:close()
    assert.equal("EBADF", (select(3, a:recvfrom(1))))
    assert.equal("EBADF", (select(3, a:sendto("x", "127.0.0.1", 1))))
  end)
end)

helper.battery("recv", function()
  local a, b = socket.socketpair("unix", "dgram")
  return {
    call = function(timeout) return b:recv(100000, timeout) end,
    release = function() a:send("data") end,
    expect = function(data) assert.equal("data", data) end,
    takes_timeout = true,
    cleanup = function()
      a:close()
      b:close()
    end,
  }
end)

helper.battery("recvfrom", function()
  local a = bound()
  local b, bport = bound()
  return {
    call = function(timeout) return b:recvfrom(10, timeout) end,
    release = function() a:sendto("data", "127.0.0.1", bport) end,
    expect = function(data) assert.equal("data", data) end,
    timeout_result = table.pack(nil, "timed out", "timeout"),
    takes_timeout = true,
    cleanup = function()
      a:close()
      b:close()
    end,
  }
end)

describe("DatagramServer", function()
  it("is over where its socket is none any more", function()
    local log = {}
    local s = server.DatagramServer("127.0.0.1:0", function() end,
      {error_log = function(text) log[#log + 1] = text end})
    assert(s:start())
    local waiter = gevent.spawn(s.serve_forever, s)
    gevent.sleep(0)
    s.socket:close()
    waiter:get()
    assert.is_true(s.closed)
    assert.equal(1, #log)
  end)

  local function client(port)
    local sock = bound()
    assert(sock:connect("127.0.0.1", port))
    return sock
  end

  it("runs a handler for each datagram, and answers", function()
    local s
    s = server.DatagramServer("127.0.0.1:0", function(data, host, port)
      s:sendto(data:upper(), host, port)
    end)
    assert.is_true(s:start())
    local _s <close> = s
    local c <close> = client(s.port)
    c:send("one")
    assert.equal("ONE", c:recv(10, 5))
    c:send("two")
    assert.equal("TWO", c:recv(10, 5))
  end)

  it("goes on after an error in a handler", function()
    local s
    s = server.DatagramServer("127.0.0.1:0", function(data, host, port)
      if data == "bad" then error("bad datagram", 0) end
      s:sendto(data, host, port)
    end)
    s:start()
    local _s <close> = s
    local hub, reports = gevent.get_hub(), {}
    hub.handle_error = function(_, _, err) reports[#reports + 1] = err end
    local _handler <close> = helper.defer(function() hub.handle_error = nil end)
    local c <close> = client(s.port)
    c:send("bad")
    c:send("good")
    assert.equal("good", c:recv(10, 5))
    assert.same({"bad datagram"}, reports)
  end)

  it("takes no more than its pool has room for", function()
    local gate, running, most = require("gevent.event").Event(), 0, 0
    local s = server.DatagramServer("127.0.0.1:0", function()
      running = running + 1
      most = math.max(most, running)
      gate:wait()
      running = running - 1
    end, {spawn = 2})
    s:start()
    local _s <close> = s
    local c <close> = client(s.port)
    for i = 1, 5 do c:send("x" .. i) end
    helper.wait_all_blocked()
    assert.equal(2, running)
    gate:set()
    helper.wait_all_blocked()
    assert.equal(2, most)
  end)

  it("stops: the address is free again", function()
    local s = server.DatagramServer("127.0.0.1:0", function() end)
    s:start()
    local port = s.port
    s:stop()
    assert.is_true(s.closed)
    local again = server.DatagramServer("127.0.0.1:" .. port, function() end)
    assert.is_true(again:start())
    again:stop()
  end)

  it("start returns what went wrong", function()
    local taken, port = bound()
    local _taken <close> = taken
    local s = server.DatagramServer("127.0.0.1:" .. port, function() end)
    assert.equal("EADDRINUSE", (select(3, s:start())))
  end)
end)
