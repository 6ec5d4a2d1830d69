-- An HTTP server is stopped, once, with a connection that is new and one that was answered.
require "gevent"
local http = require "gevent.http"
local socket = require "gevent.socket"

local silent = {write = function() end}

local function connect(srv)
  return assert(socket.create_connection("127.0.0.1", srv.port))
end

return _G.guarded(function()
  local srv = http.Server("127.0.0.1:0", function() return 204 end,
    {log = silent, error_log = silent})
  srv._patience = 0.02
  assert(srv:start())
  local new <close> = connect(srv)
  local idle <close> = connect(srv)
  assert(idle:sendall("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
  idle:readuntil("\r\n\r\n")
  srv:stop(0)
  if not srv.closed then error("it goes on: not enough memory to stop?", 0) end
  assert(new:recv(1) == "")
end)
