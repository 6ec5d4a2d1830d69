--- LuaSocket's UDP objects, over gevent's sockets. Private to
-- `gevent.monkey`.
local core = require "gevent._core"
local inet = require "gevent.monkey._inet"
local ls = core.luasocket

local DATAGRAM_SIZE = 8192 -- bytes a receive takes unless told

-- The system's words for what getaddrinfo says of numbers.
local NUMERIC_WORDS = {
  EAI_NONAME = "Name or service not known",
  EAI_SERVICE = "Servname not supported for ai_socktype",
}

local datagram = {}

--- The words for a failure to send or receive.
local function failed(message, code)
  if code == "EBADF" then return nil, "refused" end
  return nil, inet.words(message, code)
end

-- How long the next call may take, set on the stream.
local function limit(object)
  local stream = ls.stream(object)
  if stream then stream:settimeout(inet.left(object, core.monotonic())) end
  return stream
end

function datagram.send(object, data)
  local stream = limit(object)
  if not stream then return nil, "refused" end
  local sent, message, code
  if data == "" then -- a stream would send nothing
    sent, message, code = stream:sendto("", stream:getpeername())
  else
    sent, message, code = stream:send(data)
  end
  if not sent then return failed(message, code) end
  return sent + 0.0
end

--- Sends to an address: host and port, or a path.
function datagram.sendto(object, data, ...)
  local stream = limit(object)
  if not stream then return nil, "refused" end
  local sent, message, code = stream:sendto(data, ...)
  if not sent then return failed(message, code) end
  return sent + 0.0
end

--- One datagram and its sender's address. A closed object gives an empty
-- datagram, as LuaSocket's does.
function datagram.receivefrom(object, size)
  local stream = ls.stream(object)
  if not stream or stream.closed then return "" end
  size = math.tointeger((size or DATAGRAM_SIZE) // 1) or DATAGRAM_SIZE
  local data, host, port = stream:recvfrom(math.max(0, size),
    inet.left(object, core.monotonic()))
  if not data then return failed(host, port) end
  return data, host, port
end

function datagram.receive(object, size)
  local data, words = datagram.receivefrom(object, size)
  if not data then return nil, words end
  return data
end

function datagram.close(object)
  inet.close(object)
  return 1.0
end

-- UDP ------------------------------------------------------------------------

local methods, classes = {}, {}
local disconnect = ls.method("disconnect", "udp{any}")

-- The address that two strings of digits are; no name is looked up.
local function numeric(object, host, port)
  local list, words, code = inet.lookup(host, port, ls.family(object), "dgram",
    "numerichost,numericserv")
  if list then return list[1] end
  return nil, NUMERIC_WORDS[code] or words
end

local function sendto(object, data, host, port)
  local address, words = numeric(object, host, port)
  if not address then return nil, words end
  if not ls.stream(object) and not ls.family(object) then
    words = inet.create(object, address.family, "dgram")
    if words then return nil, words end
  end
  return datagram.sendto(object, data, address.host, address.port)
end

local function receivefrom(object, size)
  local data, host, port = datagram.receivefrom(object, size)
  if not data then return nil, host end
  if not host then return nil, "ai_family not supported" end
  return data, host, port
end

local function setpeername(object, host, port)
  if host == "*" then
    disconnect(object)
    ls.setclass(object, classes.unconnected)
    return 1.0
  end
  local words = inet.connect(object, host, port, "dgram")
  if words then return nil, words end
  ls.setclass(object, classes.connected)
  return 1.0
end

local function setsockname(object, host, port)
  local words = inet.bind(object, host, port, "dgram")
  if words then return nil, words end
  return 1.0
end

inet.methods(methods, "udp{any}",
  "dirty getfamily getfd getsockname getoption setoption settimeout gettimeout")
inet.methods(methods, "udp{connected}", "getpeername")
methods.close = ls.checked("udp{any}", "", datagram.close)
methods.setfd = ls.checked("udp{any}", "n", inet.setfd)
methods.send = ls.checked("udp{connected}", "s", datagram.send)
methods.sendto = ls.checked("udp{unconnected}", "sss", sendto)
methods.receive = ls.checked("udp{any}", "N", datagram.receive)
methods.receivefrom = ls.checked("udp{unconnected}", "N", receivefrom)
methods.setsockname = ls.checked("udp{unconnected}", "ss", setsockname)
methods.setpeername = ls.checked("udp{any}", "sp", setpeername)
for _, state in ipairs {"connected", "unconnected"} do
  classes[state] = inet.class(("udp{%s}"):format(state), "udp{any}", methods)
  classes[state]["select{able}"] = true
end

local function create(family)
  local object = ls.new(classes.unconnected)
  local words = family and inet.create(object, family, "dgram")
  if words then return nil, words end
  return object
end

local functions = {
  _DATAGRAMSIZE = DATAGRAM_SIZE,
  udp = function() return create() end,
  udp4 = function() return create("inet") end,
  udp6 = function() return create("inet6") end,
}

return {udp = functions, datagram = datagram}
