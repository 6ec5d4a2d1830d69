-- StreamServer: its life, its handlers, its limits, and what it survives.

local helper = require "helper"
local gevent = require "gevent"
local socket = require "gevent.socket"
local server = require "gevent.server"
local it = helper.it

local StreamServer = server.StreamServer

local function pack(...) return table.pack(...) end

--- A started server on a port of its own, that does not wait when stopped.
local function start(handle, opts)
  local srv = StreamServer("127.0.0.1:0", handle, opts)
  assert.is_true(srv:start())
  return srv, helper.defer(function() srv:stop(0) end)
end

local function connect(srv)
  return assert(socket.create_connection(srv.host, srv.port))
end

local function echo(sock)
  for line in sock:lines("L") do sock:sendall(line) end
end

--- Is a new connection served?
local function serves(srv)
  local sock <close> = connect(srv)
  sock:sendall("ping\n")
  sock:settimeout(5 * helper.scale)
  return sock:read("l") == "ping"
end

-- Its life ----------------------------------------------------------------------

describe("a StreamServer", function()
  it("serves between start and stop", function()
    local srv = StreamServer("127.0.0.1:0", echo)
    assert.same({false, false}, {srv.started, srv.closed})
    assert.matches("^<StreamServer 127.0.0.1:0 not started>$", tostring(srv))
    assert.is_true(srv:start())
    assert.is_true(srv:start(), "a second start does nothing")
    assert.same({true, false, "127.0.0.1"},
      {srv.started, srv.closed, srv.host})
    assert.equal("integer", math.type(srv.port))
    assert.matches("listening>$", tostring(srv))
    assert.is_true(serves(srv))
    assert.is_true(serves(srv))
    srv:stop()
    assert.same({false, true}, {srv.started, srv.closed})
    assert.matches("stopped>$", tostring(srv))
    assert.equal("ECONNREFUSED",
      select(3, socket.create_connection(srv.host, srv.port)))
    srv:stop()
    assert.error_matches(function() srv:start() end, "stopped")
  end)

  it("that was never started may be stopped", function()
    StreamServer("127.0.0.1:0", echo):stop()
  end)

  it("gives its port back at once", function()
    local first = start(echo)
    assert.is_true(serves(first))
    first:stop()
    local second = StreamServer("127.0.0.1:" .. first.port, echo)
    assert.is_true(second:start())
    assert.is_true(serves(second))
    second:stop()
  end)

  it("takes all kinds of listeners", function()
    local path = os.tmpname()
    os.remove(path)
    local own = assert(socket.create_server("127.0.0.1:0"))
    for _, listener in ipairs {"127.0.0.1:0", ":0", 0, "[::1]:0",
      "unix:" .. path, own} do
      local srv = StreamServer(listener, echo)
      assert.is_true(srv:start())
      local sock <close> = assert(socket.socket(srv.socket.family))
      local host = srv.host
      if host == "::" then host = "::1" end
      assert.is_true(sock:connect(host, srv.port or nil))
      sock:sendall("x\n")
      assert.equal("x", sock:read())
      srv:stop(0)
    end
    assert.is_true(own.closed)
    os.remove(path)
  end)

  it("takes a listener that has a time-out for what it is", function()
    local socket_server = server
    for _, timeout in ipairs {0, 0.001} do
      local listener = assert(socket.create_server("127.0.0.1:0"))
      listener:settimeout(timeout)
      local srv = socket_server.StreamServer(listener,
        function(sock) sock:sendall("hello") end)
      srv:start()
      gevent.sleep(0.005)
      local sock <close> = assert(socket.create_connection("127.0.0.1", srv.port))
      assert.equal("hello", sock:read("a"))
      srv:stop()
    end
  end)

  it("gives its handler the socket and where it comes from", function()
    local seen
    local srv <close> = start(function(...) seen = pack(...) end)
    local sock <close> = connect(srv)
    assert.equal("", sock:recv(1))
    assert.same({3, "127.0.0.1", (select(2, sock:getsockname()))},
      {seen.n, seen[2], seen[3]})
    assert.is_true(seen[1].closed, "not closed when the handler returned")
  end)

  it("calls what is callable", function()
    local calls = 0
    local srv <close> = start(setmetatable({}, {__call = function()
      calls = calls + 1
    end}))
    local sock <close> = connect(srv)
    assert.equal("", sock:recv(1))
    assert.equal(1, calls)
  end)

  it("refuses what it cannot use", function()
    for _, call in ipairs {
      function() StreamServer("127.0.0.1:0") end,
      function() StreamServer("127.0.0.1:0", 5) end,
      function() StreamServer("nonsense", echo) end,
      function() StreamServer(nil, echo) end,
      function() StreamServer("127.0.0.1:0", echo, {spawn = 0}) end,
      function() StreamServer("127.0.0.1:0", echo, {spawn = -1}) end,
      function() StreamServer("127.0.0.1:0", echo, {spawn = "x"}) end,
      function() StreamServer("127.0.0.1:0", echo):stop(-1) end,
      function() StreamServer("127.0.0.1:0", echo):stop("x") end,
    } do
      assert.error_matches(call, "bad ")
    end
  end)

  it("returns why it cannot have the address", function()
    local srv <close> = start(echo)
    local second = StreamServer("127.0.0.1:" .. srv.port, echo)
    assert.equal("EADDRINUSE", select(3, second:start()))
    assert.equal("EADDRINUSE", select(3, second:serve_forever()))
    assert.is_false(second.started)
    local third <close> = start(echo, {reuse_port = true})
    local fourth <close> = StreamServer("127.0.0.1:" .. third.port, echo,
      {reuse_port = true})
    assert.is_true(fourth:start())
  end)

  it("is stopped at the end of its scope", function()
    local kept
    do
      local srv <close> = StreamServer("127.0.0.1:0", echo)
      kept = srv
      srv:start()
      assert.is_true(serves(srv))
    end
    assert.is_true(kept.closed)
  end)
end)

describe("serve_forever", function()
  it("returns when the server is stopped", function()
    local srv = StreamServer("127.0.0.1:0", echo)
    local g = helper.spawn_blocked(srv.serve_forever, srv)
    assert.is_true(srv.started)
    assert.is_true(serves(srv))
    srv:stop()
    assert.is_true(g:get())
  end)

  it("stops the server when it is killed, or times out", function()
    local srv = StreamServer("127.0.0.1:0", echo)
    local g = helper.spawn_blocked(srv.serve_forever, srv)
    g:kill()
    assert.is_true(srv.closed)
    local other = StreamServer("127.0.0.1:0", echo)
    gevent.with_timeout(0.01, other.serve_forever, other)
    assert.is_true(other.closed)
  end)

  it("ends when a handler stops the server", function()
    local srv
    srv = StreamServer("127.0.0.1:0", function(sock)
      srv:stop()
      sock:sendall("stopped\n")
    end)
    local g = helper.spawn_blocked(srv.serve_forever, srv)
    local sock <close> = connect(srv)
    assert.equal("stopped", sock:read())
    assert.equal("", sock:recv(1))
    assert.is_true(g:get())
  end)
end)

-- stop ------------------------------------------------------------------------------

describe("stop", function()
  it("waits for handlers, and takes no new connections", function()
    local gate = helper.gate()
    local srv = start(function(sock)
      gate:wait()
      sock:sendall("done")
    end)
    local sock <close> = connect(srv)
    gevent.sleep(0.01)
    local g = helper.spawn_blocked(srv.stop, srv, 60)
    assert.equal("ECONNREFUSED",
      select(3, socket.create_connection(srv.host, srv.port)))
    gate:open()
    g:get()
    assert.equal("done", sock:recv(10))
  end)

  it("kills the handlers after its time-out", function()
    local ended
    local srv = start(function()
      local _ <close> = helper.defer(function(err) ended = err end)
      gevent.sleep(60)
    end)
    local sock <close> = connect(srv)
    gevent.sleep(0.01)
    local begun = helper.now()
    srv:stop(0.05)
    local took = helper.now() - begun
    assert.is_true(took >= 0.05 and took < 0.05 + 0.5 * helper.scale, took)
    assert.is_true(gevent.isinstance(ended, gevent.GreenletExit))
    assert.equal("", sock:recv(1))
  end)

  it("closes connections whose handlers have not begun", function()
    local began = 0
    local srv = start(function()
      began = began + 1
      gevent.sleep(60)
    end)
    local list = {}
    for i = 1, 20 do list[i] = connect(srv) end
    for _ = 1, 100 do
      if srv._count > 0 then break end
      gevent.sleep(0)
    end
    srv:stop(0)
    for _, sock in ipairs(list) do
      sock:settimeout(5 * helper.scale)
      local data, _, code = sock:recv(1)
      assert.is_truthy(data == "" or code == "ECONNRESET", code)
      sock:close()
    end
    assert.equal(0, srv._count)
    assert.is_true(began <= 20)
  end)

  it("does not wait for ever for a handler that ignores kills", function()
    local gate = helper.gate()
    local srv = start(function()
      while not gate.greenlet:ready() do pcall(gate.wait, gate) end
    end)
    local sock <close> = connect(srv)
    gevent.sleep(0.01)
    srv:stop(0.01)
    assert.is_true(srv.closed)
    gate:open()
    assert.equal("", sock:recv(1))
  end)
end)

-- Accepting ---------------------------------------------------------------------------

describe("accepting", function()
  it("is stopped and started again", function()
    local srv, stop = start(echo)
    local _ <close> = stop
    assert.is_true(serves(srv))
    srv:stop_accepting()
    local sock <close> = connect(srv) -- by the system's queue
    sock:sendall("waiting\n")
    assert.equal("timeout", select(3, sock:recv(1, 0.02)))
    srv:start_accepting()
    srv:start_accepting()
    assert.equal("waiting", sock:read())
    assert.is_true(serves(srv))
  end)

  for kind, spawn in pairs {["no limit"] = false, raw = "raw"} do
    it("serves many at once with " .. kind, function()
      local gate, now, most = helper.gate(), 0, 0
      local srv, stop = start(function()
        now = now + 1
        most = math.max(most, now)
        gate:wait()
      end, {spawn = spawn or nil})
      local _ <close> = stop
      local list = {}
      for i = 1, 150 do list[i] = connect(srv) end
      helper.wait_until(function() return now == 150 end)
      gate:open()
      for _, sock in ipairs(list) do
        assert.equal("", sock:recv(1))
        sock:close()
      end
      assert.equal(150, most)
    end)
  end

  it("stops where the pool is full, and goes on", function()
    local gates, now, most, served = {}, 0, 0, 0
    local srv, stop = start(function()
      local gate = helper.gate()
      gates[#gates + 1] = gate
      now = now + 1
      most = math.max(most, now)
      gate:wait()
      now = now - 1
      served = served + 1
    end, {spawn = 3})
    local _ <close> = stop
    local list = {}
    for i = 1, 10 do list[i] = connect(srv) end
    helper.wait_until(function() return now == 3 end)
    gevent.sleep(0.01)
    assert.equal(3, now)
    for n = 1, 10 do
      helper.wait_until(function() return gates[n] end)
      gates[n]:open()
    end
    helper.wait_until(function() return served == 10 end)
    assert.equal(3, most)
    for _, sock in ipairs(list) do
      assert.equal("", sock:recv(1))
      sock:close()
    end
  end)

  it("goes on where handlers of a full pool fail or are killed", function()
    local printed <close> = helper.capture_errors()
    local greenlet
    local srv, stop = start(function(sock)
      greenlet = gevent.getcurrent()
      if sock:read() == "fail" then error("on purpose") end
      sock:sendall("ok\n")
    end, {spawn = 1})
    local _ <close> = stop
    local one <close> = connect(srv)
    one:sendall("fail\n")
    assert.equal("", one:recv(1))
    assert.matches("on purpose", printed:text())
    local two <close> = connect(srv)
    gevent.sleep(0.01)
    gevent.kill(greenlet)
    assert.equal("", two:recv(1))
    local three <close> = connect(srv)
    three:sendall("x\n")
    assert.equal("ok", three:read())
  end)
end)

describe("The constructor of a server", function()
  it("names itself and the argument at fault, and where it was called", function()
    local function noop() end
    local Datagram = server.DatagramServer
    local Sub = server.subclass("Sub", StreamServer)
    local closed = assert(socket.create_server(0))
    closed:close()
    for text, call in pairs {
      ["#2 to 'StreamServer' %(function"] = function() StreamServer(0) end,
      ["#2 to 'DatagramServer' %(function"] = function() Datagram(0, 5) end,
      ["#2 to 'Sub' %(function"] = function() Sub(0, 5) end,
      ["#1 to 'StreamServer' %(bad listener 'x'"] = function() StreamServer("x", noop) end,
      ["#1 to 'StreamServer' %(bad listener"] = function() StreamServer(io.stdout, noop) end,
      ["#1 to 'StreamServer' %(a closed socket"] = function() StreamServer(closed, noop) end,
      ["#3 to 'StreamServer' %(table"] = function() StreamServer(0, noop, 5) end,
      ["#3 to 'StreamServer' %(spawn"] = function() StreamServer(0, noop, {spawn = {}}) end,
      ["#3 to 'StreamServer' %(backlog"] = function()
        StreamServer(0, noop, {backlog = "x"})
      end,
      ["#3 to 'DatagramServer' %(spawn"] = function() Datagram(0, noop, {spawn = 0}) end,
    } do
      local _, err = pcall(call)
      assert.matches("^spec/server_spec.lua:%d+: bad argument " .. text, err)
    end
  end)
end)
