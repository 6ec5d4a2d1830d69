-- bench/http_static.lua - the http_static figure: a file of 10 KB.
-- usage: lua5.4 bench/http_static.lua PORT DIRECTORY
local http = require "gevent.http"

local port = assert(arg[1], "usage: lua5.4 bench/http_static.lua PORT DIRECTORY")
assert(http.Server("127.0.0.1:" .. port, http.files(assert(arg[2]))):serve_forever())
