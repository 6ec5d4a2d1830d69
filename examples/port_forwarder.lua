-- usage: lua5.4 examples/port_forwarder.lua 127.0.0.1:7001 127.0.0.1 7000
-- A port forwarder: what connects here is connected to another address, and
-- bytes are carried both ways. A slow reader slows its writer down: nothing
-- is stored here but the piece that is under way.
-- It runs until Ctrl-C. Arguments: where to listen; host and port to go to.
-- spec: 127.0.0.1:0 127.0.0.1 {port}
-- (with examples/echo_server.lua on port 7000: nc 127.0.0.1 7001)
local gevent = require "gevent"
local socket = require "gevent.socket"
local StreamServer = require "gevent.server".StreamServer

local PIECE = 65536 -- bytes

-- Carries bytes one way until they end; then tells so to the other side.
local function carry(from, to)
  while true do
    local data, message = from:recv(PIECE)
    if not data then return nil, message end
    if data == "" then return to:shutdown("w") end
    local ok
    ok, message = to:sendall(data) -- waits as long as `to` is slow
    if not ok then return nil, message end
  end
end

local function forward(host, port)
  return function(client, peer, peer_port)
    local name = ("%s:%d"):format(peer, peer_port)
    local remote <close>, message = socket.create_connection(host, port, {timeout = 10})
    if not remote then return print(name .. ": " .. message) end
    print(name .. " is connected")
    local back <close> = gevent.spawn(carry, remote, client)
    local ok
    ok, message = carry(client, remote)
    if not ok then back:kill() end -- one way is broken: so is the other
    back:join()
    print(name .. " is gone" .. (ok and "" or ": " .. message))
  end
end

local server = StreamServer(arg[1] or "127.0.0.1:7001",
  forward(arg[2] or "127.0.0.1", math.tointeger(tonumber(arg[3] or 7000))))
assert(server:start())
print("listening on port " .. server.port)
io.stdout:flush()
server:serve_forever()
