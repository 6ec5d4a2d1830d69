-- TLS under hands that are hostile or clumsy: terms that change while sessions
-- are out, servername callbacks that meddle, wrong arguments.

local helper = require "helper"
local tls = require "helper_tls"
local gevent = require "gevent"
local socket = require "gevent.socket"
local it = helper.it

local failure = tls.failure

local function close(...)
  for _, sock in ipairs {...} do sock:close() end
end

-- Sessions ---------------------------------------------------------------------------

describe("a session that a server gave on easier terms", function()
  local changes = {
    ["verify_mode"] = function(server) server.verify_mode = "required" end,
    ["crl_check"] = function(server) server.crl_check = "leaf" end,
    ["verify_depth"] = function(server) server.verify_depth = 3 end,
    ["load_verify_locations"] = function(server)
      assert(server:load_verify_locations(tls.authority("another").cert))
    end,
  }

  local function resumed(version, tickets, change)
    local client = tls.client {maximum_version = version}
    local server = tls.server {session_tickets = tickets}
    local one, two = tls.connect(client, server)
    two:sendall("x")
    assert.equal("x", one:recv(1))
    local session = assert(one:session())
    close(one, two)
    if change then change(server) end
    one, two = tls.connect(client, server, {session = session})
    local reused, message = false, two[1]
    if type(two) == "userdata" then reused, message = two:session_reused(), nil end
    for _, sock in ipairs {one, two} do
      if type(sock) == "userdata" then sock:close() end
    end
    return reused, message
  end

  for _, version in ipairs {"TLSv1.2", "TLSv1.3"} do
    for _, tickets in ipairs {true, false} do
      it(("is not resumed, %s, tickets: %s"):format(version, tickets), function()
        assert.is_true(resumed(version, tickets))
        for name, change in pairs(changes) do
          local reused, message = resumed(version, tickets, change)
          assert.is_false(reused, name)
          assert.equal(name == "verify_mode" and "peer did not return a certificate" or nil,
            message)
        end
      end)
    end
  end
end)

-- The servername callback -------------------------------------------------------------

describe("a servername callback that", function()
  -- The server's results, the client's, those of the callback.
  local function try(callback)
    local server = tls.server()
    local results
    server:set_servername_callback(function(sock, ...)
      results = table.pack(callback(sock, server, ...))
    end)
    local a, b = helper.pair()
    local one, two = tls.wrap(a, b, {server = server})
    for _, result in ipairs {one, two} do
      if result[1] then result[1]:close() end
    end
    return two, one, results
  end

  it("closes the socket", function()
    local server, client = try(function(sock)
      sock:close()
      collectgarbage()
    end)
    assert.equal("EBADF", server[3])
    assert.equal("ESSL", client[3])
  end)

  it("takes its descriptor away", function()
    local server, client = try(function(sock) socket.fromfd(sock:detach()):close() end)
    assert.equal("EBADF", server[3])
    assert.equal("ESSL", client[3])
  end)

  it("wraps the socket again", function()
    local server, _, inner = try(function(sock, context)
      return context:wrap_socket(sock, {server_side = true, timeout = 5})
    end)
    assert.equal("EBADF", server[3])
    assert.is_nil(inner[1])
    assert.matches("servername callback has not answered", inner[2])
  end)

  it("carries the handshake on, reads, writes or unwraps", function()
    local server, client, inner = try(function(sock)
      local results = {}
      for _, name in ipairs {"do_handshake", "recv", "sendall", "unwrap"} do
        local argument = (name == "sendall" and "x") or (name == "recv" and 1) or nil
        results[#results + 1] = select(3, sock[name](sock, argument))
      end
      return table.unpack(results)
    end)
    assert.is_truthy(server[1], server[2])
    assert.is_truthy(client[1], client[2])
    assert.same({"ESSL", "ESSL", "ESSL", "ESSL", n = 4}, inner)
  end)

  it("changes the context, and removes itself", function()
    local server, client = try(function(_, context)
      context:set_servername_callback(nil)
      for _ = 1, 20 do assert(context:set_alpn_protocols {"some"}) end
      collectgarbage()
    end)
    assert.is_truthy(server[1], server[2])
    assert.is_truthy(client[1], client[2])
  end)

  it("blocks is asked once, whoever else wants to go on", function()
    local server, calls, gate = tls.server(), 0, helper.gate()
    server:set_servername_callback(function()
      calls = calls + 1
      gate:wait()
    end)
    local a, b = helper.pair()
    local client = gevent.spawn(function()
      return assert(tls.client():wrap_socket(a, {server_hostname = "localhost"}))
    end)
    local sock = assert(server:wrap_socket(b, {server_side = true, do_handshake = false}))
    local first = gevent.spawn(function() return sock:do_handshake() end)
    helper.wait_until(function() return calls == 1 end)
    local code, message = failure(sock:do_handshake())
    assert.equal("ESSL", code)
    assert.equal("the servername callback has not answered", message)
    gate:open()
    assert.is_true(first:get())
    assert.equal(1, calls)
    close(sock, client:get())
  end)
end)

-- Arguments ---------------------------------------------------------------------------

describe("wrap_socket", function()
  it("raises for wrong arguments, and leaves the socket alone", function()
    local a, b = helper.pair()
    local context = tls.client()
    for _, case in ipairs {
      {"SSLContext expected", nil, a, {server_hostname = "x"}},
      {"SSLContext expected", a, a, {server_hostname = "x"}},
      {"table expected, got string", context, a, "localhost"},
      {"seconds", context, a, {server_hostname = "x", timeout = "1"}},
      {"seconds", context, a, {server_hostname = "x", timeout = -1}},
      {"seconds", context, a, {server_hostname = "x", timeout = 0 / 0}},
      {"host name", context, a, {server_hostname = 1}},
      {"host name", context, a, {server_hostname = ""}},
      {"host name", context, a, {server_hostname = "a\0b"}},
      {"host name", context, a, {server_hostname = ".example"}},
      {"socket or file expected", context, nil, {server_hostname = "x"}},
      {"socket or file expected", context, io.stdout, {server_hostname = "x"}},
      {"socket or file expected", context, context, {server_hostname = "x"}},
      {"SSLSession expected", context, a, {server_hostname = "x", session = b}},
      {"a client's", context, a, {server_side = true, server_hostname = "x"}},
    } do
      assert.error_matches(function()
        tls.client().wrap_socket(case[2], case[3], case[4])
      end, case[1])
    end
    a:sendall("alone")
    assert.equal("alone", b:recv(5))
    close(a, b)
  end)

  it("refuses a name that no certificate can have", function()
    local a, b = helper.pair()
    local code = failure(tls.client():wrap_socket(a, {server_hostname = ("x"):rep(300)}))
    assert.equal("ESSL", code)
    assert.is_false(a.closed)
    close(a, b)
  end)
end)

describe("contexts that nobody needs any more", function()
  it("are collected, though most of them is not Lua's", function()
    local code, out, err = helper.run_lua [[
      local ssl = require "gevent.ssl"
      local alive = setmetatable({}, {__mode = "k"})
      for _ = 1, 2000 do alive[assert(ssl.SSLContext())] = true end
      local count = 0
      for _ in pairs(alive) do count = count + 1 end
      print(count < 1900 or count)
    ]]
    assert.same({0, "true\n", ""}, {code, out, err})
  end)
end)
