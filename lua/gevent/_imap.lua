-- gevent._imap: a function called for each item of a sequence, in the
-- greenlets of a pool (private; see gevent.pool and gevent.threadpool). A pool
-- is anything whose `spawn(self, fn, ...)` gives something with `get` that can
-- be waited for.
local core = require "gevent._core"
local misuse = require "gevent._misuse"

-- An iterator over the items of a sequence.
local function each(seq, caller)
  if type(seq) == "function" then return seq end
  if type(seq) ~= "table" then
    misuse.bad(2, caller, misuse.expected("a sequence, list or iterator function,", seq))
  end
  local at = 0
  return function()
    at = at + 1
    return seq[at]
  end
end

-- An iterator over the tuples of several sequences; ends with the shortest.
local function zip(seqs, caller)
  if type(seqs) ~= "table" or #seqs == 0 then
    misuse.bad(2, caller, "list of sequences expected, got "
      .. (type(seqs) == "table" and "none" or type(seqs)))
  end
  local sources = {}
  for i, seq in ipairs(seqs) do sources[i] = each(seq, caller) end
  return function()
    local items = {n = #sources}
    for i, source in ipairs(sources) do
      items[i] = source()
      if items[i] == nil then return nil end
    end
    return items
  end
end

local function checkcallable(fn, caller)
  if type(fn) ~= "function" and not (getmetatable(fn) or {}).__call then
    misuse.bad(1, caller, misuse.expected("function", fn))
  end
end

-- map ---------------------------------------------------------------------------

-- A greenlet, or what stands for one, for each.
local function spawneach(pool, fn, seqs)
  local list, n = {}, 0
  if type(seqs) == "table" and #seqs == 1 then -- no tuples
    local source = each(seqs[1], "map")
    local item = source()
    while item ~= nil do
      n = n + 1
      list[n] = pool:spawn(fn, item)
      item = source()
    end
  else
    for items in zip(seqs, "map") do
      n = n + 1
      list[n] = pool:spawn(fn, table.unpack(items, 1, items.n))
    end
  end
  return list, n
end

local function map(pool, fn, seqs)
  checkcallable(fn, "map")
  local list, n = spawneach(pool, fn, seqs)
  local holes = false
  for i = 1, n do
    local value = list[i]:get()
    list[i] = value -- in the place of its greenlet
    holes = holes or value == nil
  end
  if holes then list.n = n end
  return list
end

-- imap --------------------------------------------------------------------------

-- Calls fn when what a pool has spawned is done: a greenlet, an AsyncResult.
local function whendone(result, fn)
  if result.rawlink then return result:rawlink(fn) end
  core.spawn(result.wait, result):rawlink(fn)
end

-- Nothing more will come.
local function closewhendone(job)
  if job.fed and (job.ordered or job.running == 0) then job.queue:close() end
end

-- Spawns for each item, as the pool and `slots` permit, and hands what was
-- spawned to `queue`: in order at once, else when it is done.
local function feed(job)
  for items in job.items do
    if job.slots then job.slots:acquire() end
    local result = job.pool:spawn(job.fn, table.unpack(items, 1, items.n))
    if job.ordered then
      job.queue:put(result)
    else
      whendone(result, function()
        job.queue:put_nowait(result)
        job.running = job.running - 1
        closewhendone(job)
      end)
      job.running = job.running + 1
    end
  end
end

-- The feeder has ended: runs in the hub. An error of the input comes after the
-- results of the items before it; a kill, which is that of the pool, merely
-- ends it.
local function fed(job, feeder)
  if feeder.exception ~= nil then
    job.failed, job.failure = true, feeder.exception
  end
  job.fed = true
  closewhendone(job)
end

local function adopt(job, feeder)
  core.setquiet(feeder)
  feeder:rawlink(function() fed(job, feeder) end)
  if job.pool._feeders then job.pool._feeders[feeder] = true end
end

local function start(job)
  local feeder = core.spawn(feed, job)
  local ok, err = pcall(adopt, job, feeder)
  if not ok then -- no memory
    core.kill(feeder)
    error(err, 0)
  end
  job.feeder = feeder
end

-- What this greenlet waits for stays in its place if the wait is interrupted.
local function take(job)
  local result = job.first or job.queue:get()
  if result ~= nil then
    if not result:ready() then
      job.first = result
      local settle = result.join or result.wait
      settle(result)
    end
    job.first = nil
    if job.slots then job.slots:release() end
    return result:get()
  end
  if job.failed then
    job.failed = false
    error(job.failure, 0)
  end
  return nil
end

local Job = {__close = function(job) job.feeder:kill(nil, false) end}

local OPTIONS = misuse.names "maxsize"

local function imap(pool, fn, seqs, opts, ordered)
  checkcallable(fn, "imap")
  local maxsize = misuse.options(3, "imap", opts, OPTIONS).maxsize
  if maxsize ~= nil and (math.type(maxsize) ~= "integer" or maxsize < 1) then
    misuse.bad(3, "imap", "maxsize: an integer > 0 expected, got " .. tostring(maxsize))
  end
  local job = setmetatable({
    pool = pool, fn = fn, items = zip(seqs, "imap"), ordered = ordered,
    slots = maxsize and core.Semaphore(maxsize),
    queue = core.Queue(),
    first = nil, -- taken from the queue, and not done yet
    running = 0, -- unordered: spawned and not done
    fed = false, -- the input has ended
    failed = false, failure = nil, -- the input raised
    feeder = nil, -- its greenlet
  }, Job)
  start(job)
  return function() return take(job) end, nil, nil, job
end

return {map = map, imap = imap}
