-- TLS with others: openssl s_client and s_server, curl, Python.

local helper = require "helper"
local tls = require "helper_tls"
local gevent = require "gevent"
local http = require "gevent.http"
local server = require "gevent.server"
local socket = require "gevent.socket"
local quote = require "helper_process".quote
local run = require "helper_program".run

-- Servers of ours ----------------------------------------------------------------------

local function start(handle, context)
  local srv = server.StreamServer("127.0.0.1:0", handle, {ssl_context = context})
  assert(srv:start())
  return srv, helper.defer(function() srv:stop(0) end)
end

local function upper(sock)
  for line in sock:lines("L") do sock:sendall(line:upper()) end
end

local function s_client(srv, options, ...)
  return run("openssl s_client -connect 127.0.0.1:" .. srv.port .. " -CAfile "
    .. quote(tls.authority("ca").cert) .. " -verify_return_error -servername localhost "
    .. options, ...)
end

local with = tls.with

describe("openssl s_client", function()
  local test = with "openssl"

  for _, version in ipairs {"1_2", "1_3"} do
    test("talks TLS " .. version, function()
      local srv, stop = start(upper, tls.server())
      local _ <close> = stop
      local client <close> = s_client(srv, "-brief -tls" .. version)
      client:say("hello\n")
      client:expect("HELLO\n")
      client:expect("Verification: OK")
      client:say("again\n")
      client:expect("AGAIN\n")
      local _, code = client:finish()
      assert.equal(0, code)
    end)
  end

  test("takes megabytes, and others run meanwhile", function()
    local turns = 0
    local srv, stop = start(function(sock)
      sock:read("l")
      local ticker = gevent.spawn(function()
        while true do
          turns = turns + 1
          gevent.sleep(0)
        end
      end)
      assert(sock:sendall(("x"):rep(1 << 24)))
      ticker:kill()
      turns = turns .. " turns"
    end, tls.server())
    local _ <close> = stop
    local interval = gevent.getswitchinterval()
    gevent.setswitchinterval(0.001)
    local _interval <close> = helper.defer(function() gevent.setswitchinterval(interval) end)
    local client <close> = run("openssl s_client -quiet -connect 127.0.0.1:" .. srv.port
      .. " 2>/dev/null | wc -c")
    client:say("go\n")
    client:expect("16777216")
    client:finish()
    helper.wait_until(function() return type(turns) == "string" end)
    assert.is_true(tonumber(turns:match("%d+")) > 1, turns)
  end)

  test("resumes sessions, with and without tickets", function()
    for _, options in ipairs {"-tls1_2", "-tls1_2 -no_ticket"} do
      local srv, stop = start(upper, tls.server())
      local _ <close> = stop
      local client <close> = s_client(srv, "-reconnect " .. options)
      client:say("hello\n")
      client:expect("HELLO\n")
      local text = client:finish()
      local _, reused = text:gsub("\nReused, ", "")
      assert.equal(5, reused, text)
    end
  end)

  test("agrees on a protocol, or is refused", function()
    local context = tls.server()
    context:set_alpn_protocols {"two", "one"}
    local srv, stop = start(upper, context)
    local _ <close> = stop
    local client <close> = s_client(srv, "-alpn one,two")
    client:expect("ALPN protocol: two")
    client:finish()
    local other <close> = s_client(srv, "-alpn three")
    other:expect("alert no application protocol")
    other:finish()
  end)

  test("is served by name, or refused", function()
    local context = tls.server()
    local named = tls.server {own = tls.certificate("a.example", {alt = "DNS:a.example"})}
    context:set_servername_callback(function(_, name)
      if name == "a.example" then return named end
      return name ~= "b.example" and nil
    end)
    local srv, stop = start(upper, context)
    local _ <close> = stop
    local one <close> = s_client(srv, "-servername a.example")
    one:expect("subject=O = gevent specs, CN = a.example")
    one:finish()
    local two <close> = s_client(srv, "-servername b.example")
    two:expect("unrecognized name")
    two:finish()
  end)

  test("shows its certificate", function()
    local own = tls.certificate "me"
    local srv, stop = start(function(sock)
      sock:sendall("you are " .. sock:getpeercert().subject.commonName .. "\n")
    end, tls.server {verify_mode = "required", cafile = tls.authority("ca").cert})
    local _ <close> = stop
    local client <close> = s_client(srv, "-cert %s -key %s", own.cert, own.key)
    client:expect("you are me")
    client:finish()
    local other <close> = s_client(srv, "")
    other:expect("alert certificate required")
    other:finish()
  end)

  test("may not renegotiate", function()
    local ended
    local srv, stop = start(function(sock)
      sock:sendall(sock:read("L"):upper())
      ended = {sock:read("l")}
    end, tls.server())
    local _ <close> = stop
    local client <close> = s_client(srv, "-tls1_2")
    client:say("hello\n")
    client:expect("HELLO\n")
    client:say("R\n")
    client:expect("RENEGOTIATING")
    client:expect("no renegotiation")
    client:finish()
    helper.wait_until(function() return ended end)
    assert.is_nil(ended[1])
    assert.equal("ESSL", ended[3])
  end)

  test("may update keys, in the middle of much", function()
    local text = ("0123456789"):rep(10000) .. "\n"
    local srv, stop = start(function(sock)
      for line in sock:lines("l") do
        sock:sendall(text)
        sock:sendall(line:upper() .. "\n")
      end
    end, tls.server())
    local _ <close> = stop
    local client <close> = s_client(srv, "-tls1_3")
    for i = 1, 3 do
      client:say(("line %d\n"):format(i))
      client:expect(("LINE %d\n"):format(i))
      client:say(i == 2 and "k\n" or "K\n")
      helper.wait_until(function()
        return select(2, client:text():gsub("KEYUPDATE", "")) == i
      end)
    end
    client:say("last\n")
    client:expect("LAST\n")
    local _, code = client:finish()
    assert.equal(0, code)
  end)
end)

-- Keys are changed while nothing that we send gets through.
describe("a request for new keys", function()
  with("openssl")("does not keep the reader from reading while the writer waits", function()
    local MANY = 60
    local sent, heard = 0, {}
    local chunk = ("0123456789"):rep(3000) .. "\n"
    local srv, stop = start(function(sock)
      sock:setsockopt("sndbuf", 30000)
      heard[1] = sock:read("l")
      local writer = gevent.spawn(function()
        while sent < MANY do
          assert(sock:sendall(chunk))
          sent = sent + 1
        end
        sock:sendall("that was all\n")
      end)
      for line in sock:lines() do heard[#heard + 1] = line end
      writer:get()
    end, tls.server())
    local _ <close> = stop
    local listener <close> = assert(socket.create_server("127.0.0.1:0"))
    local _, port = listener:getsockname()
    local client <close> = s_client({port = port}, "-brief -tls1_3")
    local down <close> = assert(listener:accept(8 * helper.scale))
    local up <close> = assert(socket.create_connection("127.0.0.1", srv.port))
    up:setsockopt("rcvbuf", 30000)
    local gate, shut = helper.gate(), false
    local relays = {
      gevent.spawn(function()
        for data in function() return down:recv(65536) end do
          if data == "" then return up:shutdown("w") end
          up:sendall(data)
        end
      end),
      gevent.spawn(function()
        for data in function() return up:recv(65536) end do
          if data == "" then return down:shutdown("w") end
          if shut then gate:wait() end -- s_client blocks in the middle of a record
          down:sendall(data)
        end
      end),
    }
    client:expect("Verification: OK")
    shut = true
    client:say("one\n")
    helper.wait_until(function() return heard[1] and sent > 0 end)
    for i = 1, 2 do
      client:say("K\n") -- and both sides must now change theirs
      helper.wait_until(function()
        return select(2, client:text():gsub("KEYUPDATE\n", "")) == i
      end)
      client:say(i .. "\n")
      helper.wait_until(function() return heard[i + 1] == tostring(i) end)
    end
    assert.is_true(sent < MANY, "the writer did not have to wait")
    gate:open()
    client:expect("that was all")
    local text = client:text():gsub("KEYUPDATE\n", ""):match("(0123.*)that was all")
    assert.is_true(text == chunk:rep(MANY))
    client:finish()
    gevent.killall(relays)
  end)
end)

-- openssl s_server -------------------------------------------------------------------------

describe("openssl s_server", function()
  local test = with "openssl"

  local function s_server(options, ...)
    local own = tls.certificate "localhost"
    local self = run("openssl s_server -accept 127.0.0.1:0 -cert " .. quote(own.cert) .. " -key "
      .. quote(own.key) .. " " .. options, ...)
    self.port = tonumber(self:expect("ACCEPT 127%.0%.0%.1:(%d+)"))
    return self
  end

  local function connect(peer, context)
    return socket.create_connection("127.0.0.1", peer.port,
      {ssl = context or tls.client(), timeout = 8 * helper.scale})
  end

  for _, version in ipairs {"1_2", "1_3"} do
    test("talks TLS " .. version, function()
      local peer <close> = s_server("-rev -tls" .. version)
      local sock <close> = assert(connect(peer))
      sock:sendall("hello\n")
      assert.equal("olleh", sock:read("l"))
      sock:sendall(("x"):rep(10000) .. "y\n")
      assert.equal("y" .. ("x"):rep(10000), sock:read("l"))
    end)

    test("resumes a session, TLS " .. version, function()
      local peer <close> = s_server("-rev -tls" .. version)
      local context, session = tls.client(), nil
      for turn = 1, 2 do
        local sock <close> = assert(socket.create_connection("127.0.0.1", peer.port,
          {ssl = context, session = session}))
        sock:sendall("hello\n")
        assert.equal("olleh", sock:read("l"))
        assert.equal(turn == 2, sock:session_reused())
        session = assert(sock:session())
      end
    end)
  end

  test("asks for a certificate", function()
    local own, ca = tls.certificate "me", tls.authority "ca"
    local peer <close> = s_server("-rev -Verify 1 -verify_return_error -CAfile %s", ca.cert)
    local sock <close> = assert(connect(peer, tls.client {cert = own.cert, key = own.key}))
    sock:sendall("hello\n")
    assert.equal("olleh", sock:read("l"))
    sock:close()
    local other <close> = assert(connect(peer))
    local data, message, code = other:recv(1)
    assert.is_nil(data)
    assert.matches("alert certificate required", message)
    assert.equal("ESSL", code)
  end)

  test("agrees on a protocol", function()
    local peer <close> = s_server("-rev -alpn one,two")
    local sock <close> = assert(connect(peer, tls.client {alpn_protocols = {"two", "three"}}))
    assert.equal("two", sock:selected_alpn_protocol())
  end)
end)

-- curl -----------------------------------------------------------------------------------

describe("curl", function()
  local test = with "curl"

  test("gets and posts by https", function()
    local ca = tls.authority "ca"
    local srv <close> = http.Server("127.0.0.1:0", function(req)
      if req.method == "POST" then return #req:body() .. " bytes\n" end
      return req.scheme .. " " .. req.path .. "\n"
    end, {ssl_context = tls.server {alpn_protocols = {"http/1.1"}}, max_body_bytes = 10000000})
    assert(srv:start())
    local url = "https://localhost:" .. srv.port
    local function curl(...)
      local client <close> = run("curl -sS --noproxy '*' " .. ..., select(2, ...))
      return client:finish()
    end
    local text, code = curl("--cacert %s %s %s", ca.cert, url .. "/a", url .. "/b")
    assert.equal("https /a\nhttps /b\n[exit 0]\n", text)
    assert.equal(0, code)
    tls.write("big", ("x"):rep(3000000))
    assert.equal("3000000 bytes\n[exit 0]\n",
      (curl("--tls-max 1.2 --cacert %s --data-binary @big %s", ca.cert, url)))
    text, code = curl("%s", url)
    assert.is_true(code == 60 or code == 77, text) -- 77: it knows no authorities at all
  end)
end)

-- Python -----------------------------------------------------------------------------------

describe("Python's ssl", function()
  local test = with "python3"

  test("is a client, and goes back to plain text", function()
    local ca = tls.authority "ca"
    local listener <close> = assert(socket.create_server("127.0.0.1:0"))
    local _, port = listener:getsockname()
    local served = gevent.spawn(function()
      local sock <close> = assert(listener:accept())
      assert(sock:read("l") == "STARTTLS")
      sock:sendall("go\n")
      local secure = assert(tls.server():wrap_socket(sock, {server_side = true}))
      secure:sendall(secure:read("l"):upper() .. "\n")
      local plain <close> = assert(secure:unwrap())
      plain:sendall(plain:read("l"):upper() .. "\n")
    end)
    tls.write("client.py", ([[
import socket, ssl
context = ssl.create_default_context(cafile=%q)
plain = socket.create_connection(("127.0.0.1", %d))
plain.sendall(b"STARTTLS\n")
assert plain.recv(3) == b"go\n"
secure = context.wrap_socket(plain, server_hostname="localhost")
secure.sendall(b"secret\n")
assert secure.recv(100) == b"SECRET\n"
plain = secure.unwrap()
plain.sendall(b"plain\n")
assert plain.recv(100) == b"PLAIN\n"
print("done")
]]):format(ca.cert, port))
    local client <close> = run("python3 client.py")
    client:expect("done")
    served:get()
  end)

  test("is a server, and closes in order", function()
    local own = tls.certificate "localhost"
    tls.write("server.py", ([[
import socket, ssl
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(%q, %q)
listener = socket.create_server(("127.0.0.1", 0))
print("port %%d." %% listener.getsockname()[1], flush=True)
plain, address = listener.accept()
secure = context.wrap_socket(plain, server_side=True)
data = b""
while len(data) < 1000000: data += secure.recv(100000)
secure.sendall(data[::-1])
secure.unwrap().close()
]]):format(own.cert, own.key))
    local peer <close> = run("python3 server.py")
    local port = tonumber(peer:expect("port (%d+)%."))
    local sock <close> = assert(socket.create_connection("127.0.0.1", port,
      {ssl = tls.client()}))
    local text = ("0123456789"):rep(100000)
    assert.is_true(sock:sendall(text))
    assert.is_true(sock:read("a") == text:reverse())
  end)
end)
