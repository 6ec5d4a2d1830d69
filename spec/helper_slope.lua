-- What is done again and again leaves nothing behind: neither memory nor descriptors
-- become more with the number of times, GEVENT_SPEC_REPEAT of them (200 unless told).

local helper = require "helper"

local REPEAT = tonumber(os.getenv "GEVENT_SPEC_REPEAT") or 200
local WARM_UP = 50
local ROUNDS = 3
local ALLOWED = 16 -- bytes of Lua's for each repetition
local PROCESS = 4 << 20 -- bytes that the process may take for other reasons

local plain = (os.getenv "GEVENT_SPEC_MODE" or "plain") == "plain"

local slope = {}

local function count(list)
  local n = 0
  for _ in pairs(list) do n = n + 1 end
  return n
end

--- Bytes of the Lua state, bytes of the process, descriptors.
local function measure()
  for _ = 1, 3 do collectgarbage() end
  local pages = tonumber((helper.slurp("/proc/self/statm") or ""):match("^%d+ (%d+)"))
  return {lua = collectgarbage("count") * 1024, process = (pages or 0) * 4096,
    fds = count(helper.open_fds())}
end

--- What has become more than it may in so many repetitions, as text, or nil.
local function growth(before, now, times)
  local lua, process = now.lua - before.lua, now.process - before.process
  if now.fds > before.fds then
    return ("%d descriptors, were %d"):format(now.fds, before.fds)
  elseif lua >= ALLOWED * times + 4096 then
    return ("%d bytes more"):format(lua)
  elseif plain and process >= ALLOWED * times + PROCESS then
    return ("the process has %d bytes more"):format(process)
  end
end

--- A test.
-- @param name what is done
-- @param make gives a function that does it once, and one for the end (or nil)
-- @param opts as helper.it's; `times`, how many fewer: REPEAT / times
function slope.it(name, make, opts)
  opts = opts or {}
  local times = math.max(1, REPEAT // (opts.times or 1))
  local deadline = opts.deadline
  if deadline == nil then deadline = 20 + REPEAT / 10 end
  return helper.it(("%s, %d times over, takes no more and more"):format(name, times), function()
    local act, finish = make()
    local _ <close> = helper.defer(finish or function() end)
    for _ = 1, math.min(WARM_UP, times) do act() end
    -- A table that happened to grow is no slope: what leaks does so in each round.
    local complaint
    for _ = 1, ROUNDS do
      local before = measure()
      for _ = 1, times do act() end
      complaint = growth(before, measure(), times)
      if not complaint then return end
    end
    error(complaint, 0)
  end, {deadline = deadline})
end

return slope
