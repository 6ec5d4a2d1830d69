-- bench/memory.lua - resident memory of one greenlet blocked in a long sleep.
-- usage: lua5.4 bench/memory.lua [N]
-- output: memory gevent BYTES N lua=BYTES; BYTES is what the process grew by,
-- over N, and lua the part of it that Lua's allocator accounts for.
local gevent = require "gevent"

local n = math.tointeger(arg[1] or 100000)

local function resident()  -- in bytes, rubbish collected first
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
  gevent.sleep(86400)
end

gevent.spawn(blocked)
gevent.sleep(0.01)  -- the hub and its loop exist now
local rss, lua = resident()
for _ = 1, n do gevent.spawn(blocked) end
while begun <= n do gevent.sleep(0) end
local rss2, lua2 = resident()
print(("memory gevent %.0f %d lua=%.0f"):format((rss2 - rss) / n, n,
                                                (lua2 - lua) / n))
os.exit(0)  -- without waiting for them
