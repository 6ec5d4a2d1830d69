---@meta gevent.event
-- Made by `make types` from lua/gevent/event.lua: change that.

---Events: one greenlet tells others that something has happened.
---@class gevent.event
local M = {}

---Makes a flag that greenlets wait for; it is not set.
---@return gevent.event.Event
function M.Event() end

---Makes the result of something that is under way.
---@return gevent.event.AsyncResult
function M.AsyncResult() end

---A flag that greenlets wait for.
---@class gevent.event.Event
local Event = {}

---Sets it, and wakes all who wait.
function Event:set() end

---Takes it back.
function Event:clear() end

---Is it set? Also `ready`.
---@return boolean
function Event:is_set() end

---Waits until it is set.
---@param timeout? number seconds
---@return boolean # was it set, at any time during the wait?
function Event:wait(timeout) end

---The result of something that is under way.
---@class gevent.event.AsyncResult
local AsyncResult = {}

---Sets the values; whoever waits gets them. A later call replaces them.
function AsyncResult:set() end

---Sets an error, which `get` raises; values that were set before win.
---@param err any any value but nil; of an exception class, a new instance
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

return M
