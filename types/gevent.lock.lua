---@meta gevent.lock
-- Made by `make types` from lua/gevent/lock.lua: change that.

---Locks: who may go on, and who waits.
---@class gevent.lock
local M = {}

---Makes a counter of permits.
---@param n? integer permits to begin with
---@return gevent.lock.Lock
function M.Semaphore(n) end

---Makes a semaphore that cannot be released more often than it was acquired.
---@param n? integer permits
---@return gevent.lock.Lock
function M.BoundedSemaphore(n) end

---Makes a semaphore of which there is always one more: where a lock is asked for and
---none is needed.
---@return gevent.lock.Lock
function M.DummySemaphore() end

---Makes a lock that its owner may acquire again.
---@return gevent.lock.Lock
function M.RLock() end

---Makes a condition.
---@param lock? gevent.lock.Lock an RLock of its own unless told
---@return gevent.lock.Condition
function M.Condition(lock) end

---What all of them have. Field: `counter`, how many permits there are.
---@class gevent.lock.Lock
local Lock = {}

---Takes a permit, and waits until there is one.
---@param timeout? number seconds; 0: only if there is one now
---@return boolean # false at expiry
function Lock:acquire(timeout) end

---Gives it back; what was not taken is misuse.
function Lock:release() end

---Would `acquire` have to wait?
---@return boolean
function Lock:locked() end

---Takes a permit for a scope: `local _held <close> = lock:hold()`.
---@param timeout? number seconds
---@return any # what gives it back, by `close` too; or nil, message, code
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function Lock:hold(timeout) end

---A lock, with its methods, and a queue of those who wait for what it protects to
---change. Without the lock, `wait` and `notify` are misuse.
---@class gevent.lock.Condition
local Condition = {}

---Gives up the lock, waits to be notified, and takes the lock again: in any
---case, also where a kill or a Timeout ends the wait.
---@param timeout? number seconds
---@return boolean # false at expiry
function Condition:wait(timeout) end

---Wakes the first `n` waiters.
---@param n? integer
function Condition:notify(n) end

---Wakes all waiters.
function Condition:notify_all() end

return M
