---@meta gevent.websocket
-- Made by `make types` from lua/gevent/websocket.lua: change that.

---WebSocket (RFC 6455), both ends: `upgrade` in a handler of gevent.http, and
---`connect`. See `docs/websocket.md`.
---@class gevent.websocket
local M = {}

---A connection. Fields: `protocol`, `extensions`.
---@class gevent.websocket.WebSocket
local WebSocket = {}

---Waits for a message.
---@param timeout? number seconds
---@return any # data, "text" or "binary"; or nil, reason, "closed", code at the end; or nil, "timed out", "timeout"
function WebSocket:receive(timeout) end

---Sends a message.
---@param data any string, or an iterator of the parts of one
---@param kind? string "text" or "binary"
---@return boolean? # true; or nil, message, code
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function WebSocket:send(data, kind) end

---Sends a Ping, which the peer answers unasked.
---@param data? string up to 125 bytes
---@return boolean? # true; or nil, message, code
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function WebSocket:ping(data) end

---Closes the connection: sends a Close, and waits for the peer to answer it. Who
---receives meanwhile hears of the end at once. Idempotent.
---@param code? integer 1000 to 1003, 1007 to 1014, 3000 to 4999
---@param reason? string up to 123 bytes of UTF-8
---@return boolean # true; or nil, "timed out", "timeout" where the peer did not answer. The connection is closed in any case.
function WebSocket:close(code, reason) end

---Iterates over messages until the connection ends.
---@return function # gives data, kind
function WebSocket:messages() end

---Turns a request into a WebSocket. What is no proper handshake is answered with
---a 4xx. The connection is closed when the handler is done: with 1000, or with
---1011 if it failed.
---@param req gevent.http.Request as the handler of an HTTP server gets it
---@param res gevent.http.Answer its other argument; fields set on it are sent along
---@param opts? table `protocols` (list of subprotocols, the best first), `origins` (list of what `Origin` may be, a function of it, or "*"; else that of the request's own host), `max_message` (bytes, 1 MiB), `deflate` (true, or a table: see `docs/websocket.md`), `timeout` (seconds for the peer to take what is sent, 60, and to answer a Close, at most 5), `fragment_size` (bytes of a frame that is sent)
---@return gevent.websocket.WebSocket?
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.upgrade(req, res, opts) end

---Connects to a server.
---@param url string ws:// or wss://
---@param opts? table `headers` (name -> value, or list of values), `protocols` (list of subprotocols), `timeout` (seconds for the connection and the handshake in all; then as in `upgrade`), `ssl_context`, `max_message`, `deflate`, `fragment_size`
---@return gevent.websocket.WebSocket?
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.connect(url, opts) end

return M
