--- Which handler answers a request, by its method and path.
--
--     local app = http.Router()
--     app:get("/users/:id", function(req, res) return req.params.id end)
--     http.Server(":8080", app):serve_forever()
--
-- A pattern is a path of segments. `:name` stands for one segment that is not
-- empty, `*name` at the end for all that follows, maybe nothing; anything else for
-- itself. Segments are cut at the slashes of the path as it was sent, and then
-- decoded, so that `%2F` in a parameter is a slash there. Plain segments win over
-- `:name`, that wins over `*name`. `/a` and `/a/` are two paths.
-- @module gevent.http.router
local form = require "gevent.http.form"
local misuse = require "gevent._misuse"

local find, sub = string.find, string.sub

local METHODS = {"get", "head", "post", "put", "patch", "delete", "options", "any"}
local ANY = "ANY"

--- A router: a handler, made by `http.Router()`.
-- @type Router
local Router = {__name = "http.Router"}
Router.__index = Router

local function check(n, name, what, ok, value)
  if not ok then
    misuse.bad(n, name, misuse.expected(what, value))
  end
end

local function iscallable(value)
  return type(value) == "function" or (getmetatable(value) or {}).__call ~= nil
end

-- The tree ---------------------------------------------------------------------------
-- A node stands for the segments that lead to it: `plain` nodes by segment, one
-- `param` node, one `tail` leaf. A leaf: method -> route, {handler, names}.

local function segments(pattern)
  local list = {}
  for segment in pattern:sub(2):gmatch("([^/]*)") do list[#list + 1] = segment end
  return list
end

local function child(node, key, value)
  node[key] = node[key] or value
  return node[key]
end

-- The leaf of a pattern, made if need be; and the names of its parameters.
local function leafof(root, pattern)
  local node, names, list = root, {}, segments(pattern)
  for i, segment in ipairs(list) do
    local kind, name = segment:match("^([:*])(.*)$")
    if kind and not name:find("^[%a_][%w_]*$") then
      error(("bad pattern '%s' (a name expected after '%s')"):format(pattern, kind), 0)
    end
    if kind then names[#names + 1] = name end
    if kind == "*" then
      if i < #list then
        error(("bad pattern '%s' ('*%s' is not at the end)"):format(pattern, name), 0)
      end
      return child(node, "tail", {}), names
    elseif kind == ":" then
      node = child(node, "param", {})
    else
      node = child(child(node, "plain", {}), form.unescape(segment), {})
    end
  end
  return child(node, "leaf", {}), names
end

-- The text as a name: `unescape` is false where the path has no escapes.
local function named(text, unescape)
  return unescape and unescape(text) or text
end

-- The first thing that pick(leaf, what) finds in the leaves that fit the path from
-- `at` on, the most special first. `values` gets the values of parameters, and has
-- the function that undoes escapes, or false.
local function search(node, path, at, values, count, pick, what)
  local slash, unescape = find(path, "/", at, true), values.unescape
  local segment = named(sub(path, at, (slash or 0) - 1), unescape)
  local plain, param, found = node.plain, node.param, nil
  plain = plain and plain[segment]
  if plain then
    if slash then
      found = search(plain, path, slash + 1, values, count, pick, what)
    else
      found = plain.leaf and pick(plain.leaf, what)
    end
  end
  if not found and param and segment ~= "" then
    values[count + 1] = segment
    if slash then
      found = search(param, path, slash + 1, values, count + 1, pick, what)
    else
      found = param.leaf and pick(param.leaf, what)
    end
  end
  if not found and node.tail then
    values[count + 1] = named(sub(path, at), unescape)
    found = pick(node.tail, what)
  end
  return found
end

-- HEAD is answered by GET's handler; the server leaves out the body.
local function routeof(leaf, method)
  return leaf[method] or method == "HEAD" and leaf.GET or leaf[ANY]
end

-- Finds nothing, but notes all methods of the leaves.
local function collect(leaf, methods)
  for method in pairs(leaf) do methods[method] = true end
end

-- Building ---------------------------------------------------------------------------

-- The handler with the functions of the list around it, the first outermost.
local function wrap(list, handler)
  for i = #list, 1, -1 do
    local outer, inner = list[i], handler
    handler = function(req, res) return outer(req, res, inner) end
  end
  return handler
end

-- A handler under a prefix sees what is left of the path.
local function shifted(handler)
  return function(req, res)
    req.path = "/" .. req.params._tail
    return handler(req, res)
  end
end

local function join(prefix, pattern)
  return pattern == "/" and prefix ~= "" and prefix or prefix .. pattern
end

-- Adds the routes of a router, and of those below it, to the tree.
local function addroutes(tree, router, prefix, around)
  for _, entry in ipairs(router._entries) do
    local pattern = join(prefix, entry.pattern)
    if entry.router then
      local inner = table.move(entry.router._middleware, 1, #entry.router._middleware,
        #around + 1, {table.unpack(around)})
      addroutes(tree, entry.router, pattern == "/" and "" or pattern, inner)
    else
      local leaf, names = leafof(tree.root, pattern)
      leaf[entry.method] = leaf[entry.method]
        or {handler = wrap(around, entry.handler), names = names}
      if #names == 0 then tree.static[pattern] = leaf end
    end
  end
end

local function allow(methods)
  local list = {}
  if methods.GET then methods.HEAD = true end
  methods.OPTIONS = true
  for method in pairs(methods) do list[#list + 1] = method end
  table.sort(list)
  return table.concat(list, ", ")
end

-- No route has this method: 404, or 405 with those there are, or OPTIONS.
local function unrouted(self, req, res, root, path)
  local methods = {}
  search(root, path, 2, {unescape = form.unescape}, 0, collect, methods)
  if next(methods) == nil then
    if self._not_found then return self._not_found(req, res) end
    return 404, nil, "Not Found\n"
  end
  if req.method == "OPTIONS" then return 204, {Allow = allow(methods)} end
  return 405, {Allow = allow(methods)}, "Method Not Allowed\n"
end

-- "." and ".." are for the client to resolve. A route that took them for names
-- might do more harm than refusing them does.
local function hasdots(path)
  if find(path, "%", 1, true) then path = form.unescape(path) end
  return find(path, "/.", 1, true) and find(path .. "/", "/%.%.?/") ~= nil
end

local function dispatcher(self, tree)
  local static, root = tree.static, tree.root
  return function(req, res)
    local path, method = req.raw_path, req.method
    local leaf = static[path]
    local route = leaf and routeof(leaf, method)
    if route then return route.handler(req, res) end
    if hasdots(path) then return 400, nil, "Bad Request\n" end
    if path:byte() ~= 47 then path = "/" .. path end -- "*"
    local values = {unescape = find(path, "%", 1, true) and form.unescape}
    route = search(root, path, 2, values, 0, routeof, method)
    if not route then return unrouted(self, req, res, root, path) end
    local params, names = {}, route.names
    for i = 1, #names do params[names[i]] = values[i] end
    req.params = params
    return route.handler(req, res)
  end
end

local function build(self)
  local tree = {root = {}, static = {}}
  addroutes(tree, self, "", {})
  self._dispatch = wrap(self._middleware, dispatcher(self, tree))
  return self._dispatch
end

-- Something was added: those that this router is mounted in are to be built anew.
local function changed(self)
  self._dispatch = nil
  for parent in pairs(self._parents) do changed(parent) end
end

local function checkpattern(name, pattern)
  check(1, name, "path", type(pattern) == "string", pattern)
  if pattern:sub(1, 1) ~= "/" then
    misuse.bad(1, name, "a path begins with '/', got '" .. pattern .. "'")
  end
  local ok, message = pcall(leafof, {}, pattern)
  if not ok then misuse.raise(message) end
end

-- The class --------------------------------------------------------------------------

--- Adds a route. The first of several with the same method and pattern counts.
-- `get`, `head`, `post`, `put`, `patch`, `delete`, `options` and `any` are the same for
-- one method: `router:get(pattern, handler)`.
-- @tparam string method in any case; "ANY": all that have no route of their own
-- @tparam string pattern
-- @tparam function handler as a server's
-- @treturn Router
function Router:route(method, pattern, handler)
  check(1, "route", "string", type(method) == "string", method)
  checkpattern("route", pattern)
  check(3, "route", "function", iscallable(handler), handler)
  table.insert(self._entries, {method = method:upper(), pattern = pattern,
    handler = handler})
  changed(self)
  return self
end

--- A route for GET.
-- @function Router:get
-- @tparam string pattern
-- @tparam function handler
-- @treturn Router

--- A route for HEAD.
-- @function Router:head
-- @tparam string pattern
-- @tparam function handler
-- @treturn Router

--- A route for POST.
-- @function Router:post
-- @tparam string pattern
-- @tparam function handler
-- @treturn Router

--- A route for PUT.
-- @function Router:put
-- @tparam string pattern
-- @tparam function handler
-- @treturn Router

--- A route for PATCH.
-- @function Router:patch
-- @tparam string pattern
-- @tparam function handler
-- @treturn Router

--- A route for DELETE.
-- @function Router:delete
-- @tparam string pattern
-- @tparam function handler
-- @treturn Router

--- A route for OPTIONS.
-- @function Router:options
-- @tparam string pattern
-- @tparam function handler
-- @treturn Router

--- A route for all methods that have no route of their own.
-- @function Router:any
-- @tparam string pattern
-- @tparam function handler
-- @treturn Router

for _, method in ipairs(METHODS) do
  Router[method] = function(self, pattern, handler)
    checkpattern(method, pattern)
    check(2, method, "function", iscallable(handler), handler)
    return self:route(method, pattern, handler)
  end
end

--- Adds a function around all handlers, `404` and the like included; the first one
-- is the outermost.
-- @tparam function middleware `middleware(req, res, next)`; it calls `next(req, res)`
-- and returns its results, or answers by itself
-- @treturn Router
function Router:use(middleware)
  check(1, "use", "function", iscallable(middleware), middleware)
  table.insert(self._middleware, middleware)
  changed(self)
  return self
end

local function ismountedin(inner, outer)
  if rawequal(inner, outer) then return true end
  for parent in pairs(outer._parents) do
    if ismountedin(inner, parent) then return true end
  end
  return false
end

--- Puts another router, or any handler, under a prefix. A router's patterns then
-- begin with the prefix, and its middleware is around its own handlers only. A
-- handler gets all methods and paths under the prefix; its `req.path` is what is
-- left of the path.
-- @tparam string prefix
-- @tparam Router|function other
-- @treturn Router
function Router:mount(prefix, other)
  checkpattern("mount", prefix)
  prefix = prefix:gsub("/+$", "")
  if getmetatable(other) == Router then
    if ismountedin(other, self) then
      misuse.bad(2, "mount", "the router would be inside itself")
    end
    table.insert(self._entries, {pattern = prefix, router = other})
    other._parents[self] = true
    changed(self)
    return self
  end
  check(2, "mount", "router or function", iscallable(other), other)
  return self:any(prefix .. "/*_tail", shifted(other))
end

--- Sets what answers where there is no route; a plain 404 unless told.
-- @tparam function handler
-- @treturn Router
function Router:not_found(handler)
  check(1, "not_found", "function", iscallable(handler), handler)
  self._not_found = handler
  return self
end

misuse.methods(Router, "_entries")

function Router:__call(req, res)
  return (self._dispatch or build(self))(req, res)
end

function Router:__tostring()
  return ("<http.Router at %p: %d routes>"):format(self, #self._entries)
end

return function()
  return setmetatable({_entries = {}, _middleware = {},
    _parents = setmetatable({}, {__mode = "k"})}, Router)
end
