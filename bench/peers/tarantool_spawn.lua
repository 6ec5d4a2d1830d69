-- bench/peers/tarantool_spawn.lua - the spawn figure with joinable fibers.
-- usage: tarantool bench/peers/tarantool_spawn.lua [N]
local clock, fiber = require "clock", require "fiber"

local n = tonumber(arg[1] or 300000)

local function empty() end

local start = clock.proc()
for _ = 1, n do
  local f = fiber.new(empty)
  f:set_joinable(true)
  f:join()
end
local ns = (clock.proc() - start) * 1e9 / n
print(("spawn tarantool %.1f %d"):format(ns, n))
os.exit(0)
