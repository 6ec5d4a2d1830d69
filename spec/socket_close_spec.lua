-- A closed socket, and sockets after hub:destroy. What happens to those who wait while
-- one is closed, to peers, to garbage is in abuse/.

local helper = require "helper"
local socket = require "gevent.socket"
local it = helper.it

local function pack(...) return table.pack(...) end

local function expect_closed(...)
  local results = pack(...)
  assert.is_nil(results[1])
  assert.equal("string", type(results[2]))
  assert.equal("EBADF", results[3])
end

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

describe("the end of the hub", function()
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
