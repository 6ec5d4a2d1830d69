--- Servers: a listener, and a greenlet for each connection.
-- @module gevent.server
local core = require "gevent._core"
local misuse = require "gevent._misuse"
local socket = require "gevent.socket"
local ssl = require "gevent.ssl"

local expected = misuse.expected

local FIRST_DELAY, LONGEST_DELAY = 0.01, 1 -- seconds, after a failed accept
local RESTART_DELAY = 0.1 -- seconds, after a lack of memory
local STOP_TIMEOUT = 1 -- seconds that stop() waits for handlers
local HANDSHAKE_TIMEOUT = 30 -- seconds that a client may take for TLS
local LARGEST = 65535 -- bytes of a datagram
local TLS_UNSENT = 1 << 20 -- bytes of a TLS connection that the system takes ahead
local BATCH = 100 -- connections accepted before others have their turn

-- A listener that is none any more; anything else may pass: no descriptors, no
-- memory, the network is down.
local fatal = {EBADF = true, EINVAL = true, ENOTSOCK = true}

-- A one-shot gate: whoever joins it waits until it is opened.
local function newgate()
  return core.Greenlet(function() end)
end

--- A server of connections: `handle(sock, host, port)` has a greenlet for each. Fields:
-- `started`, `closed`, `host`, `port`.
-- @type StreamServer
local StreamServer = {}
StreamServer.__index = StreamServer
StreamServer.__name = "StreamServer"

-- Starting and stopping ------------------------------------------------------------

-- The options of a class.
StreamServer._options = misuse.names [[
  spawn backlog ssl_context handshake_timeout reuse_port workers grace error_log]]

-- What the sockets of a class are.
StreamServer._type = "stream"

-- Seconds between two looks for handlers that could not begin.
StreamServer._patience = 60

local function listening(self)
  if self.socket then return true end
  local sock, message, code = socket.create_server(self.listener,
    {backlog = self.backlog, reuse_port = self.reuse_port, type = self._type})
  if not sock then return nil, message, code end
  if self.ssl_context then -- encrypting in small pieces costs a fifth of the speed
    pcall(sock.setsockopt, sock, "notsent_lowat", TLS_UNSENT)
  end
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
  if self.closed then misuse.raise "a server that was stopped cannot be started again" end
  if self.workers then misuse.raise "a server with workers is run by serve_forever" end
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

-- A handler is over: makes room for another. Returns what it had.
local function release(self, greenlet)
  local had = self._active[greenlet]
  if not had then return end
  self._active[greenlet] = nil
  self._count = self._count - 1
  local room = self._room
  if room then room:start() end
  return had
end

-- A handler that had not begun when it ended: for lack of memory, or as it was killed.
local function clearaway(self, greenlet)
  local sock = release(self, greenlet)
  if sock then sock:close() end
end

local function sweep(self)
  for greenlet in pairs(self._active) do
    if greenlet.dead then clearaway(self, greenlet) end
  end
end

local function killhandlers(self)
  for _, greenlet in ipairs(handlers(self)) do
    core.kill(greenlet)
    if greenlet.dead then clearaway(self, greenlet) end
  end
end

--- For classes below: lets go of connections that need not be waited for; what
-- it returns is closed when the handlers have been.
function StreamServer:_leave() end

-- For `<close>`, a list of a server: what stop must have done however it ends.
local Stopped = {__close = function(list, err)
  local self = list[1]
  if err ~= nil then killhandlers(self) end
  if self._ended then self._ended:start() end
end}

--- Stops accepting, waits for the handlers, then kills those that still run.
-- @tparam[opt=1] number timeout seconds to wait
function StreamServer:stop(timeout)
  if self.closed then return end
  if self._supervisor then return self._supervisor:stop(timeout) end
  timeout = misuse.seconds(1, "stop", timeout) or STOP_TIMEOUT
  self.started, self.closed = false, true
  if self.socket then self.socket:close() end -- first: it needs no memory
  local _stopped <close> = setmetatable({self}, Stopped)
  local acceptor = self._acceptor
  local own = acceptor == core.getcurrent() -- called by error_log: it ends by itself
  if own then self._acceptor = nil else self:stop_accepting() end
  sweep(self)
  local _leaving <close> = self:_leave()
  if acceptor and not own then acceptor:join() end -- it may give a last one its handler
  if not drain(self, core.monotonic() + timeout) then
    killhandlers(self)
    drain(self, core.monotonic() + STOP_TIMEOUT)
  end
end

StreamServer.close = StreamServer.stop
function StreamServer:__close(err) core.unwind(err, self.stop, self) end

-- Several processes -------------------------------------------------------------------

-- What the workers accept from: see workers.listen.
local function listeners(self, workers)
  if not self.socket then
    return workers.listen(self.listener, self.workers,
      {backlog = self.backlog, reuse_port = self.reuse_port, type = self._type})
  end
  local list = {}
  for i = 1, self.workers do list[i] = self.socket end
  return list
end

-- In a worker: serves as a server without workers would.
local function serveone(self, worker, list)
  for _, sock in ipairs(list) do
    if sock ~= list[worker.number] then sock:close() end
  end
  self.socket = list[worker.number]
  self.workers, self._supervisor, self.started = nil, nil, false
  worker:serve(self)
end

local function serveinworkers(self)
  local workers = require "gevent.workers" -- who has none does not pay for them
  local list, message, code = listeners(self, workers)
  if not list then return nil, message, code end
  self.socket = list[1]
  learnaddress(self)
  local ok
  self._supervisor = workers.Supervisor(function(worker)
    serveone(self, worker, list)
  end, {workers = self.workers, grace = self.grace, log = self.error_log})
  self.started = true
  ok, message, code = self._supervisor:run()
  for _, sock in ipairs(list) do sock:close() end
  self.started, self.closed = false, true
  return ok, message, code
end

--- Starts, and blocks until the server is stopped. With workers it is run by the
-- main greenlet, and SIGTERM and SIGINT stop it; see `gevent.workers`.
-- @return true; or nil, message, code where the address cannot be had
function StreamServer:serve_forever()
  if self.workers then return serveinworkers(self) end
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

-- What a client does wrong is worth a line in a log that was asked for, and no more.
local function complainofhandshake(self, message, host, port)
  if not self.error_log then return end
  local peer = port and ("%s:%d"):format(host, port) or "a client"
  complain(self, ("handshake with %s: %s"):format(peer, message))
end

-- Without what SSLContext:wrap_socket has to check.
local function servesecurely(self, sock, host, port)
  local tls <close>, message = core.tls_wrap(sock, self.ssl_context, true)
  local ok
  if tls then ok, message = tls:do_handshake(self.handshake_timeout) end
  if ok then
    self:_serve(tls, host, port)
  else
    complainofhandshake(self, message, host, port)
  end
end

-- For `<close>` in a connection's greenlet, one for all of a server's: a list of it.
local Leaving = {__close = function(list) release(list[1], core.getcurrent()) end}

-- The connection's own greenlet: serves it, closes it, makes room.
local function run(self, sock, host, port)
  local _leaving <close> = self._leaving
  local _sock <close> = sock
  if self.ssl_context then
    servesecurely(self, sock, host, port)
  else
    self:_serve(sock, host, port)
  end
end

--- For classes below: what happens with a connection. Among the values of `_active`,
-- which has the greenlets that serve as keys, they may put another for it.
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
    self._room = false
  end
  if self.pool then self.pool:wait_available() end
end

-- The system has no room: again after a while, longer each time.
local function backoff(self, delay, message)
  if delay == FIRST_DELAY then complain(self, "accept: " .. message) end
  core.sleep(delay)
  return math.min(delay * 2, LONGEST_DELAY)
end

--- For classes below: the next connection, or what stands for one, its host and
-- port; or nil, message, code.
function StreamServer:_next()
  return self.socket:accept(self._patience)
end

-- Runs in a greenlet of its own until the server stops.
function StreamServer:_acceptloop()
  local delay, batch = FIRST_DELAY, 0
  while not self.closed do
    waitforroom(self)
    local sock, host, port = self:_next()
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

-- Misuse of the constructor, whatever class it is of.
local function bad(self, n, text)
  misuse.bad(n, getmetatable(self).__name, text)
end

local function setspawn(self, spawn)
  if spawn == nil or spawn == "raw" then return end
  if type(spawn) == "number" then
    self.limit = math.tointeger(spawn)
    if not self.limit or spawn < 1 then bad(self, 3, "spawn: a pool needs a size > 0") end
  elseif type(spawn) == "table" and spawn.spawn and spawn.wait_available then
    self.pool = spawn
  else
    bad(self, 3, "spawn: " .. expected('nil, a Pool, a number or "raw"', spawn))
  end
end

local function setssl(self, opts)
  local context = opts.ssl_context
  if context ~= nil and not ssl.iscontext(context) then
    bad(self, 3, "ssl_context: " .. expected("SSLContext", context))
  end
  local timeout = opts.handshake_timeout
  if timeout ~= nil and (type(timeout) ~= "number" or not (timeout >= 0)) then
    bad(self, 3, "handshake_timeout: seconds must be a number >= 0")
  end
  self.ssl_context = context or false
  self.handshake_timeout = timeout or HANDSHAKE_TIMEOUT
end

local function setworkers(self, opts)
  local n = opts.workers
  if n ~= nil and (type(n) ~= "number" or not math.tointeger(n) or n < 1) then
    bad(self, 3, ("workers: integer > 0 expected, got %s"):format(tostring(n)))
  end
  self.workers, self.grace = n and math.tointeger(n), opts.grace
end

local function setlistener(self, listener, opts)
  local backlog = opts.backlog
  if backlog ~= nil and not math.tointeger(backlog) then
    bad(self, 3, "backlog: " .. expected("integer", backlog))
  end
  self.listener = listener
  self.backlog, self.reuse_port = backlog, opts.reuse_port
  if type(listener) == "userdata" and (getmetatable(listener) or {}).__name == "socket" then
    if listener.closed then bad(self, 1, "a closed socket") end
    self.socket = listener
    learnaddress(self)
  else
    local ok, err = pcall(socket.parselistener, listener)
    if not ok then bad(self, 1, err) end
  end
end

local function iscallable(value)
  return type(value) == "function" or (debug.getmetatable(value) or {}).__call ~= nil
end

local function init(self, listener, handle, opts)
  if not iscallable(handle) then bad(self, 2, expected("function", handle)) end
  opts = misuse.ours(3, self.__name, opts, self._options)
  self.handle = handle
  self.error_log = opts.error_log
  self.started, self.closed = false, false
  self._active, self._count = {}, 0
  self._leaving = setmetatable({self}, Leaving)
  -- What each connection asks for: what is absent would be sought in all the classes.
  self.limit, self.pool, self._room = false, false, false
  self._next, self._serve, self._patience = self._next, self._serve, self._patience
  setspawn(self, opts.spawn)
  setworkers(self, opts)
  setssl(self, opts)
  setlistener(self, listener, opts)
  return self
end

function StreamServer:__tostring()
  local state = self.closed and "stopped" or self.started and "listening" or "not started"
  local host = self.host
  if host and self.port then
    host = (host:find(":", 1, true) and "[%s]:%d" or "%s:%d"):format(host, self.port)
  end
  local where = host or tostring(self.listener)
  return ("<%s %s %s>"):format(getmetatable(self).__name, where, state)
end

--- A class below StreamServer, or below another such class.
-- @tparam string name
-- @tparam table parent
local function subclass(name, parent)
  if type(name) ~= "string" then misuse.bad(1, "subclass", expected("string", name)) end
  if type(parent) ~= "table" or not parent.new then
    misuse.bad(2, "subclass", expected("class of servers", parent))
  end
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

misuse.methods(StreamServer, "_active", "server")
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
Message.__close = Message.close

function DatagramServer:_serve(message, host, port)
  return self.handle(message.data, host, port)
end

function DatagramServer:_next()
  local data, host, port = self.socket:recvfrom(LARGEST, self._patience)
  return data and setmetatable({data = data}, Message), host, port
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

misuse.methods(DatagramServer, "_active")

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
