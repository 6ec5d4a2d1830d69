-- bench/peers/lua_spawn.lua - coroutine.create of an empty function and a
-- resume to its end: the denominator of the spawn figure.
-- usage: lua5.4 bench/peers/lua_spawn.lua [N]
local n = math.tointeger(arg[1] or 500000)

local function empty() end

local create, resume = coroutine.create, coroutine.resume
local start = os.clock()
for _ = 1, n do resume(create(empty)) end
local ns = (os.clock() - start) * 1e9 / n
print(("spawn lua %.1f %d"):format(ns, n))
