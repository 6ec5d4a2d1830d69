-- usage: lua5.4 examples/https_hello.lua 8443
-- A web server over TLS, with a certificate that the openssl program makes.
-- It runs until Ctrl-C. The argument is the port (8443).
-- spec: {port}
local http = require "gevent.http"
local ssl = require "gevent.ssl"

local openssl <close> = assert(io.popen("openssl req -x509 -nodes -newkey ec "
  .. "-pkeyopt ec_paramgen_curve:P-256 -subj /CN=localhost -days 1 "
  .. "-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout - -out - 2>/dev/null"))

local context = assert(ssl.create_default_context {
  role = "server",
  cert = openssl:read("a"),
  alpn_protocols = {"http/1.1"},
})

local server = http.Server("127.0.0.1:" .. (arg[1] or 8443), function(req)
  return ("hello, %s, by %s\n"):format(req:args().name or "world", req.scheme)
end, {ssl_context = context})
assert(server:start())
print(("https://localhost:%d/"):format(server.port))
io.stdout:flush()
server:serve_forever()
