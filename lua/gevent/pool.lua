--- Groups of greenlets, and pools: groups of bounded size.
-- @module gevent.pool
local core = require "gevent._core"
local misuse = require "gevent._misuse"
local results = require "gevent._imap"

local eventwait, semacquire = core.eventwait, core.semacquire

-- The deadline of a time-out in seconds; nil is for ever.
local function checktimeout(timeout, fname, index)
  return misuse.seconds(index, fname, timeout) and core.monotonic() + timeout
end

local function remaining(deadline)
  return deadline and math.max(0, deadline - core.monotonic())
end

-- Group --------------------------------------------------------------------------

--- A set of greenlets; each leaves it when it is done.
-- @type Group
local Group = {__name = "Group"}
Group.__index = Group

-- Makes room, or waits for it; a group never lacks it. False: not in time.
local function room(self, timeout, caller)
  local permits = self._permits
  return not permits or semacquire(permits, timeout, caller)
end

local function giveback(self)
  local permits = self._permits
  if permits then permits:release() end
end

local function register(self, greenlet)
  greenlet:rawlink(self._discard)
  self._members[greenlet] = true
end

local function count(self)
  local size = self._size + 1
  self._size = size
  if size == 1 then self._empty:clear() end
end

-- The greenlet is done, or let go; false: it was no member.
local function leave(self, greenlet)
  local members = self._members
  if not members[greenlet] then return false end
  members[greenlet] = nil
  local size = self._size - 1
  self._size = size
  giveback(self)
  if size == 0 then self._empty:set() end
  return true
end

-- Takes a greenlet in: room for it has been made, and is given back where there
-- is no memory.
local function enter(self, greenlet)
  local ok, err = pcall(register, self, greenlet)
  if not ok then
    greenlet:unlink(self._discard)
    giveback(self)
    error(err, 0)
  end
  count(self)
end

-- A member that cannot be started would be one for ever.
local function launch(self, greenlet)
  local ok, err = pcall(greenlet.start, greenlet)
  if ok then return end
  self:discard(greenlet)
  error(err, 0)
end

local function create(self, fn, ...)
  local greenlet = core.spawn(fn, ...)
  self._newest = greenlet
  register(self, greenlet)
  return greenlet
end

-- Makes a greenlet, enters it, or neither. It does not run before we block.
local function spawn(self, fn, ...)
  local ok, greenlet = pcall(create, self, fn, ...)
  local newest = self._newest
  self._newest = false
  if ok then
    count(self)
    return greenlet
  end
  if newest then
    newest:unlink(self._discard)
    core.kill(newest)
  end
  giveback(self)
  error(greenlet, 0)
end

local function checkgreenlet(greenlet, fname)
  if not core.isgreenlet(greenlet) then
    misuse.bad(1, fname, misuse.expected("Greenlet", greenlet))
  end
end

local function admit(self, greenlet, timeout, caller)
  if self._members[greenlet] then return true end
  if not room(self, timeout, caller) then return nil, "timed out", "timeout" end
  enter(self, greenlet)
  return true
end

--- Takes a greenlet in. A pool that is full waits for room.
-- @tparam Greenlet greenlet
-- @tparam[opt] number timeout seconds
-- @treturn[1] boolean true
-- @return[2] nil, "timed out", "timeout"
function Group:add(greenlet, timeout)
  checkgreenlet(greenlet, "add")
  checktimeout(timeout, "add", 2)
  return admit(self, greenlet, timeout, "Pool:add")
end

--- Takes a greenlet in and starts it.
-- @tparam Greenlet greenlet
-- @tparam[opt] number timeout seconds
-- @return as `add`
function Group:start(greenlet, timeout)
  checkgreenlet(greenlet, "start")
  checktimeout(timeout, "start", 2)
  local ok, message, code = admit(self, greenlet, timeout, "Pool:start")
  if not ok then return nil, message, code end
  launch(self, greenlet)
  return true
end

--- Starts a new greenlet in the group. A pool that is full waits for room.
-- @tparam function fn
-- @param ... its arguments
-- @treturn Greenlet
function Group:spawn(fn, ...)
  if self._class == core.Greenlet and type(fn) == "function" then
    room(self, nil, "Pool:spawn")
    return spawn(self, fn, ...) -- cheaper
  end
  if self._class == core.Greenlet and not (debug.getmetatable(fn) or {}).__call then
    misuse.bad(1, "spawn", misuse.expected("function", fn))
  end
  local greenlet = self._class(fn, ...)
  room(self, nil, "Pool:spawn")
  enter(self, greenlet)
  launch(self, greenlet)
  return greenlet
end

--- Lets a greenlet go, as if it were done.
function Group:discard(greenlet)
  if leave(self, greenlet) then greenlet:unlink(self._discard) end
end

--- The members, as an iterator.
function Group:iter()
  local list = {}
  for greenlet in pairs(self._members) do list[#list + 1] = greenlet end
  local i = 0
  return function()
    i = i + 1
    return list[i]
  end
end

function Group:__len() return self._size end

--- Is the greenlet a member?
function Group:contains(greenlet) return self._members[greenlet] == true end

--- Waits until the group is empty, or was so once.
-- @tparam[opt] number timeout seconds
-- @tparam[opt] boolean raise_error raise the failure of a present member
-- @treturn boolean
function Group:join(timeout, raise_error)
  checktimeout(timeout, "join", 1)
  if not raise_error then return eventwait(self._empty, timeout, "Group:join") end
  local members = {}
  for greenlet in self:iter() do members[#members + 1] = greenlet end
  local deadline = checktimeout(timeout, "join", 1)
  local waiter <close> = core.multiwait(members, "joinall")
  for _ = 1, #members do
    local greenlet = waiter:take(remaining(deadline))
    if not greenlet then return false end
    if greenlet.exception ~= nil then error(greenlet.exception, 0) end
  end
  return eventwait(self._empty, remaining(deadline), "Group:join")
end

--- Kills all members, also those that come meanwhile; each once. An imap
-- that is under way draws no more items.
-- @param[opt=GreenletExit] exception
-- @tparam[opt=true] boolean block wait for their end
-- @tparam[opt] number timeout seconds
function Group:kill(exception, block, timeout)
  local deadline = checktimeout(timeout, "kill", 3)
  local killed, current = {}, core.getcurrent()
  for feeder in pairs(self._feeders) do core.kill(feeder) end
  repeat
    for greenlet in self:iter() do
      if not killed[greenlet] and greenlet ~= current then
        killed[greenlet] = true
        core.kill(greenlet, exception)
      end
    end
    if block == false then return end
    local others = self:_others(current)
    if #others == 0 then return end
    local waiter <close> = core.multiwait(others, "killall")
    for _ = 1, #others do
      if not waiter:take(remaining(deadline)) then return end
    end
    core.sleep(0) -- let them leave the group
  until false
end

function Group:_others(current)
  local list = {}
  for greenlet in self:iter() do
    if greenlet ~= current then list[#list + 1] = greenlet end
  end
  return list
end

--- Kills one member.
function Group:killone(greenlet, exception, block, timeout)
  if self._members[greenlet] then greenlet:kill(exception, block, timeout) end
end

--- Is there no room?
function Group.full() return false end

--- Waits until there is room.
-- @tparam[opt] number timeout seconds
-- @treturn boolean
function Group.wait_available() return true end

--- How many more may come in: for a group always at least one.
function Group.free_count() return 1 end

-- Calling ----------------------------------------------------------------------------

--- Calls a function in a greenlet of the group, and waits for its results. In
-- a member of the group it is called at once: it must not wait for itself.
function Group:apply(fn, ...)
  if self._members[core.getcurrent()] then return fn(...) end
  return self:spawn(fn, ...):get()
end

--- The same without waiting, also not for room.
-- @treturn Greenlet whose outcome is that of the function
function Group:apply_async(fn, ...)
  if self:full() then return core.spawn(self.apply, self, fn, ...) end
  return self:spawn(fn, ...)
end

--- Calls a function for each item, in the group's greenlets.
-- @tparam function fn
-- @param seq list, or iterator function
-- @treturn table the results in the order of the items; raises the first error
function Group:map(fn, seq)
  return results.map(self, fn, {seq})
end

--- The same with several sequences: `fn(item1, item2, ...)`.
function Group:map_n(fn, seqs)
  return results.map(self, fn, seqs)
end

--- `map` without waiting.
-- @treturn Greenlet whose value is the list
function Group:map_async(fn, seq)
  return core.spawn(results.map, self, fn, {seq})
end

--- The results one by one, in the order of the items. An item that failed
-- raises at its place; the iteration can go on after it.
-- @tparam function fn
-- @param seq list, or iterator function
-- @tparam[opt] table opts `maxsize`: how many results may wait to be taken
-- @treturn function iterator
function Group:imap(fn, seq, opts)
  return results.imap(self, fn, {seq}, opts, true)
end

--- The same with several sequences.
function Group:imap_n(fn, seqs, opts)
  return results.imap(self, fn, seqs, opts, true)
end

--- The results one by one, in the order they come.
function Group:imap_unordered(fn, seq, opts)
  return results.imap(self, fn, {seq}, opts, false)
end

-- Scope and text -----------------------------------------------------------------------

function Group:__close(err)
  if err == nil then
    self:join()
  else
    core.unwind(err, self.kill, self, err)
  end
end

--- The end of the scope, as without an error: join.
function Group:close() self:join() end

function Group:__tostring()
  return ("<%s at %p size %d>"):format(getmetatable(self).__name, self, self._size)
end

local function init(self, class)
  self._members, self._size = {}, 0
  self._feeders = setmetatable({}, {__mode = "k"}) -- of imaps under way
  self._empty = core.Event()
  self._empty:set()
  self._class = class or core.Greenlet
  self._discard = function(greenlet) leave(self, greenlet) end
  self._permits, self._newest = false, false
  return self
end

misuse.methods(Group, "_members", "Group or Pool")

--- Makes a group of the greenlets given.
local function newgroup(...)
  local self = init(setmetatable({}, Group))
  for _, greenlet in ipairs {...} do self:add(greenlet) end
  return self
end

-- Pool ---------------------------------------------------------------------------------

--- A group that holds so many greenlets and no more.
-- @type Pool
local Pool = {__name = "Pool", __len = Group.__len, __close = Group.__close,
  __tostring = Group.__tostring}
Pool.__index = Pool
setmetatable(Pool, {__index = Group})

function Pool:full() return self:free_count() <= 0 end

function Pool:free_count()
  return self._permits and self._permits.counter or 1
end

--- Waits until there is room. Others may take it first.
function Pool:wait_available(timeout)
  local permits = self._permits
  checktimeout(timeout, "wait_available", 1)
  if not permits then return true end
  if not semacquire(permits, timeout, "Pool:wait_available") then return false end
  permits:release()
  return true
end

misuse.methods(Pool, "_members")

--- Makes a pool.
-- @tparam[opt] integer size how many greenlets it holds; nil: any number
-- @tparam[opt] class greenlet_class what `spawn` makes
local function newpool(size, greenlet_class)
  if size ~= nil and (type(size) ~= "number" or not math.tointeger(size) or size < 0) then
    misuse.bad(1, "Pool", ("a size is an integer >= 0, got %s"):format(tostring(size)))
  end
  if greenlet_class ~= nil and not (debug.getmetatable(greenlet_class) or {}).__call
    and type(greenlet_class) ~= "function" then
    misuse.bad(2, "Pool", misuse.expected("class", greenlet_class))
  end
  local self = init(setmetatable({}, Pool), greenlet_class)
  self.size = size and math.tointeger(size)
  self._permits = size and core.Semaphore(self.size) or false
  return self
end

return {Group = newgroup, Pool = newpool}
