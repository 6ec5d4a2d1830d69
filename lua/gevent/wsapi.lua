--- A server for WSAPI applications, as Orbit's: what gevent.pywsgi is to WSGI.
-- See `docs/wsapi.md`.
-- @module gevent.wsapi
local core = require "gevent._core"
local misuse = require "gevent._misuse"
local gco = require "gevent.coroutine"
local http = require "gevent.http"
local base = require "gevent.server"

local SOFTWARE = "gevent"

-- The environment -------------------------------------------------------------------------

-- What the body is read from. `length` is its size in bytes.
local Input = {}
Input.__index = Input

-- Reads up to n bytes of the body, or all that is left of it.
-- -> data; nil at the end; or nil, message, code
function Input:read(n)
  if n == nil then
    local data, message, code = self._source:read("a")
    if data == "" then return nil end
    return data, message, code
  end
  local data, message, code = self._source:read(n)
  if not data and code == "closed" then return nil end
  return data, message, code
end

-- A body whose length nobody told: it was read to know it.
local Buffered = {}
Buffered.__index = Buffered

function Buffered:read(n)
  if n == "a" then n = math.huge end
  if self.at > #self.text then return n == 0 and "" or nil, "closed", "closed" end
  local data = self.text:sub(self.at, math.tointeger(math.min(self.at + n - 1, #self.text)))
  self.at = self.at + #data
  return data
end

-- Where the application's complaints go.
local Errors = {}
Errors.__index = Errors

function Errors:write(...)
  local log = self._log
  if log == false then return self end
  local text = table.concat({...})
  if type(log) == "function" then log(text) else (log or io.stderr):write(text) end
  return self
end

local undefined = {__index = function() return "" end}

-- HTTP_* of the request. Names that another header could be mistaken for are left
-- out, and that which CGI programs take for their own proxy.
local function addheaders(env, headers)
  for name, value in headers:each() do
    local key = name:upper()
    if not key:find("_", 1, true) and key ~= "PROXY" then
      key = "HTTP_" .. key:gsub("-", "_")
      env[key] = env[key] and env[key] .. (key == "HTTP_COOKIE" and "; " or ", ") .. value
        or value
    end
  end
  env.CONTENT_TYPE, env.HTTP_CONTENT_TYPE = env.HTTP_CONTENT_TYPE, nil
  env.CONTENT_LENGTH, env.HTTP_CONTENT_LENGTH = env.HTTP_CONTENT_LENGTH, nil
  env.HTTP_TRANSFER_ENCODING = nil
end

-- The path below the application's; nil: it is not there.
local function pathinfo(path, prefix)
  if prefix == "" then return path end
  if path:sub(1, #prefix) ~= prefix then return nil end
  local rest = path:sub(#prefix + 1)
  if rest ~= "" and rest:sub(1, 1) ~= "/" then return nil end
  return rest
end

-- The environment of a request; nil where its body cannot be had.
local function newenv(self, req, path)
  local host, port = (req.host or ""):match("^(.-):?(%d*)$")
  local secure = req.scheme == "https"
  local env = {
    REQUEST_METHOD = req.method, REQUEST_URI = req.target,
    SCRIPT_NAME = self.script_name, PATH_INFO = path == "" and "/" or path,
    QUERY_STRING = req.query or "",
    SERVER_NAME = host ~= "" and host or self.host or "",
    SERVER_PORT = tostring(port ~= "" and port or self.port or ""),
    SERVER_PROTOCOL = "HTTP/" .. req.version, SERVER_SOFTWARE = SOFTWARE,
    GATEWAY_INTERFACE = "CGI/1.1", REQUEST_SCHEME = req.scheme,
    HTTPS = secure and "on" or nil,
    REMOTE_ADDR = req.remote_host or "", REMOTE_HOST = req.remote_host or "",
    REMOTE_PORT = tostring(req.remote_port or ""),
    PATH_TRANSLATED = self.app_path .. path, APP_PATH = self.app_path,
    SCRIPT_FILENAME = self.app_path, DOCUMENT_ROOT = self.app_path,
    error = setmetatable({_log = self.error_log}, Errors),
  }
  addheaders(env, req.headers)
  local source = req
  if req.headers["transfer-encoding"] then
    local body = req:body()
    if not body then return nil end
    env.CONTENT_LENGTH = tostring(#body)
    source = setmetatable({text = body, at = 1}, Buffered)
  end
  env.input = setmetatable({
    length = tonumber(env.CONTENT_LENGTH) or 0, _source = source,
  }, Input)
  for name, value in pairs(self.env) do env[name] = value end
  return setmetatable(env, undefined)
end

-- The application --------------------------------------------------------------------------

-- What runs: a function, or what a module of WSAPI is.
local function runnable(app)
  if type(app) == "string" then app = require(app) end
  if type(app) == "table" and type(app.run) == "function" then
    local run = app.run
    return run
  end
  if type(app) == "function" or (getmetatable(app) or {}).__call then return app end
  return nil
end

-- error({status, message}) is an answer.
local function isanswer(err)
  return type(err) == "table" and math.type(err[1]) == "integer"
    and err[1] >= 200 and err[1] <= 599
end

local function traced(err)
  if type(err) == "string" then return debug.traceback(err, 2) end
  return err
end

-- status, headers, body
local function answered(ok, status, headers, body)
  if ok then return status, headers, body end
  local err = status
  if not isanswer(err) then error(err, 0) end
  return err[1], {["Content-Type"] = "text/plain; charset=utf-8"}, tostring(err[2] or "")
end

local function parsestatus(status)
  if type(status) == "string" then
    local number, reason = status:match("^%s*(%d%d%d)%s*(.-)%s*$")
    return math.tointeger(number), reason ~= "" and reason or nil
  end
  return math.tointeger(status)
end

-- The coroutine of a generator that `wrap` has made, stock or ours. We resume it
-- ourselves: then it may block, whichever it is.
local function coroutineof(body)
  if type(body) ~= "function" or debug.getinfo(body, "S").what ~= "C" then return nil end
  for i = 1, 2 do
    local _, value = debug.getupvalue(body, i)
    if type(value) == "thread" then return value end
  end
end

local function step(co, ok, ...)
  if not ok then
    local err = ...
    error(type(err) == "string" and debug.traceback(co, err) or err, 0)
  end
  if gco.status(co) == "dead" and select("#", ...) == 0 then return nil end
  return ...
end

-- An iterator over the parts of a body, and what to close after it.
local function iterate(body)
  local co = coroutineof(body)
  if not co then return body, nil end
  return function()
    if gco.status(co) == "dead" then return nil end
    return step(co, gco.resume(co))
  end, setmetatable({}, {__close = function()
    gco.close(co) -- also after an error: its own variables wait to be closed
  end})
end

local function writeparts(res, body)
  local parts, closer = iterate(body)
  local _closer <close> = closer
  for part in parts do
    part = tostring(part)
    if part ~= "" and not res:write(part) then return end -- the client is gone
  end
  res:finish()
end

-- Of the handler: takes over what the application says of its answer.
local function begin(res, status, reason, headers)
  res.status = status
  if reason then res.reason = reason end
  for name, value in pairs(headers or {}) do
    if type(value) ~= "table" then value = {value} end
    for _, one in ipairs(value) do res.headers:add(name, tostring(one)) end
  end
end

local function serve(self, req, res)
  local path = pathinfo(req.path, self.script_name)
  if not path then return 404, nil, "Not Found\n" end
  local env = newenv(self, req, path)
  if not env then return end -- the server has answered 4xx
  local given, headers, body = answered(core.xpcall(self.app, traced, env))
  local status, reason = parsestatus(given)
  if not status or status < 200 or status > 599 then
    error("bad status from the application: " .. tostring(given), 0)
  end
  env.STATUS = status
  begin(res, status, reason, headers)
  if body == nil then return res:finish() end
  if type(body) == "string" then return res:finish(body) end
  return writeparts(res, body)
end

-- The server -------------------------------------------------------------------------------

local function checkstring(opts, name, default)
  local value = opts[name]
  if value ~= nil and type(value) ~= "string" then
    misuse.bad(3, "wsapi.Server", name .. ": " .. misuse.expected("string", value))
  end
  return value or default
end

--- A server for one WSAPI application; an HTTP server.
-- @type Server
local Server = base.subclass("wsapi.Server", http.Server)
Server._options = misuse.names("script_name app_path env", http.Server._options)

--- Makes a server.
-- @function Server
-- @param listener as StreamServer's
-- @param app the application: `app(wsapi_env)` -> status, headers, iterator; or a
-- table with such a function as `run`; or the name of a module that is one
-- @tparam[opt] table opts the HTTP server's, and `script_name` (path that the
-- application lives at, ""), `app_path` (directory, "."), `env` (table of further
-- variables)
-- @treturn Server

function Server.new(class, listener, app, opts)
  opts = misuse.ours(3, class.__name, opts, class._options)
  local run = runnable(app)
  if not run then
    misuse.bad(2, class.__name, misuse.expected("WSAPI application", app))
  end
  local self
  self = http.Server.new(class, listener, function(req, res)
    return serve(self, req, res)
  end, opts)
  self.app = run
  self.script_name = checkstring(opts, "script_name", ""):gsub("/+$", "")
  self.app_path = checkstring(opts, "app_path", ".")
  self.env = opts.env or {}
  return self
end

return {Server = Server}
