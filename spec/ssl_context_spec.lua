-- SSLContext: what it loads, what it demands, what it offers.

local helper = require "helper"
local tls = require "helper_tls"
local gevent = require "gevent"
local ssl = require "gevent.ssl"
local it = helper.it

local connect, connects, failure = tls.connect, tls.connects, tls.failure

local function close(...)
  for _, sock in ipairs {...} do sock:close() end
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
    assert.error_matches(function() context.verify_depth = -1 end, "SSLContext.verify_depth")
    assert.error_matches(function() ssl.SSLContext {key = "x"} end, "a key without a cert")
    for option, value in pairs {cafile = {}, alpn_protocols = "h2", verify_mode = 5} do
      local _, err = pcall(function() ssl.SSLContext {[option] = value} end)
      assert.matches("^spec/ssl_context_spec.lua:%d+: bad .*" .. option, err)
    end
    assert.error_matches(function() context.colour = 1 end, "no field 'colour'")
    assert.is_nil(context.colour)
    assert.error_matches(function() ssl.SSLContext {colour = 1} end, "unknown option 'colour'")
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

  it("may be too long", function()
    local leaf, middle = tls.certificate("leaf", {authority = "middle"}), tls.authority "middle"
    local server = tls.server {own = leaf}
    assert(server:load_cert_chain(leaf.cert_pem .. middle.cert_pem, leaf.key))
    local client = tls.client()
    assert.equal(100, client.verify_depth)
    client.verify_depth = 1
    assert.is_true(connects(client, server))
    client.verify_depth = 0
    assert.is_false(connects(client, server))
    assert.error_matches(function() client.verify_depth = -1 end, "from 0 to 1000")
  end)

  it("needs the password of an encrypted key, and never asks for it", function()
    local own = tls.certificate "localhost"
    tls.run("openssl ec -in %s -aes128 -passout pass:secret -out locked.key", own.key)
    local context = assert(ssl.SSLContext())
    local locked = tls.dir() .. "/locked.key"
    assert.is_true(context:load_cert_chain(own.cert, locked, "secret"))
    assert.equal("ESSL", (failure(context:load_cert_chain(own.cert, locked))))
    assert.matches("a password is needed", (select(2, context:load_cert_chain(own.cert, locked))))
    assert.equal("no private key", (select(2, context:load_cert_chain(own.cert))))
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
    local one, two = connect(stranger, server)
    assert.same({false, "unable to get local issuer certificate"},
      {one:getpeerverification()})
    assert.same({false, "the peer has sent no certificate"}, {two:getpeerverification()})
    close(one, two)
    one, two = connect(client, server, {server_hostname = "other.example"})
    assert.is_true(one:getpeerverification())
    close(one, two)
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
    assert.is_true(two:getpeerverification())
    assert.same({two:getpeercert()}, two:getpeerchain())
    assert.same({one:getpeercert(true)}, one:getpeerchain(true))
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
