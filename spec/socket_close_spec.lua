-- The end of sockets: close, detach and shutdown, also while others wait;
-- descriptors that are used again; sockets that nobody refers to; peers that
-- go half, orderly, or with a reset.

local helper = require "helper"
local gevent = require "gevent"
local socket = require "gevent.socket"
local it = helper.it

local function pack(...) return table.pack(...) end

local function fill(sock)
  sock:settimeout(0)
  while sock:send(("x"):rep(65536)) do end
  sock:settimeout(nil)
end

local function expect_closed(...)
  local results = pack(...)
  assert.is_nil(results[1])
  assert.equal("string", type(results[2]))
  assert.equal("EBADF", results[3])
end

--- The calls that can wait, with what makes each wait on a fresh socket:
-- name -> function() that returns the socket, the call, what to close after.
local waits = {
  recv = function()
    local a, b = helper.pair()
    return a, function() return a:recv(1) end, b
  end,
  read = function()
    local a, b = helper.pair()
    return a, function() return a:read("a") end, b
  end,
  readuntil = function()
    local a, b = helper.pair()
    return a, function() return a:readuntil("x") end, b
  end,
  readexactly = function()
    local a, b = helper.pair()
    return a, function() return a:readexactly(5) end, b
  end,
  send = function()
    local a, b = helper.pair()
    fill(a)
    return a, function() return a:send("x") end, b
  end,
  sendall = function()
    local a, b = helper.pair()
    return a, function() return a:sendall(("x"):rep(10000000)) end, b
  end,
  sendv = function()
    local a, b = helper.pair()
    fill(a)
    return a, function() return a:sendv {"x", "y"} end, b
  end,
  write = function()
    local a, b = helper.pair()
    fill(a)
    return a, function() return a:write("x", "y") end, b
  end,
  flush = function()
    local a, b = helper.pair()
    fill(a)
    a:setvbuf("full")
    a:write("x")
    return a, function() return a:flush() end, b
  end,
  ["a flushing close"] = function()
    local a, b = helper.pair()
    fill(a)
    a:setvbuf("full")
    a:write("x")
    return a, function()
      assert.is_true(a:close())
      return a:recv(1) -- it was closed by whoever came second
    end, b
  end,
  ["a flushing shutdown"] = function()
    local a, b = helper.pair()
    fill(a)
    a:setvbuf("full")
    a:write("x")
    return a, function() return a:shutdown("w") end, b
  end,
  sendfile = function()
    local a, b = helper.pair()
    local file = io.tmpfile()
    file:write("x")
    file:flush()
    fill(a)
    return a, function() return a:sendfile(file) end,
      helper.defer(function() b:close() file:close() end)
  end,
  sendfds = function()
    local a, b = helper.pair()
    fill(a)
    return a, function() return a:sendfds("x", {b}) end, b
  end,
  recvfds = function()
    local a, b = helper.pair()
    return a, function() return a:recvfds(1, 5) end, b
  end,
  recvfrom = function()
    local a, b = socket.socketpair("unix", "dgram")
    return a, function() return a:recvfrom(1) end, b
  end,
  ["recv of datagrams"] = function()
    local a, b = socket.socketpair("unix", "dgram")
    return a, function() return a:recv(100000) end, b
  end,
  accept = function()
    local listener = assert(socket.create_server("127.0.0.1:0"))
    return listener, function() return listener:accept() end
  end,
  connect = function()
    local listener = assert(socket.socket())
    listener:bind("127.0.0.1", 0)
    listener:listen(0)
    local _, port = listener:getsockname()
    local first = assert(socket.create_connection("127.0.0.1", port))
    local sock = assert(socket.socket())
    return sock, function() return sock:connect("127.0.0.1", port) end,
      helper.defer(function() listener:close() first:close() end)
  end,
}

describe("a socket that another greenlet closes", function()
  for name, prepare in pairs(waits) do
    it("wakes whoever is in " .. name, function()
      local sock, call, peer = prepare()
      local _ <close> = peer
      local g = helper.spawn_blocked(call)
      sock:close()
      assert.is_false(g:ready())
      gevent.sleep(0)
      assert.is_true(g:ready(), "it was not woken at once")
      expect_closed(g:get())
    end)
  end

  for _, name in ipairs {"recv", "sendall", "accept"} do
    it("by detach wakes whoever is in " .. name, function()
      local sock, call, peer = waits[name]()
      local _ <close> = peer
      local g = helper.spawn_blocked(call)
      local owner <close> = assert(socket.fromfd(sock:detach()))
      expect_closed(g:get())
      assert.is_true(sock.closed)
      assert.is_false(owner.closed)
    end)
  end

  it("wakes reader and writer", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    fill(a)
    local reader = helper.spawn_blocked(a.recv, a, 1)
    local writer = helper.spawn_blocked(a.send, a, "x")
    a:close()
    expect_closed(reader:get())
    expect_closed(writer:get())
    assert.is_truthy(b)
  end)

  it("gives its data to nobody, even when data comes first", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    local g = helper.spawn_blocked(a.recv, a, 5)
    b:send("late")
    a:close()
    expect_closed(g:get())
  end)

  it("and kills in the same turn: the kill is not lost", function()
    for _, first in ipairs {"close", "kill"} do
      local a <close>, b = helper.pair()
      local _b <close> = b
      local g = helper.spawn_blocked(function()
        a:recv(1)
        gevent.sleep(60)
      end)
      if first == "close" then a:close() end
      gevent.kill(g)
      a:close()
      assert.is_true(g:join(5))
      assert.is_true(gevent.isinstance(g.value, gevent.GreenletExit))
      assert.is_truthy(b)
    end
  end)
end)

describe("a descriptor that is used again", function()
  it("is not read by who waited for its former owner", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    local fd = a:fileno()
    local g = helper.spawn_blocked(a.recv, a, 5)
    a:close()
    local c <close>, d = helper.pair() -- before g runs
    local _d <close> = d
    assert.equal(fd, c:fileno())
    d:send("not for g")
    expect_closed(g:get())
    assert.equal("not for g", c:recv(20))
    assert.is_truthy(b)
  end)

  it("is watched anew, many times over", function()
    local _ <close> = helper.defer(collectgarbage)
    for i = 1, 200 do
      local a <close>, b = helper.pair()
      local _b <close> = b
      local g = gevent.spawn(a.recv, a, 5)
      gevent.sleep(0)
      if i % 3 == 0 then
        a:close()
        expect_closed(g:get())
      else
        b:send("x")
        assert.equal("x", g:get())
      end
    end
  end)

  it("is not closed by the second close of its former owner", function()
    local a, b = helper.pair()
    local _b <close> = b
    local fd = a:fileno()
    a:close()
    local c <close>, d = helper.pair()
    local _d <close> = d
    assert.equal(fd, c:fileno())
    a:close()
    assert.is_nil((a:shutdown("rw")))
    d:send("x")
    assert.equal("x", c:recv(1))
    assert.is_truthy(b)
  end)
end)

describe("a closed socket", function()
  local calls = {
    bind = {"127.0.0.1", 0}, listen = {}, accept = {},
    connect = {"127.0.0.1", 1}, recv = {1}, send = {"x"}, sendall = {"x"},
    sendv = {{"x"}}, shutdown = {"rw"}, getsockname = {}, getpeername = {},
    setsockopt = {"nodelay", true}, getsockopt = {"nodelay"}, detach = {},
    dup = {}, fileno = {}, settimeout = {1}, gettimeout = {}, read = {},
    readuntil = {"x"}, readexactly = {1}, write = {"x"}, flush = {},
    setvbuf = {"full"}, recvfrom = {1}, sendfile = {0}, sendfds = {"x", {0}},
    recvfds = {1}, sendto = {"x", "127.0.0.1", 1},
  }

  it("answers everything with EBADF", function()
    local sock
    for _, kind in ipairs {"stream", "dgram"} do
      sock = assert(socket.socket("inet", kind))
      sock:close()
      for method, args in pairs(calls) do
        local results = pack(sock[method](sock, table.unpack(args)))
        assert.is_nil(results[1], method)
        assert.equal("EBADF", results[3], method)
      end
    end
    expect_closed(sock:connect("localhost", 1))
    expect_closed(sock:bind("localhost", 1))
    assert.is_true(sock:close())
    assert.is_true(sock.closed)
  end)

  it("has lost what it had buffered", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    b:send("line\nrest")
    assert.equal("line", a:read())
    a:close()
    expect_closed(a:recv(10))
    expect_closed(a:read("a"))
    assert.error_matches(function() a:lines()() end, "bad file")
  end)

  it("is closed at the end of its scope, also by an error", function()
    local kept
    do
      local a <close>, b = helper.pair()
      local _b <close> = b
      kept = a
      b:send("x")
    end
    assert.is_true(kept.closed)
    pcall(function()
      local a <close>, b = helper.pair()
      local _b <close> = b
      kept = {a, b}
      error("out")
    end)
    assert.is_true(kept[1].closed and kept[2].closed)
  end)
end)

describe("sockets that nobody refers to", function()
  it("are closed by the collector", function()
    local a, b = helper.pair()
    b:send("x")
    assert.equal("x", a:recv(1))
    local g = helper.spawn_blocked(b.recv, b, 1)
    a = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.equal("", g:get(), "the peer saw no end")
    b:close()
  end)

  it("stay while a greenlet waits on them", function()
    local b
    local g = helper.spawn_blocked(function()
      local a, other = helper.pair()
      b = other
      return a:recv(5)
    end)
    for _ = 1, 3 do
      collectgarbage()
      gevent.sleep(0)
    end
    b:send("alive")
    assert.equal("alive", g:get())
    b:close()
  end)

  it("do not pile up", function()
    local listener <close> = assert(socket.create_server("127.0.0.1:0"))
    local _, port = listener:getsockname()
    for i = 1, 300 do
      local client = assert(socket.create_connection("127.0.0.1", port))
      local server = assert(listener:accept())
      client:settimeout(0)
      client:recv(1)
      server:setsockopt("linger", 0)
      if i % 50 == 0 then
        collectgarbage()
        gevent.sleep(0)
      end
    end
  end)
end)

describe("shutdown", function()
  it("of the writing half leaves the reading half", function()
    local client <close>, server = helper.tcp_pair()
    local _server <close> = server
    client:sendall("the request")
    assert.is_true(client:shutdown("w"))
    assert.equal("the request", server:read("a"))
    assert.equal("", server:recv(1))
    server:sendall("the reply")
    server:close()
    assert.equal("the reply", client:read("a"))
    assert.equal("EPIPE", select(3, client:send("x")))
  end)

  it("of both halves at once on both ends", function()
    local a <close>, b = helper.tcp_pair()
    local _b <close> = b
    local readers = {helper.spawn_blocked(a.read, a, "a"),
      helper.spawn_blocked(b.read, b, "a")}
    a:sendall("from a")
    b:sendall("from b")
    a:shutdown("w")
    b:shutdown("w")
    assert.equal("from b", readers[1]:get())
    assert.equal("from a", readers[2]:get())
  end)

  it("wakes a reader here, and one there", function()
    local a <close>, b = helper.tcp_pair()
    local _b <close> = b
    local here = helper.spawn_blocked(a.recv, a, 1)
    local there = helper.spawn_blocked(b.recv, b, 1)
    assert.is_true(a:shutdown())
    assert.equal("", here:get())
    assert.equal("", there:get())
  end)

  it("wakes a writer", function()
    local a <close>, b = helper.tcp_pair()
    local _b <close> = b
    local g = helper.spawn_blocked(a.sendall, a, ("x"):rep(100000000))
    assert.is_true(a:shutdown("w"))
    local ok, _, code, sent = g:get()
    assert.is_nil(ok)
    assert.equal("EPIPE", code)
    assert.equal("integer", math.type(sent))
    assert.is_truthy(b)
  end)

  it("of an end that is readable does not spin", function()
    local a <close>, b = helper.tcp_pair()
    local _b <close> = b
    local g = helper.spawn_blocked(a.recv, a, 1)
    b:shutdown("w")
    assert.equal("", g:get())
    local hub = gevent.get_hub()
    gevent.sleep(0.01)
    local before = hub:stats().polls
    gevent.sleep(0.05)
    assert.is_true(hub:stats().polls - before < 20)
  end)
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

describe("the end of the process", function()
  it("with waiting sockets is clean, and their peers see it", function()
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      local socket = require "gevent.socket"
      for _ = 1, 20 do
        local a, b = socket.socketpair()
        gevent.spawn(a.recv, a, 1)
        gevent.spawn(b.read, b, "l")
        local full = socket.socketpair()
        gevent.spawn(full.sendall, full, ("x"):rep(1e7))
        local l = socket.create_server("127.0.0.1:0")
        gevent.spawn(l.accept, l)
        gevent.spawn(socket.wait_read, a:fileno())
      end
      gevent.sleep(0.01)
      io.write("done")
    ]]
    assert.same({0, "done", ""}, {code, out, err})
  end)

  it("by hub:destroy leaves sockets that can be used again", function()
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      local socket = require "gevent.socket"
      local a, b = socket.socketpair()
      local g = gevent.spawn(a.recv, a, 1)
      gevent.sleep(0.01)
      gevent.get_hub():destroy()
      b:send("x")
      gevent.sleep(0.001)
      assert(a:recv(5) == "x")
      gevent.spawn_later(0.01, b.send, b, "again")
      assert(a:recv(5) == "again")
      io.write("done")
    ]]
    assert.same({0, "done", ""}, {code, out, err})
  end)
end)
