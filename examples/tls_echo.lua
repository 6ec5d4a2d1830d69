-- usage: lua5.4 examples/tls_echo.lua
-- An echo server over TLS, and a client that trusts its certificate, which is
-- made anew by the openssl program each time.
local gevent = require "gevent"
local socket = require "gevent.socket"
local ssl = require "gevent.ssl"
local StreamServer = require "gevent.server".StreamServer

-- A certificate for localhost and its key, as PEM text.
local function make_certificate()
  local openssl <close> = assert(io.popen("openssl req -x509 -nodes -newkey ec "
    .. "-pkeyopt ec_paramgen_curve:P-256 -subj /CN=localhost -days 1 "
    .. "-addext subjectAltName=DNS:localhost -keyout - -out - 2>/dev/null"))
  return openssl:read("a")
end

local pem = make_certificate()

local server = StreamServer("127.0.0.1:0", function(sock)
  for line in sock:lines("L") do sock:sendall(line:upper()) end
end, {ssl_context = assert(ssl.create_default_context {role = "server", cert = pem})})
assert(server:start())

local context = assert(ssl.create_default_context {cadata = pem})

local function talk(name)
  local sock <close> = assert(socket.create_connection("127.0.0.1", server.port,
    {ssl = context, server_hostname = "localhost", timeout = 10}))
  sock:sendall("hello from " .. name .. "\n")
  print(sock:version(), sock:read("l"))
end

gevent.joinall({gevent.spawn(talk, "one"), gevent.spawn(talk, "two")},
  nil, {raise_error = true})

-- Who does not trust the certificate does not get in.
local none, message = socket.create_connection("127.0.0.1", server.port,
  {ssl = true, server_hostname = "localhost"})
print(none, message)
server:stop()
