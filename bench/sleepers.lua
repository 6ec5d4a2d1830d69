-- bench/sleepers.lua - CPU time of a greenlet that sleeps once: N of them, all
-- asleep together, for lengths spread over a second; spawned, run out, joined.
-- usage: lua5.4 bench/sleepers.lua [N]
-- output: sleepers gevent NS N
local gevent = require "gevent"

local n = math.tointeger(arg[1] or 100000)

local function sleeper(i)
  gevent.sleep(1 + i * 7919 % n / n)
end

local greenlets = {}
local start = os.clock()
for i = 1, n do greenlets[i] = gevent.spawn(sleeper, i) end
gevent.joinall(greenlets)
local ns = (os.clock() - start) * 1e9 / n
print(("sleepers gevent %.1f %d"):format(ns, n))
