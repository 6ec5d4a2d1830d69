--- WebSocket (RFC 6455), both ends: `upgrade` in a handler of gevent.http, and
-- `connect`. See `docs/websocket.md`.
-- @module gevent.websocket
local core = require "gevent._core"
local misuse = require "gevent._misuse"
local handshake = require "gevent._wshandshake"
local pmdeflate = require "gevent._pmdeflate"
local socket = require "gevent.socket"
local upgraded = require "gevent.http.upgraded"
local waiting = require "gevent._wait"

local MAX_MESSAGE = 1048576 -- bytes
local SEND_TIMEOUT = 60 -- seconds for the peer to take what is sent
local CLOSE_TIMEOUT = 5 -- seconds for it to answer a Close, if not told

--- A connection. Fields: `protocol`, `extensions`.
-- @type WebSocket

--- Waits for a message.
-- @function WebSocket:receive
-- @tparam[opt] number timeout seconds
-- @return data, "text" or "binary"; or nil, reason, "closed", code at the end; or nil,
-- "timed out", "timeout"

--- Sends a message.
-- @function WebSocket:send
-- @param data string, or an iterator of the parts of one
-- @tparam[opt="text"] string kind "text" or "binary"
-- @return true; or nil, message, code

--- Sends a Ping, which the peer answers unasked.
-- @function WebSocket:ping
-- @tparam[opt=""] string data up to 125 bytes
-- @return true; or nil, message, code

-- The class: receive, send and ping, and what begins with _, are in the core.
local methods = core.websocket_class

-- Deadlines ---------------------------------------------------------------------------

local function after(seconds)
  return core.monotonic() + seconds
end

local function remaining(deadline)
  return math.max(0, deadline - core.monotonic())
end

-- Turns to send -------------------------------------------------------------------------

-- Whoever has the turn is the only one that waits for the stream to take output,
-- and the only one that sends a message in parts.
local Turn = {__close = function(turn)
  local ws, lock = turn.ws, turn.ws._lock
  ws._sender = nil
  lock:release()
  ws:_hold(lock:locked())
end}

-- Has the greenlet the turn already, so that it must not wait for it? Then it is in
-- the iterator of a message in parts.
local function hasturn(ws)
  return ws._sender ~= nil and ws._sender == core.getcurrent()
end

-- Takes the turn; nil at the deadline. `caller` is for messages.
local function taketurn(ws, deadline, caller)
  if hasturn(ws) then error("the iterator of a message must not send", 0) end
  local lock = ws._lock
  if not lock then
    lock = core.Semaphore()
    ws._lock = lock
  end
  if not core.semacquire(lock, remaining(deadline), caller or "WebSocket:send") then
    return nil, "timed out", "timeout"
  end
  ws:_hold(true)
  ws._sender = core.getcurrent()
  return setmetatable({ws = ws}, Turn)
end

local function flush(ws)
  local _done <close> = setmetatable({}, {__close = function() ws._flushing = nil end})
  local deadline = after(ws._timeout)
  local turn <close> = taketurn(ws, deadline)
  if turn then ws:_flush("send", remaining(deadline)) end
end

-- Nobody waits for what is in the output: somebody has to.
local function flushlater(ws)
  if ws._flushing then return end
  ws._flushing = true
  core.spawn_raw(flush, ws)
end

methods._flush_later = flushlater

-- Leaves with what it was to write still there, by a time-out or a kill.
local function guardoutput(ws)
  return setmetatable({}, {__close = function()
    if ws:_pending() > 0 and not ws._stream.closed then flushlater(ws) end
  end})
end

-- The rest of a send or ping that could not write all at once.
function methods._drain(ws, caller)
  local deadline = after(ws._timeout)
  local turn <close>, message, code = taketurn(ws, deadline, "WebSocket:" .. caller)
  if not turn then return nil, message, code end
  local _rest <close> = guardoutput(ws)
  return ws:_flush(caller, remaining(deadline))
end

-- A message whose parts come from an iterator. It is not to be continued when the
-- iterator fails: the connection ends with it.
local function sendparts(ws, parts, kind)
  local complete = false
  local _guard <close> = setmetatable({}, {__close = function()
    if not complete then ws:_fail(1011, "message cut short") end
  end})
  for part in parts do
    if type(part) ~= "string" then
      error(("part of a message is a %s, not a string"):format(type(part)), 0)
    end
    local ok, message, code, status = ws:_add(part, kind, false)
    if ok then ok, message, code = ws:_flush("send", ws._timeout) end
    if not ok then return nil, message, code, status end
  end
  local ok, message, code, status = ws:_add("", kind, true)
  complete = true
  if not ok then return nil, message, code, status end
  return ws:_flush("send", ws._timeout)
end

-- A send that has to wait for its turn, or for output before it.
function methods._send(ws, data, kind)
  local deadline = after(ws._timeout)
  local turn <close>, message, code = taketurn(ws, deadline)
  if not turn then return nil, message, code end
  local _rest <close> = guardoutput(ws)
  local ok
  ok, message, code = ws:_flush("send", remaining(deadline))
  if not ok then return nil, message, code end
  if type(data) ~= "string" then return sendparts(ws, data, kind) end
  local status
  ok, message, code, status = ws:_add(data, kind, true)
  if not ok then return nil, message, code, status end
  return ws:_flush("send", remaining(deadline))
end

-- Closing ---------------------------------------------------------------------------------

-- Writes the output out, with the Close at its end; waits for a turn only where it
-- has to wait anyway.
local function flushclose(ws, deadline)
  local ok, message, code = ws:_flush("close", 0)
  if ok or code ~= "timeout" then return ok, message, code end
  if hasturn(ws) then return ws:_flush("close", remaining(deadline)) end
  local turn <close>, why, what = taketurn(ws, deadline)
  if not turn then return nil, why, what end
  return ws:_flush("close", remaining(deadline))
end

-- The closing handshake, after our Close has been put into the output: writes it
-- out, waits for the answer, gives up the stream.
local function finish(ws)
  local deadline = after(ws._close_timeout)
  local _over <close> = setmetatable({}, {__close = function()
    ws._stream:close()
    ws._over:set()
  end})
  local ok, message, code = flushclose(ws, deadline)
  if ok then
    ok, message, code = ws:_await(remaining(deadline))
  end
  if not ok and code == "timeout" then return nil, message, code end
  return true
end

local function finishlater(ws)
  ws._over = core.Event()
  core.spawn_raw(finish, ws)
end

-- The core calls it when reading has come to an end: by the peer's Close, by its
-- fault, or with the stream.
function methods._ended(ws)
  if ws.close_code ~= 1006 and (ws:_pending() > 0 or ws:_refused()) then
    return finishlater(ws)
  end
  ws._stream:close()
end

-- Ends the connection for a reason of ours, without waiting.
function methods._fail(ws, code, reason)
  if ws:_shut(code, reason) then finishlater(ws) end
end

local function iscode(code)
  return type(code) == "number" and math.tointeger(code) and (code >= 3000 and code <= 4999
    or code >= 1000 and code <= 1003 or code >= 1007 and code <= 1014)
end

--- Closes the connection: sends a Close, and waits for the peer to answer it. Who
-- receives meanwhile hears of the end at once. Idempotent.
-- @tparam[opt=1000] integer code 1000 to 1003, 1007 to 1014, 3000 to 4999
-- @tparam[opt=""] string reason up to 123 bytes of UTF-8
-- @function WebSocket:close
-- @return true; or nil, "timed out", "timeout" where the peer did not answer. The
-- connection is closed in any case.
function methods:close(code, reason)
  if code == nil then code = 1000 end
  reason = reason or ""
  if not iscode(code) then
    error("bad argument #1 to 'close' (not a code that a Close may carry)", 2)
  end
  if type(reason) ~= "string" or #reason > 123 or not utf8.len(reason) then
    error("bad argument #2 to 'close' (up to 123 bytes of UTF-8 expected)", 2)
  end
  if self:_shut(code, reason) then
    self._over = core.Event()
    return finish(self)
  end
  if self._over then self._over:wait(self._close_timeout) end
  return true
end

function methods:__close(err)
  local _stream <close> = self._stream -- also where memory fails
  core.unwind(err, self.close, self, err == nil and 1000 or 1011)
end

-- What gevent.http calls: see gevent.http.upgraded.
function methods:_handled(failed)
  self:close(failed and 1011 or 1000)
end

function methods:_stop()
  self:_fail(1001, "")
end

-- Receiving -------------------------------------------------------------------------------

--- Iterates over messages until the connection ends.
-- @function WebSocket:messages
-- @treturn function gives data, kind
function methods:messages()
  return function() return self:receive() end
end

-- Making ------------------------------------------------------------------------------------

local function checknumber(opts, name, default, isinteger)
  local value = opts[name]
  if value == nil then return default end
  if type(value) ~= "number" or not (value > 0) or isinteger and not math.tointeger(value)
  then
    misuse.raise(("bad option '%s' (positive %s expected, got %s)"):format(name,
      isinteger and "integer" or "number of seconds", tostring(value)))
  end
  return value
end

local COMMON = "protocols max_message deflate timeout fragment_size "
local SERVERS = misuse.names(COMMON .. "origins")
local CLIENTS = misuse.names(COMMON .. "headers ssl_context")

-- The options that both ends have.
local function checkoptions(n, fname, opts, known)
  opts = misuse.ours(n, fname, opts, known)
  return {
    given = opts,
    timeout = checknumber(opts, "timeout"),
    max_message = math.min(checknumber(opts, "max_message", MAX_MESSAGE, true), 1 << 40),
    fragment = checknumber(opts, "fragment_size", 0, true),
    protocols = handshake.protocols(opts.protocols),
    deflate = pmdeflate.options(opts.deflate),
  }
end

local function new(stream, options, isserver, protocol, deflate)
  local timeout = options.timeout
  return core.websocket(stream, {
    protocol = protocol,
    extensions = deflate and "permessage-deflate" or nil,
    _stream = stream,
    _timeout = timeout or SEND_TIMEOUT,
    _close_timeout = math.min(timeout or CLOSE_TIMEOUT, CLOSE_TIMEOUT),
  }, {
    server = isserver, max_message = options.max_message,
    fragment = options.fragment, deflate = deflate,
  })
end

--- Functions
-- @section functions

local websocket = {}

--- Turns a request into a WebSocket. What is no proper handshake is answered with
-- a 4xx. The connection is closed when the handler is done: with 1000, or with
-- 1011 if it failed.
-- @tparam request req as the handler of an HTTP server gets it
-- @tparam response res its other argument; fields set on it are sent along
-- @tparam[opt] table opts `protocols` (list of subprotocols, the best first),
-- `origins` (list of what `Origin` may be, a function of it, or "*"; else that of
-- the request's own host), `max_message` (bytes, 1 MiB), `deflate` (true, or a
-- table: see `docs/websocket.md`), `timeout` (seconds for the peer to take what
-- is sent, 60, and to answer a Close, at most 5), `fragment_size` (bytes of a
-- frame that is sent)
-- @treturn[1] WebSocket
-- @return[2] nil, message, "handshake", status
function websocket.upgrade(req, res, opts)
  if type(req) ~= "table" and type(req) ~= "userdata" or not req.takeover then
    misuse.bad(1, "upgrade", misuse.expected("request", req))
  elseif type(res) ~= "table" and type(res) ~= "userdata" or not res.send then
    misuse.bad(2, "upgrade", misuse.expected("response", res))
  end
  local options = checkoptions(3, "upgrade", opts, SERVERS)
  local origins = handshake.origins(options.given.origins)
  local fields, status, message = handshake.read(req, origins)
  if not fields then return handshake.refuse(res, status, message) end
  local protocol = handshake.choose(options.protocols, fields.protocols)
  local extension, deflate
  if options.deflate and fields.extensions then
    extension, deflate = pmdeflate.accept(fields.extensions, options.deflate)
  end
  local stream = req:takeover()
  if not stream then
    if res.started then return nil, "an answer has begun", "handshake" end
    return handshake.refuse(res, 400, "a WebSocket handshake has no body")
  end
  local ws = new(stream, options, true, protocol, deflate)
  local ok, code
  ok, message, code = stream:sendall(handshake.answer(res, fields.key, protocol, extension),
    ws._timeout)
  if not ok then return nil, message, code end
  upgraded[stream] = ws
  return ws
end

local function connected(url, options)
  local opts = options.given
  local stream, message, code = socket.create_connection(url.host, url.port, {
    ssl = url.secure and (opts.ssl_context or true) or nil,
    server_hostname = url.secure and url.host or nil,
  })
  if not stream then return nil, message, code end
  local _guard <close> = setmetatable({}, {__close = function()
    if stream then stream:close() end
  end})
  local key = core.websocket_key()
  local offer = options.deflate and pmdeflate.offer(options.deflate)
  local ok
  ok, message, code = stream:sendall(handshake.request(url, key, options.protocols, offer,
    options.headers))
  if not ok then return nil, message, code end
  local fields, status
  fields, message, code, status = handshake.response(stream, key, options.protocols)
  if not fields then return nil, message, code, status end
  local deflate = pmdeflate.agree(fields.extensions, options.deflate)
  if deflate == false then
    return nil, "the server uses extensions that were not offered", "handshake", 101
  end
  local ws = new(stream, options, false, fields.protocol, deflate)
  stream = nil -- the WebSocket's from now on
  return ws
end

--- Connects to a server.
-- @tparam string url ws:// or wss://
-- @tparam[opt] table opts `headers` (name -> value, or list of values), `protocols`
-- (list of subprotocols), `timeout` (seconds for the connection and the handshake
-- in all; then as in `upgrade`), `ssl_context`, `max_message`, `deflate`,
-- `fragment_size`
-- @treturn[1] WebSocket
-- @return[2] nil, message, code; for an answer that is no handshake the code is
-- "handshake", and the fourth value the status
function websocket.connect(url, opts)
  local options = checkoptions(2, "connect", opts, CLIENTS)
  options.headers = handshake.headers(options.given.headers)
  local target, message = handshake.url(url)
  if not target then misuse.bad(1, "connect", message) end
  if not options.timeout then return connected(target, options) end
  return waiting.with_timeout(options.timeout, connected, target, options)
end

return websocket
