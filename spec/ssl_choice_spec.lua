-- What a handshake agrees on: versions, ciphers, protocols, the context for a
-- server name; sessions, the key log.

local helper = require "helper"
local tls = require "helper_tls"
local gevent = require "gevent"
local ssl = require "gevent.ssl"
local it = helper.it

local connect, connects, failure = tls.connect, tls.connects, tls.failure

local function close(...)
  for _, sock in ipairs {...} do sock:close() end
end

-- Versions, ciphers, ALPN ---------------------------------------------------------------

describe("versions and ciphers", function()
  it("are what both have", function()
    local old, new = {maximum_version = "TLSv1.2"}, {minimum_version = "TLSv1.3"}
    for _, case in ipairs {{{}, {}, "TLSv1.3"}, {old, {}, "TLSv1.2"}, {{}, old, "TLSv1.2"},
      {new, {}, "TLSv1.3"}} do
      local one, two = connect(tls.client(case[1]), tls.server(case[2]))
      assert.equal(case[3], one:version())
      close(one, two)
    end
    local _, message, other = connects(tls.client(old), tls.server(new))
    assert.matches("alert protocol version", message)
    assert.equal("unsupported protocol", other)
  end)

  it("can be chosen, for TLS 1.2 and 1.3", function()
    local client, server = tls.client(), tls.server()
    local mine = "ECDHE-ECDSA-CHACHA20-POLY1305"
    assert.is_true(client:set_ciphers(mine .. ":TLS_CHACHA20_POLY1305_SHA256"))
    local one, two = connect(client, server)
    assert.equal("TLS_CHACHA20_POLY1305_SHA256", (one:cipher()))
    close(one, two)
    client.maximum_version = "TLSv1.2"
    one, two = connect(client, server)
    assert.same({mine, "TLSv1.2", 256}, {two:cipher()})
    close(one, two)
    server:set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    local ok, _, message = connects(client, server)
    assert.is_false(ok)
    assert.equal("no shared cipher", message)
    local code, text = failure(client:set_ciphers("NONSENSE"))
    assert.equal("ESSL", code)
    assert.equal("no cipher match", text)
    assert.equal("ESSL", (failure(client:set_ciphers("TLS_NONSENSE"))))
    assert.equal("ESSL", (failure(ssl.SSLContext {ciphers = "NONSENSE"})))
  end)
end)

describe("curves", function()
  it("can be chosen", function()
    local client, server = tls.client {curves = "P-384"}, tls.server {curves = "P-384:P-256"}
    assert.is_true(connects(client, server))
    server:set_curves "P-256"
    local ok, _, message = connects(client, server)
    assert.is_false(ok)
    assert.equal("no suitable key share", message)
    assert.equal("ESSL", (failure(client:set_curves "P-NONSENSE")))
  end)
end)

describe("ALPN", function()
  local function alpn(mine, theirs)
    local client, server = tls.client(), tls.server()
    if mine then assert.is_true(client:set_alpn_protocols(mine)) end
    if theirs then assert.is_true(server:set_alpn_protocols(theirs)) end
    return connect(client, server)
  end

  it("is the server's choice", function()
    for _, case in ipairs {
      {{"h2", "http/1.1"}, {"http/1.1", "h2"}, "http/1.1"}, {{"a", "b"}, {"c", "b"}, "b"},
      {{"x"}, nil}, {nil, {"x"}}, {{"x"}, {}},
    } do
      local one, two = alpn(case[1], case[2])
      assert.equal(case[3], one:selected_alpn_protocol())
      assert.equal(case[3], two:selected_alpn_protocol())
      close(one, two)
    end
  end)

  it("without a common protocol is an alert", function()
    local one, two = alpn({"x"}, {"y"})
    assert.matches("alert no application protocol", one[1])
    assert.equal("no application protocol", two[1])
  end)
end)

-- Server names --------------------------------------------------------------------------

describe("the servername callback", function()
  local function named(name)
    return tls.server {own = tls.certificate(name, {alt = "DNS:" .. name})}
  end

  it("chooses another context, or keeps this one", function()
    local a, b = named "a.example", named "b.example"
    local asked = {}
    a:set_servername_callback(function(sock, name, context)
      asked[#asked + 1] = {type(sock), name, context == a}
      return name == "b.example" and b or nil
    end)
    for _, host in ipairs {"a.example", "b.example"} do
      local one, two = connect(tls.client(), a, {server_hostname = host})
      assert.equal(host, one:getpeercert().subject.commonName)
      close(one, two)
    end
    assert.same({{"userdata", "a.example", true}, {"userdata", "b.example", true}}, asked)
  end)

  it("hears of no name for an address", function()
    local server = tls.server()
    local asked
    server:set_servername_callback(function(_, name) asked = {name} end)
    local one, two = connect(tls.client(), server, {server_hostname = "127.0.0.1"})
    assert.same({}, asked)
    close(one, two)
  end)

  it("refuses", function()
    local server = tls.server()
    server:set_servername_callback(function() return false end)
    local one, two = connect(tls.client(), server)
    assert.matches("unrecognized name", one[1])
    assert.equal("ESSL", two[2])
    server:set_servername_callback(nil)
    assert.is_true(connects(tls.client(), server))
  end)

  it("may block", function()
    local a, b = named "a.example", named "b.example"
    local gate = helper.gate()
    a:set_servername_callback(function()
      gate:wait()
      return b
    end)
    local both = gevent.spawn(connect, tls.client(), a, {server_hostname = "b.example"})
    helper.wait_all_blocked()
    assert.is_false(both:ready())
    gate:open()
    local one, two = both:get()
    assert.equal("b.example", one:getpeercert().subject.commonName)
    close(one, two)
  end)

  it("that fails ends the handshake, and raises", function()
    local server = tls.server()
    for _, case in ipairs {{function() error("oops", 0) end, "oops"},
      {function() return "b.example" end, "SSLContext, nil or false expected, got string"}} do
      server:set_servername_callback(case[1])
      local a, b = helper.pair()
      local g = gevent.spawn(function()
        return pcall(server.wrap_socket, server, b, {server_side = true})
      end)
      local _, message = tls.client():wrap_socket(a, {server_hostname = "localhost"})
      assert.matches("alert internal error", message)
      local ok, err = g:get()
      assert.is_false(ok)
      assert.matches(case[2], err)
    end
  end)

  it("can be killed while it blocks", function()
    local server = tls.server()
    server:set_servername_callback(function() gevent.sleep(1000) end)
    local a, b = helper.pair()
    local g = gevent.spawn(function() server:wrap_socket(b, {server_side = true}) end)
    local client = gevent.spawn(function()
      return tls.client():wrap_socket(a, {server_hostname = "localhost"})
    end)
    helper.wait_all_blocked()
    gevent.kill(g)
    assert.is_nil((client:get()))
  end)

  it("takes the chosen context's terms", function()
    local own = tls.certificate "me"
    local a = named "a.example"
    local strict = named "b.example"
    strict.verify_mode = "required"
    strict:load_verify_locations(tls.authority("ca").cert)
    strict:set_alpn_protocols {"chosen"}
    strict.maximum_version = "TLSv1.2"
    a:set_servername_callback(function() return strict end)
    local client = tls.client()
    client:set_alpn_protocols {"chosen"}
    local ok, _, message = connects(client, a, {server_hostname = "b.example"})
    assert.is_false(ok)
    assert.equal("peer did not return a certificate", message)
    client:load_cert_chain(own.cert, own.key)
    local one, two = connect(client, a, {server_hostname = "b.example"})
    assert.equal("TLSv1.2", one:version())
    assert.equal("chosen", one:selected_alpn_protocol())
    assert.equal("me", two:getpeercert().subject.commonName)
    close(one, two)
  end)

  it("needs do_handshake, where it is asked in the middle of a read", function()
    local server = tls.server()
    server:set_servername_callback(function() end)
    local a, b = helper.pair()
    local sock = assert(server:wrap_socket(b, {server_side = true, do_handshake = false}))
    local client = gevent.spawn(function()
      return tls.client():wrap_socket(a, {server_hostname = "localhost"})
    end)
    local code, message = failure(sock:recv(1))
    assert.equal("ESSL", code)
    assert.matches("do_handshake", message)
    assert.is_true(sock:do_handshake())
    close(sock, client:get())
  end)
end)

-- Sessions ----------------------------------------------------------------------------

describe("sessions", function()
  local function resume(client_opts, server_opts)
    local client, server = tls.client(client_opts), tls.server(server_opts)
    local one, two = connect(client, server)
    assert.is_false(one:session_reused())
    two:sendall("x")
    assert.equal("x", one:recv(1))
    local session = one:session()
    close(one, two)
    local three, four = connect(client, server, {session = session})
    local reused = {three:session_reused(), four:session_reused()}
    four:sendall("y")
    assert.equal("y", three:recv(1))
    close(three, four)
    return session, reused
  end

  it("are resumed by ticket, in both versions", function()
    for _, version in ipairs {"TLSv1.2", "TLSv1.3"} do
      local session, reused = resume {maximum_version = version}
      assert.matches("^<SSLSession at 0x%x+: localhost>$", tostring(session))
      assert.same({true, true}, reused, version)
    end
  end)

  it("are resumed from the server's cache, without tickets", function()
    for _, version in ipairs {"TLSv1.2", "TLSv1.3"} do
      local _, reused = resume({maximum_version = version}, {session_tickets = false})
      assert.same({true, true}, reused, version)
    end
  end)

  it("are resumed with a client's certificate", function()
    local own = tls.certificate "me"
    local _, reused = resume({cert = own.cert, key = own.key},
      {verify_mode = "required", cafile = tls.authority("ca").cert})
    assert.same({true, true}, reused)
  end)

  it("are not for another context, host, or lesser terms", function()
    local client, server = tls.client(), tls.server()
    local one, two = connect(client, server)
    two:sendall("x")
    one:recv(1)
    local session = assert(one:session())
    close(one, two)
    local a, b = helper.pair()
    local function try(context, host)
      return function()
        context:wrap_socket(a, {server_hostname = host, session = session})
      end
    end
    assert.error_matches(try(tls.client(), "localhost"), "another context")
    assert.error_matches(try(client, "127.0.0.1"), "another host")
    assert.error_matches(function()
      client:wrap_socket(a, {server_hostname = "localhost", session = 1})
    end, "SSLSession expected")
    local lax = tls.client {verify_mode = "none"}
    one, two = connect(lax, server)
    two:sendall("x")
    one:recv(1)
    session = assert(one:session())
    close(one, two)
    lax.verify_mode = "required"
    assert.error_matches(try(lax, "localhost"), "without verifying")
    local nameless = tls.client {check_hostname = false}
    one, two = connect(nameless, server)
    two:sendall("x")
    one:recv(1)
    session = assert(one:session())
    close(one, two)
    nameless.check_hostname = true
    assert.error_matches(try(nameless, "localhost"), "without verifying")
    assert.is_false(a.closed)
    close(a, b)
  end)

  it("are not there before the handshake, nor on a server that has none", function()
    local a, b = helper.pair()
    local sock = assert(tls.client():wrap_socket(a,
      {server_hostname = "localhost", do_handshake = false}))
    assert.is_nil(sock:session())
    close(sock, b)
  end)
end)

-- The kernel --------------------------------------------------------------------------

describe("ktls", function()
  -- Where the kernel has no TLS, nothing changes; that is worth a test as well.
  it("carries megabytes, and ends in order", function()
    for _, version in ipairs {"TLSv1.2", "TLSv1.3"} do
      local client, server = tls.pair {tcp = true,
        client = tls.client {ktls = true, maximum_version = version},
        server = tls.server {ktls = true}}
      local text = ("0123456789"):rep(300000)
      local writers = {
        gevent.spawn(function() client:sendall(text) client:shutdown("w") end),
        gevent.spawn(function() server:sendall(text) server:shutdown("w") end),
      }
      local other = gevent.spawn(function() return server:read("a") end)
      assert.is_true(client:read("a") == text)
      assert.is_true(other:get() == text)
      gevent.joinall(writers)
      close(client, server)
    end
  end)
end)

-- The key log -------------------------------------------------------------------------

describe("SSLKEYLOGFILE", function()
  it("gets the secrets of connections", function()
    local own, ca = tls.certificate "localhost", tls.authority "ca"
    local log = tls.dir() .. "/keys.log"
    local code = ([[
      local ssl = require "gevent.ssl"
      local socket = require "gevent.socket"
      local gevent = require "gevent"
      local a, b = socket.socketpair()
      local server = assert(ssl.SSLContext {role = "server", cert = %q, key = %q})
      local client = assert(ssl.SSLContext {cafile = %q})
      local g = gevent.spawn(function() return server:wrap_socket(b, {server_side = true}) end)
      assert(client:wrap_socket(a, {server_hostname = "localhost"}))
      assert(g:get())
    ]]):format(own.cert, own.key, ca.cert)
    local status, _, err = helper.run_lua(code, {env = {SSLKEYLOGFILE = log}})
    assert.equal("", err)
    assert.equal(0, status)
    assert.matches("CLIENT_TRAFFIC_SECRET_0 %x+ %x+\n", helper.slurp(log))
  end)
end)
