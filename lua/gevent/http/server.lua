-- gevent.http.server: the class Server (see gevent.http). What is done for
-- each request is in the core; here is what a connection and a server need.
local core = require "gevent._core"
local misuse = require "gevent._misuse"
local base = require "gevent.server"
local upgraded = require "gevent.http.upgraded"
local discard = require "gevent.http.request"
local writeparts = require "gevent.http.response"

local StreamServer = base.StreamServer
local FIRST_REQUEST = 0.2 -- seconds that stop leaves for it

local COMPRESS_LEVEL = 5 -- of 1 to 9
local COMPRESS_MIN = 1024 -- bytes: less is not worth it

local DEFAULTS = {
  max_request_line = 4096,       -- bytes: 414
  max_header_bytes = 32768,      -- with the request line, 8190 each: 431
  max_headers = 100,             -- fields: 431
  max_body_bytes = 1048576,      -- 413; false: no limit
  header_timeout = 30,           -- seconds for a head, from its first byte: 408
  body_timeout = 60,             -- of waiting, and one more for each KiB: 408
  keepalive_timeout = 75,        -- between requests
  write_timeout = 60,            -- for the client to take something
}

--- A server for HTTP/1.1; a StreamServer.
-- @type Server
local Server = base.subclass("http.Server", StreamServer)
Server._options = misuse.names("max_requests compress log",
  DEFAULTS, StreamServer._options)

-- Logs ----------------------------------------------------------------------------

local function writeto(log, text, ...)
  if type(log) == "function" then
    log(text, ...)
  else
    log:write(text, "\n")
  end
end

local function quoted(text)
  return (text or "-"):gsub('[%c"\\\127-\255]', function(c)
    return ("\\x%02x"):format(c:byte())
  end)
end

-- One line in the "combined" format of other servers. There is no request
-- where its head was refused.
local function logline(req, status, bytes, host)
  local line, referer, agent = "-", nil, nil
  if req then
    local headers = req.headers
    line = ("%s %s HTTP/%s"):format(quoted(req.method), quoted(req.target), req.version)
    referer, agent = headers["referer"], headers["user-agent"]
  end
  return ('%s - - [%s] "%s" %d %d "%s" "%s"'):format(host or "-",
    os.date("%d/%b/%Y:%H:%M:%S %z"), line, status, bytes, quoted(referer), quoted(agent))
end

-- A log that fails must not end the connection.
local function logged(self, req, status, bytes, host)
  local ok, err = core.pcall(writeto, self.log, logline(req, status, bytes, host), req,
    status, bytes)
  if not ok then core.report(tostring(self) .. ": log", err) end
end

local function complainof(self, context, err, traceback)
  local log = self.error_log
  if log == false then return end
  if log == nil then return core.report(context, err, traceback) end
  local ok, text = core.pcall(tostring, err)
  text = ("%s: %s"):format(context, ok and text or type(err))
  if traceback then text = text .. "\n" .. traceback end
  local why
  ok, why = core.pcall(writeto, log, text)
  if not ok then core.report(tostring(self) .. ": error_log", why) end
end

-- Connections ------------------------------------------------------------------------

-- Is the error what a read or write returned, handed on by assert or error? Then
-- it is the client's, and nothing to complain of.
local function ispassedon(err, message)
  return message ~= nil and type(err) == "string" and err:sub(-#message) == message
end

-- The handler failed, or could not go on.
local function failed(self, conn, err, traceback)
  local status, message = conn:failure()
  if not ispassedon(err, message) then
    complainof(self, tostring(self), err, traceback)
  end
  return conn:serve(self.handle, status or 500)
end

-- Serves the requests of a connection, in its own greenlet.
function Server:_serve(sock, host, port)
  local conn <close> = core.http_conn(sock, self._settings, host, port, self.scheme)
  local handle = self.handle
  self._active[core.getcurrent()] = conn
  local what, a, b, c = conn:serve(handle)
  local hasfailed = false
  while what do
    if what == "log" then
      if a then discard(a) end
      if self.log then logged(self, a, b, c, host) end
      what, a, b, c = conn:serve(handle)
    else
      hasfailed = true
      what, a, b, c = failed(self, conn, a, b)
    end
  end
  local other = upgraded[sock]
  if other then other:_handled(hasfailed) end
end

local function connections(self)
  local list = {}
  for _, conn in pairs(self._active) do -- or a socket that has not got so far
    if core.ishttpconn(conn) then list[#list + 1] = conn end
  end
  return list
end

-- Closes what waits for a request; a new connection only where `new` is true.
local function closeidle(self, new)
  for _, conn in ipairs(connections(self)) do
    local idle, first = conn:idle()
    if idle and (new or not first) then conn:stream():close() end
  end
end

-- New ones, and those that are still in their handshake when the server stops.
local function closelater(self)
  while true do
    core.sleep(FIRST_REQUEST)
    closeidle(self, true)
  end
end

-- For `<close>`: a list of one greenlet.
local Killed = {__close = function(list) list[1]:kill(nil, false) end}

-- For `stop`, which has stopped accepting and will wait until the requests under
-- way are answered: closes idle connections. Where a connection has not had a
-- request yet, the first one is probably on its way: a moment is left for it.
function Server:_leave()
  self.stopping = true
  self._settings:stop()
  closeidle(self)
  for _, conn in ipairs(connections(self)) do
    local other = upgraded[conn:stream()]
    if other then other:_stop() end
  end
  return setmetatable({core.spawn(closelater, self)}, Killed)
end

misuse.methods(Server, "_active")

-- Making --------------------------------------------------------------------------------

-- `compress`: true, or a table.
local function compression(opts, all)
  local how = opts.compress
  if not how then return end
  if how == true then how = {} end
  if type(how) ~= "table" then
    misuse.bad(3, "http.Server", "compress: " .. misuse.expected("table or boolean", how))
  end
  all.compress_level = how.level or COMPRESS_LEVEL
  all.compress_min = how.min or COMPRESS_MIN
end

local function settings(opts)
  local all = {max_requests = opts.max_requests, log = opts.log and true}
  compression(opts, all)
  for name, default in pairs(DEFAULTS) do
    if opts[name] == nil then all[name] = default else all[name] = opts[name] end
  end
  if all.keepalive_timeout == 0 then -- no time for a second one
    all.keepalive_timeout, all.max_requests = false, 1
  end
  return core.http_settings(all, writeparts)
end

local function checklog(opts, name)
  local log = opts[name]
  if log and log ~= true and type(log) ~= "function" and type(log) ~= "table"
    and type(log) ~= "userdata" then
    misuse.bad(3, "http.Server", ("%s: function, stream or boolean expected, got %s")
      :format(name, type(log)))
  end
end

--- Makes a server.
-- @param listener as StreamServer's: "host:port", ":port", a port,
-- "unix:/path", a listening socket
-- @tparam function handle `handle(req, res)`
-- @tparam[opt] table opts StreamServer's, and max_request_line,
-- max_header_bytes, max_headers, max_body_bytes, header_timeout, body_timeout,
-- keepalive_timeout, write_timeout, max_requests, compress, log, error_log
function Server.new(class, listener, handle, opts)
  opts = misuse.ours(3, class.__name, opts, class._options)
  checklog(opts, "log")
  checklog(opts, "error_log")
  local self = StreamServer.new(class, listener, handle, opts)
  self._settings = settings(opts)
  self.scheme = self.ssl_context and "https" or "http"
  self.log = opts.log or nil
  self.stopping = false
  if self.log == true then self.log = io.stderr end
  if self.error_log == true then self.error_log = io.stderr end
  return self
end

return {Server = Server}
