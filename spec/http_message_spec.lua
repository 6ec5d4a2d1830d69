-- Requests and answers as handlers see them.

local helper = require "helper"
local web = require "helper_http"
local it = helper.it

describe("req", function()
  --- The request as the handler of one sees it, through `fn(req)`.
  local function seen(text, fn)
    local result
    local server <close> = web.serve(function(req)
      result = table.pack(fn(req))
    end)
    local sock <close> = web.connect(server)
    assert(sock:sendall(text))
    assert.equal(200, web.response(sock).status)
    return table.unpack(result, 1, result.n)
  end

  local function fields(target, version, head)
    local text = ("GET %s HTTP/%s\r\n%s\r\n"):format(target, version or "1.1",
      head or "Host: example.com:8080\r\n")
    return seen(text, function(req)
      return {method = req.method, target = req.target, path = req.path,
        query = req.query, version = req.version, host = req.host, scheme = req.scheme}
    end)
  end

  it("has method, target, path, query, version, host, scheme", function()
    assert.same({method = "GET", target = "/a%20b/c?x=%201&y", path = "/a b/c",
      query = "x=%201&y", version = "1.1", host = "example.com:8080", scheme = "http"},
      fields("/a%20b/c?x=%201&y"))
  end)

  it("tells no query from an empty one", function()
    assert.is_nil(fields("/").query)
    assert.equal("", fields("/?").query)
  end)

  it("knows targets in absolute form, and their host goes first", function()
    local req = fields("http://other:81/p?q")
    assert.equal("/p", req.path)
    assert.equal("q", req.query)
    assert.equal("other:81", req.host)
    assert.equal("/", fields("http://other").path)
  end)

  it("knows OPTIONS *", function()
    seen("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", function(req)
      assert.equal("*", req.path)
    end)
  end)

  it("has no host in HTTP/1.0 without the field", function()
    local req = fields("/", "1.0", "")
    assert.is_nil(req.host)
    assert.equal("1.0", req.version)
  end)

  it("knows who asks", function()
    local host, port = seen(web.request("GET", "/"), function(req)
      return req.remote_host, req.remote_port
    end)
    assert.equal("127.0.0.1", host)
    assert.equal("integer", math.type(port))
  end)

  it("takes fields of the handler's, even of known names", function()
    seen(web.request("GET", "/"), function(req)
      req.user = {name = "x"}
      assert.equal("x", req.user.name)
      req.path = "/rewritten"
      assert.equal("/rewritten", req.path)
      assert.is_nil(req.nothing)
    end)
  end)

  it("parses the query: last values, or all", function()
    seen(web.request("GET", "/?a=1&b=x+y%26z&a=2&c&=d&e=%zz"), function(req)
      assert.same({a = "2", b = "x y&z", c = "", [""] = "d", e = "%zz"}, req:args())
      assert.same({"1", "2"}, req:args(true).a)
      assert.same({"x y&z"}, req:args(true).b)
    end)
  end)

  it("has no arguments without a query", function()
    seen(web.request("GET", "/"), function(req) assert.same({}, req:args()) end)
  end)

  it("parses cookies", function()
    seen(web.request("GET", "/", 'Cookie: a=1; b="two"; a=3\r\nCookie: c=x=y;;d\r\n'),
      function(req)
        assert.same({a = "1", b = "two", c = "x=y"}, req:cookies())
      end)
  end)

  it("parses forms, and reads the body no second time", function()
    seen(web.request("POST", "/",
      "Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n",
      "a=1&b=%C3%A9+"), function(req)
        assert.same({a = "1", b = "é "}, req:form())
        assert.same({"1"}, req:form(true).a)
        assert.equal("a=1&b=%C3%A9+", req:body())
      end)
  end)

  it("says where a body is no form", function()
    seen(web.request("POST", "/", "Content-Type: text/plain\r\n", "a=1"), function(req)
      local form, message, code = req:form()
      assert.is_nil(form)
      assert.matches("text/plain", message)
      assert.equal("unsupported", code)
    end)
  end)

  it("shows what it is", function()
    seen(web.request("GET", "/x"), function(req)
      assert.matches("^<http request at 0x%x+: GET /x>$", tostring(req))
    end)
  end)

  it("has its methods only for itself", function()
    seen(web.request("GET", "/x"), function(req)
      assert.has_error(function() req.read({}) end)
      assert.has_error(function() req:read("x") end)
      assert.has_error(function() req:read(-1) end)
      assert.has_error(function() req:body(-1) end)
    end)
  end)

  it("refuses a path that is badly escaped", function()
    local server <close> = web.serve(function() return "x" end)
    for _, path in ipairs {"/%", "/%2", "/%zz", "/a%00", "/%20%"} do
      assert.equal(400, web.ask(server, "GET", path).status)
    end
    assert.equal(200, web.ask(server, "GET", "/?%zz").status)
  end)
end)

describe("res", function()
  local function answer(fn, method)
    local server <close> = web.serve(fn)
    local res = web.ask(server, method or "GET", "/")
    assert.not_equal(500, res.status) -- an assertion in the handler failed
    return res
  end

  it("sends a whole answer", function()
    local got = answer(function(_, res)
      res.headers["X-A"] = "1"
      assert.is_true(rawequal(res, res:send(201, {["X-B"] = "2"}, {"a", "b"})))
      assert.is_true(res.started)
      assert.is_true(res.finished)
    end)
    assert.equal(201, got.status)
    assert.equal("1", got.headers["x-a"])
    assert.equal("2", got.headers["x-b"])
    assert.equal("2", got.headers["content-length"])
    assert.equal("ab", got.body)
  end)

  it("sends an iterator", function()
    local got = answer(function(_, res)
      local parts = {"b", "a"}
      res:send(nil, {["X-L"] = {"1", "2"}}, function() return table.remove(parts) end)
    end)
    assert.same({"a", "b"}, got.chunks)
  end)

  it("finishes in one piece where nothing was written before", function()
    local got = answer(function(_, res) res:finish("all") end)
    assert.equal("3", got.headers["content-length"])
    assert.equal("all", got.body)
  end)

  it("keeps to a Content-Length that it was told", function()
    local got = answer(function(_, res)
      res.headers["Content-Length"] = 4
      res:write("ab")
      res:finish("cd")
    end)
    assert.equal("4", got.headers["content-length"])
    assert.is_nil(got.headers["transfer-encoding"])
    assert.equal("abcd", got.body)
  end)

  it("is begun by an empty write, which ends nothing", function()
    local got = answer(function(_, res)
      res:write("")
      assert.is_true(res.started)
      res:write("a")
      res:write("")
      res:write("b")
    end)
    assert.same({"a", "b"}, got.chunks)
  end)

  it("finishes once", function()
    local got = answer(function(_, res)
      res:finish("x")
      assert.is_true(rawequal(res, res:finish()))
      assert.same({nil, "closed", "closed"}, {res:write("y")})
      assert.same({nil, "closed", "closed"}, {res:finish("y")})
      assert.has_error(function() res:send(200, nil, "z") end)
    end)
    assert.equal("x", got.body)
  end)

  it("redirects", function()
    local got = answer(function(_, res) res:redirect("/there?x=1") end)
    assert.equal(302, got.status)
    assert.equal("/there?x=1", got.headers.location)
    assert.equal(301, answer(function(_, res) res:redirect("/", 301) end).status)
    answer(function(_, res)
      assert.has_error(function() res:redirect("/", 200) end)
      assert.has_error(function() res:redirect("/\r\nX: y") end)
    end)
  end)

  it("sets cookies", function()
    local got = answer(function(_, res)
      res:set_cookie("a", "1")
      res:set_cookie("b", "2", {path = "/", max_age = 60, http_only = true, secure = true,
        same_site = "lax", domain = "example.com", expires = 0})
      assert.has_error(function() res:set_cookie("a b", "1") end)
      assert.has_error(function() res:set_cookie("a", "1;x") end)
      assert.has_error(function() res:set_cookie("a", "1", {path = "/;x"}) end)
      assert.has_error(function() res:set_cookie("a", "1", {same_site = "x"}) end)
      return "x"
    end)
    local cookies = {}
    for _, field in ipairs(got.list) do
      if field[1] == "Set-Cookie" then cookies[#cookies + 1] = field[2] end
    end
    assert.same({"a=1", "b=2; Path=/; Domain=example.com; Max-Age=60; Expires=Thu, "
      .. "01 Jan 1970 00:00:00 GMT; Secure; HttpOnly; SameSite=Lax"}, cookies)
  end)

  it("sends files", function()
    local path = os.tmpname()
    local named = path .. ".html"
    local _ <close> = helper.defer(function() os.remove(path) os.remove(named) end)
    local content = ("0123456789abcdef"):rep(10000)
    local file = assert(io.open(named, "wb"))
    file:write(content)
    file:close()
    local got = answer(function(_, res) return res:sendfile(named) end)
    assert.equal(200, got.status)
    assert.equal("text/html; charset=utf-8", got.headers["content-type"])
    assert.equal(tostring(#content), got.headers["content-length"])
    assert.is_true(got.body == content)
    got = answer(function(_, res) return res:sendfile(named, {type = "x/y"}) end)
    assert.equal("x/y", got.headers["content-type"])
    got = answer(function(_, res) return res:sendfile(named) end, "HEAD")
    assert.equal(tostring(#content), got.headers["content-length"])
    got = answer(function(_, res) return res:sendfile(path) end)
    assert.equal("0", got.headers["content-length"])
    assert.equal("application/octet-stream", got.headers["content-type"])
  end)

  it("answers 404 for what is no file", function()
    for _, path in ipairs {"/no/such/file", "/tmp", "/etc/passwd/x", "/dev/null"} do
      local code
      local got = answer(function(_, res)
        code = select(3, res:sendfile(path))
      end)
      assert.equal(404, got.status)
      assert.is_string(code)
    end
  end)

  it("checks what is set", function()
    answer(function(_, res)
      for _, status in ipairs {99, 100, 600, "x", 200.5} do
        assert.has_error(function() res.status = status end)
      end
      assert.has_error(function() res.reason = "a\nb" end)
      assert.has_error(function() res.headers = "x" end)
      assert.has_error(function() res.started = true end)
      assert.has_error(function() res:write({}) end)
      assert.has_error(function() res:send(200, "x") end)
      assert.has_error(function() res:send(200, nil, true) end)
      res.headers = {["X-A"] = "1"}
      assert.equal("1", res.headers["x-a"])
      res.mine = 1
      assert.equal(1, res.mine)
      assert.matches("^<http response at 0x%x+: 200 not begun>$", tostring(res))
    end)
  end)
end)
