-- bench/tls_echo.lua - the tls_echo figure, and the handshakes of the others:
-- sends back what comes over TLS.
-- usage: lua5.4 bench/tls_echo.lua PORT CERT KEY   (bench/tls_load.c is the
-- other end)
local server = require "gevent.server"
local ssl = require "gevent.ssl"

local port, cert, key = table.unpack(arg)
assert(key, "usage: lua5.4 bench/tls_echo.lua PORT CERT KEY")

local function handle(sock)
  while true do
    local data = sock:recv(65536)
    if not data or data == "" then return end
    sock:sendall(data)
  end
end

local context = assert(ssl.create_default_context {role = "server", cert = cert, key = key})
assert(server.StreamServer("127.0.0.1:" .. port, handle, {ssl_context = context})
  :serve_forever())
