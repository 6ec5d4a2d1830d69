-- bench/switch.lua - CPU time of one sleep(0): out to the hub and back.
-- usage: lua5.4 bench/switch.lua [SWITCHES [GREENLETS=2]]
-- output: switch gevent NS SWITCHES (figure "switch1" with one greenlet)
local gevent = require "gevent"

local n = math.tointeger(arg[1] or 2000000)
local k = math.tointeger(arg[2] or 2)

local function worker(count)
  local sleep = gevent.sleep
  for _ = 1, count do sleep(0) end
end

local greenlets = {}
for i = 1, k do greenlets[i] = gevent.spawn(worker, n // k) end
local start = os.clock()
gevent.joinall(greenlets)
local ns = (os.clock() - start) * 1e9 / n
print(("%s gevent %.1f %d"):format(k == 1 and "switch1" or "switch", ns, n))
