--- Servers: a listener, and a greenlet for each connection.
-- @module gevent.server
local core = require "gevent._core"
local socket = require "gevent.socket"
local ssl = require "gevent.ssl"

local FIRST_DELAY, LONGEST_DELAY = 0.01, 1 -- seconds, after a failed accept
local RESTART_DELAY = 0.1 -- seconds, after a lack of memory
local STOP_TIMEOUT = 1 -- seconds that stop() waits for handlers
local HANDSHAKE_TIMEOUT = 30 -- seconds that a client may take for TLS
local LARGEST = 65535 -- bytes of a datagram
local BATCH = 100 -- connections accepted before others have their turn

-- A listener that is none any more; anything else may pass: no descriptors, no
-- memory, the network is down.
local fatal = {EBADF = true, EINVAL = true, ENOTSOCK = true}

-- A one-shot gate: whoever joins it waits until it is opened.
local function newgate()
  return core.Greenlet(function() end)
end

local StreamServer = {}
StreamServer.__index = StreamServer
StreamServer.__name = "StreamServer"

-- Starting and stopping ------------------------------------------------------------

-- What the sockets of a class are.
StreamServer._type = "stream"

-- Seconds between two looks for handlers that could not begin.
StreamServer._patience = 60

local function listening(self)
  if self.socket then return true end
  local sock, message, code = socket.create_server(self.listener,
    {backlog = self.backlog, reuse_port = self.reuse_port, type = self._type})
  if not sock then return nil, message, code end
  self.socket = sock
  return true
end

local function learnaddress(self)
  local host, port = self.socket:getsockname()
  self.host, self.port = host, port
end

--- Begins to listen and to accept. Does nothing where it has begun.
-- @return true; or nil, message, code where the address cannot be had
function StreamServer:start()
  if self.closed then error("a server that was stopped cannot be started again", 2) end
  if self.started then return true end
  local ok, message, code = listening(self)
  if not ok then return nil, message, code end
  learnaddress(self)
  self.started = true
  self._ended = newgate()
  self:start_accepting()
  return true
end

local newacceptor

-- The acceptor has ended: runs in the hub. If by an error, memory is short: again
-- after a while. The collector closes the connection that it had in hand.
local function replace(self, dead)
  if self._acceptor ~= dead or dead.exception == nil then return end
  self._acceptor = nil
  collectgarbage()
  self._acceptor = newacceptor(self, RESTART_DELAY)
end

function newacceptor(self, delay)
  local greenlet = core.Greenlet(self._acceptloop, self)
  greenlet.name = "acceptor " .. tostring(self.socket)
  greenlet:rawlink(function(dead) replace(self, dead) end)
  if delay then greenlet:start_later(delay) else greenlet:start() end
  return greenlet
end

--- Accepts connections, again or for the first time.
function StreamServer:start_accepting()
  if not self.started or self.closed then return end
  if not self._acceptor then self._acceptor = newacceptor(self) end
end

--- Leaves new connections in the system's queue.
function StreamServer:stop_accepting()
  local acceptor = self._acceptor
  self._acceptor = nil
  if acceptor then acceptor:kill(nil, false) end
end

-- The handlers, without one that stops its own server: it goes on.
local function handlers(self)
  local current, list = core.getcurrent(), {}
  for greenlet in pairs(self._active) do
    if greenlet ~= current then list[#list + 1] = greenlet end
  end
  return list
end

-- Waits for the handlers; false at the deadline.
local function drain(self, deadline)
  local running = handlers(self)
  local waiter <close> = core.multiwait(running)
  for _ = 1, #running do
    if not waiter:take(math.max(0, deadline - core.monotonic())) then
      return false
    end
  end
  return true
end

-- A handler is over: makes room for another, closes its connection.
local function release(self, greenlet)
  local sock = self._active[greenlet]
  if not sock then return end
  self._active[greenlet] = nil
  self._count = self._count - 1
  local room = self._room
  if room then room:start() end
  sock:close()
end

-- A handler that lacked memory to begin has released nothing.
local function sweep(self)
  for greenlet in pairs(self._active) do
    if greenlet.dead then release(self, greenlet) end
  end
end

local function killhandlers(self)
  for _, greenlet in ipairs(handlers(self)) do
    core.kill(greenlet)
    if greenlet.dead then release(self, greenlet) end -- it had not begun
  end
end

--- Stops accepting, waits for the handlers, then kills those that still run.
-- @tparam[opt=1] number timeout seconds to wait
function StreamServer:stop(timeout)
  if self.closed then return end
  timeout = timeout or STOP_TIMEOUT
  if type(timeout) ~= "number" or not (timeout >= 0) then
    error("bad argument #1 to 'stop' (seconds must be a number >= 0)", 2)
  end
  self:stop_accepting()
  self.started, self.closed = false, true
  if self.socket then self.socket:close() end
  sweep(self)
  if not drain(self, core.monotonic() + timeout) then
    killhandlers(self)
    drain(self, core.monotonic() + STOP_TIMEOUT)
  end
  if self._ended then self._ended:start() end
end

StreamServer.close = StreamServer.stop
StreamServer.__close = function(self) self:stop() end

--- Starts, and blocks until the server is stopped.
-- @return true; or nil, message, code where the address cannot be had
function StreamServer:serve_forever()
  local ok, message, code = self:start()
  if not ok then return nil, message, code end
  local _stop <close> = self
  self._ended:join()
  return true
end

-- Accepting -------------------------------------------------------------------------

local function writeto(log, text)
  if type(log) == "function" then return log(text) end
  log:write(text, "\n")
end

-- A log that fails must not end the server.
local function complain(self, message)
  local log = self.error_log
  if log == false then return end
  core.pcall(writeto, log or io.stderr, ("%s: %s"):format(self, message))
end

-- The TLS socket, or nothing: what a client does wrong is worth a line in a log
-- that was asked for, and no more.
local function secure(self, sock, host, port)
  local tls, message = self.ssl_context:wrap_socket(sock,
    {server_side = true, timeout = self.handshake_timeout})
  if tls then
    self._active[core.getcurrent()] = tls
  elseif self.error_log then
    complain(self, ("handshake with %s:%s: %s"):format(host, port, message))
  end
  return tls
end

-- For `<close>` in a connection's greenlet: a list of the server.
local Slot = {__close = function(slot) release(slot[1], core.getcurrent()) end}

-- The connection's own greenlet: serves it, closes it, makes room.
local function run(self, sock, host, port)
  local _slot <close> = setmetatable({self}, Slot)
  if self.ssl_context then sock = secure(self, sock, host, port) end
  if sock then self:_serve(sock, host, port) end
end

--- For classes below: what happens with a connection.
function StreamServer:_serve(sock, host, port)
  return self.handle(sock, host, port)
end

local function enter(self, sock, host, port)
  local greenlet
  if self.pool then
    greenlet = self.pool:spawn(run, self, sock, host, port)
  else
    greenlet = core.spawn_raw(run, self, sock, host, port)
  end
  self._active[greenlet] = sock
  self._count = self._count + 1
end

-- Without memory for a handler, the connection is closed.
local function dispatch(self, sock, host, port)
  local ok, err = pcall(enter, self, sock, host, port)
  if ok then return end
  sock:close()
  error(err, 0)
end

-- Waits until the server may take one more connection.
local function waitforroom(self)
  while self.limit and self._count >= self.limit do
    self._room = newgate()
    if not self._room:join(self._patience) then sweep(self) end
    self._room = nil
  end
  if self.pool then self.pool:wait_available() end
end

-- The system has no room: again after a while, longer each time.
local function backoff(self, delay, message)
  if delay == FIRST_DELAY then complain(self, "accept: " .. message) end
  core.sleep(delay)
  return math.min(delay * 2, LONGEST_DELAY)
end

-- Runs in a greenlet of its own until the server stops.
function StreamServer:_acceptloop()
  local listener, delay, batch = self.socket, FIRST_DELAY, 0
  while true do
    waitforroom(self)
    local sock, host, port = listener:accept(self._patience)
    if sock then
      delay = FIRST_DELAY
      dispatch(self, sock, host, port)
      batch = batch + 1
      if batch % BATCH == 0 then core.sleep(0) end
    elseif fatal[port] then
      if not self.closed then complain(self, "accept: " .. host) end
      core.spawn(self.stop, self)
      return
    elseif port == "timeout" then
      sweep(self)
    else
      delay = backoff(self, delay, host)
    end
  end
end

-- Making --------------------------------------------------------------------------------

local function setspawn(self, spawn)
  if spawn == nil or spawn == "raw" then return end
  if math.type(spawn) == "integer" then
    if spawn < 1 then error("bad option 'spawn' (a pool needs a size > 0)", 4) end
    self.limit = spawn
  elseif type(spawn) == "table" or type(spawn) == "userdata" then
    self.pool = spawn
  else
    error("bad option 'spawn' (nil, a Pool, a number or \"raw\" expected, got "
      .. type(spawn) .. ")", 4)
  end
end

local function setssl(self, opts)
  local context = opts.ssl_context
  if context ~= nil and not ssl.iscontext(context) then
    error(("bad option 'ssl_context' (SSLContext expected, got %s)"):format(
      type(context)), 4)
  end
  self.ssl_context = context
  self.handshake_timeout = opts.handshake_timeout or HANDSHAKE_TIMEOUT
end

local function init(self, listener, handle, opts)
  opts = opts or {}
  if type(handle) ~= "function" and not (getmetatable(handle) or {}).__call then
    error("bad argument #2 to 'Server' (function expected, got "
      .. type(handle) .. ")", 3)
  end
  self.handle = handle
  self.listener = listener
  self.backlog = opts.backlog
  self.reuse_port = opts.reuse_port
  self.error_log = opts.error_log
  self.started, self.closed = false, false
  self._active, self._count = {}, 0
  setspawn(self, opts.spawn)
  setssl(self, opts)
  if type(listener) == "userdata" then
    self.socket = listener
    learnaddress(self)
  else
    local ok, err = pcall(socket.parselistener, listener)
    if not ok then error(err, 3) end
  end
  return self
end

function StreamServer:__tostring()
  local state = self.closed and "stopped" or self.started and "listening" or "not started"
  local where = self.host and self.port and self.host .. ":" .. self.port
    or self.host or tostring(self.listener)
  return ("<%s %s %s>"):format(getmetatable(self).__name, where, state)
end

--- A class below StreamServer, or below another such class.
-- @tparam string name
-- @tparam table parent
local function subclass(name, parent)
  local class = {__name = name, __tostring = parent.__tostring, __close = parent.__close}
  class.__index = class
  return setmetatable(class, {
    __index = parent,
    __call = function(self, ...) return self.new(self, ...) end,
  })
end

--- Makes an instance of the class: for its constructor.
function StreamServer.new(class, listener, handle, opts)
  return init(setmetatable({}, class), listener, handle, opts)
end

setmetatable(StreamServer, {__call = StreamServer.new})

-- DatagramServer -----------------------------------------------------------------------

--- A server of datagrams: `handle(data, host, port)` has a greenlet for each.
-- @type DatagramServer
local DatagramServer = subclass("DatagramServer", StreamServer)
DatagramServer._type = "dgram"

-- A message stands where StreamServer has a connection.
local Message = {}
Message.__index = Message
function Message.close() end

function DatagramServer:_serve(message, host, port)
  return self.handle(message.data, host, port)
end

function DatagramServer:_acceptloop()
  local sock, delay, batch = self.socket, FIRST_DELAY, 0
  while true do
    waitforroom(self)
    local data, host, port = sock:recvfrom(LARGEST, self._patience)
    if data then
      delay = FIRST_DELAY
      dispatch(self, setmetatable({data = data}, Message), host, port)
      batch = batch + 1
      if batch % BATCH == 0 then core.sleep(0) end
    elseif fatal[port] then
      if not self.closed then complain(self, host) end
      return
    elseif port == "timeout" then
      sweep(self)
    else
      delay = backoff(self, delay, host)
    end
  end
end

--- Sends a datagram from the server's address; one at a time.
-- @tparam string data
-- @tparam string host or the path of a Unix socket
-- @tparam[opt] integer port
-- @return bytes; or nil, message, code
function DatagramServer:sendto(data, host, port)
  if not self.socket then return nil, "the server is not started", "EBADF" end
  self._sending:acquire()
  local _turn <close> = setmetatable({}, {__close = function()
    self._sending:release()
  end})
  return self.socket:sendto(data, host, port)
end

--- Makes a server.
function DatagramServer.new(class, listener, handle, opts)
  local self = init(setmetatable({}, class), listener, handle, opts)
  self._sending = core.Semaphore()
  return self
end

return {
  StreamServer = StreamServer,
  DatagramServer = DatagramServer,
  subclass = subclass,
}
