--- What goes on in the library, for whoever wants to hear of it.
-- An event is a table; `event.name` says which:
--
-- - `"EventLoopBlocked"`: a greenlet has kept all others waiting. `greenlet`,
--   `blocking_time` (seconds), `traceback` (where it was).
-- - `"MemoryUsageThresholdExceeded"`, `"MemoryUsageUnderThreshold"`: `mem_usage`,
--   `max_allowed` (bytes).
-- - `"PeriodicMonitorThreadStarted"`: `monitor`.
-- - `"GeventWillPatchModule"`, `"GeventDidPatchModule"`: `module_name`.
-- @module gevent.events
local core = require "gevent._core"

local subscribers = {} -- list; one that has left is false until the next event

local events = {}

--- Calls a function for each event, where that comes up: it should be quick, and
-- cannot block. An error in it is reported, and that is all.
-- @tparam function fn called with the event
-- @treturn function ends it; may be called again
function events.subscribe(fn)
  if type(fn) ~= "function" and not (getmetatable(fn) or {}).__call then
    error("bad argument #1 to 'subscribe' (function expected, got " .. type(fn) .. ")", 2)
  end
  local entry = {fn}
  subscribers[#subscribers + 1] = entry
  return function() entry[1] = nil end
end

local function prune()
  local n = 0
  for i = 1, #subscribers do
    local entry = subscribers[i]
    subscribers[i] = nil
    if entry[1] then
      n = n + 1
      subscribers[n] = entry
    end
  end
end

--- Tells all subscribers, in the order of their coming.
-- @tparam table event
function events.notify(event)
  for i = 1, #subscribers do
    local fn = subscribers[i][1]
    if fn then
      local ok, err = pcall(fn, event)
      if not ok then core.report("subscriber of " .. tostring(event.name), err) end
    end
  end
  prune()
end

return events
