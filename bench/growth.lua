-- bench/growth.lua - CPU time per operation by how many there are at once.
-- usage: lua5.4 bench/growth.lua spawn|sleepers|poolmap SIZE
--   spawn     SIZE greenlets are spawned, and joined together
--   sleepers  the same, and each sleeps: 250 of them end in a millisecond
--   poolmap   a list of 20,000 items through Pool(SIZE):map
-- output: FIGURE gevent NS N; small sizes are measured again until N is 100,000,
-- and whatever the size, the collection of all that has ended is part of it
local gevent = require "gevent"
local pool = require "gevent.pool"

local ITEMS, PER_SECOND, AT_LEAST = 20000, 250000, 100000
local figure, size = arg[1], math.tointeger(arg[2])

local function same(x) return x end

local function sleeper(i)
  gevent.sleep(0.01 + i * 7919 % size / PER_SECOND)
end

local function spawned(work)
  local greenlets = {}
  for i = 1, size do greenlets[i] = gevent.spawn(work, i) end
  gevent.joinall(greenlets)
  return size
end

local items = {}
for i = 1, figure == "poolmap" and ITEMS or 0 do items[i] = i end

local figures = {
  spawn = function() return spawned(same) end,
  sleepers = function() return spawned(sleeper) end,
  poolmap = function()
    assert(#pool.Pool(size):map(same, items) == ITEMS)
    return ITEMS
  end,
}

-- From a greenlet, and after a first time that pays for what is kept.
local measure = assert(size and figures[figure],
  "usage: lua5.4 bench/growth.lua spawn|sleepers|poolmap SIZE")
local function run()
  if size < AT_LEAST then measure() end
  collectgarbage()
  local n, start = 0, os.clock()
  repeat n = n + measure() until n >= AT_LEAST
  collectgarbage()
  return (os.clock() - start) * 1e9 / n, n
end

local ns, n = gevent.spawn(run):get()
print(("%s gevent %.1f %d"):format(figure, ns, n))
