-- Looking up names: the system's resolver in threads, and c-ares with a server
-- of ours.
local gevent = require "gevent"
local resolver = require "gevent.resolver"
local socket = require "gevent.socket"

-- Answers each question with one address.
local function answer(sock)
  while true do
    local query, host, port
    repeat
      query, host, port = sock:recvfrom(600)
      if port == "EBADF" then return end
    until query
    local id, question = query:sub(1, 2), query:sub(13)
    local stop = question:find("\0", 1, true)
    local kind = string.unpack(">I2", question, stop + 1)
    question = question:sub(1, stop + 4)
    local data = kind == 1 and "\10\0\0\1" or kind == 12 and "\4name\4test\0" or nil
    local record = data and "\xc0\x0c" .. string.pack(">I2I2I4s2", kind, 1, 60, data) or ""
    sock:sendto(id .. string.pack(">I2I2I2I2I2", 0x8180, 1, data and 1 or 0, 0, 0)
      .. question .. record, host, port)
  end
end

return _G.guarded(function()
  assert(socket.getaddrinfo("127.0.0.1", 80))
  assert(socket.getaddrinfo("localhost", 80))
  assert(socket.getnameinfo("127.0.0.1", 80))
  assert(socket.gethostbyname("localhost"))

  local sock <close> = assert(socket.socket("inet", "dgram"))
  assert(sock:bind("127.0.0.1", 0))
  local _, port = sock:getsockname()
  _G.task(answer, sock)
  local ares <close> = resolver.Ares{servers = {"127.0.0.1:" .. port},
    timeout = 0.3, tries = 6}
  local list, message = ares:getaddrinfo("name.test", 80, {family = "inet"})
  if not list then error(message, 0) end
  assert(list[1].host == "10.0.0.1")
  assert(ares:gethostbyname("other.test") == "10.0.0.1")
  assert(ares:gethostbyname_ex("third.test").addresses[1] == "10.0.0.1")
  assert(ares:gethostbyaddr("10.0.0.1"))
  assert(ares:getnameinfo("10.0.0.1", 80))
  gevent.killall{gevent.spawn(ares.getaddrinfo, ares, "killed.test", 80)}
end)
