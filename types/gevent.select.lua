---@meta gevent.select
-- Made by `make types` from lua/gevent/select.lua: change that.

---Waiting for several descriptors or sockets at once.
---@class gevent.select
local M = {}

---Waits until one of many is ready.
---@param r? table list of descriptors and sockets to be readable
---@param w? table to be writable
---@param x? table to have urgent data
---@param timeout? number seconds
---@return table? # the ready ones of `r`
---@return table? # of `w`
---@return table? # of `x`; all are empty at expiry
function M.select(r, w, x, timeout) end

---A set of descriptors that is waited for again and again.
---@class gevent.select.Poll
local Poll = {}

---Watches a descriptor, or watches it for something else.
---@param object any descriptor or socket
---@param events? string "r", "w" or "rw"
---@return boolean? # true; or nil, message, code
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function Poll:register(object, events) end

---Watches a registered descriptor for something else.
function Poll:modify() end

---Watches a descriptor no longer; it may be closed.
function Poll:unregister() end

---Waits until at least one is ready.
---@param timeout? number seconds
---@return table[] # list of `{fd=, object=, readable=, writable=, hangup=, error=}`, empty at expiry; `object` is what was registered. One that has been closed is an `error` until it is unregistered
function Poll:poll(timeout) end

---Gives the set up. Idempotent.
function Poll:close() end

---Makes an empty set.
---@return gevent.select.Poll?
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.poll() end

return M
