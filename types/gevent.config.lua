---@meta gevent.config
-- Made by `make types` from lua/gevent/config.lua: change that.

---Settings, from the environment or set by the program.
---Each may be given as an environment variable `GEVENT_<NAME>` and be assigned
---at any time. An unknown name is an error.
---
---- `track_greenlet_tree` (boolean, default false): record `spawning_stack` of
---  each greenlet: a traceback per spawn.
---- `monitor_thread` (boolean, default false; also
---  `GEVENT_MONITOR_THREAD_ENABLE`): a thread that reports a greenlet which keeps
---  the others waiting, and, where there is a limit, memory. See `gevent.events`.
---- `max_blocking_time` (seconds, default 0.1): what is too long for that.
---- `print_blocking_reports` (boolean, default true): print them, too.
---- `max_memory_usage` (bytes, default 0: no limit).
---- `memory_monitor_period` (seconds, default 5): how often that is looked at.
---- `resolver` ("thread", "ares" or an object, default "thread"): who looks names
---  up, see `gevent.resolver`. Assigning it sets `hub.resolver`.
---@class gevent.config
---@field [string] any
local M = {}

---@type number
M.max_blocking_time = nil

---@type number
M.max_memory_usage = nil

---@type number
M.memory_monitor_period = nil

---@type boolean
M.monitor_thread = nil

---@type boolean
M.print_blocking_reports = nil

---@type string
M.resolver = nil

---@type boolean
M.track_greenlet_tree = nil

return M
