-- bench/peers/lua_memory.lua - resident memory of one suspended coroutine, kept
-- in a table that was there before: the denominator of the memory figure.
-- usage: lua5.4 bench/peers/lua_memory.lua [N]
local n = math.tointeger(arg[1] or 100000)

local function resident()
  collectgarbage()
  collectgarbage()
  for line in io.lines("/proc/self/status") do
    local kb = line:match("^VmRSS:%s*(%d+)")
    if kb then return kb * 1024, collectgarbage("count") * 1024 end
  end
end

local function blocked()
  coroutine.yield()
end

local threads = {}
for i = 1, n do threads[i] = false end
local rss, lua = resident()
for i = 1, n do
  threads[i] = coroutine.create(blocked)
  coroutine.resume(threads[i])
end
local rss2, lua2 = resident()
print(("memory lua %.0f %d lua=%.0f"):format((rss2 - rss) / n, n,
                                             (lua2 - lua) / n))
os.exit(0)
