-- usage: lua5.4 examples/echo_server.lua 7000
-- A TCP server that gives back every line: each connection has a greenlet of
-- its own, so the handler is plain sequential code.
-- It runs until Ctrl-C. The argument is the port (7000).
-- spec: {port}
-- and in other terminals, as many as you like: nc 127.0.0.1 7000
local StreamServer = require "gevent.server".StreamServer

local PATIENCE = 60 -- seconds without a line, and the client is dismissed

-- Whatever ends this function, an error too, the server closes `sock` then.
local function echo(sock, host, port)
  local name = ("%s:%d"):format(host, port)
  local lines = 0
  print(name .. " came")
  sock:settimeout(PATIENCE)
  while true do
    local line, message, code = sock:read("L") -- with its newline, as in io
    if not line then
      if code == "timeout" then sock:sendall("still there?\n") end
      return print(("%s left after %d lines: %s"):format(name, lines, message))
    end
    lines = lines + 1
    sock:sendall(line) -- if the client is gone, the next read says so
  end
end

local server = StreamServer("127.0.0.1:" .. (arg[1] or 7000), echo)
assert(server:start()) -- "address already in use"
print("listening on port " .. server.port)
io.stdout:flush()
server:serve_forever()
