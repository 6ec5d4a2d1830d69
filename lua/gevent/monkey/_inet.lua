--- What the objects of `_tcp` and `_udp` have in common: look-ups, and
-- LuaSocket's words for what goes wrong. Private to `gevent.monkey`.
local core = require "gevent._core"
local socket = require "gevent.socket"
local ls = core.luasocket

local inet = {}

-- words ----------------------------------------------------------------------

local WORDS = {
  timeout = "timeout", closed = "closed", EBADF = "closed", EPIPE = "closed",
  EAI_AGAIN = "temporary failure in name resolution",
  EAI_BADFLAGS = "invalid value for ai_flags",
  EAI_FAIL = "non-recoverable failure in name resolution",
  EAI_FAMILY = "ai_family not supported",
  EAI_MEMORY = "memory allocation failure",
  EAI_NONAME = "host or service not provided, or not known",
  EAI_OVERFLOW = "argument buffer overflow",
  EAI_SERVICE = "service not supported for socket type",
  EAI_SOCKTYPE = "ai_socktype not supported",
  EAI_NODATA = "No address associated with hostname",
  EAI_ADDRFAMILY = "Address family for hostname not supported",
}

--- LuaSocket's words for a failure.
function inet.words(message, code)
  return WORDS[code] or ls.strerror(code) or message
end

-- time -----------------------------------------------------------------------

--- What is left for the next wait of an operation that began at `start`, in
-- seconds; nil: for ever. As in LuaSocket: with both limits that for a block
-- counts anew for each wait, alone it counts from the start.
function inet.left(object, start)
  local block, total = ls.timeouts(object)
  local gone = core.monotonic() - start
  if total >= 0 then
    total = math.max(0, total - gone)
    return block >= 0 and math.min(block, total) or total
  end
  return block >= 0 and math.max(0, block - gone) or nil
end

-- addresses ------------------------------------------------------------------

local function portnumber(service)
  local port = service:match("^%d+$") and tonumber(service)
  return port and port <= 65535 and port or nil
end

--- The addresses of a host and service, both strings; numbers are not looked
-- up.
-- @return list of {family=, host=, port=}; or nil, words, code
function inet.lookup(host, service, family, kind, flags)
  local port = portnumber(service)
  local numeric = host ~= "" and core.isnumeric(host or "*") -- "" is any to us only
  if numeric and port and (family == nil or family == numeric) then
    return {{family = numeric, host = host or "*", port = port}}
  end
  local list, message, code = socket.getaddrinfo(host, service,
    {family = family, type = kind, flags = flags})
  if not list then return nil, inet.words(message, code), code end
  return list
end

-- A descriptor as LuaSocket makes it: with Nagle's algorithm, IPv6 alone.
local function open(family, kind)
  local stream, message, code = core.socket(family, kind)
  if not stream then return nil, inet.words(message, code) end
  if kind == "stream" then stream:setsockopt("nodelay", false) end
  if family == "inet6" then stream:setsockopt("v6only", true) end
  return stream
end

--- Gives the object a stream of that family.
-- @return nil, or words
function inet.create(object, family, kind)
  local stream, words = open(family, kind)
  if not stream then return words end
  inet.close(object)
  ls.setstream(object, stream)
end

local release = ls.method("__gc", "LuaSocket object")

--- Closes the object's descriptor. It may be used again.
function inet.close(object)
  local stream = ls.stream(object)
  if stream then
    stream:close()
  else
    release(object) -- a descriptor of setfd's
  end
  ls.setstream(object, nil)
end

-- Tries the addresses in turn, with a new descriptor where the family is
-- another, until `try(stream, address)` returns no words, or has tried `once`.
local function each(object, addresses, kind, once, try)
  local before, current = ls.family(object), ls.family(object)
  local words
  for _, address in ipairs(addresses) do
    words = nil
    if current ~= address.family or not ls.stream(object) then
      words = inet.create(object, address.family, kind)
    end
    if not words then
      current = address.family
      words = try(ls.stream(object), address)
      if not words or once then return words end
    end
  end
  ls.setfamily(object, before)
  return words
end

local connecting = setmetatable({}, {__mode = "k"}) -- stream -> true

-- A connect that was given no time and is asked again.
local function inprogress(stream)
  return connecting[stream] and not core.wait_write(stream:fileno(), 0)
end

--- Connects the object to the first address that takes it.
-- @return nil, or words
function inet.connect(object, host, service, kind, family)
  local addresses, failure = inet.lookup(host, service,
    family or ls.family(object), kind)
  if not addresses then return failure end
  local once = ls.timeouts(object) == 0
  return each(object, addresses, kind, once, function(stream, address)
    if inprogress(stream) then return "Operation already in progress" end
    local ok, message, code = stream:connect(address.host, address.port,
      inet.left(object, core.monotonic()))
    connecting[stream] = code == "timeout" or nil
    if not ok then return inet.words(message, code) end
  end)
end

--- Binds the object to the first address that can be had.
-- @return nil, or words
function inet.bind(object, host, service, kind, family)
  if host == "*" then host = nil end
  local addresses, failure = inet.lookup(host, service,
    family or ls.family(object), kind, "passive")
  if not addresses then return failure end
  return each(object, addresses, kind, false, function(stream, address)
    local ok, message, code = stream:bind(address.host, address.port)
    if not ok then return inet.words(message, code) end
  end)
end

--- Takes a descriptor over, which may be no socket; the former is let go of,
-- and stays open.
function inet.setfd(object, fd)
  local stream = ls.stream(object)
  fd = math.tointeger(fd) or -1
  if stream and not stream.closed then stream:detach() end
  ls.setstream(object, fd >= 0 and (socket.fromfd(fd) or fd) or nil)
end

-- classes --------------------------------------------------------------------

--- A class: a metatable as LuaSocket's are.
-- @tparam string name "tcp{client}"
-- @tparam string group "tcp{any}"
-- @tparam table methods name -> function, or {class, ...names} of C methods
function inet.class(name, group, methods)
  local index = {class = name}
  for method, fn in pairs(methods) do index[method] = fn end
  return {
    __name = name, __index = index, [name] = true, [group] = true,
    __tostring = ls.method("__tostring", group), __gc = ls.method("__gc", group),
  }
end

--- C methods by name, for objects of a class or group.
function inet.methods(into, class, names)
  for name in names:gmatch("%S+") do into[name] = ls.method(name, class) end
end

return inet
