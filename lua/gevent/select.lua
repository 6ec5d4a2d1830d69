--- Waiting for several descriptors or sockets at once.
-- @module gevent.select
local core = require "gevent._core"
local misuse = require "gevent._misuse"

local select = {}

-- The descriptor of what the user gave: a number, or something with fileno.
-- It is argument `n` of `fname`, which the caller's caller has called.
local function fdof(object, n, fname, level)
  if math.type(object) == "integer" then return object end
  local kind = type(object)
  if kind == "userdata" or kind == "table" then
    local fileno = object.fileno
    if fileno then return fileno(object) or -1 end -- -1: it is closed
  end
  error(("bad argument #%d to '%s' (descriptor or socket expected, got %s)"):format(
    n, fname, kind), level or 3)
end

local function checktimeout(timeout, n, fname)
  if timeout ~= nil and (type(timeout) ~= "number" or not (timeout >= 0)) then
    error(("bad argument #%d to '%s' (seconds must be a number >= 0)"):format(n, fname), 3)
  end
end

-- Has it input that poll does not see, because it was read already?
local function buffered(object)
  return type(object) == "userdata" and core.buffered(object) > 0
end

-- select --------------------------------------------------------------------------

-- Adds what each descriptor of the list is watched for.
local function collect(wanted, list, n, event)
  if list == nil then return end
  if type(list) ~= "table" then
    error(("bad argument #%d to 'select' (list expected, got %s)"):format(n, type(list)), 3)
  end
  for _, object in ipairs(list) do
    local fd = fdof(object, n, "select", 4)
    wanted[fd] = (wanted[fd] or "") .. event
  end
end

-- Watches all; those that cannot be polled, regular files, are always ready.
local function watch(poller, wanted, ready)
  local always = false
  for fd, events in pairs(wanted) do
    local ok, message, code = poller:add(fd, events)
    if not ok and code ~= "EPERM" then return nil, message, code end
    if not ok then
      ready[fd] = {readable = true, writable = true}
      always = true
    end
  end
  return true, always
end

-- The objects of the list for which the event has come.
local function pick(list, ready, wants)
  local picked = {}
  for _, object in ipairs(list or {}) do
    local event = ready[fdof(object)]
    if event and wants(event) then picked[#picked + 1] = object end
  end
  return picked
end

local function readable(event)
  return event.readable or event.hangup or event.error
end
local function writable(event)
  return event.writable or event.error
end
local function urgent(event)
  return event.urgent
end

--- Waits until one of many is ready.
-- @tparam ?table r list of descriptors and sockets to be readable
-- @tparam ?table w to be writable
-- @tparam ?table x to have urgent data
-- @tparam[opt] number timeout seconds
-- @treturn[1] table the ready ones of `r`
-- @treturn[1] table of `w`
-- @treturn[1] table of `x`; all are empty at expiry
-- @return[2] nil, message, code: `"EBADF"` where one is closed, meanwhile too
function select.select(r, w, x, timeout)
  local wanted, ready = {}, {}
  collect(wanted, r, 1, "r")
  collect(wanted, w, 2, "w")
  collect(wanted, x, 3, "x")
  checktimeout(timeout, 4, "select")
  local poller <close>, message, code = core.poller()
  if not poller then return nil, message, code end
  local ok, always
  ok, always, code = watch(poller, wanted, ready)
  if not ok then return nil, always, code end
  for _, object in ipairs(r or {}) do
    if buffered(object) then
      ready[fdof(object)] = {readable = true}
      always = true
    end
  end
  local events
  events, message, code = poller:poll(always and 0 or timeout)
  if not events then return nil, message, code end
  for _, event in ipairs(events) do
    local known = ready[event.fd]
    event.readable = event.readable or known and known.readable
    ready[event.fd] = event
  end
  return pick(r, ready, readable), pick(w, ready, writable), pick(x, ready, urgent)
end

-- poll ------------------------------------------------------------------------------

--- A set of descriptors that is waited for again and again.
-- @type Poll
local Poll = {__name = "Poll"}
Poll.__index = Poll

local EVENTS = {r = true, w = true, rw = true, wr = true}

local function checkevents(events, fname)
  if events == nil then return "rw" end
  if EVENTS[events] then return events end
  error(("bad argument #2 to '%s' (\"r\", \"w\" or \"rw\" expected)"):format(fname), 3)
end

local function add(self, fd, object, events)
  local ok, message, code = self._poller:add(fd, events)
  if not ok and code == "EEXIST" then ok, message, code = self._poller:modify(fd, events) end
  if not ok and code ~= "EPERM" then return nil, message, code end
  self._always[fd] = not ok or nil -- a regular file is always ready
  self._objects[fd], self._events[fd], self._gone[fd] = object, events, nil
  return true
end

-- Under which descriptor it is registered; one that is closed has none itself.
local function registered(self, object, fname)
  local fd = fdof(object, 1, fname, 4)
  if fd < 0 then
    for number, other in pairs(self._objects) do
      if rawequal(other, object) then fd = number end
    end
  end
  if self._objects[fd] == nil then
    error(("bad argument #1 to '%s' (it is not registered)"):format(fname), 3)
  end
  return fd
end

--- Watches a descriptor, or watches it for something else.
-- @param object descriptor or socket
-- @tparam[opt="rw"] string events "r", "w" or "rw"
-- @return true; or nil, message, code
function Poll:register(object, events)
  local fd = fdof(object, 1, "register")
  return add(self, fd, object, checkevents(events, "register"))
end

--- Watches a registered descriptor for something else.
function Poll:modify(object, events)
  local fd = registered(self, object, "modify")
  return add(self, fd, object, checkevents(events, "modify"))
end

--- Watches a descriptor no longer; it may be closed.
function Poll:unregister(object)
  local fd = registered(self, object, "unregister")
  if not self._always[fd] and not self._gone[fd] then self._poller:remove(fd) end
  self._objects[fd], self._events[fd] = nil, nil
  self._always[fd], self._gone[fd] = nil, nil
  return true
end

-- Finds out which ones have been closed.
local function findgone(self)
  for fd, events in pairs(self._events) do
    if not self._always[fd] and not self._poller:modify(fd, events) then
      self._gone[fd] = true
    end
  end
end

local function newevent(fd, what)
  local event = {fd = fd, readable = false, writable = false, hangup = false,
    error = false, urgent = false}
  for name in pairs(what) do event[name] = true end
  return event
end

-- Events that the system does not report: files, input read already, and what
-- has been closed.
local function known(self)
  local list, byfd = {}, {}
  for fd, object in pairs(self._objects) do
    local what
    if self._gone[fd] then
      what = {error = true}
    elseif self._always[fd] then
      local events = self._events[fd]
      what = {readable = events:find "r", writable = events:find "w"}
    elseif self._events[fd]:find "r" and buffered(object) then
      what = {readable = true}
    end
    if what then
      byfd[fd] = newevent(fd, what)
      list[#list + 1] = byfd[fd]
    end
  end
  return list, byfd
end

--- Waits until at least one is ready.
-- @tparam[opt] number timeout seconds
-- @treturn {table,...} list of `{fd=, object=, readable=, writable=, hangup=,
-- error=}`, empty at expiry; `object` is what was registered. One that has been
-- closed is an `error` until it is unregistered
function Poll:poll(timeout)
  checktimeout(timeout, 1, "poll")
  local deadline = timeout and core.monotonic() + timeout
  local list, byfd, events, message, code
  repeat
    list, byfd = known(self)
    local left = deadline and math.max(0, deadline - core.monotonic())
    events, message, code = self._poller:poll(list[1] and 0 or left)
    if code == "EBADF" then findgone(self) end
  until events or code ~= "EBADF" or self._closed
  if not events then return nil, message, code end
  for _, event in ipairs(events) do
    local other = byfd[event.fd]
    if other then
      for name, value in pairs(event) do other[name] = other[name] or value end
    else
      list[#list + 1] = event
    end
  end
  for _, event in ipairs(list) do event.object = self._objects[event.fd] end
  return list
end

--- Gives the set up. Idempotent.
function Poll:close()
  self._closed = true
  self._poller:close()
end
Poll.__close = Poll.close

function Poll:__tostring()
  local n = 0
  for _ in pairs(self._objects) do n = n + 1 end
  return ("<Poll at %p %s>"):format(self, self._closed and "closed"
    or ("%d registered"):format(n))
end

misuse.methods(Poll, "_poller")

--- Makes an empty set.
-- @treturn[1] Poll
-- @return[2] nil, message, code
function select.poll()
  local poller, message, code = core.poller()
  if not poller then return nil, message, code end
  return setmetatable({
    _poller = poller,
    _objects = {}, -- descriptor -> what was registered
    _events = {}, -- descriptor -> what it is watched for
    _always = {}, -- descriptors of files, which cannot be polled -> true
    _gone = {}, -- descriptors that were closed -> true
  }, Poll)
end

return select
