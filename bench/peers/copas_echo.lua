-- bench/peers/copas_echo.lua - the echo figure with copas, on LuaSocket.
-- Debian has it for older versions of Lua only, but it runs on this one.
-- usage: lua5.4 bench/peers/copas_echo.lua PORT
package.path = package.path .. ";/usr/share/lua/5.2/?.lua"
local copas = require "copas"
local socket = require "socket"

local function handle(sock)
  sock:setoption("tcp-nodelay", true)
  while true do
    local data, message, part = copas.receivePartial(sock, 4096)
    data = data or part
    if data and #data > 0 then copas.send(sock, data) end
    if message == "closed" then break end
  end
end

copas.addserver(assert(socket.bind("127.0.0.1", tonumber(arg[1]), 1024)), handle)
copas.loop()
