--- Events: one greenlet tells others that something has happened.
-- @module gevent.event
local core = require "gevent._core"
local misuse = require "gevent._misuse"

local eventwait, unpack, seconds = core.eventwait, table.unpack, misuse.seconds

--- Makes a flag that greenlets wait for; it is not set.
-- @function Event
-- @treturn Event

--- Makes the result of something that is under way.
-- @function AsyncResult
-- @treturn AsyncResult

--- A flag that greenlets wait for.
-- @type Event

--- Sets it, and wakes all who wait.
-- @function Event:set

--- Takes it back.
-- @function Event:clear

--- Is it set? Also `ready`.
-- @function Event:is_set
-- @treturn boolean

--- Waits until it is set.
-- @function Event:wait
-- @tparam[opt] number timeout seconds
-- @treturn boolean was it set, at any time during the wait?

--- The result of something that is under way.
-- @type AsyncResult
local AsyncResult = {__name = "AsyncResult"}
AsyncResult.__index = AsyncResult

--- Sets the values; whoever waits gets them. A later call replaces them.
function AsyncResult:set(...)
  self._values = table.pack(...)
  self.value, self.exception = (...), nil
  self._done:set()
end

--- Sets an error, which `get` raises; values that were set before win.
-- @param err any value but nil; of an exception class, a new instance
function AsyncResult:set_exception(err)
  if err == nil then misuse.bad(1, "set_exception", "an error expected, got nil") end
  self.exception = core.newexception(err)
  self._done:set()
end

--- Has it been set?
function AsyncResult:ready()
  return self._done:is_set()
end

--- Has it been set, and to values?
function AsyncResult:successful()
  return self._done:is_set() and self._values ~= nil
end

--- Waits until it is set; never raises its error.
-- @tparam[opt] number timeout seconds
-- @treturn boolean false at expiry
function AsyncResult:wait(timeout)
  if timeout then seconds(1, "wait", timeout) end
  return eventwait(self._done, timeout, "AsyncResult:wait")
end

--- The values; raises the error that was set, or `Timeout` at expiry.
-- @tparam[opt] number timeout seconds
function AsyncResult:get(timeout)
  if timeout then seconds(1, "get", timeout) end
  if not eventwait(self._done, timeout, "AsyncResult:get") then
    error(core.Timeout(timeout), 0)
  end
  if self._values then return unpack(self._values, 1, self._values.n) end
  error(self.exception, 0)
end

-- As a link of a greenlet: takes over its outcome.
function AsyncResult:__call(source)
  if source:successful() then
    self:set(source:get())
  else
    self:set_exception(source.exception)
  end
end

function AsyncResult:__tostring()
  local state = not self:ready() and "pending" or self._values and "set" or "failed"
  return ("<AsyncResult at %p %s>"):format(self, state)
end

misuse.methods(AsyncResult, "_done")

AsyncResult.__waitable = function(self) return self._done end

local function new()
  return setmetatable({_done = core.Event()}, AsyncResult)
end

return {Event = core.Event, AsyncResult = new}
