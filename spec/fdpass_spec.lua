-- sendfds and recvfds: descriptors that go from process to process.

local helper = require "helper"
local gevent = require "gevent"
local socket = require "gevent.socket"
local it = helper.it

local function closing(...)
  local socks = {...}
  return helper.defer(function()
    for _, sock in ipairs(socks) do sock:close() end
  end)
end

local function count(fds)
  local n = 0
  for _ in pairs(fds) do n = n + 1 end
  return n
end

--- Descriptors open now and not `before`, a result of helper.open_fds.
local function more_than(before)
  return count(helper.open_fds()) - count(before)
end

--- A pair whose first end takes nothing more.
local function full_pair()
  local a, b = helper.pair()
  a:settimeout(0)
  while a:send(("x"):rep(1000)) do end
  a:settimeout(nil)
  return a, b
end

helper.battery("sendfds", function()
  local a, b = full_pair()
  local file = io.tmpfile()
  return {
    call = function(timeout)
      a:settimeout(timeout)
      return a:sendfds("data", {file})
    end,
    release = function()
      b:settimeout(0)
      while b:recv(65536) do end
    end,
    expect = function(n) assert.equal(4, n) end,
    takes_timeout = true,
    cleanup = function()
      a:close()
      b:close()
      file:close()
    end,
  }
end)

helper.battery("recvfds", function()
  local a, b = helper.pair()
  return {
    call = function(timeout) return a:recvfds(10, 2, timeout) end,
    release = function() b:sendall("data") end,
    expect = function(data, fds)
      assert.equal("data", data)
      assert.same({}, fds)
    end,
    takes_timeout = true,
    cleanup = function()
      a:close()
      b:close()
    end,
  }
end)

describe("descriptors", function()
  it("go over a Unix socket, and are those of the same file", function()
    for _, kind in ipairs {"stream", "dgram"} do
      local a, b = socket.socketpair("unix", kind)
      local c, d = helper.pair()
      local _ <close> = closing(a, b, c, d)
      assert.equal(5, a:sendfds("hello", {c, d:fileno()}))
      local data, fds, lost = b:recvfds(100, 5)
      assert.equal("hello", data)
      assert.equal(2, #fds)
      assert.is_nil(lost)
      assert.is_true(fds[1] ~= c:fileno() and fds[2] ~= d:fileno())
      c:close()
      d:close()
      local e, f = socket.fromfd(fds[1]), socket.fromfd(fds[2])
      local _ends <close> = closing(e, f)
      e:sendall("there\n")
      assert.equal("there", f:read("l"))
    end
  end)

  it("that come are not inherited by other programs", function()
    local a, b = helper.pair()
    local _ <close> = closing(a, b)
    a:sendfds("x", {a})
    local _, fds = b:recvfds(1)
    local got <close> = socket.fromfd(fds[1])
    local flags = helper.slurp("/proc/self/fdinfo/" .. got:fileno())
    assert.equal(2, tonumber(flags:match("flags:%s+(%d+)")) // 1000000 % 10)
  end)

  it("may be those of io's files", function()
    local code, out, err = helper.run_lua [[
      local socket = require "gevent.socket"
      local a, b = socket.socketpair()
      local file = io.tmpfile()
      file:write("in the file")
      file:flush()
      a:sendfds("x", {file})
      file:close()
      local _, fds = b:recvfds(1)
      print(a:sendfile(fds[1]), b:read(11))
    ]]
    assert.same({0, "11\tin the file\n", ""}, {code, out, err})
  end)

  it("come with the bytes that they were sent with", function()
    local a, b = helper.pair()
    local _ <close> = closing(a, b)
    a:sendall("before")
    a:sendfds("with", {a})
    a:sendall("after")
    assert.same({"before", {}}, {b:recvfds(6)})
    local data, fds = b:recvfds(4)
    assert.equal("with", data)
    socket.fromfd(fds[1]):close()
    assert.same({"after", {}}, {b:recvfds(10)})
    a:close()
    assert.same({"", {}}, {b:recvfds(10)})
  end)

  it("go after what setvbuf has collected, and come after the buffer", function()
    local a, b = helper.pair()
    local _ <close> = closing(a, b)
    a:setvbuf("full", 100)
    a:write("a line\nand ")
    a:sendfds("more", {a})
    assert.equal("a line", b:read("l"))
    assert.same({"an", {}}, {b:recvfds(2)})
    assert.equal("d more", b:readexactly(6))
  end)

  it("that nobody has asked for are closed, and it is told", function()
    local a, b = helper.pair()
    local _ <close> = closing(a, b)
    local before = helper.open_fds()
    a:sendfds("x", {a, a, a, a, a})
    local _, fds, lost = b:recvfds(10, 2)
    assert.is_true(lost)
    assert.equal(2, #fds)
    assert.equal(2, more_than(before))
    for _, fd in ipairs(fds) do socket.fromfd(fd):close() end
    a:sendfds("x", {a, a})
    assert.same({"x", {}, true}, {b:recvfds(10, 0)})
    a:sendfds("x", {a, a})
    assert.equal("x", b:recv(10))
    a:sendfds("x", {a}) -- and never received
    assert.equal(0, more_than(before))
  end)

  it("of a sender that credentials are asked of come, too", function()
    local a, b = helper.pair()
    local _ <close> = closing(a, b)
    assert(b:setsockopt("passcred", true))
    a:sendfds("x", {a})
    local _, fds, lost = b:recvfds(10)
    assert.same({1, nil}, {#fds, lost})
    socket.fromfd(fds[1]):close()
  end)

  it("253 at once, and not one more", function()
    local a, b = helper.pair()
    local _ <close> = closing(a, b)
    local all = {}
    for i = 1, 253 do all[i] = a end
    assert.equal(1, a:sendfds("x", all))
    local _, fds, lost = b:recvfds(10, 253)
    assert.same({253, nil}, {#fds, lost})
    for _, fd in ipairs(fds) do socket.fromfd(fd):close() end
    all[254] = a
    assert.has_error(function() a:sendfds("x", all) end,
      "bad argument #2 to 'sendfds' (too many descriptors)")
  end)

  it("that have to wait are kept, whatever becomes of the originals", function()
    local a, b = full_pair()
    local c, d = helper.pair()
    local _ <close> = closing(a, b, c, d)
    local sender = helper.spawn_blocked(a.sendfds, a, "!", {c})
    c:close()
    local data, fds
    repeat data, fds = b:recvfds(65536) until fds[1]
    assert.equal("!", data:sub(-1))
    local e <close> = socket.fromfd(fds[1])
    e:sendall("still there\n")
    assert.equal("still there", d:read("l"))
    assert.equal(1, sender:get())
  end)

  it("do not leak where the sender is killed, times out, or its socket closes",
    function()
      local a, b = full_pair()
      local c, d = helper.pair()
      local _ <close> = closing(a, b, c, d)
      local before = helper.open_fds()
      local one = helper.spawn_blocked(a.sendfds, a, "!", {c, d})
      assert.equal(2, more_than(before))
      one:kill()
      assert.equal(0, more_than(before))
      a:settimeout(0.001)
      assert.equal("timeout", (select(3, a:sendfds("!", {c, d}))))
      assert.equal(0, more_than(before))
      a:settimeout(0)
      assert.equal("timeout", (select(3, a:sendfds("!", {c, d}))))
      a:settimeout(nil)
      local two = helper.spawn_blocked(a.sendfds, a, "!", {c, d})
      a:close()
      assert.equal("EBADF", (select(3, two:get())))
      assert.equal(-1, more_than(before))
    end)

  it("misuse raises, and the world's failures are returned", function()
    local a, b = helper.pair()
    local _ <close> = closing(a, b)
    assert.has_error(function() a:sendfds("", {1}) end,
      "bad argument #1 to 'sendfds' (some bytes must go with descriptors)")
    assert.has_error(function() a:sendfds("x", 1) end)
    assert.has_error(function() a:sendfds("x", {1, "1"}) end,
      "bad argument #2 to 'sendfds' (descriptor or file expected, got string)")
    assert.has_error(function() a:sendfds("x", {{}}) end,
      "bad argument #2 to 'sendfds' (descriptor or file expected, got table)")
    assert.has_error(function() b:recvfds(0) end)
    assert.has_error(function() b:recvfds(1, -1) end)
    assert.has_error(function() b:recvfds(1, 254) end)
    assert.equal("EBADF", (select(3, a:sendfds("x", {9999}))))
    assert.equal("EBADF", (select(3, a:sendfds("x", {-1}))))
    local c = helper.pair()
    c:close()
    assert.equal("EBADF", (select(3, a:sendfds("x", {c}))))
    assert.equal("EBADF", (select(3, c:sendfds("x", {a}))))
    assert.equal("EBADF", (select(3, c:recvfds(1))))
    assert.same({nil, "timed out", "timeout"}, {b:recvfds(1, 1, 0)})
    local tcp <close> = socket.socket()
    assert.equal("ENOTSUP", (select(3, tcp:sendfds("x", {a}))))
    assert.equal("ENOTSUP", (select(3, tcp:recvfds(1))))
    a:close()
    assert.equal("EPIPE", (select(3, b:sendfds("x", {b}))))
  end)

  it("hand connections over to another greenlet's server", function()
    local a, b = helper.pair()
    local _ <close> = closing(a, b)
    local worker = gevent.spawn(function()
      local name, fds = b:recvfds(100)
      local conn <close> = socket.fromfd(fds[1])
      conn:settimeout(5)
      return conn:sendall("hello from " .. name)
    end)
    local client, conn = helper.tcp_pair()
    a:sendfds("the worker", {conn})
    conn:close()
    assert.equal("hello from the worker", client:read("a"))
    assert.is_true(worker:get())
    client:close()
  end)
end)
