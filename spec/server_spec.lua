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
      if next(srv._active) then break end
      gevent.sleep(0)
    end
    srv:stop(0)
    for _, sock in ipairs(list) do
      sock:settimeout(5 * helper.scale)
      local data, _, code = sock:recv(1)
      assert.is_truthy(data == "" or code == "ECONNRESET", code)
      sock:close()
    end
    assert.is_nil(next(srv._active))
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

describe("a handler's error", function()
  for _, spawn in ipairs {"none", "raw", 5} do
    for kind, value in pairs {string = "oops", table = {}, object =
      setmetatable({}, {__tostring = function() return "an object" end})} do
      it(("ends its connection only: %s, spawn %s"):format(kind, spawn),
        function()
          local printed <close> = helper.capture_errors()
          local srv, stop = start(function(sock)
            if sock:read() == "fail" then error(value) end
            sock:sendall("ok\n")
          end, {spawn = spawn ~= "none" and spawn or nil})
          local _ <close> = stop
          local other <close> = connect(srv)
          for _ = 1, 3 do
            local sock <close> = connect(srv)
            sock:sendall("fail\n")
            assert.equal("", sock:recv(1))
          end
          other:sendall("x\n")
          assert.equal("ok", other:read())
          local _, count = printed:text():gsub("failed with", "")
          assert.equal(3, count, "each is reported once")
        end)
    end
  end

  it("of nil is one, too; and of Lua's own", function()
    local printed <close> = helper.capture_errors()
    local srv, stop = start(function(sock)
      if sock:read() == "nil" then error() end
      local _ = nil + 1 -- luacheck: ignore
    end)
    local _ <close> = stop
    for _, text in ipairs {"nil\n", "arithmetic\n"} do
      local sock <close> = connect(srv)
      sock:sendall(text)
      assert.equal("", sock:recv(1))
    end
    assert.matches("arithmetic", printed:text())
  end)
end)

describe("a peer that does not read", function()
  it("has no megabytes taken ahead of it by the system", function()
    local listener <close> = assert(socket.create_server("127.0.0.1:0"))
    local _, port = listener:getsockname()
    local client <close> = assert(socket.socket())
    client:setsockopt("rcvbuf", 4096)
    assert(client:connect("127.0.0.1", port))
    local sock <close> = assert(listener:accept())
    if not pcall(sock.getsockopt, sock, "notsent_lowat") then return end
    sock:settimeout(0.05)
    local _, _, code, sent = sock:sendall(("x"):rep(1 << 24))
    assert.equal("timeout", code)
    assert.is_true(sent < 1 << 20, sent)
  end)
end)

describe("too few descriptors", function()
  it("are told of once, to a function too, which may fail", function()
    for _, failing in ipairs {false, true} do
      local log, failures = {}, 3
      local srv <close> = server.StreamServer("127.0.0.1:0", function(sock)
        sock:sendall("ok")
      end, {error_log = function(text)
        log[#log + 1] = text
        if failing then error("the log is full") end
      end})
      assert(srv:start())
      local listener = srv.socket
      srv.socket = {accept = function(_, ...)
        failures = failures - 1
        if failures >= 0 then return nil, "too many open files", "EMFILE" end
        return listener:accept(...)
      end}
      helper.wait_until(function() return failures <= 0 end)
      srv.socket = listener
      local sock <close> = assert(socket.create_connection("127.0.0.1", srv.port))
      assert.equal("ok", sock:read("a"))
      assert.equal(1, #log)
      assert.matches("accept: too many open files$", log[1])
    end
  end)

  it("make the server wait, not spin; it goes on when there are some",
    function()
      local code, out, err = helper.run_lua([[
        if not os.getenv "LIMITED" then
          local lua = os.getenv "GEVENT_SPEC_LUA" or arg[-1]
          os.exit((select(3, os.execute("ulimit -n 40; LIMITED=1 exec " .. lua
            .. " " .. arg[0]))))
        end
        local gevent = require "gevent"
        local socket = require "gevent.socket"
        local server = require "gevent.server"
        local served, gate = 0, gevent.Greenlet(function() end)
        local log = {}
        local srv = server.StreamServer("127.0.0.1:0", function(sock)
          served = served + 1
          gate:join()
          sock:sendall("ok")
        end, {error_log = {write = function(_, text) log[#log + 1] = text end}})
        srv:start()
        -- The clients take every descriptor but those that are kept back:
        -- nothing can be accepted until these are given up.
        srv:stop_accepting()
        local clients, kept = {}, {}
        for i = 1, 6 do kept[i] = socket.socket() end
        while true do
          local sock = socket.create_connection("127.0.0.1", srv.port)
          if not sock then break end
          clients[#clients + 1] = sock
        end
        srv:start_accepting()
        gevent.sleep(0.05)
        local used = os.clock()
        gevent.sleep(0.3)
        local spun = os.clock() - used
        local before = served
        for _, sock in ipairs(kept) do sock:close() end
        gate:start()
        local got = 0
        for _, sock in ipairs(clients) do
          if sock:read("a") == "ok" then got = got + 1 end
          sock:close()
        end
        print(#clients > 10, before == 0, got == #clients,
          served == #clients, spun < 0.1, #log >= 1 and #log < 5)
        io.write(log[1]:find("too many open files", 1, true) and "" or log[1])
        srv:stop()
      ]])
      assert.same({0, "true\ttrue\ttrue\ttrue\ttrue\ttrue\n", ""},
        {code, out, err})
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
