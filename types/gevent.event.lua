---@meta gevent.event
-- Made by `make types` from lua/gevent/event.lua: change that.

---Events: one greenlet tells others that something has happened.
---@class gevent.event
local M = {}

---A flag that greenlets wait for: `:set() :clear() :is_set()`
---`:wait([timeout]) -> bool`, true if it was set at any time during the wait.
---@return any
function M.Event() end

---The result of something that is under way.
---@class gevent.event.AsyncResult
local AsyncResult = {}

---Sets the values; whoever waits gets them. A later call replaces them.
function AsyncResult:set() end

---Sets an error, which `get` raises.
---@param err any any value but nil
function AsyncResult:set_exception(err) end

---Has it been set?
function AsyncResult:ready() end

---Has it been set, and to values?
function AsyncResult:successful() end

---Waits until it is set; never raises its error.
---@param timeout? number seconds
---@return boolean # false at expiry
function AsyncResult:wait(timeout) end

---The values; raises the error that was set, or `Timeout` at expiry.
---@param timeout? number seconds
function AsyncResult:get(timeout) end

---@type gevent.event.AsyncResult|fun(...): gevent.event.AsyncResult
M.AsyncResult = nil

return M
