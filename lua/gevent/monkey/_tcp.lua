--- LuaSocket's TCP objects, and its Unix streams, over gevent's sockets.
-- Private to `gevent.monkey`.
local core = require "gevent._core"
local inet = require "gevent.monkey._inet"
local ls = core.luasocket

-- Three classes for a kind of stream; `bind` and `connect` differ by kind.
local function family_of_classes(kind, any, client)
  local methods, classes = {}, {}
  local group = kind .. "{any}"
  inet.methods(methods, kind .. "{client}", "receive send getstats setstats shutdown")
  inet.methods(methods, group, "getfd dirty settimeout setoption getsockname")
  inet.methods(methods, group, any)
  for name, fn in pairs(client) do methods[name] = fn end

  local function accept(object)
    local listener = ls.stream(object)
    if not listener then return nil, "closed" end
    local stream, message, code = listener:accept(inet.left(object, core.monotonic()))
    if not stream then return nil, inet.words(message, code) end
    local accepted = ls.new(classes.client)
    ls.setstream(accepted, stream)
    return accepted
  end

  local function listen(object, backlog)
    local stream = ls.stream(object)
    if not stream then return nil, "Bad file descriptor" end
    local ok, message, code = stream:listen(math.tointeger(backlog) or 32)
    if not ok then return nil, inet.words(message, code) end
    ls.setclass(object, classes.server)
    return 1.0
  end

  local function close(object)
    inet.close(object)
    return 1.0
  end

  methods.accept = ls.checked(kind .. "{server}", "", accept)
  methods.listen = ls.checked(kind .. "{master}", "N", listen)
  methods.close = ls.checked(group, "", close)
  methods.setfd = ls.checked(group, "n", inet.setfd)
  for _, state in ipairs {"master", "client", "server"} do
    classes[state] = inet.class(("%s{%s}"):format(kind, state), group, methods)
  end
  return classes, methods
end

-- TCP ------------------------------------------------------------------------

local tcp = {}
local classes

local function connect(object, host, port)
  local words = inet.connect(object, host, port, "stream")
  ls.setclass(object, classes.client) -- also where it failed
  if words then return nil, words end
  return 1.0
end

local function bind(object, host, port)
  local words = inet.bind(object, host, port, "stream")
  if words then return nil, words end
  return 1.0
end

local connecting = ls.checked("tcp{any}", "ss", connect)
local binding = ls.checked("tcp{master}", "ss", bind)
classes = family_of_classes("tcp", "getfamily getoption getpeername gettimeout", {
  connect = connecting, setpeername = connecting,
  bind = binding, setsockname = binding,
})

local function create(family)
  local object = ls.new(classes.master)
  local words = family and inet.create(object, family, "stream")
  if words then return nil, words end
  return object
end

function tcp.tcp() return create() end
function tcp.tcp4() return create("inet") end
function tcp.tcp6() return create("inet6") end

tcp.connect = ls.checked(nil, "ssSSf", function(host, port, ownhost, ownport, family)
  if family == "unspec" then family = nil end
  local object = ls.new(classes.client)
  local words
  if ownhost then
    words = inet.bind(object, ownhost, ownport or "0", "stream", family)
    if words then return nil, words end
  end
  words = inet.connect(object, host, port, "stream", family)
  if words then
    inet.close(object)
    return nil, words
  end
  return object
end)

return {tcp = tcp, family_of_classes = family_of_classes}
