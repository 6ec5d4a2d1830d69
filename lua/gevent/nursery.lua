-- gevent.nursery: structured concurrency (see gevent.nursery()).
--
-- The nursery belongs to the greenlet that made it. The first child that fails
-- closes it: the siblings are killed and the failure is raised in the owner,
-- once: where it is blocked, or when it next blocks or leaves the scope.
local core = require "gevent._core"
local misuse = require "gevent._misuse"

local RETRY = 0.01 -- seconds to the next try to kill, where memory lacked

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

-- A child has ended: runs in the hub; once more where it lacked memory.
local function ended(self, child)
  leave(self, child)
  if child:successful() or self._told or self._cancelled then return end
  if not self._failed then self._failed, self._failure = true, child.exception end
  killall(self)
  if core.getcurrent() ~= self._owner and not self._waiting and not self._delivered then
    core.interrupt(self._owner, self._failure)
    self._interrupting = true
  end
  self._told = true
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
  if self._closed then misuse.raise "cannot spawn in a nursery that has ended" end
  if type(fn) ~= "function" and not (debug.getmetatable(fn) or {}).__call then
    misuse.bad(1, "spawn", misuse.expected("function", fn))
  end
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

-- Kills the children and waits for their end.
local function reap(self)
  repeat
    local killed = pcall(killall, self)
    local over = core.eventwait(self._empty, not killed and RETRY or nil, "Nursery:join")
  until over
end

-- The same, whatever comes. Where nothing may block they are not waited for.
local function killandwait(self)
  self._waiting = true
  if not pcall(core.shield, reap, self) then pcall(reap, self) end
  self._waiting = false
end

-- Waits for the children; where the wait is interrupted, kills them first.
local function drain(self)
  self._waiting = true
  local ok, err = pcall(wait, self)
  self._waiting = false
  if not ok then killandwait(self) end
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
    misuse.raise "only the greenlet that made a nursery may join it"
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
  killandwait(self)
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

misuse.methods(Nursery, "_children")

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
    _told = false, -- the siblings and the owner have heard of it
    _interrupting = false, -- the owner was interrupted with the failure
    _delivered = false, -- it has been raised, or dropped for another error
    _waiting = false, -- the owner waits for the children
  }, Nursery)
  return self
end
