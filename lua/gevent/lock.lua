--- Locks: who may go on, and who waits.
-- @module gevent.lock
local core = require "gevent._core"
local misuse = require "gevent._misuse"

-- hold ------------------------------------------------------------------------

local Guard = {__name = "lock guard"}
Guard.__index = Guard

-- Gives the lock back; once only.
function Guard:close()
  local lock = self.lock
  self.lock = false
  if lock then lock:release() end
end
Guard.__close = Guard.close

local function hold(lock, timeout)
  local kind = type(lock)
  if kind ~= "table" and kind ~= "userdata" or not lock.acquire then
    misuse.bad(1, "hold", misuse.expected("lock", lock) .. "; methods are called with ':'")
  end
  misuse.seconds(1, "hold", timeout)
  local guard = setmetatable({lock = false}, Guard) -- no memory, no lock
  if lock:acquire(timeout) then
    guard.lock = lock
    return guard
  end
  return nil, "timed out", "timeout"
end

-- Semaphores --------------------------------------------------------------------

getmetatable(core.Semaphore()).hold = hold

local function checkpermits(fname, n)
  if n ~= nil and (type(n) ~= "number" or not math.tointeger(n) or n < 0) then
    misuse.bad(1, fname, ("permits are an integer >= 0, got %s"):format(
      type(n) == "number" and n or type(n)))
  end
end

--- Makes a counter of permits.
-- @tparam[opt=1] integer n permits to begin with
-- @treturn Lock
local function Semaphore(n)
  checkpermits("Semaphore", n)
  return core.Semaphore(n)
end

--- Makes a semaphore that cannot be released more often than it was acquired.
-- @tparam[opt=1] integer n permits
-- @treturn Lock
local function BoundedSemaphore(n)
  checkpermits("BoundedSemaphore", n)
  n = n or 1
  return core.Semaphore(n, n)
end

--- Makes a semaphore of which there is always one more: where a lock is asked for and
-- none is needed.
-- @function DummySemaphore
-- @treturn Lock
local Dummy = {__name = "DummySemaphore", counter = math.huge, hold = hold}
Dummy.__index = Dummy
function Dummy.acquire() return true end
function Dummy.release() end
function Dummy.locked() return false end
function Dummy:__tostring() return ("<DummySemaphore at %p>"):format(self) end

-- RLock -----------------------------------------------------------------------

--- Makes a lock that its owner may acquire again.
-- @function RLock
-- @treturn Lock

--- Makes a condition.
-- @function Condition
-- @tparam[opt] Lock lock an RLock of its own unless told
-- @treturn Condition

--- What all of them have. Field: `counter`, how many permits there are.
-- @type Lock

--- Takes a permit, and waits until there is one.
-- @function Lock:acquire
-- @tparam[opt] number timeout seconds; 0: only if there is one now
-- @treturn boolean false at expiry

--- Gives it back; what was not taken is misuse.
-- @function Lock:release

--- Would `acquire` have to wait?
-- @function Lock:locked
-- @treturn boolean

--- Takes a permit for a scope: `local _held <close> = lock:hold()`.
-- @function Lock:hold
-- @tparam[opt] number timeout seconds
-- @return what gives it back, by `close` too; or nil, message, code

-- A lock that its owner may acquire again.
local RLock = {__name = "RLock", hold = hold}

function RLock:__index(key)
  if key == "counter" then return rawget(self, "_block").counter end
  return RLock[key]
end

function RLock:acquire(timeout)
  local me = core.getcurrent()
  if self._owner == me then
    self._count = self._count + 1
    return true
  end
  if timeout then misuse.seconds(1, "acquire", timeout) end
  if not self._block:acquire(timeout) then return false end
  self._owner, self._count = me, 1
  return true
end

function RLock:release()
  if self._owner ~= core.getcurrent() then
    error("cannot release an RLock that this greenlet does not hold", 2)
  end
  self._count = self._count - 1
  if self._count == 0 then
    self._owner = nil
    self._block:release()
  end
end

function RLock:locked()
  return self._block:locked()
end

-- For conditions: gives it up whatever the depth, and takes it again.
function RLock:_isheld()
  return self._owner == core.getcurrent()
end

function RLock:_giveup()
  local count = self._count
  self._count = 1
  self:release()
  return count
end

function RLock:_takeback(count)
  self:acquire()
  self._count = count
end

function RLock:__tostring()
  return ("<RLock at %p owner %s count %d>"):format(self, self._owner, self._count)
end

misuse.methods(RLock, "_block")

RLock.__waitable = function(self) return self._block end

local function newrlock()
  return setmetatable({_block = core.Semaphore(), _owner = nil, _count = 0}, RLock)
end

-- Condition ---------------------------------------------------------------------

--- A lock, with its methods, and a queue of those who wait for what it protects to
-- change. Without the lock, `wait` and `notify` are misuse.
-- @type Condition
local Condition = {__name = "Condition", hold = hold}
Condition.__index = Condition

function Condition:acquire(timeout) return self._lock:acquire(timeout) end
function Condition:release() return self._lock:release() end
function Condition:locked() return self._lock:locked() end

local function checkheld(self, what)
  local lock = self._lock
  local held = lock:locked()
  if lock._isheld then held = lock:_isheld() end
  if not held then
    misuse.raise(("cannot %s on a Condition whose lock is not held"):format(what))
  end
end

local function retake(lock, count)
  if lock._takeback then lock:_takeback(count) else lock:acquire() end
end

--- Gives up the lock, waits to be notified, and takes the lock again: in any
-- case, also where a kill or a Timeout ends the wait.
-- @tparam[opt] number timeout seconds
-- @treturn boolean false at expiry
function Condition:wait(timeout)
  misuse.seconds(1, "wait", timeout)
  checkheld(self, "wait")
  local lock, count = self._lock, nil
  if lock._giveup then count = lock:_giveup() else lock:release() end
  local ok, result = pcall(self._queue.wait, self._queue, timeout)
  local held, err = pcall(core.shield, retake, lock, count)
  if not held then -- no memory for the shield
    retake(lock, count)
    error(err, 0)
  end
  if not ok then error(result, 0) end
  return result
end

--- Wakes the first `n` waiters.
-- @tparam[opt=1] integer n
function Condition:notify(n)
  if n ~= nil and (type(n) ~= "number" or not math.tointeger(n)) then
    misuse.bad(1, "notify", misuse.expected("integer", n))
  end
  checkheld(self, "notify")
  self._queue:wake(n or 1)
end

--- Wakes all waiters.
function Condition:notify_all()
  checkheld(self, "notify")
  self._queue:wake(math.maxinteger)
end

function Condition:__tostring()
  return ("<Condition at %p of %s>"):format(self, self._lock)
end

misuse.methods(Condition, "_lock")

local function newcondition(lock)
  local kind = type(lock)
  local object = kind == "table" or kind == "userdata"
  if lock ~= nil and not (object and lock.acquire and lock.release) then
    error("bad argument #1 to 'Condition' (lock expected, got " .. kind .. ")", 2)
  end
  return setmetatable({_lock = lock or newrlock(), _queue = core.waitqueue()}, Condition)
end

return {
  Semaphore = Semaphore,
  BoundedSemaphore = BoundedSemaphore,
  DummySemaphore = function() return setmetatable({}, Dummy) end,
  RLock = newrlock,
  Condition = newcondition,
}
