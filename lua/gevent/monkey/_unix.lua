--- LuaSocket's `socket.unix`, over gevent's sockets. Private to
-- `gevent.monkey`.
local core = require "gevent._core"
local inet = require "gevent.monkey._inet"
local tcp = require "gevent.monkey._tcp"
local datagram = require "gevent.monkey._udp".datagram
local ls = core.luasocket

local LONGEST = 107 -- bytes of a path in a sockaddr_un

-- A path as gevent writes it, where "@" in front stands for NUL; LuaSocket
-- takes it as it is.
local function path_of(path)
  if #path > LONGEST then return nil, "path too long" end
  if path:sub(1, 1) == "\0" then return "@" .. path:sub(2) end
  return path:sub(1, 1) == "@" and "./" .. path or path
end

-- Calls the stream's method on a path. A failure costs the descriptor.
local function try(object, method, path, ...)
  local stream = ls.stream(object)
  if not stream then return "closed" end
  local name, words = path_of(path)
  if not name then return words end
  local ok, message, code = stream[method](stream, name, ...)
  if ok then return nil end
  inet.close(object)
  return inet.words(message, code)
end

local function bind(object, path)
  local words = try(object, "bind", path)
  if words then return nil, words end
  return 1.0
end

-- The object becomes one of `class` where it is connected.
local function connect_as(classes, state)
  return function(object, path)
    local words = try(object, "connect", path,
      inet.left(object, core.monotonic()))
    if words then return nil, words end
    ls.setclass(object, classes[state])
    return 1.0
  end
end

local function creator(kind, class)
  return function()
    local stream, message, code = core.socket("unix", kind)
    if not stream then return nil, inet.words(message, code) end
    local object = ls.new(class)
    ls.setstream(object, stream)
    return object
  end
end

-- streams ----------------------------------------------------------------------

local stream_classes
local connect = ls.checked("unixstream{master}", "s", function(...)
  return connect_as(stream_classes, "client")(...)
end)
local stream_bind = ls.checked("unixstream{master}", "s", bind)
stream_classes = tcp.family_of_classes("unixstream", "", {
  connect = connect, setpeername = connect,
  bind = stream_bind, setsockname = stream_bind,
})

-- datagrams --------------------------------------------------------------------

local methods, classes = {}, {}

local function sendto(object, data, path)
  local name, words = path_of(path)
  if not name then return nil, words end
  return datagram.sendto(object, data, name)
end

local function receivefrom(object, size)
  local data, path = datagram.receivefrom(object, size)
  return data, path
end

inet.methods(methods, "unixdgram{any}",
  "dirty getfd getsockname setoption settimeout gettimeout")
local dgram_bind = ls.checked("unixdgram{unconnected}", "s", bind)
local dgram_connect = ls.checked("unixdgram{any}", "s",
  connect_as(classes, "connected"))
methods.bind, methods.setsockname = dgram_bind, dgram_bind
methods.connect, methods.setpeername = dgram_connect, dgram_connect
methods.close = ls.checked("unixdgram{any}", "", datagram.close)
methods.setfd = ls.checked("unixdgram{any}", "n", inet.setfd)
methods.send = ls.checked("unixdgram{connected}", "s", datagram.send)
methods.sendto = ls.checked("unixdgram{unconnected}", "ss", sendto)
methods.receive = ls.checked("unixdgram{any}", "N", datagram.receive)
methods.receivefrom = ls.checked("unixdgram{unconnected}", "N", receivefrom)
for _, state in ipairs {"connected", "unconnected"} do
  local name = ("unixdgram{%s}"):format(state)
  classes[state] = inet.class(name, "unixdgram{any}", methods)
  classes[state]["select{able}"] = true
end

-- the module -------------------------------------------------------------------

local unix = {
  stream = creator("stream", stream_classes.master),
  dgram = creator("dgram", classes.unconnected),
  __call = function(self, ...) return self.stream(...) end,
}
unix.tcp, unix.udp = unix.stream, unix.dgram

return setmetatable(unix, unix)
