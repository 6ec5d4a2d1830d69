-- bench/timeout.lua - CPU time of a Timeout's start and cancel: what a limit
-- costs a call that keeps it. One object, used again.
-- usage: lua5.4 bench/timeout.lua [N]
-- output: timeout gevent NS N
local gevent = require "gevent"

local n = math.tointeger(arg[1] or 3000000)

local function body()
  local timeout = gevent.Timeout(10)
  for _ = 1, n do
    timeout:start()
    timeout:cancel()
  end
end

local start = os.clock()
gevent.spawn(body):get()
local ns = (os.clock() - start) * 1e9 / n
print(("timeout gevent %.1f %d"):format(ns, n))
