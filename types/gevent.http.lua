---@meta gevent.http
-- Made by `make types` from lua/gevent/http/init.lua: change that.

---HTTP/1.1: a server for handlers that are plain functions, and a client.
---See `docs/http.md` and `docs/http-client.md`.
---@class gevent.http
local M = {}

---Sends a request and reads its answer. All options are told in
---`docs/http-client.md`.
---@param opts table `url`; `method`, `headers`, `body` (string or iterator), `form`, `multipart`, `query`; `timeout`, `connect_timeout`, `read_timeout` (seconds); `redirects`, `allow_downgrade`; `stream`, `max_body_bytes`, `max_header_bytes`, `max_headers`, `decompress`; `ssl_context`, `proxy`, `unix`, `cookies`
---@return gevent.http.answer.Response?
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.request(opts) end

---The same by GET.
---@param url string
---@param opts? table as for `request`
---@return gevent.http.answer.Response?
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.get(url, opts) end

---The same by POST.
---@param url string
---@param body any string or iterator
---@param opts? table as for `request`
---@return gevent.http.answer.Response?
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.post(url, body, opts) end

---Makes a client: `request`, `get` and `post` as methods, over connections that
---are kept; `close`, also as `<close>`.
---@param opts? table defaults of its requests, and `max_connections` (100), `max_per_host` (32), `idle_timeout` (60 seconds)
---@return gevent.http.Client
function M.Client(opts) end

---Makes a store for cookies; see `gevent.http.cookies`.
---@return gevent.http.cookies.CookieJar
function M.CookieJar() end

---Makes a server for HTTP/1.1, a `gevent.server.StreamServer`.
---@param listener any "host:port", ":port", a port, "unix:/path", a listening socket
---@param handler function `handler(req, res)`, or what can be called: a Router
---@param opts? table StreamServer's, and limits: see `docs/http.md`
---@return gevent.server.StreamServer
function M.Server(listener, handler, opts) end

---Makes a router; see `gevent.http.router`.
---@return gevent.http.router.Router
function M.Router() end

---Makes headers: names in any case, several values for one name.
---@param fields? table name -> value or list of values
---@return gevent.http.Headers
function M.Headers(fields) end

---Makes a handler that serves a directory.
---@param root string
---@param opts? table `index` (a name or false), `hidden`, `max_age` (seconds)
---@return function
function M.files(root, opts) end

---A client; its answers and failures are those of the module's functions.
---@class gevent.http.Client
local Client = {}

---Sends a request and reads its answer.
---@param opts table
---@return gevent.http.answer.Response?
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function Client:request(opts) end

---The same by GET.
---@param url string
---@param opts? table
---@return gevent.http.answer.Response?
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function Client:get(url, opts) end

---The same by POST.
---@param url string
---@param body any string or iterator
---@param opts? table
---@return gevent.http.answer.Response?
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function Client:post(url, body, opts) end

---Closes the connections that are idle; those in use when they are done.
function Client:close() end

return M
