--- HTTP/1.1: a server for handlers that are plain functions, and a client.
-- See `docs/http.md` and `docs/http-client.md`.
-- @module gevent.http
local core = require "gevent._core"
local client = require "gevent.http.client"
local cookies = require "gevent.http.cookies"
local server = require "gevent.http.server"

return {
  Client = client.Client,
  CookieJar = cookies.CookieJar,
  Headers = core.http_headers,
  Server = server.Server,
  get = client.get,
  post = client.post,
  request = client.request,
}
