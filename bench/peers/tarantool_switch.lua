-- bench/peers/tarantool_switch.lua - the switch figures with fiber.yield().
-- usage: tarantool bench/peers/tarantool_switch.lua [SWITCHES [FIBERS=2]]
local clock, fiber = require "clock", require "fiber"

local n = tonumber(arg[1] or 1000000)
local k = tonumber(arg[2] or 2)

local function worker()
  local yield = fiber.yield
  for _ = 1, n / k do yield() end
end

local fibers = {}
for i = 1, k do
  fibers[i] = fiber.new(worker)
  fibers[i]:set_joinable(true)
end
local start = clock.proc()
for i = 1, k do fibers[i]:join() end
local ns = (clock.proc() - start) * 1e9 / n
print(("%s tarantool %.1f %d"):format(k == 1 and "switch1" or "switch", ns, n))
os.exit(0)
