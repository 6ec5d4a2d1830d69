-- bench/peers/cqueues_echo.lua - the echo figure with cqueues.
-- usage: lua5.4 bench/peers/cqueues_echo.lua PORT
local cqueues = require "cqueues"
local socket = require "cqueues.socket"

local function handle(con)
  con:setmode("b", "bn")
  while true do
    local data = con:read(-4096)
    if not data then break end
    con:write(data)
  end
  con:close()
end

local loop = cqueues.new()
local listener = assert(socket.listen{host = "127.0.0.1", nodelay = true,
                                      port = math.tointeger(arg[1])})
loop:wrap(function()
  for con in listener:clients() do loop:wrap(handle, con) end
end)
assert(loop:loop())
