-- bench/peers/lua_timeout.lua - one coroutine.resume with its yield, called
-- from Lua: the denominator of the timeout figure. Stock Lua has no timers; it
-- is the cost of the switch that a limit is put around.
-- usage: lua5.4 bench/peers/lua_timeout.lua [N]
local n = math.tointeger(arg[1] or 3000000)

local function worker()
  local yield = coroutine.yield
  while true do yield() end
end

local resume, thread = coroutine.resume, coroutine.create(worker)
local start = os.clock()
for _ = 1, n do resume(thread) end
local ns = (os.clock() - start) * 1e9 / n
print(("timeout lua %.1f %d"):format(ns, n))
