---@meta gevent.server
-- Made by `make types` from lua/gevent/server.lua: change that.

---Servers: a listener, and a greenlet for each connection.
---@class gevent.server
local M = {}

---A server of connections: `handle(sock, host, port)` has a greenlet for each. Fields:
---`started`, `closed`, `host`, `port`.
---@class gevent.server.StreamServer
local StreamServer = {}

---Begins to listen and to accept. Does nothing where it has begun.
---@return boolean? # true; or nil, message, code where the address cannot be had
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function StreamServer:start() end

---Accepts connections, again or for the first time.
function StreamServer:start_accepting() end

---Leaves new connections in the system's queue.
function StreamServer:stop_accepting() end

---For classes below: lets go of connections that need not be waited for; what
---it returns is closed when the handlers have been.
function StreamServer:_leave() end

---Stops accepting, waits for the handlers, then kills those that still run.
---@param timeout? number seconds to wait
function StreamServer:stop(timeout) end

---Starts, and blocks until the server is stopped. With workers it is run by the
---main greenlet, and SIGTERM and SIGINT stop it; see `gevent.workers`.
---@return boolean? # true; or nil, message, code where the address cannot be had
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function StreamServer:serve_forever() end

---For classes below: what happens with a connection. Among the values of `_active`,
---which has the greenlets that serve as keys, they may put another for it.
function StreamServer:_serve() end

---For classes below: the next connection, or what stands for one, its host and
---port; or nil, message, code.
function StreamServer:_next() end

---A class below StreamServer, or below another such class.
---@param name string
---@param parent table
function M.subclass(name, parent) end

---Makes an instance of the class: for its constructor.
function StreamServer.new() end

---A server of datagrams: `handle(data, host, port)` has a greenlet for each.
---@class gevent.server.DatagramServer
local DatagramServer = {}

---Sends a datagram from the server's address; one at a time.
---@param data string
---@param host string or the path of a Unix socket
---@param port? integer
---@return any # bytes; or nil, message, code
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function DatagramServer:sendto(data, host, port) end

---Makes a server.
function DatagramServer.new() end

---@type gevent.server.DatagramServer|fun(...): gevent.server.DatagramServer
M.DatagramServer = nil

---@type gevent.server.StreamServer|fun(...): gevent.server.StreamServer
M.StreamServer = nil

return M
