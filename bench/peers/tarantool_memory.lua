-- bench/peers/tarantool_memory.lua - the memory figure with fiber.sleep. Each
-- fiber has two mappings of its own, so the kernel's vm.max_map_count (65530)
-- allows some 30,000 of them: hence the smaller number.
-- usage: tarantool bench/peers/tarantool_memory.lua [N]
local fiber = require "fiber"

local n = tonumber(arg[1] or 20000)

local function resident()
  collectgarbage()
  collectgarbage()
  for line in io.lines("/proc/self/status") do
    local kb = line:match("^VmRSS:%s*(%d+)")
    if kb then return tonumber(kb) * 1024 end
  end
end

local begun = 0
local function blocked()
  begun = begun + 1
  fiber.sleep(86400)
end

fiber.create(blocked)
local rss = resident()
for _ = 1, n do fiber.create(blocked) end
while begun <= n do fiber.yield() end
print(("memory tarantool %.0f %d"):format((resident() - rss) / n, n))
os.exit(0)
