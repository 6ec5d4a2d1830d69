---@meta gevent.http.router
-- Made by `make types` from lua/gevent/http/router.lua: change that.

---Which handler answers a request, by its method and path.
---
---    local app = http.Router()
---    app:get("/users/:id", function(req, res) return req.params.id end)
---    http.Server(":8080", app):serve_forever()
---
---A pattern is a path of segments. `:name` stands for one segment that is not
---empty, `*name` at the end for all that follows, maybe nothing; anything else for
---itself. Segments are cut at the slashes of the path as it was sent, and then
---decoded, so that `%2F` in a parameter is a slash there. Plain segments win over
---`:name`, that wins over `*name`. `/a` and `/a/` are two paths.
---@class gevent.http.router
local M = {}

---A router: a handler, made by `http.Router()`.
---@class gevent.http.router.Router
local Router = {}

---Adds a route. The first of several with the same method and pattern counts.
---`get`, `head`, `post`, `put`, `patch`, `delete`, `options` and `any` are the same for
---one method: `router:get(pattern, handler)`.
---@param method string in any case; "ANY": all that have no route of their own
---@param pattern string
---@param handler function as a server's
---@return gevent.http.router.Router
function Router:route(method, pattern, handler) end

---A route for GET.
---@param pattern string
---@param handler function
---@return gevent.http.router.Router
function Router:get(pattern, handler) end

---A route for HEAD.
---@param pattern string
---@param handler function
---@return gevent.http.router.Router
function Router:head(pattern, handler) end

---A route for POST.
---@param pattern string
---@param handler function
---@return gevent.http.router.Router
function Router:post(pattern, handler) end

---A route for PUT.
---@param pattern string
---@param handler function
---@return gevent.http.router.Router
function Router:put(pattern, handler) end

---A route for PATCH.
---@param pattern string
---@param handler function
---@return gevent.http.router.Router
function Router:patch(pattern, handler) end

---A route for DELETE.
---@param pattern string
---@param handler function
---@return gevent.http.router.Router
function Router:delete(pattern, handler) end

---A route for OPTIONS.
---@param pattern string
---@param handler function
---@return gevent.http.router.Router
function Router:options(pattern, handler) end

---A route for all methods that have no route of their own.
---@param pattern string
---@param handler function
---@return gevent.http.router.Router
function Router:any(pattern, handler) end

---Adds a function around all handlers, `404` and the like included; the first one
---is the outermost.
---@param middleware function `middleware(req, res, next)`; it calls `next(req, res)` and returns its results, or answers by itself
---@return gevent.http.router.Router
function Router:use(middleware) end

---Puts another router, or any handler, under a prefix. A router's patterns then
---begin with the prefix, and its middleware is around its own handlers only. A
---handler gets all methods and paths under the prefix; its `req.path` is what is
---left of the path.
---@param prefix string
---@param other gevent.http.router.Router|function
---@return gevent.http.router.Router
function Router:mount(prefix, other) end

---Sets what answers where there is no route; a plain 404 unless told.
---@param handler function
---@return gevent.http.router.Router
function Router:not_found(handler) end

return M
