-- bench/peers/tarantool_echo.lua - the echo figure with Tarantool's sockets.
-- usage: tarantool bench/peers/tarantool_echo.lua PORT
local socket = require "socket"

local function handle(sock)
  sock:nonblock(true)
  sock:setsockopt("tcp", "TCP_NODELAY", 1)
  while sock:readable() do
    local data = sock:sysread(4096)
    if not data or data == "" then return end
    sock:write(data)
  end
end

assert(socket.tcp_server("127.0.0.1", tonumber(arg[1]), handle))
