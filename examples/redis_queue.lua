-- usage: lua5.4 examples/redis_queue.lua redis://127.0.0.1:6379 20 3
-- A work queue in Redis: jobs are put in a list; several processes, each with
-- many greenlets, take them from it, work, and put the results in another. The
-- client is redis-lua, which knows nothing of gevent: it is LuaSocket, patched.
-- Arguments: the server (redis://host:port or unix://path), the number of jobs
-- (20), of worker processes (3).
-- needs: redis-server, redis-lua
local gevent = require "gevent"
require("gevent.monkey").patch_all()
local subprocess = require "gevent.subprocess"

package.path = package.path .. ";/usr/share/lua/5.1/?.lua" -- Debian's lua-redis
local redis = require "redis"

local WORK, GREENLETS = 0.05, 5 -- seconds that a job takes, workers in a process
local JOBS, RESULTS = "example:jobs", "example:results"

local server, jobs, processes = arg[1], tonumber(arg[2] or 20), tonumber(arg[3] or 3)
if not server then error("usage: redis_queue.lua SERVER [JOBS [PROCESSES]]", 0) end

-- A connection of its own for whoever blocks in it.
local function work(name)
  local client = redis.connect(server)
  while true do
    local _, job = table.unpack(client:blpop(JOBS, 0)) -- waits for a job
    if job == "stop" then break end
    gevent.sleep(WORK) -- the work; the process's other greenlets go on
    client:rpush(RESULTS, ("%s squared is %d, says %s"):format(job, job ^ 2, name))
  end
  client:quit()
end

-- This file again, as a worker process.
local function start_process(i)
  return assert(subprocess.Popen {arg[-1], arg[0], server, "worker", tostring(i)})
end

local function main()
  local client = redis.connect(server)
  client:del(JOBS, RESULTS)
  local workers = {}
  for i = 1, processes do workers[i] = start_process(i) end
  for i = 1, jobs do client:rpush(JOBS, i) end
  local by = {}
  for _ = 1, jobs do
    local _, result = table.unpack(client:blpop(RESULTS, 10))
    if jobs <= 20 then print(result) end
    by[result:match "says (%S+)/"] = true
  end
  for _ = 1, processes * GREENLETS do client:rpush(JOBS, "stop") end
  for _, worker in ipairs(workers) do assert(worker:wait() == 0) end
  local count = 0
  for _ in pairs(by) do count = count + 1 end
  print(("%d jobs, done by %d processes"):format(jobs, count))
end

if arg[2] == "worker" then
  local greenlets = {}
  for i = 1, GREENLETS do
    greenlets[i] = gevent.spawn(work, ("process %s/greenlet %d"):format(arg[3], i):gsub(" ", "-"))
  end
  gevent.joinall(greenlets, nil, {raise_error = true})
else
  main()
end
