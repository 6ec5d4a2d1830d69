---@meta gevent.coroutine
-- Made by `make types` from lua/gevent/coroutine.lua: change that.

---The standard library's `coroutine`, for use inside greenlets.
---A blocking call in a coroutine that was resumed through this module blocks
---the whole greenlet, not just the coroutine. While it does, the coroutine's
---status is "normal": it can be neither resumed nor closed by another.
---@class gevent.coroutine
local M = {}

---As the standard library's.
---@param fn function
---@return thread
function M.create(fn) end

---As the standard library's; what blocks inside blocks the greenlet.
---@param co thread
---@param ... any what `yield` gives there, or the function's arguments
---@return boolean # true, and what it yields or returns
function M.resume(co, ...) end

---As the standard library's; what blocks inside blocks the greenlet.
---@param fn function
---@return function # each call resumes it
function M.wrap(fn) end

---As the standard library's.
---@param ... any what `resume` gives
---@return any # what the next `resume` was given
function M.yield(...) end

---As the standard library's; "normal" also while a call blocks inside.
---@param co thread
---@return string
function M.status(co) end

---As the standard library's.
---@return thread
---@return boolean # is it the main one?
function M.running() end

---As the standard library's.
---@param co? thread
---@return boolean
function M.isyieldable(co) end

---As the standard library's; raises where a call blocks inside.
---@param co thread
---@return boolean # true; or false and the error that ended it
function M.close(co) end

return M
