--- `socket.select` of LuaSocket, cooperative and for any number of
-- descriptors. Private to `gevent.monkey`.
local core = require "gevent._core"
local saved = require "gevent.monkey._saved"

-- The descriptor of anything that has `getfd`, or nil.
local function fd_of(object)
  local getfd = object.getfd
  local fd = getfd and getfd(object)
  fd = math.tointeger(tonumber(fd))
  return fd and fd >= 0 and fd or nil
end

local function isdirty(object)
  local dirty = object.dirty
  return dirty and dirty(object)
end

-- Adds what each descriptor is watched for, and which object it belongs to.
local function collect(list, letter, wanted, objects)
  for _, object in ipairs(list or {}) do
    local fd = fd_of(object)
    if fd then
      wanted[fd] = (wanted[fd] or "") .. letter
      objects[fd] = object
    end
  end
end

-- The objects of the list that have input which was read already.
local function dirty_ones(list)
  local dirty, fds = {}, {}
  for _, object in ipairs(list or {}) do
    local fd = fd_of(object)
    if fd and isdirty(object) then
      dirty[#dirty + 1] = object
      fds[fd] = true
    end
  end
  return dirty, fds
end

-- fd -> event, of those that are ready in time.
local function watch(wanted, timeout)
  local ready = {}
  local poller <close> = assert(core.poller())
  for fd, letters in pairs(wanted) do
    local ok, message, code = poller:add(fd, letters)
    if code == "EPERM" then -- a regular file is always ready
      ready[fd] = {readable = true, writable = true}
      timeout = 0
    elseif not ok then
      error("select failed: " .. message, 3)
    end
  end
  for _, event in ipairs(assert(poller:poll(timeout))) do ready[event.fd] = event end
  return ready
end

-- Adds the objects that are ready, by descriptor, and maps each to its index.
local function give(result, ready, objects, wanted, letter, skip, is)
  local fds = {}
  for fd, event in pairs(ready) do
    if wanted[fd]:find(letter) and not skip[fd] and is(event) then
      fds[#fds + 1] = fd
    end
  end
  table.sort(fds)
  for _, fd in ipairs(fds) do result[#result + 1] = objects[fd] end
  for i = 1, #result do result[result[i]] = i + 0.0 end -- a float in LuaSocket
  return result
end

local function isreadable(event)
  return event.readable or event.hangup or event.error
end
local function iswritable(event)
  return event.writable or event.error
end

--- Waits until one of the sockets is ready.
-- @tparam ?table receivers
-- @tparam ?table senders
-- @tparam[opt] number timeout seconds; none or negative is for ever
-- @return the ready ones of both, and "timeout" where there are none
local function select(receivers, senders, timeout)
  if timeout and timeout < 0 then timeout = nil end
  local wanted, objects = {}, {}
  collect(receivers, "r", wanted, objects)
  collect(senders, "w", wanted, objects)
  local dirty, isread = dirty_ones(receivers)
  local ready = watch(wanted, dirty[1] and 0 or timeout)
  local readable = give(dirty, ready, objects, wanted, "r", isread, isreadable)
  local writable = give({}, ready, objects, wanted, "w", {}, iswritable)
  if readable[1] or writable[1] then return readable, writable end
  return readable, writable, "timeout"
end

select = core.luasocket.checked(nil, "ttN", select)

local function patch()
  if saved.is_patched "select" then return end
  saved.mark "select"
  if saved.is_patched "socket" then return end
  saved.when_loaded("socket.core", function(module)
    saved.replace("socket.core", module, {select = select})
  end, "no LuaSocket for gevent.monkey to patch")
end

-- Not as a field: the function's name, in errors, would be looked for here.
return {get = function() return select end, patch = patch}
