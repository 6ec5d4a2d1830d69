---@meta gevent.wsapi
-- Made by `make types` from lua/gevent/wsapi.lua: change that.

---A server for WSAPI applications, as Orbit's: what gevent.pywsgi is to WSGI.
---See `docs/wsapi.md`.
---@class gevent.wsapi
local M = {}

---Reads up to n bytes of the body, or all that is left of it.
---@return any # data; nil at the end; or nil, message, code
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.read() end

---A server for one WSAPI application; an HTTP server.
---@class gevent.wsapi.Server
local Server = {}

---Makes a server.
---@param listener any as StreamServer's
---@param app any the application: `app(wsapi_env)` -> status, headers, iterator; or a table with such a function as `run`; or the name of a module that is one
---@param opts? table the HTTP server's, and `script_name` (path that the application lives at, ""), `app_path` (directory, "."), `env` (table of further variables)
function Server.new(listener, app, opts) end

---@type gevent.wsapi.Server|fun(...): gevent.wsapi.Server
M.Server = nil

return M
