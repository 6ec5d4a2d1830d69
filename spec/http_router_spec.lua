-- gevent.http.Router: which handler, with which parameters, and what is said
-- where there is none.

local helper = require "helper"
local http = require "gevent.http"
local web = require "helper_http"
local it = helper.it

--- What the router makes of a request: status and body, or what it returned.
local function ask(app, method, target, head)
  local server <close> = web.serve(app, {error_log = function(text) error(text, 0) end})
  return web.ask(server, method, target, head)
end

local function body(app, target, method)
  return ask(app, method or "GET", target).body
end

--- Handlers that tell their name and parameters.
local function told(name)
  return function(req)
    local list = {}
    for key, value in pairs(req.params) do list[#list + 1] = key .. "=" .. value end
    table.sort(list)
    return name .. "(" .. table.concat(list, ",") .. ")"
  end
end

describe("a router", function()
  local app = http.Router()
  app:get("/", told "root")
  app:get("/users", told "users")
  app:get("/users/", told "users/")
  app:get("/users/me", told "me")
  app:get("/users/:id", told "user")
  app:delete("/users/:name", told "delete")
  app:get("/users/:id/posts/:post", told "post")
  app:get("/users/me/likes", told "likes")
  app:get("/files/*path", told "files")
  app:get("/files/:one/info", told "info")
  app:any("/any/:x", told "any")
  app:post("/any/:x", told "post any")
  app:get("/a b/:e", told "odd")

  local server
  setup(function()
    server = web.serve(app)
    helper.wait_all_blocked() -- it accepts: what it needs is there
  end)
  teardown(function() server:stop() end)

  for target, expected in pairs {
    ["/"] = "root()",
    ["/users"] = "users()",
    ["/users/"] = "users/()",
    ["/users?x=/y"] = "users()",
    ["/users/me"] = "me()",
    ["/users/m%65"] = "me()",
    ["/users/you"] = "user(id=you)",
    ["/users/a%2Fb"] = "user(id=a/b)",
    ["/users/%C3%A9+%25"] = "user(id=é+%)",
    ["/users/:id"] = "user(id=:id)",
    ["/users/1/posts/2"] = "post(id=1,post=2)",
    ["/users/me/posts/2"] = "post(id=me,post=2)",
    ["/users/me/likes"] = "likes()",
    ["/files/"] = "files(path=)",
    ["/files/a/b.txt"] = "files(path=a/b.txt)",
    ["/files/a%2Fb/c"] = "files(path=a/b/c)",
    ["/files/a/info"] = "info(one=a)",
    ["/files//info"] = "files(path=/info)",
    ["/any/1"] = "any(x=1)",
    ["/a%20b/1"] = "odd(e=1)",
  } do
    it("answers " .. target, function()
      assert.equal(expected, web.ask(server, "GET", target).body)
    end)
  end

  it("answers targets in absolute form", function()
    assert.equal("user(id=1)", web.ask(server, "GET", "http://localhost/users/1").body)
    assert.equal("root()", web.ask(server, "GET", "http://localhost").body)
  end)

  for _, target in ipairs {"/nothing", "/users/1/", "/users//posts/1", "/Users", "//",
    "/users/1/posts", "/users/1/posts/2/3", "/files"} do
    it("has nothing for " .. target, function()
      local res = web.ask(server, "GET", target)
      assert.equal(404, res.status)
      assert.equal("Not Found\n", res.body)
    end)
  end

  for _, target in ipairs {"/files/../x", "/files/%2e%2e/x", "/files/..%2fx", "/users/..",
    "/users/.", "/files/a/./b", "/files/%2E"} do
    it("refuses " .. target, function()
      assert.equal(400, web.ask(server, "GET", target).status)
    end)
  end

  it("takes names that only begin with dots", function()
    assert.equal("user(id=...)", web.ask(server, "GET", "/users/...").body)
    assert.equal("user(id=.x)", web.ask(server, "GET", "/users/.x").body)
  end)

  it("chooses by method", function()
    assert.equal("delete(name=7)", web.ask(server, "DELETE", "/users/7").body)
    assert.equal("delete(name=me)", web.ask(server, "DELETE", "/users/me").body)
    assert.equal("post any(x=1)", web.ask(server, "POST", "/any/1").body)
    assert.equal("any(x=1)", web.ask(server, "PUT", "/any/1").body)
  end)

  it("says which methods there are", function()
    local res = web.ask(server, "POST", "/users/1")
    assert.equal(405, res.status)
    assert.equal("DELETE, GET, HEAD, OPTIONS", res.headers.allow)
    res = web.ask(server, "OPTIONS", "/users")
    assert.equal(204, res.status)
    assert.equal("GET, HEAD, OPTIONS", res.headers.allow)
    assert.equal(404, web.ask(server, "OPTIONS", "/nothing").status)
  end)

  it("answers HEAD as GET, without the body", function()
    local res = web.ask(server, "HEAD", "/users/12")
    assert.equal(200, res.status)
    assert.equal("11", res.headers["content-length"])
  end)

  it("has a route for HEAD if it is told", function()
    local one = http.Router()
    one:get("/", function() return "get" end)
    one:head("/", function() return 204 end)
    assert.equal(204, ask(one, "HEAD", "/").status)
  end)

  it("takes the first of two equal routes", function()
    local one = http.Router()
    one:get("/:a", function() return "first" end):get("/:b", function() return "second" end)
    assert.equal("first", body(one, "/x"))
  end)

  it("may be changed while it serves", function()
    local one = http.Router()
    local served <close> = web.serve(one)
    assert.equal(404, web.ask(served, "GET", "/x").status)
    one:get("/x", function() return "x" end)
    assert.equal("x", web.ask(served, "GET", "/x").body)
  end)

  it("has an own answer for what is not found", function()
    local one = http.Router():not_found(function(req) return 404, nil, "no " .. req.path end)
    local res = ask(one, "GET", "/x")
    assert.equal(404, res.status)
    assert.equal("no /x", res.body)
  end)

  it("lets no table be shared by requests", function()
    local one = http.Router()
    one:get("/", function(req)
      local was = req.params.seen
      req.params.seen = "yes"
      return was or "no"
    end)
    local served <close> = web.serve(one)
    assert.equal("no", web.ask(served, "GET", "/").body)
    assert.equal("no", web.ask(served, "GET", "/").body)
  end)

  it("refuses what is no route", function()
    local one, handler = http.Router(), function() end
    assert.error_matches(function() one:get("users", handler) end, "begins with '/'")
    assert.error_matches(function() one:get("/:", handler) end, "a name expected")
    assert.error_matches(function() one:get("/*a/b", handler) end, "not at the end")
    assert.error_matches(function() one:get("/a") end, "function expected")
    assert.error_matches(function() one:route(1, "/a", handler) end, "string expected")
    assert.error_matches(function() one:use(1) end, "function expected")
    assert.error_matches(function() one:mount("/a", 1) end, "router or function expected")
    assert.error_matches(function() one:mount("/a", one) end, "inside itself")
    local two = http.Router():mount("/one", one)
    assert.error_matches(function() one:mount("/two", two) end, "inside itself")
    assert.matches("^<http.Router at 0x%x+: 1 routes>$", tostring(two))
  end)
end)

describe("middleware", function()
  local function noting(name)
    return function(req, res, next)
      res.headers:add("X-Seen", name)
      return next(req, res)
    end
  end

  local function seen(res)
    local list = {}
    for _, field in ipairs(res.list) do
      if field[1] == "X-Seen" then list[#list + 1] = field[2] end
    end
    return table.concat(list, " ")
  end

  it("is around all handlers, the first outermost", function()
    local app = http.Router():use(noting "a"):use(noting "b")
    app:get("/", function() return "x" end)
    assert.equal("a b", seen(ask(app, "GET", "/")))
    assert.equal("a b", seen(ask(app, "GET", "/nothing")))
    assert.equal("a b", seen(ask(app, "POST", "/")))
  end)

  it("may answer by itself, or change the answer", function()
    local app = http.Router():use(function(req, res, next)
      if req.headers["x-key"] ~= "k" then return 401, nil, "no\n" end
      local status, headers, text = next(req, res)
      return status, headers, text .. "!"
    end)
    app:get("/", function() return 200, nil, "yes" end)
    assert.equal(401, ask(app, "GET", "/").status)
    assert.equal("yes!", ask(app, "GET", "/", "X-Key: k\r\n").body)
  end)

  it("of a mounted router is around its handlers only", function()
    local inner = http.Router():use(noting "inner")
    inner:get("/", function() return "home" end):get("/x/:y", told "x")
    local app = http.Router():use(noting "outer"):mount("/api/:v", inner)
    app:get("/", function() return "root" end)
    local res = ask(app, "GET", "/api/1/x/2")
    assert.equal("x(v=1,y=2)", res.body)
    assert.equal("outer inner", seen(res))
    assert.equal("home", body(app, "/api/1"))
    assert.equal("outer", seen(ask(app, "GET", "/")))
    assert.equal("outer", seen(ask(app, "GET", "/api/1/nothing")))
  end)
end)

describe("mount", function()
  it("nests, and sees what is added later", function()
    local one, two, three = http.Router(), http.Router(), http.Router()
    one:mount("/two", two)
    two:mount("/", three)
    local server <close> = web.serve(one)
    assert.equal(404, web.ask(server, "GET", "/two/x").status)
    three:get("/x", function() return "three" end)
    assert.equal("three", web.ask(server, "GET", "/two/x").body)
    two:use(function() return 403 end)
    assert.equal(403, web.ask(server, "GET", "/two/x").status)
  end)

  it("gives a handler what is left of the path", function()
    local app = http.Router():mount("/static/", function(req) return req.path end)
    assert.equal("/a/b c", body(app, "/static/a/b%20c"))
    assert.equal("/", body(app, "/static/"))
    assert.equal(404, ask(app, "GET", "/static").status)
    assert.equal(400, ask(app, "GET", "/static/..%2f").status)
  end)
end)
