-- bench/peers/tarantool_sleepers.lua - the sleepers figure with fiber.sleep. As
-- for memory, the kernel's vm.max_map_count allows some 30,000 fibers only.
-- usage: tarantool bench/peers/tarantool_sleepers.lua [N]
local fiber = require "fiber"

local n = tonumber(arg[1] or 20000)
local left = n
local done = fiber.channel(1)

local function sleeper(i)
  fiber.sleep(1 + i * 7919 % n / n)
  left = left - 1
  if left == 0 then done:put(true) end
end

local start = os.clock()
for i = 1, n do fiber.create(sleeper, i) end
done:get()
print(("sleepers tarantool %.1f %d"):format((os.clock() - start) * 1e9 / n, n))
os.exit(0)
