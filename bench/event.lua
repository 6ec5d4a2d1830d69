-- bench/event.lua - CPU time of a signal there and back: two greenlets, an
-- Event for each direction, each of which is set, waited for and cleared.
-- usage: lua5.4 bench/event.lua [N]
-- output: event gevent NS N
local gevent = require "gevent"
local event = require "gevent.event"

local n = math.tointeger(arg[1] or 500000)
local there, back = event.Event(), event.Event()

local function ping()
  for _ = 1, n do
    there:set()
    back:wait()
    back:clear()
  end
end

local function pong()
  for _ = 1, n do
    there:wait()
    there:clear()
    back:set()
  end
end

local greenlets = {gevent.spawn(ping), gevent.spawn(pong)}
local start = os.clock()
gevent.joinall(greenlets, nil, {raise_error = true})
local ns = (os.clock() - start) * 1e9 / n
print(("event gevent %.1f %d"):format(ns, n))
