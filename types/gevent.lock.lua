---@meta gevent.lock
-- Made by `make types` from lua/gevent/lock.lua: change that.

---Locks: who may go on, and who waits.
---All have `:acquire([timeout]) -> bool :release() :locked()`, `.counter`, and
---`:hold([timeout])` for `local _held <close> = lock:hold()`.
---@class gevent.lock
local M = {}

---Gives the lock back; once only.
function M.close() end

---A counter of permits.
---@param n? integer permits to begin with
function M.Semaphore(n) end

---A semaphore that cannot be released more often than it was acquired.
---@param n? integer permits
function M.BoundedSemaphore(n) end

---Makes a semaphore of which there is always one more: where a lock is asked for and
---none is needed. It has the methods of the others.
function M.DummySemaphore() end

---Gives up the lock, waits to be notified, and takes the lock again: in any
---case, also where a kill or a Timeout ends the wait.
---@param timeout? number seconds
---@return boolean # false at expiry
function M.wait(timeout) end

---Wakes the first `n` waiters.
---@param n? integer
function M.notify(n) end

---Wakes all waiters.
function M.notify_all() end

---@type function
M.Condition = nil

---@type function
M.RLock = nil

return M
