---@meta gevent.wsapi
-- Made by `make types` from lua/gevent/wsapi.lua: change that.

---A server for WSAPI applications, as Orbit's: what gevent.pywsgi is to WSGI.
---See `docs/wsapi.md`.
---@class gevent.wsapi
local M = {}

---A server for one WSAPI application; an HTTP server.
---@class gevent.wsapi.Server
local Server = {}

---Makes a server.
---@param listener any as StreamServer's
---@param app any the application: `app(wsapi_env)` -> status, headers, iterator; or a table with such a function as `run`; or the name of a module that is one
---@param opts? table the HTTP server's, and `script_name` (path that the application lives at, ""), `app_path` (directory, "."), `env` (table of further variables)
---@return gevent.wsapi.Server
function M.Server(listener, app, opts) end

return M
