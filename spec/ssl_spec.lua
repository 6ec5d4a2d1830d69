-- TLS sockets: what they share with sockets, and what they have besides.

local helper = require "helper"
local tls = require "helper_tls"
local gevent = require "gevent"
local socket = require "gevent.socket"
local ssl = require "gevent.ssl"
local it = helper.it

local failure, closer = tls.failure, tls.closer

-- The versions and transports that everything holds for.
local kinds = {
  {"TLS 1.3", function() return tls.pair() end},
  {"TLS 1.2", function()
    return tls.pair {client = tls.client {maximum_version = "TLSv1.2"}}
  end},
  {"TLS over TCP", function() return tls.pair {tcp = true} end},
  {"TLS in TLS", function() return tls.pair {over = tls.pair} end},
}

for _, kind in ipairs(kinds) do
  local name, pair = kind[1], kind[2]

  describe(name, function()
    it("carries lines, bytes and all there is", function()
      local client, server = pair()
      local _ <close> = closer(client, server)
      assert.is_true(client:sendall("one\ntwo\nabc"))
      assert.equal("one", server:read("l"))
      assert.equal("two\n", server:read("L"))
      assert.equal("abc", server:readexactly(3))
      assert.is_true(server:sendv {"a", "", "bc", "::", "rest"})
      assert.equal("abc::", client:readuntil("::"))
      assert.equal("rest", client:recv(100))
      server:write("x", 1, "y\n")
      server:close()
      assert.equal("x1y\n", client:read("a"))
      assert.equal("", client:recv(1))
      assert.same({nil, "closed", "closed"}, {client:read("l")})
    end)

    it("carries megabytes both ways at once", function()
      local client, server = pair()
      local _ <close> = closer(client, server)
      local up, down = ("up"):rep(1000000), ("down"):rep(500000)
      local writers = {
        gevent.spawn(function() return client:sendall(up) end),
        gevent.spawn(function() return server:sendall(down) end),
      }
      local got = gevent.spawn(function() return server:readexactly(#up) end)
      assert.is_true(client:readexactly(#down) == down)
      assert.is_true(got:get() == up)
      for _, writer in ipairs(writers) do assert.is_true(writer:get()) end
    end)

    it("gives recv what it asks for, a byte at a time", function()
      local client, server = pair()
      local _ <close> = closer(client, server)
      local text = ("0123456789"):rep(50)
      client:sendall(text)
      client:sendall("!")
      local parts = {}
      for i = 1, #text + 1 do parts[i] = server:recv(1) end
      assert.equal(text .. "!", table.concat(parts))
    end)

    it("agrees on a version and a cipher", function()
      local client, server = pair()
      local _ <close> = closer(client, server)
      local version = name == "TLS 1.2" and "TLSv1.2" or "TLSv1.3"
      assert.equal(version, client:version())
      assert.equal(version, server:version())
      local cipher, of, bits = client:cipher()
      assert.same({cipher, of, bits}, {server:cipher()})
      assert.is_true(bits >= 128)
      assert.matches(version:gsub("%.", "%%."), of)
      assert.is_nil(client:selected_alpn_protocol())
      assert.is_false(client:session_reused())
    end)

    it("gives the plain stream back, on both sides", function()
      local client, server = pair()
      local _ <close> = closer(client, server)
      client:sendall("before")
      assert.equal("before", server:recv(10))
      local other = gevent.spawn(function() return server:unwrap() end)
      local plain = assert(client:unwrap())
      local peer = assert(other:get())
      assert.is_true(client.closed)
      assert.is_true(server.closed)
      plain:sendall("after")
      assert.equal("after", peer:recv(10))
      plain:close()
      peer:close()
    end)
  end)
end

-- What a TLS socket is ---------------------------------------------------------------

describe("a TLS socket", function()
  it("has the fields and names of the socket that it took over", function()
    local a, b = helper.tcp_pair()
    local _, port = a:getpeername()
    local client, server = tls.pair {over = function() return a, b end}
    local _ <close> = closer(client, server)
    assert.is_true(a.closed)
    assert.equal("EBADF", (failure(a:recv(1))))
    assert.same({"inet", "stream", false}, {client.family, client.type, client.closed})
    assert.same({"127.0.0.1", port}, {client:getpeername()})
    assert.equal("integer", math.type(client:fileno()))
    assert.is_true(client:getsockopt("nodelay"))
    assert.is_true(client:setsockopt("keepalive", true))
    assert.matches("^<TLS socket fd %d+ 127%.0%.0%.1:%d+ TLSv1%.3>$", tostring(client))
    assert.is_nil(client.accept)
    client:close()
    client:close()
    assert.is_true(client.closed)
    assert.equal("<TLS socket closed>", tostring(client))
  end)

  it("fails with EBADF when it is closed", function()
    local client, server = tls.pair()
    client:close()
    server:close()
    for _, method in ipairs {"read", "flush", "version", "cipher", "getpeercert", "session",
      "session_reused", "selected_alpn_protocol", "unwrap", "do_handshake", "shutdown",
      "getsockname", "getpeername", "gettimeout"} do
      assert.equal("EBADF", (failure(client[method](client))), method)
    end
    assert.equal("EBADF", (failure(client:recv(1))))
    assert.equal("EBADF", (failure(client:sendall("x"))))
    assert.is_true(client:close())
  end)

  it("keeps the time-out of the socket", function()
    local a, b = helper.pair()
    a:settimeout(7)
    local client, server = tls.pair {over = function() return a, b end}
    local _ <close> = closer(client, server)
    assert.equal(7, client:gettimeout())
    client:settimeout(0)
    assert.equal("timeout", (failure(client:recv(1))))
    assert.equal("timeout", (failure(client:read("l"))))
  end)

  it("collects with setvbuf, and sends before it closes", function()
    local client, server = tls.pair()
    local _ <close> = closer(client, server)
    client:setvbuf("full", 1000)
    client:write("col", "lected")
    client:close()
    assert.equal("collected", server:read("a"))
  end)

  it("sends files", function()
    local client, server = tls.pair()
    local _ <close> = closer(client, server)
    local text = ("0123456789"):rep(300000)
    local f <close> = assert(io.tmpfile())
    f:write(text)
    f:flush()
    local sender = gevent.spawn(function() return client:sendfile(f, 5) end)
    assert.is_true(server:readexactly(#text - 5) == text:sub(6))
    assert.equal(#text - 5, sender:get())
  end)

  it("ends a direction", function()
    local client, server = tls.pair()
    local _ <close> = closer(client, server)
    assert.is_true(client:shutdown("w"))
    assert.equal("", server:recv(1))
    assert.equal("EPIPE", (failure(client:sendall("x"))))
    server:sendall("still")
    assert.equal("still", client:recv(10))
    assert.is_true(client:shutdown("r"))
    assert.equal("", client:recv(10))
    assert.is_true(server:shutdown("rw"))
    assert.equal("", server:recv(10))
  end)

  it("counts for select what was read and not asked for", function()
    local select = require "gevent.select"
    local client, server = tls.pair()
    local _ <close> = closer(client, server)
    client:sendall("abcdef")
    assert.equal("a", server:recv(1))
    local r = select.select({server}, nil, nil, 0)
    assert.same({server}, r)
    assert.equal("bcdef", server:recv(10))
    assert.same({}, (select.select({server}, nil, nil, 0)))
  end)

  it("knows the end from a cut", function()
    local client, server = tls.pair()
    local _ <close> = closer(client, server)
    client:sendall("said")
    local plain <close> = socket.fromfd(client:detach())
    plain:shutdown("w")
    assert.equal("said", server:recv(100))
    for _ = 1, 2 do
      local code, message = failure(server:recv(100))
      assert.equal("ESSL", code)
      assert.matches("unexpected eof", message)
    end
    assert.equal("ESSL", (failure(server:read("a"))))
  end)

  it("reports a lost connection by its errno", function()
    local client, server = tls.pair {tcp = true}
    local _ <close> = closer(client, server)
    client:setsockopt("linger", 0)
    socket.fromfd(client:detach()):close()
    assert.equal("ECONNRESET", (failure(server:recv(1))))
    local code
    for _ = 1, 3 do code = failure(server:sendall("x")) end
    assert.is_truthy(code == "EPIPE" or code == "ESSL", code)
  end)

  it("sends a whole record of what it has counted, whoever gives up", function()
    local client, server = tls.pair()
    local _ <close> = closer(client, server)
    local text = ("0123456789"):rep(200000)
    local _, _, code, sent = client:sendall(text, 0.01)
    assert.equal("timeout", code)
    assert.is_true(sent > 0 and sent < #text)
    local reader = gevent.spawn(function() return server:read("a") end)
    assert.is_true(client:sendall("then another"))
    client:close()
    assert.is_true(reader:get() == text:sub(1, sent) .. "then another")
  end)

  it("goes on where a killed writer has stopped", function()
    local client, server = tls.pair()
    local _ <close> = closer(client, server)
    local text = ("0123456789"):rep(200000)
    local writer = helper.spawn_blocked(function() client:sendall(text) end)
    gevent.kill(writer)
    local reader = gevent.spawn(function() return server:read("a") end)
    assert.is_true(client:sendall("|"))
    client:close()
    local got = reader:get()
    assert.equal("|", got:sub(-1))
    assert.is_true(got:sub(1, -2) == text:sub(1, #got - 1))
  end)

  it("does not wait for a dead peer when it is closed", function()
    local client, server = tls.pair()
    local _ <close> = closer(client, server)
    client:sendall(("x"):rep(1000000), 0.01)
    assert.is_true(client:close())
  end)

  it("is closed by the collector", function()
    assert.is_nil(helper.leaks(function()
      local client, server = tls.pair()
      client:sendall("x")
      server:recv(1)
      client, server = nil, nil -- luacheck: ignore 311
      collectgarbage()
      collectgarbage()
    end))
  end)
end)

-- The certificate of the peer --------------------------------------------------------

describe("getpeercert", function()
  it("is a table, or DER", function()
    local own = tls.certificate("described", {subject = "/C=AT/O=A, B/CN=described",
      alt = "DNS:a.example,DNS:*.b.example,IP:10.0.0.1,IP:::1,email:x@a.example,"
        .. "URI:https://a.example/"})
    local client, server = tls.pair {server = tls.server {own = own},
      client_opts = {server_hostname = "a.example"}}
    local _ <close> = closer(client, server)
    local cert = client:getpeercert()
    assert.same({{"countryName", "AT"}, {"organizationName", "A, B"},
      {"commonName", "described"}, countryName = "AT", organizationName = "A, B",
      commonName = "described"}, cert.subject)
    assert.equal("ca", cert.issuer.commonName)
    assert.same({{"DNS", "a.example"}, {"DNS", "*.b.example"}, {"IP Address", "10.0.0.1"},
      {"IP Address", "::1"}, {"email", "x@a.example"}, {"URI", "https://a.example/"}},
      cert.subjectAltName)
    assert.equal(3, cert.version)
    assert.matches("^%x+$", cert.serialNumber)
    assert.matches("^%a%a%a .* %d%d%d%d GMT$", cert.notBefore)
    assert.matches("^%a%a%a .* %d%d%d%d GMT$", cert.notAfter)
    local der = tls.run("openssl x509 -in described.pem -outform DER")
    assert.equal(der, client:getpeercert(true))
    assert.is_nil(server:getpeercert())
    assert.is_nil((server:getpeercert(true)))
  end)
end)

describe("gevent.ssl", function()
  it("says which OpenSSL it has", function()
    assert.matches("^OpenSSL 3", ssl.OPENSSL_VERSION)
  end)
end)
