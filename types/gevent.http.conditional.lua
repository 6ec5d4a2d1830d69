---@meta gevent.http.conditional
-- Made by `make types` from lua/gevent/http/conditional.lua: change that.

---Is the tag in the list of a field? Weakly: "W/" does not matter.
---@class gevent.http.conditional
local M = {}

---Is the tag in the list of a field? Weakly: "W/" does not matter.
function M.listed() end

---Looks at the conditions of a request, in the order of RFC 9110, 13.2.2.
---@param req any
---@param tag string the entity tag, with its quotes
---@param time integer of the last change
---@return integer|nil # 304 or 412 where that is the answer
function M.status(req, tag, time) end

---The ranges that a request asks for.
---@param req any
---@param tag string
---@param time integer
---@param size integer bytes
---@return table|nil|boolean # list of {first, last}; nil: the whole is to be sent; false: none of them can be satisfied
function M.ranges(req, tag, time, size) end

return M
