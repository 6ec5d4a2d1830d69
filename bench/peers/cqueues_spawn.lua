-- bench/peers/cqueues_spawn.lua - the spawn figure with cqueues: wrap an empty
-- function, run the controller until it has ended (cqueues has no join).
-- usage: lua5.4 bench/peers/cqueues_spawn.lua [N]
local cqueues = require "cqueues"

local n = math.tointeger(arg[1] or 100000)

local function empty() end

local loop = cqueues.new()
local start = os.clock()
for _ = 1, n do
  loop:wrap(empty)
  assert(loop:loop())
end
local ns = (os.clock() - start) * 1e9 / n
print(("spawn cqueues %.1f %d"):format(ns, n))
