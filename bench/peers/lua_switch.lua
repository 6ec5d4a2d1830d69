-- bench/peers/lua_switch.lua - one coroutine.resume with its yield, called
-- from Lua, round robin: the denominator of the switch figures.
-- usage: lua5.4 bench/peers/lua_switch.lua [SWITCHES [COROUTINES=2]]
local n = math.tointeger(arg[1] or 2000000)
local k = math.tointeger(arg[2] or 2)

local function worker()
  local yield = coroutine.yield
  while true do yield() end
end

local threads = {}
for i = 1, k do threads[i] = coroutine.create(worker) end
local resume, count = coroutine.resume, n // k
local start = os.clock()
if k == 1 then
  local thread = threads[1]
  for _ = 1, count do resume(thread) end
elseif k == 2 then
  local a, b = threads[1], threads[2]
  for _ = 1, count do
    resume(a)
    resume(b)
  end
else
  for _ = 1, count do
    for i = 1, k do resume(threads[i]) end
  end
end
local ns = (os.clock() - start) * 1e9 / n
print(("%s lua %.1f %d"):format(k == 1 and "switch1" or "switch", ns, n))
