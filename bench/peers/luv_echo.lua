-- bench/peers/luv_echo.lua - the echo figure with luv's callbacks;
-- try_write first: write alone takes twice the instructions.
-- usage: lua5.4 bench/peers/luv_echo.lua PORT
local uv = require "luv"

local server = uv.new_tcp()
assert(server:bind("127.0.0.1", math.tointeger(arg[1])))
assert(server:listen(1024, function(failed)
  assert(not failed, failed)
  local client = uv.new_tcp()
  server:accept(client)
  client:nodelay(true)
  client:read_start(function(err, data)
    if data then
      local sent = client:try_write(data) or 0
      if sent < #data then client:write(data:sub(sent + 1)) end
    elseif err or not client:is_closing() then
      client:close()
    end
  end)
end))
uv.run()
