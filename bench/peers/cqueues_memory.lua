-- bench/peers/cqueues_memory.lua - the memory figure with cqueues.sleep.
-- usage: lua5.4 bench/peers/cqueues_memory.lua [N]
local cqueues = require "cqueues"

local n = math.tointeger(arg[1] or 100000)

local function resident()
  collectgarbage()
  collectgarbage()
  for line in io.lines("/proc/self/status") do
    local kb = line:match("^VmRSS:%s*(%d+)")
    if kb then return kb * 1024, collectgarbage("count") * 1024 end
  end
end

local begun = 0
local function blocked()
  begun = begun + 1
  cqueues.sleep(86400)
end

local loop = cqueues.new()
loop:wrap(blocked)
assert(loop:step(0))
local rss, lua = resident()
for _ = 1, n do loop:wrap(blocked) end
while begun <= n do assert(loop:step(0)) end
local rss2, lua2 = resident()
print(("memory cqueues %.0f %d lua=%.0f"):format((rss2 - rss) / n, n,
                                                 (lua2 - lua) / n))
os.exit(0)
