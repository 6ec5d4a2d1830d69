-- bench/peers/cqueues_switch.lua - the switch figures with cqueues.sleep(0).
-- usage: lua5.4 bench/peers/cqueues_switch.lua [SWITCHES [COROUTINES=2]]
local cqueues = require "cqueues"

local n = math.tointeger(arg[1] or 200000)
local k = math.tointeger(arg[2] or 2)

local function worker()
  local sleep = cqueues.sleep
  for _ = 1, n // k do sleep(0) end
end

local loop = cqueues.new()
for _ = 1, k do loop:wrap(worker) end
local start = os.clock()
assert(loop:loop())
local ns = (os.clock() - start) * 1e9 / n
print(("%s cqueues %.1f %d"):format(k == 1 and "switch1" or "switch", ns, n))
