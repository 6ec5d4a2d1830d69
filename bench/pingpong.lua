-- bench/pingpong.lua - CPU time of an item's way there and back: two
-- greenlets, a Queue(1) for each direction.
-- usage: lua5.4 bench/pingpong.lua [N]
-- output: pingpong gevent NS N
local gevent = require "gevent"
local queue = require "gevent.queue"

local n = math.tointeger(arg[1] or 500000)
local there, back = queue.Queue(1), queue.Queue(1)

local function ping()
  for i = 1, n do
    there:put(i)
    assert(back:get() == i)
  end
end

local function pong()
  for _ = 1, n do back:put(there:get()) end
end

local greenlets = {gevent.spawn(ping), gevent.spawn(pong)}
local start = os.clock()
gevent.joinall(greenlets, nil, {raise_error = true})
local ns = (os.clock() - start) * 1e9 / n
print(("pingpong gevent %.1f %d"):format(ns, n))
