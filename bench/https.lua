-- bench/https.lua - the tls figures: an HTTPS server of one file.
-- usage: lua5.4 bench/https.lua PORT CERT KEY FILE   (bench/tls_load.c is the
-- other end)
local http = require "gevent.http"
local ssl = require "gevent.ssl"

local port, cert, key, file = table.unpack(arg)
assert(file, "usage: lua5.4 bench/https.lua PORT CERT KEY FILE")

local function handle(_, res)
  return res:sendfile(file)
end

local context = assert(ssl.create_default_context {role = "server", cert = cert, key = key})
assert(http.Server("127.0.0.1:" .. port, handle, {ssl_context = context}):serve_forever())
