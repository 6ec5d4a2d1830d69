-- bench/semaphore.lua - CPU time of one hand-over: a permit is released, and
-- the greenlet that waits for it gets it and runs. Two greenlets hand each
-- other a permit, through a semaphore for each direction.
-- usage: lua5.4 bench/semaphore.lua [N]
-- output: semaphore gevent NS N
local gevent = require "gevent"
local lock = require "gevent.lock"

local n = math.tointeger(arg[1] or 1000000)
local there, back = lock.Semaphore(0), lock.Semaphore(0)

local function ping()
  for _ = 1, n // 2 do
    there:release()
    back:acquire()
  end
end

local function pong()
  for _ = 1, n // 2 do
    there:acquire()
    back:release()
  end
end

local greenlets = {gevent.spawn(ping), gevent.spawn(pong)}
local start = os.clock()
gevent.joinall(greenlets, nil, {raise_error = true})
local ns = (os.clock() - start) * 1e9 / n
print(("semaphore gevent %.1f %d"):format(ns, n))
