---@meta gevent.metrics
-- Made by `make types` from lua/gevent/metrics.lua: change that.

---The hub's counts for Prometheus.
---
---    http.Server("127.0.0.1:9100", require("gevent.metrics").handler):start()
---
---@class gevent.metrics
local M = {}

---All counts, in the text format of Prometheus.
---@return string
function M.format() end

---A handler for `http.Server`.
function M.handler() end

return M
