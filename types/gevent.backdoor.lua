---@meta gevent.backdoor
-- Made by `make types` from lua/gevent/backdoor.lua: change that.

---A way into the running process: a prompt of Lua over a socket.
---Whoever can connect can do anything, so it listens on the loopback interface or
---a Unix socket, and nowhere else unless told.
---
---    local backdoor = require "gevent.backdoor"
---    backdoor.BackdoorServer("unix:/run/app.sock", {app = app}):start()
---
---Then `nc -U /run/app.sock`, or `telnet 127.0.0.1 PORT`.
---@class gevent.backdoor
local M = {}

---Makes a server; a StreamServer.
---@param listener any as StreamServer's; a port alone is one of 127.0.0.1
---@param env? table names that the code sees, and where its globals go; each connection has names of its own otherwise
---@param opts? table `remote` (boolean): other interfaces than loopback may be listened on; `banner` (string)
---@return gevent.server.StreamServer
function M.BackdoorServer(listener, env, opts) end

return M
