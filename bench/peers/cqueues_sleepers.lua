-- bench/peers/cqueues_sleepers.lua - the sleepers figure with cqueues.sleep.
-- usage: lua5.4 bench/peers/cqueues_sleepers.lua [N]
local cqueues = require "cqueues"

local n = math.tointeger(arg[1] or 100000)
local loop = cqueues.new()

local function sleeper(i)
  cqueues.sleep(1 + i * 7919 % n / n)
end

local start = os.clock()
for i = 1, n do loop:wrap(sleeper, i) end
assert(loop:loop())
local ns = (os.clock() - start) * 1e9 / n
print(("sleepers cqueues %.1f %d"):format(ns, n))
