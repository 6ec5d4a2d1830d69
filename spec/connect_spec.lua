-- connect, create_connection (with a resolver of the spec's own), create_server.
local helper = require "helper"
local gevent = require "gevent"
local socket = require "gevent.socket"
local it = helper.it

local function pack(...) return table.pack(...) end

local TIMED_OUT = pack(nil, "timed out", "timeout")

--- A port where connections are neither made nor refused: the backlog is
-- full. The second value is for <close>.
local function deaf_port(host)
  local listener = assert(socket.socket(host == "::1" and "inet6" or "inet"))
  assert(listener:bind(host or "127.0.0.1", 0))
  assert(listener:listen(0))
  local _, port = listener:getsockname()
  local first = assert(socket.create_connection(host or "127.0.0.1", port))
  return port, helper.defer(function() listener:close() first:close() end),
    listener
end

--- A port where nobody listens.
local function dead_port()
  local listener <close> = assert(socket.create_server("127.0.0.1:0"))
  return (select(2, listener:getsockname()))
end

--- Has names looked up by `answer(host, port, opts)` until closed.
local function resolving(answer)
  local hub = gevent.get_hub()
  local former = hub.resolver
  hub.resolver = {getaddrinfo = function(_, ...) return answer(...) end}
  return helper.defer(function() hub.resolver = former end)
end

local function address(host, port)
  return {family = host:find(":", 1, true) and "inet6" or "inet",
    type = "stream", host = host, port = port}
end

-- The battery ---------------------------------------------------------------

helper.battery("connect", function()
  local port, deaf = deaf_port()
  local sock
  return {
    takes_timeout = true,
    call = function(timeout)
      sock = assert(socket.socket())
      return sock:connect("127.0.0.1", port, timeout)
    end,
    -- The kernel tries a connection again after a second: too slow here.
    release = function() sock:close() end,
    expect = function(...) assert.equal("EBADF", select(3, ...)) end,
    cleanup = function() local _ <close> = deaf end,
  }
end)

helper.battery("create_connection", function()
  local listener = assert(socket.create_server("127.0.0.1:0"))
  local _, port = listener:getsockname()
  local gate = helper.gate()
  local resolver = resolving(function()
    gate:wait()
    return {address("127.0.0.1", port)}
  end)
  return {
    fname = "join", -- which the resolver is blocked in
    takes_timeout = true,
    call = function(timeout)
      return socket.create_connection("a.name", port, {timeout = timeout})
    end,
    release = function() gate:open() end,
    expect = function(sock)
      local _ <close> = sock
      assert.same(pack("127.0.0.1", port), pack(sock:getpeername()))
    end,
    cleanup = function()
      local _ <close> = resolver
      listener:close()
    end,
  }
end)

-- connect ---------------------------------------------------------------------

describe("connect", function()
  it("looks names up, for the socket's family", function()
    local listener <close> = assert(socket.create_server("127.0.0.1:0"))
    local _, port = listener:getsockname()
    local asked
    local _resolver <close> = resolving(function(host, number, opts)
      asked = {host, number, opts.family, opts.type}
      return {address("127.0.0.1", number)}
    end)
    local sock <close> = assert(socket.socket())
    assert.is_true(sock:connect("a.name", port))
    assert.same({"a.name", port, "inet", "stream"}, asked)
    local other <close> = assert(socket.socket())
    assert.is_true(other:bind("a.name", 0))
    assert.equal("127.0.0.1", (other:getsockname()))
  end)

  it("passes on what the look-up says", function()
    local sock <close> = assert(socket.socket())
    local _resolver <close> = resolving(function()
      return nil, "no such name", "EAI_NONAME"
    end)
    assert.same(pack(nil, "no such name", "EAI_NONAME"),
      pack(sock:connect("a.name", 80)))
    assert.equal("EAI_NONAME", select(3, sock:bind("a.name", 0)))
  end)

  it("counts the look-up in its time-out", function()
    local port, deaf = deaf_port()
    local _deaf <close> = deaf
    local _resolver <close> = resolving(function()
      gevent.sleep(0.03)
      return {address("127.0.0.1", port)}
    end)
    for _, timeout in ipairs {0.01, 0.06} do
      local sock <close> = assert(socket.socket())
      local start = helper.now()
      assert.same(TIMED_OUT, pack(sock:connect("a.name", port, timeout)))
      local took = helper.now() - start
      assert.is_true(took >= timeout, "early")
      assert.is_true(took < timeout + 1 * helper.scale, "late")
    end
  end)

  it("obeys settimeout", function()
    local port, deaf = deaf_port()
    local _deaf <close> = deaf
    local sock <close> = assert(socket.socket())
    sock:settimeout(0.01)
    assert.same(TIMED_OUT, pack(sock:connect("127.0.0.1", port)))
  end)

  it("may be asked again until it is made", function()
    local listener <close> = assert(socket.create_server("127.0.0.1:0"))
    local _, port = listener:getsockname()
    local sock <close> = assert(socket.socket())
    helper.wait_until(function()
      local ok, _, code = sock:connect("127.0.0.1", port, 0)
      if not ok then assert.equal("timeout", code) end
      return ok
    end)
    local port2, deaf, full = deaf_port()
    local _deaf <close> = deaf
    local slow <close> = assert(socket.socket())
    assert.equal("timeout", select(3, slow:connect("127.0.0.1", port2, 0.01)))
    local _accepted <close> = assert(full:accept())
    assert.is_true(slow:connect("127.0.0.1", port2, 5 * helper.scale))
    assert.same(pack("127.0.0.1", port2), pack(slow:getpeername()))
    slow:connect("127.0.0.1", port2) -- Linux says once that it is made
    assert.equal("EISCONN", select(3, slow:connect("127.0.0.1", port2)))
  end)

  it("is a writer's: a second one is refused", function()
    local port, deaf = deaf_port()
    local _deaf <close> = deaf
    local sock <close> = assert(socket.socket())
    local g = helper.spawn_blocked(sock.connect, sock, "127.0.0.1", port)
    local ok, err = pcall(sock.connect, sock, "127.0.0.1", port)
    assert.is_false(ok)
    assert.is_true(gevent.isinstance(err, gevent.ConcurrentObjectUseError))
    g:kill()
  end)
end)

-- create_connection -----------------------------------------------------------------

describe("connect to a Unix listener that has no room", function()
  local PATH = "@gevent spec of a full listener"

  --- A listener, and as many connections as it takes.
  local function full()
    local listener = assert(socket.create_server("unix:" .. PATH, {backlog = 1}))
    local socks = {listener}
    while true do
      local sock = assert(socket.socket("unix"))
      socks[#socks + 1] = sock
      local ok, _, code = sock:connect(PATH, 0)
      if not ok then
        assert.equal("timeout", code)
        break
      end
    end
    return listener, helper.defer(function()
      for _, sock in ipairs(socks) do sock:close() end
    end)
  end

  it("waits until there is some", function()
    local listener, cleanup = full()
    local _ <close> = cleanup
    local sock <close> = assert(socket.socket("unix"))
    local connecting = gevent.spawn(sock.connect, sock, PATH)
    gevent.sleep(0.01)
    assert.is_false(connecting:ready())
    listener:accept():close()
    assert.is_true(connecting:get())
  end)

  it("obeys its time-out and settimeout", function()
    local _, cleanup = full()
    local _ <close> = cleanup
    local sock <close> = assert(socket.socket("unix"))
    assert.same({nil, "timed out", "timeout"}, {sock:connect(PATH, 0.02)})
    sock:settimeout(0.01)
    assert.same({nil, "timed out", "timeout"}, {sock:connect(PATH)})
  end)

  it("may be killed, and the socket be closed", function()
    local _, cleanup = full()
    local _ <close> = cleanup
    local sock = assert(socket.socket("unix"))
    helper.spawn_blocked(sock.connect, sock, PATH):kill()
    local connecting = helper.spawn_blocked(sock.connect, sock, PATH)
    sock:close()
    assert.equal("EBADF", (select(3, connecting:get())))
  end)
end)

describe("create_connection", function()
  it("connects to numbers without a look-up", function()
    local _resolver <close> = resolving(function() error("asked") end)
    for _, host in ipairs {"127.0.0.1", "::1"} do
      local listener <close> = assert(socket.create_server(
        host == "::1" and "[::1]:0" or "127.0.0.1:0"))
      local _, port = listener:getsockname()
      local sock <close> = assert(socket.create_connection(host, port))
      assert.same(pack(host, port), pack(sock:getpeername()))
    end
    assert.equal("ECONNREFUSED",
      select(3, socket.create_connection("127.0.0.1", dead_port())))
  end)

  it("connects to names", function()
    local listener <close> = assert(socket.create_server("127.0.0.1:0"))
    local _, port = listener:getsockname()
    local sock <close> = assert(socket.create_connection("localhost", port))
    assert.equal("127.0.0.1", (sock:getpeername()))
  end)

  it("binds to a source address", function()
    local listener <close> = assert(socket.create_server("127.0.0.1:0"))
    local _, port = listener:getsockname()
    local sock <close> = assert(socket.create_connection("127.0.0.1", port,
      {source_address = "127.0.0.2"}))
    assert.equal("127.0.0.2", (sock:getsockname()))
    assert.equal("EADDRNOTAVAIL", select(3, socket.create_connection(
      "127.0.0.1", port, {source_address = "192.0.2.1"})))
  end)

  it("takes the next address at once where one is refused", function()
    local listener <close> = assert(socket.create_server("127.0.0.1:0"))
    local dead, _, port = dead_port(), listener:getsockname()
    local _resolver <close> = resolving(function()
      return {address("127.0.0.1", dead), address("::1", dead),
        address("127.0.0.1", port)}
    end)
    local took = helper.best_of(3, 0.45, function()
      local start = helper.now()
      local sock <close> = assert(socket.create_connection("a.name", port))
      assert.same(pack("127.0.0.1", port), pack(sock:getpeername()))
      return helper.now() - start
    end)
    assert.is_true(took < 0.45 * helper.scale, took)
  end)

  it("races the next address where one does not answer", function()
    local listener <close> = assert(socket.create_server("127.0.0.1:0"))
    local _, port = listener:getsockname()
    local deaf_at, deaf = deaf_port("::1")
    local _deaf <close> = deaf
    local _resolver <close> = resolving(function()
      return {address("::1", deaf_at), address("127.0.0.1", port)}
    end)
    local before = helper.open_fds()
    local start = helper.now()
    local sock <close> = assert(socket.create_connection("a.name", port))
    local took = helper.now() - start
    assert.same(pack("127.0.0.1", port), pack(sock:getpeername()))
    assert.is_true(took >= 0.2 and took < 0.25 + 0.7 * helper.scale, took)
    gevent.sleep(0)
    local count = 0
    for fd in pairs(helper.open_fds()) do
      if not before[fd] then count = count + 1 end
    end
    assert.equal(1, count, "the loser is not closed")
  end)

  it("tries the families in turn, the first one's first", function()
    local tried = {}
    local listener <close> = assert(socket.create_server("127.0.0.1:0"))
    local _, port = listener:getsockname()
    local dead = dead_port()
    local _resolver <close> = resolving(function()
      local list = {address("::1", dead), address("::1", dead),
        address("::1", dead), address("127.0.0.1", port)}
      for i, entry in ipairs(list) do
        list[i] = setmetatable({}, {__index = function(_, key)
          if key == "host" then tried[#tried + 1] = entry.family end
          return entry[key]
        end})
      end
      return list
    end)
    local sock <close> = assert(socket.create_connection("a.name", port))
    assert.same({"inet6", "inet"}, tried)
    assert.equal("inet", sock.family)
  end)

  it("returns the last failure where all fail", function()
    local dead = dead_port()
    local _resolver <close> = resolving(function()
      return {address("127.0.0.1", dead), address("::1", dead)}
    end)
    assert.same(pack(nil, "connection refused", "ECONNREFUSED"),
      pack(socket.create_connection("a.name", dead)))
  end)

  it("passes on what the look-up says", function()
    local _resolver <close> = resolving(function()
      return nil, "no such name", "EAI_NONAME"
    end)
    assert.same(pack(nil, "no such name", "EAI_NONAME"),
      pack(socket.create_connection("a.name", 80)))
  end)

  it("has one time-out for all of it", function()
    local port, deaf = deaf_port()
    local _deaf <close> = deaf
    local _resolver <close> = resolving(function()
      return {address("127.0.0.1", port), address("127.0.0.1", port),
        address("127.0.0.1", port)}
    end)
    for _, host in ipairs {"a.name", "127.0.0.1"} do
      local start = helper.now()
      assert.same(TIMED_OUT, pack(socket.create_connection(host, port,
        {timeout = 0.3})))
      local took = helper.now() - start
      assert.is_true(took >= 0.3 and took < 0.3 + 1 * helper.scale, took)
    end
  end)

  it("that is killed closes all it had begun", function()
    local port, deaf = deaf_port()
    local _deaf <close> = deaf
    local _resolver <close> = resolving(function()
      return {address("127.0.0.1", port), address("127.0.0.1", port)}
    end)
    local what = helper.leaks(function()
      local g = gevent.spawn(socket.create_connection, "a.name", port)
      gevent.sleep(0.3) -- both have begun
      g:kill()
    end)
    assert.is_nil(what)
  end)

  it("leaves nothing behind where the first address is good", function()
    local listener <close> = assert(socket.create_server("127.0.0.1:0"))
    local _, port = listener:getsockname()
    for _ = 1, 20 do
      local _resolver <close> = resolving(function()
        return {address("127.0.0.1", port), address("127.0.0.1", port)}
      end)
      local what = helper.leaks(function()
        assert(socket.create_connection("a.name", port)):close()
        local one <close> = assert(listener:accept())
        assert.equal("", one:recv(1))
      end)
      assert.is_nil(what)
    end
  end)

  it("refuses what is no host, port or time-out", function()
    for _, call in ipairs {
      function() socket.create_connection() end,
      function() socket.create_connection({}, 80) end,
      function() socket.create_connection("127.0.0.1", 80, {timeout = -1}) end,
      function() socket.create_connection("127.0.0.1", 80, {timeout = "x"}) end,
      function() socket.create_connection("127.0.0.1", 70000) end,
    } do
      assert.error_matches(call, "argument")
    end
    assert.error_matches(function()
      socket.create_connection("127.0.0.1", 80, {timeout = -1})
    end, "create_connection")
  end)
end)

-- create_server -------------------------------------------------------------------

describe("create_server", function()
  --- Can one connect to that address?
  local function reachable(host, port)
    local sock = socket.create_connection(host, port)
    return sock and sock:close()
  end

  it("listens on one address", function()
    local listener <close> = assert(socket.create_server("127.0.0.1:0"))
    local host, port = listener:getsockname()
    assert.equal("127.0.0.1", host)
    assert.is_true(reachable("127.0.0.1", port))
    assert.is_nil(reachable("::1", port))
    local six <close> = assert(socket.create_server("[::1]:0"))
    assert.same({"::1", "inet6"}, {(six:getsockname()), six.family})
    assert.is_nil(reachable("127.0.0.1", select(2, six:getsockname())))
    local named <close> = assert(socket.create_server("localhost:0"))
    assert.equal("127.0.0.1", (named:getsockname()))
  end)

  it("listens on all interfaces, in both families", function()
    for _, listener in ipairs {":0", 0, "0", "*:0", "[::]:0"} do
      local sock <close> = assert(socket.create_server(listener))
      local _, port = sock:getsockname()
      assert.is_true(reachable("127.0.0.1", port), listener)
      assert.is_true(reachable("::1", port), listener)
    end
  end)

  it("listens on all interfaces of one family", function()
    for family, hosts in pairs {inet = {"127.0.0.1", "::1"},
      inet6 = {"::1", "127.0.0.1"}} do
      local sock <close> = assert(socket.create_server(0, {family = family}))
      local _, port = sock:getsockname()
      assert.equal(family, sock.family)
      assert.is_true(reachable(hosts[1], port))
      assert.is_nil(reachable(hosts[2], port))
    end
  end)

  it("listens on a path where the family is unix", function()
    local path = "@gevent spec of a family"
    for _, listener in ipairs {path, "unix:" .. path} do
      local sock <close> = assert(socket.create_server(listener, {family = "unix"}))
      assert.equal(path, sock:getsockname())
    end
  end)

  it("listens on a Unix path", function()
    local path = os.tmpname()
    os.remove(path)
    local sock <close> = assert(socket.create_server("unix:" .. path))
    assert.equal(path, sock:getsockname())
    assert.equal("EADDRINUSE",
      select(3, socket.create_server("unix:" .. path)))
    os.remove(path)
  end)

  it("may have the port again at once, not while it is in use", function()
    local listener <close> = assert(socket.create_server("127.0.0.1:0"))
    local _, port = listener:getsockname()
    local at = "127.0.0.1:" .. port
    assert.equal("EADDRINUSE", select(3, socket.create_server(at)))
    local client <close> = assert(socket.create_connection("127.0.0.1", port))
    local server = assert(listener:accept())
    server:close() -- which leaves the port in TIME_WAIT
    assert.equal("", client:recv(1))
    client:close()
    listener:close()
    local again <close> = assert(socket.create_server(at))
    assert.is_true(reachable("127.0.0.1", port))
    assert.is_truthy(again)
  end)

  it("shares a port where all ask for it", function()
    local opts = {reuse_port = true}
    local one <close> = assert(socket.create_server("127.0.0.1:0", opts))
    local _, port = one:getsockname()
    local at = "127.0.0.1:" .. port
    local two <close> = assert(socket.create_server(at, opts))
    assert.is_truthy(two)
    assert.equal("EADDRINUSE", select(3, socket.create_server(at)))
  end)

  it("has a backlog", function()
    local listener <close> = assert(socket.create_server("127.0.0.1:0",
      {backlog = 1}))
    local _, port = listener:getsockname()
    local list, codes = {}, {}
    for i = 1, 4 do
      list[i] = assert(socket.socket())
      codes[i] = select(3, list[i]:connect("127.0.0.1", port, 0.02)) or "ok"
    end
    assert.same({"ok", "ok", "timeout", "timeout"}, codes)
    for _, sock in ipairs(list) do sock:close() end
  end)

  it("returns what the system says", function()
    assert.equal("EADDRNOTAVAIL", select(3, socket.create_server("192.0.2.1:0")))
    local _resolver <close> = resolving(function()
      return nil, "no such name", "EAI_NONAME"
    end)
    assert.same(pack(nil, "no such name", "EAI_NONAME"),
      pack(socket.create_server("a.name:80")))
  end)

  it("refuses what is no listener", function()
    for _, listener in ipairs {"host", "host:", "host:x", "host:70000", ":-1",
      "::1:80", "", "unix:", true, {}, 1.5, 70000, -1} do
      assert.error_matches(function() socket.create_server(listener) end,
        "listener", nil, nil, tostring(listener))
    end
    assert.error_matches(function() socket.create_server() end, "listener")
  end)

  it("returns a socket and nothing else, of the family asked for", function()
    for _, listener in ipairs {0, ":0", "127.0.0.1:0"} do
      local result = pack(socket.create_server(listener))
      result[1]:close()
      assert.equal(1, result.n)
    end
    assert.equal("EAI_ADDRFAMILY",
      (select(3, socket.create_server("127.0.0.1:0", {family = "inet6"}))))
  end)
end)

describe("create_connection and create_server", function()
  it("name the argument at fault, and where they were called", function()
    local connect, serve = socket.create_connection, socket.create_server
    for text, call in pairs {
      ["#1 to 'create_connection' %(host"] = function() connect() end,
      ["#2 to 'create_connection' %(port expected, got nil"] = function()
        connect("localhost")
      end,
      ["#2 to 'create_connection' %(a port is"] = function() connect("localhost", -1) end,
      ["#3 to 'create_connection' %(table"] = function() connect("127.0.0.1", 1, 5) end,
      ["#3 to 'create_connection' %(timeout"] = function()
        connect("127.0.0.1", 1, {timeout = -1})
      end,
      ["#3 to 'create_connection' %(session: SSLSession"] = function()
        connect("127.0.0.1", 1, {ssl = true, session = {}})
      end,
      ["#1 to 'create_server' %(bad listener 'x'"] = function() serve("x") end,
      ["#2 to 'create_server' %(table"] = function() serve(0, 5) end,
      ["#2 to 'create_server' %(backlog"] = function() serve(0, {backlog = "x"}) end,
      ["#2 to 'create_server' %(family"] = function() serve(0, {family = "x"}) end,
    } do
      local _, err = pcall(call)
      assert.matches("^spec/connect_spec.lua:%d+: bad argument " .. text, err)
    end
  end)
end)
