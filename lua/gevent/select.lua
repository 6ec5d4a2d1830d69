--- Waiting for several descriptors or sockets at once.
-- @module gevent.select
local core = require "gevent._core"

local select = {}

-- The descriptor of what the user gave: a number, or something with fileno.
local function fdof(object, fname)
  if math.type(object) == "integer" then return object end
  local kind = type(object)
  if kind == "userdata" or kind == "table" then
    local fileno = object.fileno
    if fileno then return fileno(object) or -1 end -- -1: it is closed
  end
  error(("bad argument to '%s' (descriptor or socket expected, got %s)"):format(
    fname, kind), 4)
end

-- Has it input that poll does not see, because it was read already?
local function buffered(object)
  return type(object) == "userdata" and core.buffered(object) > 0
end

-- select --------------------------------------------------------------------------

-- Adds what each descriptor of the list is watched for.
local function collect(wanted, list, event)
  if list == nil then return end
  if type(list) ~= "table" then
    error("bad argument to 'select' (list expected, got " .. type(list) .. ")", 3)
  end
  for _, object in ipairs(list) do
    local fd = fdof(object, "select")
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
    local event = ready[fdof(object, "select")]
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
-- @return[2] nil, message, code
function select.select(r, w, x, timeout)
  local wanted, ready = {}, {}
  collect(wanted, r, "r")
  collect(wanted, w, "w")
  collect(wanted, x, "x")
  local poller <close>, message, code = core.poller()
  if not poller then return nil, message, code end
  local ok, always
  ok, always, code = watch(poller, wanted, ready)
  if not ok then return nil, always, code end
  for _, object in ipairs(r or {}) do
    if buffered(object) then
      ready[fdof(object, "select")] = {readable = true}
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

--- Watches a descriptor, or watches it for something else.
-- @param object descriptor or socket
-- @tparam[opt="rw"] string events "r", "w" or "rw"
-- @return true; or nil, message, code
function Poll:register(object, events)
  local fd = fdof(object, "register")
  events = events or "rw"
  local ok, message, code = self._poller:add(fd, events)
  if not ok and code == "EEXIST" then ok, message, code = self._poller:modify(fd, events) end
  if not ok and code == "EPERM" then -- a regular file is always ready
    self._always[fd] = events
    ok = true
  end
  if not ok then return nil, message, code end
  self._objects[fd] = object
  return true
end

--- Watches a registered descriptor for something else.
function Poll:modify(object, events)
  local fd = fdof(object, "modify")
  if self._objects[fd] == nil then
    error("bad argument #1 to 'modify' (it is not registered)", 2)
  end
  return self:register(object, events)
end

--- Watches a descriptor no longer.
function Poll:unregister(object)
  local fd = fdof(object, "unregister")
  if self._objects[fd] == nil then
    error("bad argument #1 to 'unregister' (it is not registered)", 2)
  end
  self._objects[fd] = nil
  if self._always[fd] then
    self._always[fd] = nil
  else
    self._poller:remove(fd)
  end
  return true
end

-- Events that the system does not report: files, and input read already.
local function known(self)
  local list, byfd = {}, {}
  local function add(fd, event)
    event.fd = fd
    byfd[fd] = event
    list[#list + 1] = event
  end
  for fd, events in pairs(self._always) do
    add(fd, {readable = events:find("r") ~= nil, writable = events:find("w") ~= nil,
      hangup = false, error = false})
  end
  for fd, object in pairs(self._objects) do
    if buffered(object) then
      add(fd, {readable = true, writable = false, hangup = false, error = false})
    end
  end
  return list, byfd
end

--- Waits until at least one is ready.
-- @tparam[opt] number timeout seconds
-- @treturn {table,...} list of `{fd=, object=, readable=, writable=, hangup=,
-- error=}`, empty at expiry; `object` is what was registered
function Poll:poll(timeout)
  local list, byfd = known(self)
  local events, message, code = self._poller:poll(list[1] and 0 or timeout)
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
  self._poller:close()
end
Poll.__close = Poll.close

--- Makes an empty set.
-- @treturn[1] Poll
-- @return[2] nil, message, code
function select.poll()
  local poller, message, code = core.poller()
  if not poller then return nil, message, code end
  return setmetatable({
    _poller = poller,
    _objects = {}, -- descriptor -> what was registered
    _always = {}, -- descriptor -> events, of files that cannot be polled
  }, Poll)
end

return select
