--- HTTP/1.1: a server for handlers that are plain functions, and a client.
-- See `docs/http.md` and `docs/http-client.md`.
-- @module gevent.http
local core = require "gevent._core"
local client = require "gevent.http.client"
local cookies = require "gevent.http.cookies"
local file = require "gevent.http.file"
local router = require "gevent.http.router"
local server = require "gevent.http.server"

--- Sends a request and reads its answer. All options are told in
-- `docs/http-client.md`.
-- @function request
-- @tparam table opts `url`; `method`, `headers`, `body` (string or iterator),
-- `form`, `multipart`, `query`; `timeout`, `connect_timeout`, `read_timeout`
-- (seconds); `redirects`, `allow_downgrade`; `stream`, `max_body_bytes`,
-- `max_header_bytes`, `max_headers`, `decompress`; `ssl_context`, `proxy`,
-- `unix`, `cookies`
-- @treturn[1] gevent.http.Response
-- @return[2] nil, message, code: "timeout", "closed", "truncated",
-- "malformed", "toolarge", "redirect", "proxy", or that of a connection

--- The same by GET.
-- @function get
-- @tparam string url
-- @tparam[opt] table opts as for `request`
-- @treturn[1] gevent.http.Response
-- @return[2] nil, message, code

--- The same by POST.
-- @function post
-- @tparam string url
-- @param body string or iterator
-- @tparam[opt] table opts as for `request`
-- @treturn[1] gevent.http.Response
-- @return[2] nil, message, code

--- Makes a client: `request`, `get` and `post` as methods, over connections that
-- are kept; `close`, also as `<close>`.
-- @function Client
-- @tparam[opt] table opts defaults of its requests, and `max_connections` (100),
-- `max_per_host` (32), `idle_timeout` (60 seconds)
-- @treturn Client

--- Makes a store for cookies; see `gevent.http.cookies`.
-- @function CookieJar
-- @treturn CookieJar

--- Makes a server for HTTP/1.1, a `gevent.server.StreamServer`.
-- @function Server
-- @param listener "host:port", ":port", a port, "unix:/path", a listening socket
-- @tparam function handler `handler(req, res)`, or what can be called: a Router
-- @tparam[opt] table opts StreamServer's, and limits: see `docs/http.md`
-- @treturn StreamServer

--- Makes a router; see `gevent.http.router`.
-- @function Router
-- @treturn Router

--- Makes headers: names in any case, several values for one name.
-- @function Headers
-- @tparam[opt] table fields name -> value or list of values
-- @treturn Headers

--- Makes a handler that serves a directory.
-- @function files
-- @tparam string root
-- @tparam[opt] table opts `index` (a name or false), `hidden`, `max_age` (seconds)
-- @treturn function

--- A client; its answers and failures are those of the module's functions.
-- @type Client

--- Sends a request and reads its answer.
-- @function Client:request
-- @tparam table opts
-- @treturn[1] gevent.http.Response
-- @return[2] nil, message, code

--- The same by GET.
-- @function Client:get
-- @tparam string url
-- @tparam[opt] table opts
-- @treturn[1] gevent.http.Response
-- @return[2] nil, message, code

--- The same by POST.
-- @function Client:post
-- @tparam string url
-- @param body string or iterator
-- @tparam[opt] table opts
-- @treturn[1] gevent.http.Response
-- @return[2] nil, message, code

--- Closes the connections that are idle; those in use when they are done.
-- @function Client:close

return {
  Client = client.Client,
  CookieJar = cookies.CookieJar,
  Headers = core.http_headers,
  Router = router,
  Server = server.Server,
  files = file.files,
  get = client.get,
  post = client.post,
  request = client.request,
}
