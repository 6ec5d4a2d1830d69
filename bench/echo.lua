-- bench/echo.lua - the echo figures: sends back what comes.
-- usage: lua5.4 bench/echo.lua PORT [BYTES AT ONCE]
-- (see bench/load.c for the other end)
local server = require "gevent.server"

local size = math.tointeger(arg[2] or 4096)

local function handle(sock)
  while true do
    local data = sock:recv(size)
    if not data or data == "" then return end
    sock:sendall(data)
  end
end

local port = assert(arg[1], "usage: lua5.4 bench/echo.lua PORT")
assert(server.StreamServer("127.0.0.1:" .. port, handle):serve_forever())
