-- TLS in create_connection, StreamServer and http.Server.

local helper = require "helper"
local tls = require "helper_tls"
local http = require "gevent.http"
local server = require "gevent.server"
local socket = require "gevent.socket"
local ssl = require "gevent.ssl"
local it = helper.it

local function echo(sock)
  for line in sock:lines("L") do sock:sendall(line) end
end

--- A started server that is stopped at the end of the test.
local function start(handle, opts)
  opts = opts or {}
  opts.ssl_context = opts.ssl_context or tls.server()
  local srv = server.StreamServer("127.0.0.1:0", handle, opts)
  assert(srv:start())
  return srv, helper.defer(function() srv:stop(0) end)
end

local function connect(srv, opts)
  local all = {ssl = tls.client()}
  for name, value in pairs(opts or {}) do all[name] = value end
  return socket.create_connection("127.0.0.1", srv.port, all)
end

local function collect()
  local log = {lines = {}}
  function log:write(...) self.lines[#self.lines + 1] = table.concat {...} end
  return log
end

-- create_connection ----------------------------------------------------------------------

describe("create_connection with ssl", function()
  it("wraps, and checks the host", function()
    local srv, stop = start(echo)
    local _ <close> = stop
    local sock <close> = assert(connect(srv))
    sock:sendall("hello\n")
    assert.equal("hello", sock:read("l"))
    assert.equal("TLSv1.3", sock:version())
    local named <close> = assert(connect(srv, {server_hostname = "localhost"}))
    assert.is_false(named.closed)
    local none, message, code = connect(srv, {server_hostname = "other.example"})
    assert.is_nil(none)
    assert.equal("certificate verify failed: hostname mismatch", message)
    assert.equal("ESSL", code)
  end)

  it("verifies by the system's store where ssl is true", function()
    local srv, stop = start(echo)
    local _ <close> = stop
    local none, message, code = connect(srv, {ssl = true})
    assert.is_nil(none)
    assert.equal("certificate verify failed: unable to get local issuer certificate", message)
    assert.equal("ESSL", code)
  end)

  it("resumes a session", function()
    local srv, stop = start(echo)
    local _ <close> = stop
    local client = tls.client()
    local session
    do
      local sock <close> = assert(connect(srv, {ssl = client}))
      sock:sendall("x\n")
      sock:read("l")
      session = assert(sock:session())
    end
    local sock <close> = assert(connect(srv, {ssl = client, session = session}))
    assert.is_true(sock:session_reused())
  end)

  it("has one time-out for all of it", function()
    local listener <close> = assert(socket.create_server("127.0.0.1:0"))
    local _, port = listener:getsockname()
    local start_time = helper.now()
    assert.same({nil, "timed out", "timeout"}, {socket.create_connection("127.0.0.1", port,
      {ssl = tls.client(), timeout = 0.02})})
    assert.is_true(helper.now() - start_time >= 0.02)
  end)

  it("refuses what is no context", function()
    for _, bad in ipairs {1, "yes", {}} do
      assert.error_matches(function()
        socket.create_connection("127.0.0.1", 1, {ssl = bad})
      end, "ssl must be true or an SSLContext")
    end
  end)
end)

-- StreamServer ---------------------------------------------------------------------------

describe("a StreamServer with ssl_context", function()
  it("gives its handler TLS sockets", function()
    local seen
    local srv, stop = start(function(sock, host, port)
      seen = {sock:version(), host, math.type(port)}
      echo(sock)
    end)
    local _ <close> = stop
    local sock <close> = assert(connect(srv))
    sock:sendall("hello\n")
    assert.equal("hello", sock:read("l"))
    assert.same({"TLSv1.3", "127.0.0.1", "integer"}, seen)
  end)

  it("ends a connection in order when the handler returns or fails", function()
    for _, fails in ipairs {false, true} do
      local errors <close> = helper.capture_errors()
      local srv, stop = start(function(sock)
        sock:sendall("bye")
        if fails then error("oops", 0) end
      end)
      local _ <close> = stop
      local sock <close> = assert(connect(srv))
      assert.equal("bye", sock:read("a"))
      assert.equal(fails, errors:text():find("oops") ~= nil)
    end
  end)

  it("lets a client that says nothing keep nobody waiting", function()
    local srv, stop = start(echo)
    local _ <close> = stop
    local silent = {}
    for i = 1, 5 do silent[i] = assert(socket.create_connection("127.0.0.1", srv.port)) end
    local sock <close> = assert(connect(srv))
    sock:sendall("hello\n")
    assert.equal("hello", sock:read("l"))
    for _, other in ipairs(silent) do other:close() end
  end)

  it("closes it after handshake_timeout, and says so only where told", function()
    local log = collect()
    local errors <close> = helper.capture_errors()
    local srv, stop = start(echo, {handshake_timeout = 0.02, error_log = log})
    local _ <close> = stop
    local silent <close> = assert(socket.create_connection("127.0.0.1", srv.port))
    assert.equal("", silent:recv(1))
    helper.wait_until(function() return #log.lines > 0 end)
    assert.equal(1, #log.lines)
    assert.matches("handshake with 127%.0%.0%.1:%d+: timed out\n$", log.lines[1])
    local wrong <close> = assert(socket.create_connection("127.0.0.1", srv.port))
    wrong:sendall("GET / HTTP/1.0\r\n\r\n")
    helper.wait_until(function() return #log.lines > 1 end)
    assert.matches("http request\n$", log.lines[2])
    assert.equal("", errors:text())
  end)

  it("stops while handshakes are under way", function()
    local srv = start(echo)
    local silent <close> = assert(socket.create_connection("127.0.0.1", srv.port))
    helper.wait_all_blocked()
    srv:stop(0)
    assert.is_truthy(srv.closed)
    assert.is_truthy(silent:recv(1) == "")
  end)

  it("limits connections, those in the handshake included", function()
    local srv, stop = start(echo, {spawn = 1})
    local _ <close> = stop
    local silent = assert(socket.create_connection("127.0.0.1", srv.port))
    local waiting = helper.spawn_blocked(function() return connect(srv) end)
    silent:close()
    local sock <close> = assert(waiting:get())
    sock:sendall("hello\n")
    assert.equal("hello", sock:read("l"))
  end)

  it("serves new certificates to new connections", function()
    local context = tls.server {own = tls.certificate "old"}
    local srv, stop = start(echo, {ssl_context = context})
    local _ <close> = stop
    local one <close> = assert(connect(srv))
    local new = tls.certificate "new"
    assert(context:load_cert_chain(new.cert, new.key))
    local two <close> = assert(connect(srv))
    assert.equal("old", one:getpeercert().subject.commonName)
    assert.equal("new", two:getpeercert().subject.commonName)
    one:sendall("on\n")
    assert.equal("on", one:read("l"))
  end)

  it("listens on a Unix socket too", function()
    local log = collect()
    local path = tls.dir() .. "/server.sock"
    local srv = server.StreamServer("unix:" .. path, echo,
      {ssl_context = tls.server(), error_log = log})
    assert(srv:start())
    local _ <close> = helper.defer(function()
      srv:stop(0)
      os.remove(path)
    end)
    for _, context in ipairs {tls.client(), ssl.SSLContext()} do
      local plain = assert(socket.socket("unix"))
      assert(plain:connect(path))
      local sock = context:wrap_socket(plain, {server_hostname = "localhost"})
      if sock then
        sock:sendall("hello\n")
        assert.equal("hello", sock:read("l"))
        assert.equal("unix", sock.family)
        sock:close()
      end
    end
    helper.wait_until(function() return #log.lines > 0 end)
    assert.matches("handshake with a client: tlsv1 alert unknown ca\n$", log.lines[1])
  end)

  it("refuses what is no context, and no time", function()
    for _, bad in ipairs {{}, true, io.stdout} do
      assert.error_matches(function()
        server.StreamServer(0, echo, {ssl_context = bad})
      end, "ssl_context")
    end
    for _, bad in ipairs {-1, "1"} do
      assert.error_matches(function()
        server.StreamServer(0, echo, {ssl_context = tls.server(), handshake_timeout = bad})
      end, "handshake_timeout")
    end
  end)
end)

-- http.Server ----------------------------------------------------------------------------

describe("an http.Server with ssl_context", function()
  local function serve(handler, opts)
    opts = opts or {}
    opts.ssl_context = tls.server()
    local srv = http.Server("127.0.0.1:0", handler, opts)
    assert(srv:start())
    return srv
  end

  local function ask(sock, request)
    sock:sendall(request)
    local status = assert(sock:readuntil("\r\n"))
    local length
    while true do
      local line = assert(sock:readuntil("\r\n"))
      if line == "\r\n" then break end
      length = tonumber(line:match("^[Cc]ontent%-[Ll]ength: (%d+)")) or length
    end
    return status, length and assert(sock:readexactly(length)) or sock:read("a")
  end

  it("is https", function()
    local srv <close> = serve(function(req)
      return req.scheme .. " " .. (req:body() or "")
    end)
    local sock <close> = assert(connect(srv))
    local status, body = ask(sock, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert.equal("HTTP/1.1 200 OK\r\n", status)
    assert.equal("https ", body)
    status, body = ask(sock,
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
    assert.equal("HTTP/1.1 200 OK\r\n", status)
    assert.equal("https hello", body)
    assert.equal("", sock:recv(1))
  end)

  it("sends much, in pieces, to a client that is slow", function()
    local text = ("0123456789"):rep(300000)
    local srv <close> = serve(function(req, res)
      if req.path == "/whole" then return text end
      for i = 1, #text, 100000 do assert(res:write(text:sub(i, i + 99999))) end
    end)
    local sock <close> = assert(connect(srv))
    sock:sendall("GET /whole HTTP/1.1\r\nHost: x\r\n\r\n")
    helper.wait_all_blocked()
    local _, body = ask(sock, "GET /pieces HTTP/1.0\r\nHost: x\r\n\r\n")
    assert.is_true(body == text)
    while sock:readuntil("\r\n") ~= "\r\n" do end
    assert.is_true(sock:read("a") == text)
  end)

  it("takes a large body", function()
    local srv <close> = serve(function(req) return #req:body() .. "" end,
      {max_body_bytes = 10000000})
    local sock <close> = assert(connect(srv))
    local body = ("x"):rep(3000000)
    local _, answer = ask(sock,
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n" .. body)
    assert.equal("3000000", answer)
  end)

  it("tells the handler that a body was cut", function()
    local seen
    local srv <close> = serve(function(req)
      seen = {req:body()}
      return "x"
    end)
    local sock <close> = assert(connect(srv))
    sock:sendall("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello")
    helper.wait_all_blocked()
    local plain <close> = socket.fromfd(sock:detach())
    plain:shutdown("w")
    helper.wait_until(function() return seen end)
    assert.same({nil, "unexpected eof while reading", "ESSL"}, seen)
  end)

  it("sends files", function()
    local path = tls.write("file.txt", ("line\n"):rep(100000))
    local srv <close> = serve(function(_, res) return res:sendfile(path) end)
    local sock <close> = assert(connect(srv))
    local _, body = ask(sock, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert.is_true(body == ("line\n"):rep(100000))
  end)

  it("stops with an idle connection open", function()
    local srv = serve(function() return "x" end)
    local sock <close> = assert(connect(srv))
    ask(sock, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    srv:stop()
    assert.equal("", sock:recv(1))
  end)
end)

describe("gevent.ssl", function()
  it("keeps one context for create_connection", function()
    assert.equal(ssl.default_client_context(), ssl.default_client_context())
    assert.equal("required", ssl.default_client_context().verify_mode)
  end)
end)
