-- Answers of a name server, as our resolver reads them: the first byte says what
-- was asked for, four more are the flags and the number of answers; the rest
-- follows the question, in which it may point to names.
local gevent = require "gevent"
local core = require "gevent._core"
local resolver = require "gevent.resolver"
local socket = require "gevent.socket"

local FAMILIES = {"inet", "inet6"}

gevent.get_hub().exception_stream = {write = function(_, ...)
  io.stderr:write(...)
  os.exit(false)
end}

local reply = ""
local udp = assert(socket.socket("inet", "dgram"))
assert(udp:bind("127.0.0.1", 0))
local _, port = udp:getsockname()
local ares = resolver.Ares{servers = {"127.0.0.1:" .. port}, timeout = 0.02, tries = 1,
  hosts = false, domains = {}}

gevent.spawn(function()
  while true do
    local query, host, from = udp:recvfrom(2000)
    local stop = query:find("\0", 13, true) + 4
    local answer = query:sub(1, 2) .. reply:sub(1, 2) .. "\0\1" .. reply:sub(3, 4)
      .. "\0\0\0\0" .. query:sub(13, stop) .. reply:sub(5)
    udp:sendto(answer, host, from)
  end
end)

local function checkfailure(message, code)
  assert(type(message) == "string" and code:find("^EAI_"), code)
end

return function(input)
  if #input < 5 then return end
  local kind = input:byte() % 3
  reply = input:sub(2, 1200)
  if kind == 2 then
    local host, service, code = ares:getnameinfo("192.0.2.1", 80, "namereqd")
    if not host then return checkfailure(service, code) end
    assert(not host:find("%z") and service)
    return
  end
  local family = FAMILIES[kind + 1]
  local list, message, code = ares:getaddrinfo("www.name.test", 80,
    {family = family, flags = "canonname"})
  if not list then return checkfailure(message, code) end
  assert(#list > 0 and type(list[1].canonname) == "string")
  for _, address in ipairs(list) do
    assert(address.family == family and address.port == 80)
    assert(core.isnumeric(address.host) ~= nil)
  end
end
