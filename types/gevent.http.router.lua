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

---Adds a route. The first of several with the same method and pattern counts.
---`get`, `head`, `post`, `put`, `patch`, `delete`, `options` and `any` are the same for
---one method: `router:get(pattern, handler)`.
---@param method string in any case; "ANY": all that have no route of their own
---@param pattern string
---@param handler function as a server's
---@return any # the router
function M.route(method, pattern, handler) end

---Adds a function around all handlers, `404` and the like included; the first one
---is the outermost.
---@param middleware function `middleware(req, res, next)`; it calls `next(req, res)` and returns its results, or answers by itself
---@return any # the router
function M.use(middleware) end

---Puts another router, or any handler, under a prefix. A router's patterns then
---begin with the prefix, and its middleware is around its own handlers only. A
---handler gets all methods and paths under the prefix; its `req.path` is what is
---left of the path.
---@param prefix string
---@param other any|function
---@return any # the router
function M.mount(prefix, other) end

---Sets what answers where there is no route; a plain 404 unless told.
---@param handler function
---@return any # the router
function M.not_found(handler) end

return M
