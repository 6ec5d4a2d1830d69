-- gevent._cli.backdoor: a client for gevent.backdoor.
local gevent = require "gevent"
local fileobject = require "gevent.fileobject"
local options = require "gevent._cli.options"
local socket = require "gevent.socket"

local PIECE = 65536 -- bytes

local command = {
  usage = "gevent backdoor [OPTION...] ADDRESS",
  about = [[
Connects the terminal to a gevent.backdoor.BackdoorServer, or to a worker of
`gevent serve --backdoor`. ADDRESS: unix:/path, host:port, or a port of this
machine. There, help() tells what can be asked. From a pipe it sends what it reads,
and ends when all of it was answered.]],
  options = {
    {"--timeout", "-t", "SECONDS", "for connecting; 10 unless told"},
    {"--help", "-h", "", "this text"},
  },
  examples = {
    "gevent backdoor unix:/run/app/backdoor-1.sock",
    "echo 'greenlets()' | gevent backdoor 7777",
  },
}

local function connect(address, timeout)
  local ok, host, port = pcall(socket.parselistener, math.tointeger(address) or address)
  if not ok then options.complain("%s", host) end
  if host ~= "unix" then
    return socket.create_connection(host or "localhost", port, {timeout = timeout})
  end
  local sock, message, code = socket.socket("unix")
  if not sock then return nil, message, code end
  local done
  done, message, code = sock:connect(port, timeout)
  if done then return sock end
  sock:close()
  return nil, message, code
end

local function send(sock)
  for line in fileobject.stdin:lines("L") do
    if not sock:sendall(line) then return end
  end
  sock:shutdown("w")
end

function command.run(opts, words)
  local address = words[1]
  if not address then options.complain("which address?") end
  local sock <close>, message = connect(address, options.number(opts, "timeout", 0) or 10)
  if not sock then
    io.stderr:write(("gevent backdoor: %s: %s\n"):format(address, message))
    return 1
  end
  local sender <close> = gevent.spawn(send, sock)
  for piece in function() return sock:recv(PIECE) end do
    if piece == "" then break end
    io.stdout:write(piece)
    io.stdout:flush()
  end
  sender:kill()
  return 0
end

return command
