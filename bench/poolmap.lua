-- bench/poolmap.lua - CPU time of one item in Pool(10):map of 100 items.
-- usage: lua5.4 bench/poolmap.lua [N]
-- output: poolmap gevent NS N
local gevent = require "gevent"
local pool = require "gevent.pool"

local n = math.tointeger(arg[1] or 300000)

local function double(x) return 2 * x end

local function body()
  local ten, items = pool.Pool(10), {}
  for i = 1, 100 do items[i] = i end
  for _ = 1, n // 100 do
    local list = ten:map(double, items)
    assert(#list == 100 and list[100] == 200)
  end
end

local start = os.clock()
gevent.spawn(body):get()
local ns = (os.clock() - start) * 1e9 / n
print(("poolmap gevent %.1f %d"):format(ns, n))
