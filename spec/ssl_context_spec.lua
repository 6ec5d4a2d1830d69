-- SSLContext: what it loads, what it demands, what it offers.

local helper = require "helper"
local tls = require "helper_tls"
local gevent = require "gevent"
local ssl = require "gevent.ssl"
local it = helper.it

local function failure(first, message, code)
  assert.is_nil(first)
  return code, message
end

local function close(...)
  for _, sock in ipairs {...} do sock:close() end
end

--- Connects by these contexts: client, server; a failed one is `{message, code}`.
local function connect(client, server, client_opts)
  local a, b = helper.pair()
  local one, two = tls.wrap(a, b,
    {client = client, server = server, client_opts = client_opts})
  return one[1] or {one[2], one[3]}, two[1] or {two[2], two[3]}
end

--- Does a connection come about? It is closed again.
local function connects(client, server, client_opts)
  local one, two = connect(client, server, client_opts)
  local ok = type(one) == "userdata" and type(two) == "userdata"
  -- In TLS 1.3 the client hears of a refusal of its certificate when it reads.
  if ok then
    two:sendall("x")
    ok = one:recv(1) == "x"
  end
  for _, sock in ipairs {one, two} do
    if type(sock) == "userdata" then sock:close() end
  end
  return ok, type(one) == "table" and one[1] or nil, type(two) == "table" and two[1] or nil
end

-- Fields -----------------------------------------------------------------------------

describe("an SSLContext", function()
  it("is safe unless told", function()
    local context = assert(ssl.create_default_context())
    assert.equal("required", context.verify_mode)
    assert.is_true(context.check_hostname)
    assert.equal("TLSv1.2", context.minimum_version)
    assert.equal("TLSv1.3", context.maximum_version)
    assert.equal("none", context.crl_check)
    assert.is_true(context.session_tickets)
    assert.matches("^<SSLContext at 0x%x+: client>$", tostring(context))
    local server = assert(ssl.SSLContext {role = "server"})
    assert.equal("none", server.verify_mode)
    assert.is_false(server.check_hostname)
    assert.equal("TLSv1.2", server.minimum_version)
  end)

  it("takes its fields as options, and by assignment", function()
    local context = assert(ssl.SSLContext {verify_mode = "optional", minimum_version = "TLSv1.3",
      check_hostname = false, crl_check = "leaf", session_tickets = false})
    assert.same({"optional", "TLSv1.3", false, "leaf", false}, {context.verify_mode,
      context.minimum_version, context.check_hostname, context.crl_check,
      context.session_tickets})
    context.minimum_version = "TLSv1.2"
    context.maximum_version = "TLSv1.2"
    context.crl_check = "chain"
    context.session_tickets = true
    assert.same({"TLSv1.2", "TLSv1.2", "chain", true}, {context.minimum_version,
      context.maximum_version, context.crl_check, context.session_tickets})
  end)

  it("does not check the name of whom it does not verify", function()
    local context = assert(ssl.SSLContext())
    context.verify_mode = "none"
    assert.is_false(context.check_hostname)
    context.check_hostname = true
    assert.equal("required", context.verify_mode, "a name says nothing otherwise")
  end)

  it("refuses what it does not know", function()
    local context = assert(ssl.SSLContext())
    assert.error_matches(function() context.verify_mode = "some" end, "invalid option 'some'")
    assert.error_matches(function() context.minimum_version = "SSLv3" end, "invalid option")
    assert.error_matches(function() context.check_hostname = 1 end, "boolean expected")
    assert.error_matches(function() context.colour = 1 end, "no field 'colour'")
    assert.is_nil(context.colour)
    assert.error_matches(function() ssl.SSLContext {colour = 1} end, "bad option 'colour'")
    assert.error_matches(function() ssl.SSLContext {role = "both"} end, "role")
    assert.error_matches(function() ssl.SSLContext("client") end, "table expected")
    assert.error_matches(function() context:set_alpn_protocols {""} end, "1 to 255 bytes")
    assert.error_matches(function() context:set_alpn_protocols {{}} end, "strings")
    assert.error_matches(function() context:set_servername_callback(1) end, "function")
  end)
end)

-- Loading ----------------------------------------------------------------------------

describe("load_cert_chain", function()
  it("takes files and PEM, together or apart", function()
    local own = tls.certificate "localhost"
    local client = tls.client()
    for _, args in ipairs {
      {own.cert, own.key}, {own.cert_pem, own.key_pem}, {own.cert, own.key_pem},
      {own.cert_pem .. own.key_pem}, {tls.write("both.pem", own.key_pem .. own.cert_pem)},
    } do
      local server = assert(ssl.SSLContext {role = "server"})
      assert.is_true(server:load_cert_chain(table.unpack(args)))
      assert.is_true(connects(client, server))
    end
  end)

  it("sends the chain", function()
    local root = tls.authority "ca"
    tls.write("middle.ext", "basicConstraints=critical,CA:TRUE")
    tls.run("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout middle.key "
      .. "-out middle.csr -subj /CN=middle")
    tls.run("openssl x509 -req -in middle.csr -CA %s -CAkey %s -CAcreateserial -days 30 "
      .. "-extfile middle.ext -out middle.pem", root.cert, root.key)
    local leaf = tls.certificate("leaf", {authority = "middle"})
    local middle = tls.authority "middle"
    local server = assert(ssl.SSLContext {role = "server"})
    assert(server:load_cert_chain(leaf.cert_pem .. middle.cert_pem, leaf.key))
    assert.is_true(connects(tls.client(), server))
    assert(server:load_cert_chain(leaf.cert, leaf.key))
    local ok, message = connects(tls.client(), server)
    assert.is_false(ok)
    assert.equal("certificate verify failed: unable to get local issuer certificate", message)
  end)

  it("needs the password of an encrypted key, and never asks for it", function()
    local own = tls.certificate "localhost"
    tls.run("openssl ec -in %s -aes128 -passout pass:secret -out locked.key", own.key)
    local context = assert(ssl.SSLContext())
    local locked = tls.dir() .. "/locked.key"
    assert.is_true(context:load_cert_chain(own.cert, locked, "secret"))
    assert.equal("ESSL", (failure(context:load_cert_chain(own.cert, locked))))
    assert.equal("ESSL", (failure(context:load_cert_chain(own.cert, locked, "wrong"))))
    assert.equal("ESSL", (failure(context:load_cert_chain(own.cert, locked, ""))))
    assert.equal("ESSL", (failure(ssl.SSLContext {cert = own.cert, key = locked})))
    assert.is_truthy(ssl.SSLContext {cert = own.cert, key = locked, password = "secret"})
  end)

  it("says what cannot be loaded, and changes nothing then", function()
    local own, other = tls.certificate "localhost", tls.certificate "other"
    local server = tls.server()
    local dir = tls.dir()
    local code, message = failure(server:load_cert_chain(dir .. "/none.pem", own.key))
    assert.equal("ENOENT", code)
    assert.matches("none%.pem: no such file", message)
    assert.equal("ENOENT", (failure(server:load_cert_chain(own.cert, dir .. "/none.key"))))
    code, message = failure(server:load_cert_chain(other.cert, own.key))
    assert.equal("ESSL", code)
    assert.equal("key values mismatch", message)
    assert.equal("ESSL", (failure(server:load_cert_chain(own.key, own.key))))
    assert.equal("ESSL", (failure(server:load_cert_chain(own.cert))))
    assert.equal("ESSL", (failure(server:load_cert_chain(
      own.cert_pem .. "-----BEGIN CERTIFICATE-----\nbroken\n", own.key))))
    assert.equal("ESSL", (failure(server:load_cert_chain("-----BEGIN NONSENSE-----", own.key))))
    assert.is_true(connects(tls.client(), server))
    assert.error_matches(function() server:load_cert_chain() end, "string expected")
  end)

  it("may be called again while it serves", function()
    local old, new = tls.certificate "old", tls.certificate "new"
    local server, client = tls.server {own = old}, tls.client()
    local one, two = connect(client, server)
    assert(server:load_cert_chain(new.cert, new.key))
    local three, four = connect(client, server)
    assert.equal("old", one:getpeercert().subject.commonName)
    assert.equal("new", three:getpeercert().subject.commonName)
    one:sendall("still")
    assert.equal("still", two:recv(10))
    close(one, two, three, four)
  end)
end)

describe("load_verify_locations", function()
  it("takes a file, PEM, a directory", function()
    local ca = tls.authority "ca"
    local server = tls.server()
    assert.is_false(connects(assert(ssl.SSLContext()), server))
    local hashed = tls.dir() .. "/hashed"
    tls.run("mkdir -p hashed && cp %s hashed/ && openssl rehash hashed", ca.cert)
    for _, where in ipairs {ca.cert, ca.cert_pem, hashed} do
      local client = assert(ssl.SSLContext())
      assert.is_true(client:load_verify_locations(where))
      assert.is_true(connects(client, server), where)
    end
    for option, where in pairs {cafile = ca.cert, cadata = ca.cert_pem, capath = hashed} do
      assert.is_true(connects(assert(ssl.SSLContext {[option] = where}), server), option)
    end
  end)

  it("says what cannot be loaded", function()
    local client = assert(ssl.SSLContext())
    local code, message = failure(client:load_verify_locations("/does/not/exist.pem"))
    assert.equal("ENOENT", code)
    assert.matches("^/does/not/exist%.pem: ", message)
    assert.equal("ESSL", (failure(client:load_verify_locations(
      tls.write("empty.pem", "nothing\n")))))
    assert.equal("ENOENT", (failure(ssl.SSLContext {cafile = "/does/not/exist.pem"})))
  end)

  it("is instead of the system's store, load_default_certs besides it", function()
    local ca = tls.authority "ca"
    local code = ([[
      local ssl = require "gevent.ssl"
      local helper = require "helper_tls"
      local socket = require "gevent.socket"
      local gevent = require "gevent"
      local function try(context)
        local a, b = socket.socketpair()
        local server = assert(ssl.SSLContext {role = "server", cert = %q, key = %q})
        local g = gevent.spawn(function() return server:wrap_socket(b, {server_side = true}) end)
        local sock, message = context:wrap_socket(a, {server_hostname = "localhost"})
        print(sock and "trusted" or message)
        g:get()
      end
      try(ssl.SSLContext())
      try(ssl.SSLContext {cafile = %q})
      local both = ssl.SSLContext {cafile = %q}
      both:load_default_certs()
      try(both)
    ]]):gsub('local helper = require "helper_tls"\n', ""):format(
      tls.certificate("localhost").cert, tls.certificate("localhost").key,
      tls.authority("another").cert, tls.authority("another").cert)
    local status, out, err = helper.run_lua(code, {env = {SSL_CERT_FILE = ca.cert}})
    assert.equal("", err)
    assert.equal(0, status)
    assert.equal("trusted\ncertificate verify failed: unable to get local issuer certificate\n"
      .. "trusted\n", out)
  end)
end)

-- Verification ------------------------------------------------------------------------

describe("verification", function()
  it("is of the chain and the name", function()
    local server, client = tls.server(), tls.client()
    assert.is_true(connects(client, server))
    assert.is_true(connects(client, server, {server_hostname = "LOCALHOST."}))
    assert.is_true(connects(client, server, {server_hostname = "127.0.0.1"}))
    local function refused(host)
      local ok, message, other = connects(client, server, {server_hostname = host})
      assert.is_false(ok)
      assert.is_truthy(other, "the server hears of it")
      return message
    end
    assert.equal("certificate verify failed: hostname mismatch", refused("other.example"))
    assert.equal("certificate verify failed: hostname mismatch", refused("sub.localhost"))
    assert.equal("certificate verify failed: IP address mismatch", refused("127.0.0.2"))
    assert.equal("certificate verify failed: IP address mismatch", refused("::1"))
  end)

  it("of the name can be left out, and all of it", function()
    local server = tls.server()
    local client = tls.client {check_hostname = false}
    assert.is_true(connects(client, server, {server_hostname = "other.example"}))
    local stranger = assert(ssl.SSLContext {check_hostname = false})
    assert.is_false(connects(stranger, server))
    stranger.verify_mode = "none"
    assert.is_true(connects(stranger, server))
    stranger.verify_mode = "optional"
    assert.is_false(connects(stranger, server), "a server always has a certificate")
  end)

  it("needs no name where none is checked", function()
    local a, b = helper.pair()
    local server = gevent.spawn(function()
      return tls.server():wrap_socket(b, {server_side = true})
    end)
    local sock = assert(tls.client {check_hostname = false}:wrap_socket(a))
    close(sock, server:get())
  end)

  it("of a client: none, optional, required", function()
    local ca = tls.authority "ca"
    local own, strange = tls.certificate "me", tls.certificate("me2", {authority = "strangers"})
    local function as(id) return tls.client {cert = id.cert, key = id.key} end
    local optional = tls.server {verify_mode = "optional", cafile = ca.cert}
    local required = tls.server {verify_mode = "required", cafile = ca.cert}
    assert.is_true(connects(tls.client(), optional))
    assert.is_true(connects(as(own), optional))
    assert.is_false(connects(as(strange), optional))
    assert.is_true(connects(as(own), required))
    assert.is_true(connects(as(strange), tls.server()), "nobody asks for it")
    local _, _, message = connects(tls.client(), required)
    assert.equal("peer did not return a certificate", message)
    _, _, message = connects(as(strange), required)
    assert.matches("^certificate verify failed: unable to get local issuer", message)
    local one, two = connect(as(own), required)
    assert.equal("me", two:getpeercert().subject.commonName)
    close(one, two)
  end)

  it("tells a refused client why, when it reads", function()
    local required = tls.server {verify_mode = "required", cafile = tls.authority("ca").cert}
    local one, two = connect(tls.client(), required)
    assert.is_table(two)
    local code, message = failure(one:recv(1))
    assert.equal("ESSL", code)
    assert.matches("certificate required", message)
    one:close()
  end)

  it("asks a CRL whether a certificate was revoked", function()
    local good, bad = tls.certificate "good", tls.certificate "revoked"
    local ca = tls.authority "ca"
    tls.write("index.txt", "")
    tls.write("crl.cnf", "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\n"
      .. "default_md=sha256\ndefault_crl_days=30\n")
    tls.run("openssl ca -config crl.cnf -cert %s -keyfile %s -revoke %s", ca.cert, ca.key,
      bad.cert)
    tls.run("openssl ca -config crl.cnf -cert %s -keyfile %s -gencrl -out crl.pem", ca.cert,
      ca.key)
    local crl = tls.dir() .. "/crl.pem"
    local client = tls.client {crl = crl}
    assert.is_true(connects(client, tls.server {own = bad}), "it was not told to check")
    for _, check in ipairs {"leaf", "chain"} do
      client.crl_check = check
      assert.is_true(connects(client, tls.server {own = good}))
      local ok, message = connects(client, tls.server {own = bad})
      assert.is_false(ok)
      assert.equal("certificate verify failed: certificate revoked", message)
    end
    local _, message = connects(tls.client {crl_check = "leaf"}, tls.server {own = good})
    assert.equal("certificate verify failed: unable to get certificate CRL", message)
  end)
end)

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
