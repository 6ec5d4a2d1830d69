---@meta gevent.time
-- Made by `make types` from lua/gevent/time.lua: change that.

---The clock, and `sleep`.
---@class gevent.time
local M = {}

---Lets others run for so long; see `gevent.sleep`.
function M.sleep() end

---Seconds of a clock that never goes back, from no particular moment.
function M.monotonic() end

---Seconds since 1970, with fractions; the system may set it back.
function M.time() end

return M
