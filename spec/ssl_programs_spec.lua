-- TLS with other programs, continued: sessions, client certificates, STARTTLS,
-- much data both ways, ends in order and not, the key log; nginx.

local helper = require "helper"
local tls = require "helper_tls"
local gevent = require "gevent"
local http = require "gevent.http"
local server = require "gevent.server"
local socket = require "gevent.socket"
local run = require "helper_program".run
local quote = require "helper_process".quote
local with = tls.with

local LIMIT = 8 * helper.scale

local function start(handle, context)
  local srv = server.StreamServer("127.0.0.1:0", handle, {ssl_context = context})
  assert(srv:start())
  return srv, helper.defer(function() srv:stop(0) end)
end

local function connect(port, context, opts)
  local all = {ssl = context or tls.client(), timeout = LIMIT}
  for name, value in pairs(opts or {}) do all[name] = value end
  return socket.create_connection("127.0.0.1", port, all)
end

-- A file that is as large, and different all over; its path.
local function big_file(bytes)
  local path = ("%s/big%d"):format(tls.dir(), bytes)
  if not helper.slurp(path) then
    tls.run("openssl enc -aes-128-ctr -K 00 -iv 00 -in /dev/zero 2>/dev/null | head -c %s >%s",
      bytes, path)
  end
  return path
end

local function upper(sock)
  for line in sock:lines("L") do sock:sendall(line:upper()) end
end

-- Sessions ----------------------------------------------------------------------------

describe("openssl s_client", function()
  for _, version in ipairs {"1_2", "1_3"} do
    with("openssl")("comes back with its session, TLS " .. version, function()
      local context = tls.server()
      local reused = {}
      local srv, stop = start(function(sock)
        reused[#reused + 1] = sock:session_reused()
        upper(sock)
      end, context)
      local _ <close> = stop
      local function talk(option)
        local client <close> = run("openssl s_client -connect 127.0.0.1:" .. srv.port
          .. " -tls" .. version .. " " .. option)
        client:say("hello\n")
        client:expect("HELLO\n")
        return (client:finish())
      end
      local file = ("session%s.pem"):format(version)
      talk("-sess_out " .. file)
      assert.matches("\nReused, TLSv1%.", talk("-sess_in " .. file))
      assert.same({false, true}, reused)
      assert(context:load_verify_locations(tls.authority("ca").cert)) -- on other terms
      assert.matches("\nNew, TLSv1%.", talk("-sess_in " .. file))
    end)
  end
end)

-- Renegotiation ------------------------------------------------------------------------

describe("a server that wants to renegotiate", function()
  with("openssl")("is refused by our client", function()
    local own = tls.certificate "localhost"
    local peer <close> = run("openssl s_server -accept 127.0.0.1:0 -tls1_2 -cert %s -key %s",
      own.cert, own.key)
    local sock <close> = assert(connect(tonumber(peer:expect("ACCEPT 127%.0%.0%.1:(%d+)"))))
    sock:sendall("hello\n")
    peer:expect("hello\n")
    peer:say("r\n")
    local data, message, code = sock:recv(100, LIMIT)
    assert.is_truthy(code == "ESSL" or data == "", tostring(data or message))
    peer:expect("no renegotiation")
  end)
end)

-- The key log ---------------------------------------------------------------------------

describe("the key log", function()
  with("openssl")("is what the peer logs: the format of NSS", function()
    local own = tls.certificate "localhost"
    for version, labels in pairs {["1_2"] = 1, ["1_3"] = 5} do
      local theirs, ours = tls.dir() .. "/theirs" .. version, tls.dir() .. "/ours" .. version
      local peer <close> = run("openssl s_server -accept 127.0.0.1:0 -rev -tls" .. version
        .. " -cert %s -key %s -keylogfile %s", own.cert, own.key, theirs)
      local port = peer:expect("ACCEPT 127%.0%.0%.1:(%d+)")
      local status, _, err = helper.run_lua(([[
        local ssl = require "gevent.ssl"
        local sock = assert(require "gevent.socket".create_connection("127.0.0.1", %d,
          {ssl = assert(ssl.SSLContext {cafile = %q})}))
        sock:sendall("hello\n")
        assert(sock:read("l") == "olleh")
        sock:close()
      ]]):format(port, tls.authority("ca").cert), {env = {SSLKEYLOGFILE = ours}})
      assert.same({"", 0}, {err, status})
      local function secrets(path)
        local list = {}
        for line in assert(helper.slurp(path)):gmatch "[^\n]+" do
          if not line:find "^#" then
            assert.matches("^[%u%d_]+ %x+ %x+$", line)
            list[#list + 1] = line
          end
        end
        table.sort(list)
        return list
      end
      helper.wait_until(function() return #secrets(theirs) >= labels end)
      assert.equal(labels, #secrets(ours))
      assert.same(secrets(theirs), secrets(ours))
    end
  end)
end)

-- curl ----------------------------------------------------------------------------------

describe("curl", function()
  with("curl")("shows its certificate, and carries much both ways", function()
    local ca, own = tls.authority "ca", tls.certificate "me"
    local big = big_file(9000001)
    local srv <close> = http.Server("127.0.0.1:0", function(req, res)
      local name = req.socket and req.socket:getpeercert().subject.commonName
      if req.method == "POST" then return 200, {["X-Name"] = name}, req:body() end
      return res:sendfile(big)
    end, {max_body_bytes = 10000000,
      ssl_context = tls.server {verify_mode = "required", cafile = ca.cert}})
    assert(srv:start())
    local url = "https://localhost:" .. srv.port
    local function curl(options, ...)
      local client <close> = run("curl -sS --noproxy '*' --cacert " .. quote(ca.cert) .. " "
        .. options .. " %s", ...)
      return client:finish()
    end
    local id = ("--cert %s --key %s "):format(quote(own.cert), quote(own.key))
    for _, version in ipairs {"--tls-max 1.2", "--tlsv1.3"} do
      local text, code = curl(id .. version .. " -o down", url)
      assert.equal(0, code, text)
      tls.run("cmp down %s", big)
      text, code = curl(id .. version .. " --data-binary @%s -o up", big, url)
      assert.equal(0, code, text)
      tls.run("cmp up %s", big)
      text, code = curl(version, url)
      assert.is_true(code ~= 0)
      assert.matches("alert", text)
    end
  end)
end)

-- nginx -----------------------------------------------------------------------------------

local NGINX = [[
daemon off;
master_process off;
pid nginx.pid;
error_log stderr crit;
events {}
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  client_max_body_size 20m;
  server {
    listen unix:@DIR@/nginx.sock ssl;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_certificate @CERT@;
    ssl_certificate_key @KEY@;
    ssl_client_certificate @CA@;
    ssl_verify_client optional;
    ssl_session_cache shared:s:1m;
    root @DIR@;
    location = /who {
      return 200 "$ssl_client_verify $ssl_protocol $ssl_session_reused $ssl_server_name\n";
    }
  }
}
]]

describe("nginx", function()
  local test = with "nginx"

  local function serve()
    local own, ca = tls.certificate "localhost", tls.authority "ca"
    local values = {DIR = tls.dir(), CERT = own.cert, KEY = own.key, CA = ca.cert}
    tls.write("nginx.conf", (NGINX:gsub("@(%u+)@", values)))
    os.remove(tls.dir() .. "/nginx.sock")
    -- Not as a child of a shell, which would not hand the signal on.
    local peer = run("exec nginx -p %s -e stderr -c %s", tls.dir(), tls.dir() .. "/nginx.conf")
    return peer
  end

  local function open(context, session)
    local sock
    helper.wait_until(function()
      sock = socket.socket "unix"
      sock:settimeout(LIMIT)
      local ok = sock:connect(tls.dir() .. "/nginx.sock")
      if not ok then sock:close() end
      return ok
    end, 8)
    return assert(context:wrap_socket(sock, {server_hostname = "localhost", session = session}))
  end

  local function get(sock, path)
    sock:sendall(("GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n"):format(path))
    local head, body = assert(sock:read("a")):match "^(.-\r\n\r\n)(.*)$"
    assert.matches("^HTTP/1.1 200 ", head)
    return body
  end

  test("talks both versions, resumes sessions, sees our certificate", function()
    local peer <close> = serve()
    local own = tls.certificate "me"
    for _, version in ipairs {"TLSv1.2", "TLSv1.3"} do
      local context = tls.client {maximum_version = version}
      local one <close> = open(context)
      assert.equal(("NONE %s . localhost\n"):format(version), get(one, "/who"))
      local two <close> = open(context, assert(one:session()))
      assert.equal(("NONE %s r localhost\n"):format(version), get(two, "/who"))
      local three <close> = open(tls.client {maximum_version = version, cert = own.cert,
        key = own.key})
      assert.equal(("SUCCESS %s . localhost\n"):format(version), get(three, "/who"))
    end
    assert.is_truthy(peer)
  end)

  test("sends much", function()
    local peer <close> = serve()
    local big = big_file(9000001)
    local sock <close> = open(tls.client())
    assert.is_true(get(sock, "/" .. big:match "[^/]+$") == helper.slurp(big))
    assert.is_truthy(peer)
  end)
end)

-- Python ------------------------------------------------------------------------------------

-- Runs a Python program that has `context` of that side and prints "port N" if
-- it is a server.
local function python(name, text)
  local own = tls.certificate "localhost"
  tls.write(name .. ".py", ([[
import hashlib, os, socket, ssl, sys
def server_context():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=%q)
    context.load_cert_chain(%q, %q)
    return context
def client_context():
    return ssl.create_default_context(cafile=%q)
def listen():
    listener = socket.create_server(("127.0.0.1", 0))
    print("port %%d." %% listener.getsockname()[1], flush=True)
    return listener.accept()[0]
def pattern(n):
    return (b"0123456789abcdef" * (n // 16 + 1))[:n]
]]):format(tls.authority("ca").cert, own.cert, own.key, tls.authority("ca").cert) .. text)
  return run("python3 -u " .. name .. ".py")
end

local function port_of(peer) return tonumber(peer:expect("port (%d+)%.")) end

local function pattern(n) return ("0123456789abcdef"):rep(n // 16 + 1):sub(1, n) end

describe("Python's ssl", function()
  local test = with "python3"

  test("upgrades our client by STARTTLS", function()
    local peer <close> = python("starttls", [[
plain = listen()
plain.sendall(b"220 ready\n")
assert plain.recv(100) == b"STARTTLS\r\n"
plain.sendall(b"220 go on\n")
secure = server_context().wrap_socket(plain, server_side=True)
assert secure.recv(100) == b"EHLO\r\n"
secure.sendall(b"250 secret\n")
plain = secure.unwrap()
plain.sendall(b"221 bye\n")
plain.close()
print("done")
]])
    local plain <close> = assert(socket.create_connection("127.0.0.1", port_of(peer),
      {timeout = LIMIT}))
    assert.equal("220 ready", plain:read("l"))
    plain:sendall("STARTTLS\r\n")
    assert.equal("220 go on", plain:read("l"))
    local secure <close> = assert(tls.client():wrap_socket(plain, {server_hostname = "localhost"}))
    secure:sendall("EHLO\r\n")
    assert.equal("250 secret", secure:read("l"))
    local again <close> = assert(secure:unwrap())
    assert.equal("221 bye", again:read("l"))
    assert.equal("", again:recv(10))
    peer:expect("done")
  end)

  test("cannot put plaintext behind the answer to STARTTLS", function()
    local peer <close> = python("injected", [[
plain = listen()
assert plain.recv(100) == b"STARTTLS\r\n"
plain.sendall(b"220 go on\n250 injected\n")
plain.recv(10000)
]])
    local plain <close> = assert(socket.create_connection("127.0.0.1", port_of(peer),
      {timeout = LIMIT}))
    plain:sendall("STARTTLS\r\n")
    assert.equal("220 go on", plain:read("l"))
    local code, message = tls.failure(tls.client():wrap_socket(plain,
      {server_hostname = "localhost"}))
    assert.equal("ESSL", code)
    assert.matches("wrong version number", message)
  end)

  for _, version in ipairs {"TLSv1_2", "TLSv1_3"} do
    test("sends and takes much, with checksums, as " .. version, function()
      local N = 5000003
      local peer <close> = python("much" .. version, ([[
context = server_context()
context.maximum_version = context.minimum_version = ssl.TLSVersion.%s
secure = context.wrap_socket(listen(), server_side=True)
secure.sendall(pattern(%d))
total, digest = 0, hashlib.sha256()
while total < %d:
    data = secure.recv(100000)
    total += len(data)
    digest.update(data)
assert digest.digest() == hashlib.sha256(pattern(%d)).digest()
secure.unwrap()
print("done")
]]):format(version, N, N, N))
      local sock <close> = assert(connect(port_of(peer)))
      local writer = gevent.spawn(function() return sock:sendall(pattern(N)) end)
      assert.is_true(sock:readexactly(N) == pattern(N))
      assert.is_true(writer:get())
      assert.equal("", sock:recv(1))
      sock:close()
      peer:expect("done")
    end)
  end

  test("chooses a protocol, a name, a certificate, and resumes", function()
    local me = tls.certificate "me"
    local seen = {}
    local context = tls.server {alpn_protocols = {"b", "a"}, verify_mode = "required",
      cafile = tls.authority("ca").cert}
    context:set_servername_callback(function(_, name) seen[#seen + 1] = name end)
    local srv, stop = start(function(sock)
      seen[#seen + 1] = sock:getpeercert().subject.commonName
      seen[#seen + 1] = tostring(sock:session_reused())
      upper(sock)
    end, context)
    local _ <close> = stop
    local peer <close> = python("choose", ([[
context = client_context()
context.load_cert_chain(%q, %q)
context.set_alpn_protocols(["a", "b"])
session = None
for turn in range(2):
    plain = socket.create_connection(("127.0.0.1", %d))
    secure = context.wrap_socket(plain, server_hostname="localhost", session=session)
    secure.sendall(b"hello\n")
    assert secure.recv(100) == b"HELLO\n"
    assert secure.selected_alpn_protocol() == "b"
    assert secure.session_reused == (turn == 1)
    session = secure.session
    secure.unwrap().close()
print("done")
]]):format(me.cert, me.key, srv.port))
    peer:expect("done")
    assert.same({"localhost", "me", "false", "localhost", "me", "true"}, seen)
  end)

  test("ends in order one way, and goes on the other", function()
    local ends = {}
    local srv, stop = start(function(sock)
      ends[#ends + 1] = table.pack(sock:read("a"))
      sock:sendall("still here\n")
    end, tls.server())
    local _ <close> = stop
    -- SSLObject, for Python's sockets cannot end one direction alone.
    local peer <close> = python("half", ([[
plain = socket.create_connection(("127.0.0.1", %d))
incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
secure = client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
def pump(step):
    while True:
        try:
            result = step()
            plain.sendall(outgoing.read())
            return result
        except ssl.SSLWantReadError:
            plain.sendall(outgoing.read())
            incoming.write(plain.recv(65536))
pump(secure.do_handshake)
pump(lambda: secure.write(b"that was all"))
try:
    secure.unwrap()
except ssl.SSLWantReadError:
    pass
plain.sendall(outgoing.read())
plain.shutdown(socket.SHUT_WR)
while True:
    data = plain.recv(65536)
    if not data: break
    incoming.write(data)
try:
    secure.unwrap()
except ssl.SSLError as e:
    print("unwrap:", e.reason)
print("done")
]]):format(srv.port))
    peer:expect("done")
    assert.same({{"that was all", n = 1}}, ends)
  end)

  test("that is cut off is an error on either side", function()
    local ended
    local srv, stop = start(function(sock)
      sock:sendall(sock:read("L"):upper())
      ended = table.pack(sock:recv(10))
    end, tls.server())
    local _ <close> = stop
    local client <close> = python("cut", ([[
plain = socket.create_connection(("127.0.0.1", %d))
secure = client_context().wrap_socket(plain, server_hostname="localhost")
secure.sendall(b"hello\n")
assert secure.recv(100) == b"HELLO\n"
secure.close()
]]):format(srv.port))
    helper.wait_until(function() return ended end, 8)
    assert.same({nil, "unexpected eof while reading", "ESSL", n = 3}, ended)
    local peer <close> = python("cutting", [[
secure = server_context().wrap_socket(listen(), server_side=True)
secure.sendall(b"half of")
secure.close()
]])
    local sock <close> = assert(connect(port_of(peer)))
    local data, message, code = sock:read("a")
    assert.is_nil(data)
    assert.equal("ESSL", code, message)
    assert.is_truthy(client)
  end)
end)
