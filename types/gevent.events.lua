---@meta gevent.events
-- Made by `make types` from lua/gevent/events.lua: change that.

---What goes on in the library, for whoever wants to hear of it.
---An event is a table; `event.name` says which:
---
---- `"EventLoopBlocked"`: a greenlet has kept all others waiting. `greenlet`,
---  `blocking_time` (seconds), `traceback` (where it was).
---- `"MemoryUsageThresholdExceeded"`, `"MemoryUsageUnderThreshold"`: `mem_usage`,
---  `max_allowed` (bytes).
---- `"PeriodicMonitorThreadStarted"`: `monitor`.
---- `"GeventWillPatchModule"`, `"GeventDidPatchModule"`: `module_name`.
---@class gevent.events
local M = {}

---Calls a function for each event, where that comes up: it should be quick, and
---cannot block. An error in it is reported, and that is all.
---@param fn function called with the event
---@return function # ends it; may be called again
function M.subscribe(fn) end

---Tells all subscribers, in the order of their coming.
---@param event table
function M.notify(event) end

return M
