--- HTTP/1.1: a server for handlers that are plain functions.
-- See `docs/http.md`.
-- @module gevent.http
local core = require "gevent._core"
local file = require "gevent.http.file"
local router = require "gevent.http.router"
local server = require "gevent.http.server"

return {
  Server = server.Server,
  Headers = core.http_headers,
  Router = router,
  files = file.files,
}
