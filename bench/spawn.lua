-- bench/spawn.lua - CPU time of spawn, run and join of an empty function.
-- usage: lua5.4 bench/spawn.lua [N [join|main|all|raw]]
--   join  a greenlet spawns and joins one at a time          gevent
--   main  the main chunk does so                             gevent-main
--   all   a greenlet spawns 100, then joinall                gevent-all
--   raw   a greenlet does spawn_raw 100 times, then sleep(0) gevent-raw
-- output: spawn PROGRAM NS N
local gevent = require "gevent"

local n = math.tointeger(arg[1] or 500000)
local mode = arg[2] or "join"

local function empty() end

local function join()
  local spawn = gevent.spawn
  for _ = 1, n do spawn(empty):join() end
end

local function all()
  local spawn, joinall, list = gevent.spawn, gevent.joinall, {}
  for _ = 1, n // 100 do
    for i = 1, 100 do list[i] = spawn(empty) end
    joinall(list)
  end
end

local function raw()
  local spawn_raw, sleep = gevent.spawn_raw, gevent.sleep
  for _ = 1, n // 100 do
    for _ = 1, 100 do spawn_raw(empty) end
    sleep(0)
  end
end

local bodies = {join = join, main = join, all = all, raw = raw}
local body = assert(bodies[mode], "unknown mode")
local start = os.clock()
if mode == "main" then body() else gevent.spawn(body):get() end
local ns = (os.clock() - start) * 1e9 / n
local program = mode == "join" and "gevent" or "gevent-" .. mode
print(("spawn %s %.1f %d"):format(program, ns, n))
