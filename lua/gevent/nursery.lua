-- gevent.nursery: structured concurrency (see gevent.nursery()).
--
-- The nursery belongs to the greenlet that made it. The first child that fails
-- closes it: the siblings are killed and the failure is raised in the owner,
-- once: where it is blocked, or when it next blocks or leaves the scope.
local core = require "gevent._core"

local Nursery = {__name = "Nursery"}
Nursery.__index = Nursery

-- One exception for all: to kill shall not need memory.
local function killall(self)
  for child in pairs(self._children) do core.kill(child, self._exit) end
end

local function leave(self, child)
  self._children[child] = nil
  if next(self._children) == nil then self._empty:set() end
end

-- A child has ended: runs in the hub.
local function ended(self, child)
  leave(self, child)
  if child:successful() or self._failed or self._cancelled then return end
  self._failed, self._failure = true, child.exception
  killall(self)
  if core.getcurrent() ~= self._owner and not self._waiting then
    core.interrupt(self._owner, self._failure)
    self._interrupting = true
  end
end

local function adopt(self, child)
  core.setquiet(child)
  child:rawlink(self._ended)
  self._children[child] = true
  self._empty:clear()
  if self._failed or self._cancelled then core.kill(child) end
end

--- Starts a child.
-- @tparam function fn
-- @treturn Greenlet
function Nursery:spawn(fn, ...)
  if self._closed then error("cannot spawn in a nursery that has ended", 2) end
  local child = core.spawn(fn, ...)
  local ok, err = pcall(adopt, self, child)
  if not ok then -- no memory: no child
    leave(self, child)
    core.kill(child, self._exit)
    error(err, 0)
  end
  return child
end

--- Kills all children; this is no failure. The scope can still be left, and
-- waits for their end.
function Nursery:cancel()
  self._cancelled = true
  killall(self)
end

local function wait(self)
  return core.eventwait(self._empty, nil, "Nursery:join")
end

-- Waits for the children; where the wait is interrupted, kills them first.
-- Where nothing may block they are killed and not waited for.
local function drain(self)
  self._waiting = true
  local ok, err = pcall(wait, self)
  if not ok then
    killall(self)
    pcall(core.shield, wait, self)
  end
  self._waiting = false
  return ok, err
end

-- Is there a failure that has not been raised in the owner? Then it is now.
local function takefailure(self)
  if not self._failed or self._delivered then return false end
  self._delivered = true
  if not self._interrupting then return true end
  return core.uninterrupt(self._owner, self._failure)
end

--- Waits for all children, and ends the nursery. Raises the first failure.
function Nursery:join()
  if self._closed then return end
  if core.getcurrent() ~= self._owner then
    error("only the greenlet that made a nursery may join it", 2)
  end
  local ok, err = drain(self)
  self._closed = true
  local failed = takefailure(self)
  if not ok then error(err, 0) end
  if failed then error(self._failure, 0) end
end

-- Leaving the scope: by its end, as join; by an error, kill the children.
function Nursery:__close(err)
  if self._closed then return end
  if err == nil then return self:join() end
  takefailure(self)
  killall(self)
  if not pcall(core.shield, drain, self) then drain(self) end
  self._closed = true
end

--- The end of the scope: join.
Nursery.close = Nursery.join

function Nursery:__tostring()
  local n = 0
  for _ in pairs(self._children) do n = n + 1 end
  local state = self._closed and "ended" or self._failed and "failed" or "open"
  return ("<Nursery at %p %s children %d>"):format(self, state, n)
end

return function()
  local empty = core.Event()
  empty:set()
  local self
  self = setmetatable({
    _owner = core.getcurrent(),
    _children = {}, -- greenlet -> true
    _empty = empty, -- set while there is no child
    _ended = function(child) ended(self, child) end,
    _exit = core.GreenletExit(),
    _failed = false, -- a child has failed, with
    _failure = nil,
    _cancelled = false, -- by cancel()
    _closed = false, -- ended
    _interrupting = false, -- the owner was interrupted with the failure
    _delivered = false, -- it has been raised, or dropped for another error
    _waiting = false, -- the owner waits for the children
  }, Nursery)
  return self
end
