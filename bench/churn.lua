-- bench/churn.lua - the churn figure: takes connections and closes them.
-- usage: lua5.4 bench/churn.lua PORT      (see bench/load.c for the other end)
local server = require "gevent.server"

local function handle() end -- the server closes what its handler was given

local port = assert(arg[1], "usage: lua5.4 bench/churn.lua PORT")
assert(server.StreamServer("127.0.0.1:" .. port, handle):serve_forever())
