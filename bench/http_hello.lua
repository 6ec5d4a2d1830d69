-- bench/http_hello.lua - the http_hello figure: answers "hello" to everything.
-- usage: lua5.4 bench/http_hello.lua PORT  (see bench/load.c for the other end)
local http = require "gevent.http"

local function handle()
  return "hello"
end

local port = assert(arg[1], "usage: lua5.4 bench/http_hello.lua PORT")
assert(http.Server("127.0.0.1:" .. port, handle):serve_forever())
