-- bench/peers/lua_growth.lua - the spawn part of bench/growth.lua with plain
-- coroutines: SIZE are created, then resumed to their end, one after the other.
-- usage: lua5.4 bench/peers/lua_growth.lua spawn SIZE
local AT_LEAST = 100000
local size = math.tointeger(arg[2])
assert(arg[1] == "spawn" and size, "usage: lua5.4 bench/peers/lua_growth.lua spawn SIZE")

local function same(x) return x end

local create, resume = coroutine.create, coroutine.resume

local function measure()
  local list = {}
  for i = 1, size do list[i] = create(same) end
  for i = 1, size do resume(list[i], i) end
  return size
end

if size < AT_LEAST then measure() end
collectgarbage()
local n, start = 0, os.clock()
repeat n = n + measure() until n >= AT_LEAST
collectgarbage()
print(("spawn lua %.1f %d"):format((os.clock() - start) * 1e9 / n, n))
