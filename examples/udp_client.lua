-- usage: lua5.4 examples/udp_client.lua hello
-- A UDP client: sends a text and waits for the answer. Datagrams may be lost,
-- so it asks again, a little later each time, and gives up in the end.
-- Arguments: the text; host and port of a server such as udp_server.lua.
-- Without a port it starts a server of its own, which loses two of three.
local socket = require "gevent.socket"
local DatagramServer = require "gevent.server".DatagramServer

local TRIES, FIRST_WAIT = 5, 0.05 -- the second in seconds; doubled each time

local function ask(sock, text)
  local wait = FIRST_WAIT
  for try = 1, TRIES do
    assert(sock:send(text))
    local answer, message, code = sock:recv(65535, wait)
    if answer then return answer end
    print(("try %d: %s"):format(try, message))
    if code ~= "timeout" then return nil, message end -- nobody listens there
    wait = wait * 2
  end
  return nil, "no answer"
end

local function bad_server()
  local seen, server = 0, nil
  server = DatagramServer("127.0.0.1:0", function(data, host, port)
    seen = seen + 1
    if seen % 3 == 0 then server:sendto(data:reverse(), host, port) end
  end)
  assert(server:start())
  return server
end

local text, host, port = arg[1] or "hello", arg[2] or "127.0.0.1", tonumber(arg[3])
local server <close> = not port and bad_server() or nil
local sock <close> = assert(socket.socket("inet", "dgram"))
assert(sock:connect(host, math.tointeger(port) or server.port))
print(ask(sock, text))
