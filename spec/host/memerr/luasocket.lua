-- LuaSocket's objects over our sockets: what gevent.monkey puts in its place.
local gevent = require "gevent"
require "gevent.monkey".patch_socket()
local socket = require "socket.core"

local function closing(...)
  local objects = {...}
  return setmetatable(objects, {__close = function()
    for _, object in ipairs(objects) do object:close() end
  end})
end

-- Where they return less than the caller needs, that is why.
local function check(value, message, ...)
  if not value then error(message, 0) end
  return value, message, ...
end

local function streams()
  local master = check(socket.tcp4())
  local _ <close> = closing(master)
  check(master:bind("127.0.0.1", 0))
  check(master:listen(5))
  local _, port = check(master:getsockname())
  local serving = _G.task(function()
    local peer = check(master:accept())
    local _ <close> = closing(peer)
    peer:settimeout(5)
    assert(check(peer:receive("*l")) == "a line")
    assert(check(peer:receive(5)) == "12345")
    check(peer:send(("0123456789abcdef"):rep(5000)))
    check(peer:shutdown("send"))
    assert(check(peer:receive("*a")) == "the rest")
  end)
  local client = check(socket.tcp4())
  local _ <close> = closing(client)
  client:settimeout(5)
  check(client:connect("127.0.0.1", port))
  check(client:setoption("tcp-nodelay", true))
  assert(client:getpeername() and client:getstats() and tostring(client))
  check(client:send("a line\r\n12345the "))
  check(client:send("---rest", 4))
  local readable = socket.select({client}, nil, 5)
  if readable[1] ~= client then error("the other end failed", 0) end
  assert(#check(client:receive("*a", "prefix")) == 80006)
  check(client:shutdown("send"))
  serving:get()
end

local function datagrams()
  local a, b = check(socket.udp()), check(socket.udp())
  local _ <close> = closing(a, b)
  check(a:setsockname("127.0.0.1", 0))
  b:settimeout(5)
  check(b:sendto("one", a:getsockname()))
  local data, host, port = check(a:receivefrom())
  assert(data == "one")
  check(b:setpeername(a:getsockname()))
  check(a:sendto("two", host, port))
  assert(check(b:receive()) == "two")
end

return _G.guarded(function()
  streams()
  datagrams()
  assert(check(socket.dns.toip("127.0.0.1")) == "127.0.0.1")
  assert(not socket.connect("127.0.0.1", 1))
  local ok, err = pcall(socket.newtry(function() end), nil, "refused")
  if ok or type(err) ~= "table" or err[1] ~= "refused" then error(err, 0) end
  gevent.sleep(0)
end)
