-- bench/peers/tarantool_pingpong.lua - the pingpong figure with two fibers and
-- a channel(1) for each direction: its denominator.
-- usage: tarantool bench/peers/tarantool_pingpong.lua [N]
local clock, fiber = require "clock", require "fiber"

local n = tonumber(arg[1] or 500000)
local there, back = fiber.channel(1), fiber.channel(1)

local function ping()
  for i = 1, n do
    there:put(i)
    assert(back:get() == i)
  end
end

local function pong()
  for _ = 1, n do back:put(there:get()) end
end

local fibers = {fiber.new(ping), fiber.new(pong)}
for i = 1, 2 do fibers[i]:set_joinable(true) end
local start = clock.proc()
for i = 1, 2 do assert(fibers[i]:join()) end
local ns = (clock.proc() - start) * 1e9 / n
print(("pingpong tarantool %.1f %d"):format(ns, n))
os.exit(0)
