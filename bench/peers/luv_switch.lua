-- bench/peers/luv_switch.lua - the switch figures with coroutines that a
-- libuv idle handle each resumes, once an iteration of the loop.
-- usage: lua5.4 bench/peers/luv_switch.lua [SWITCHES [COROUTINES=2]]
local uv = require "luv"

local n = math.tointeger(arg[1] or 500000)
local k = math.tointeger(arg[2] or 2)

local function worker()
  local yield = coroutine.yield
  for _ = 1, n // k do yield() end
end

local resume = coroutine.resume
for _ = 1, k do
  local idle, thread = uv.new_idle(), coroutine.create(worker)
  idle:start(function()
    resume(thread)
    if coroutine.status(thread) == "dead" then idle:close() end
  end)
end
local start = os.clock()
uv.run()
local ns = (os.clock() - start) * 1e9 / n
print(("%s luv %.1f %d"):format(k == 1 and "switch1" or "switch", ns, n))
