-- Options: which there are, what they take, what they give.
local t = ...
local socket = require "socket"

local names = {
  "keepalive", "reuseaddr", "reuseport", "tcp-nodelay", "tcp-keepidle", "tcp-keepcnt",
  "tcp-keepintvl", "linger", "error", "recv-buffer-size", "send-buffer-size",
  "ipv6-v6only", "tcp-defer-accept", "tcp-fastopen", "tcp-fastopen-connect", "dontroute",
  "broadcast", "ip-multicast-if", "ip-multicast-ttl", "ip-multicast-loop",
  "ip-add-membership", "ip-drop-membership", "ipv6-unicast-hops", "ipv6-multicast-loop",
  "ipv6-add-membership", "ipv6-drop-membership", "nonsense",
}
local function value_of(value)
  if type(value) ~= "table" then return value end
  return ("on=%s timeout=%s"):format(value.on, value.timeout)
end

local a = t.pair()
for _, object in ipairs {a, socket.udp4()} do
  for _, name in ipairs(names) do
    if not name:find("buffer") then
      print(object.class, name, pcall(function()
        return value_of(object:getoption(name))
      end))
    end
    for _, value in ipairs {true, false, 1, 20000, "x", {}} do
      t.try(function() return object:setoption(name, value) end)
      t.try(function() return value_of(object:getoption(name)) end)
    end
    t.try(function() return object:setoption(name) end)
  end
end
print(a:setoption("linger", {on = true, timeout = 5}), value_of(a:getoption("linger")))
print(a:setoption("linger", {on = false, timeout = 0}), value_of(a:getoption("linger")))
t.try(a.setoption, a, "linger", {on = 1, timeout = 5})
t.try(a.setoption, a, "linger", {on = true})
t.try(a.setoption, a)
t.try(a.getoption, a, {})
a:close()
t.try(a.setoption, a, "keepalive", true)
t.try(a.getoption, a, "keepalive")
local udp = socket.udp4()
local group = {multiaddr = "239.1.2.3", interface = "127.0.0.1"}
print(udp:setoption("ip-add-membership", group), udp:setoption("ip-drop-membership", group))
t.try(udp.setoption, udp, "ip-add-membership", {})
t.try(udp.setoption, udp, "ip-add-membership", {multiaddr = "x", interface = "*"})
t.try(udp.setoption, udp, "ip-add-membership", {multiaddr = "239.1.2.3"})
t.try(udp.setoption, udp, "ip-add-membership", {multiaddr = "239.1.2.3", interface = "x"})
t.try(udp.setoption, udp, "ip-multicast-if", "x")
print(udp:setoption("ip-multicast-if", "127.0.0.1"), udp:getoption("ip-multicast-if"),
  udp:setoption("ip-multicast-if", "*"), udp:getoption("ip-multicast-if"))
udp:close()
