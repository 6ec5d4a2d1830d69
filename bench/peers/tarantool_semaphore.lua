-- bench/peers/tarantool_semaphore.lua - the semaphore figure with a counter and
-- a fiber.cond.
-- usage: tarantool bench/peers/tarantool_semaphore.lua [N]
local clock, fiber = require "clock", require "fiber"

local n = tonumber(arg[1] or 1000000)

local function semaphore()
  return {counter = 0, cond = fiber.cond()}
end

local function acquire(s)
  while s.counter == 0 do s.cond:wait() end
  s.counter = s.counter - 1
end

local function release(s)
  s.counter = s.counter + 1
  s.cond:signal()
end

local there, back = semaphore(), semaphore()

local function ping()
  for _ = 1, n / 2 do
    release(there)
    acquire(back)
  end
end

local function pong()
  for _ = 1, n / 2 do
    acquire(there)
    release(back)
  end
end

local fibers = {fiber.new(ping), fiber.new(pong)}
for i = 1, 2 do fibers[i]:set_joinable(true) end
local start = clock.proc()
for i = 1, 2 do assert(fibers[i]:join()) end
local ns = (clock.proc() - start) * 1e9 / n
print(("semaphore tarantool %.1f %d"):format(ns, n))
os.exit(0)
