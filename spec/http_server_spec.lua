-- gevent.http.Server: what handlers see, what they may return, keep-alive.

local helper = require "helper"
local gevent = require "gevent"
local http = require "gevent.http"
local web = require "helper_http"
local it = helper.it

describe("a handler", function()
  --- What `handler` answers to a request.
  local function answer(handler, method, head, body)
    local server <close> = web.serve(handler)
    local res = web.ask(server, method or "GET", "/", head, body)
    assert.not_equal(500, res.status) -- an assertion in the handler failed
    return res
  end

  it("may return a string", function()
    local res = answer(function() return "hello" end)
    assert.equal(200, res.status)
    assert.equal("OK", res.reason)
    assert.equal("1.1", res.version)
    assert.equal("hello", res.body)
    assert.equal("5", res.headers["content-length"])
    assert.equal("text/plain; charset=utf-8", res.headers["content-type"])
    assert.matches("^%a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT$", res.headers.date)
    assert.is_nil(res.headers.server)
    assert.is_nil(res.headers.connection)
  end)

  it("may return status, headers and body", function()
    local res = answer(function()
      return 404, {["Content-Type"] = "text/html", ["X-List"] = {"a", "b"}, ["X-N"] = 7},
        "<p>no"
    end)
    assert.equal(404, res.status)
    assert.equal("Not Found", res.reason)
    assert.equal("text/html", res.headers["content-type"])
    assert.equal("7", res.headers["x-n"])
    local values = {}
    for _, field in ipairs(res.list) do
      if field[1] == "X-List" then values[#values + 1] = field[2] end
    end
    assert.same({"a", "b"}, values)
    assert.equal("<p>no", res.body)
  end)

  it("may return headers made by http.Headers", function()
    local res = answer(function()
      local headers = http.Headers {["X-A"] = "1"}
      headers:add("X-A", "2")
      return 200, headers, "x"
    end)
    assert.same({{"X-A", "1"}, {"X-A", "2"}}, {res.list[1], res.list[2]})
  end)

  it("may return a list", function()
    local res = answer(function() return {"a", "b", 1} end)
    assert.equal("ab1", res.body)
    assert.equal("3", res.headers["content-length"])
  end)

  it("may return an iterator that blocks", function()
    local n = 0
    local res = answer(function()
      return 200, {["X-A"] = "b"}, function()
        gevent.sleep(0)
        n = n + 1
        if n <= 3 then return "part" .. n end
      end
    end)
    assert.same({"part1", "part2", "part3"}, res.chunks)
    assert.equal("b", res.headers["x-a"])
    assert.is_nil(res.headers["content-length"])
  end)

  it("may return a callable object as an iterator", function()
    local parts = setmetatable({"x", "y"}, {__call = function(self)
      return table.remove(self, 1)
    end})
    assert.equal("xy", answer(function() return parts end).body)
  end)

  it("may return nothing: an empty 200", function()
    local res = answer(function() end)
    assert.equal(200, res.status)
    assert.equal("0", res.headers["content-length"])
    assert.is_nil(res.headers["content-type"])
  end)

  it("may return a status alone", function()
    local res = answer(function() return 503 end)
    assert.equal(503, res.status)
    assert.equal("", res.body)
  end)

  it("may return status and body, and headers set on res", function()
    local res = answer(function(_, res)
      res.headers["X-Own"] = "own"
      res.headers["X-Both"] = "own"
      return 201, {["x-both"] = "returned"}, "made"
    end)
    assert.equal(201, res.status)
    assert.equal("own", res.headers["x-own"])
    assert.equal("returned", res.headers["x-both"])
    local _, count = table.concat({res.list[1][1], res.list[2][1], res.list[3][1]}, " ")
      :lower():gsub("x%-both", "")
    assert.equal(1, count)
  end)

  it("may only set status, reason and headers", function()
    local res = answer(function(_, res)
      res.status = 202
      res.reason = "Will Do"
      res.headers["X-A"] = 1
    end)
    assert.equal(202, res.status)
    assert.equal("Will Do", res.reason)
    assert.equal("1", res.headers["x-a"])
  end)

  it("may return what the methods of res return", function()
    assert.equal("x", answer(function(_, res) return res:finish("x") end).body)
    assert.equal("x", answer(function(_, res) return res:send(200, nil, "x") end).body)
    assert.equal("x", answer(function(_, res) return res:write("x") end).body)
    assert.equal(302, answer(function(_, res) return res:redirect("/x") end).status)
  end)

  it("may be a callable object", function()
    local handler = setmetatable({}, {__call = function(_, req) return req.path end})
    assert.equal("/", answer(handler).body)
  end)

  it("may append to what it has written by returning it", function()
    local res = answer(function(_, res)
      res:write("a")
      return "b"
    end)
    assert.equal("ab", res.body)
  end)

  it("runs in a greenlet of its connection", function()
    local seen
    answer(function() seen = gevent.getcurrent() end)
    assert.is_false(rawequal(seen, gevent.getcurrent()))
  end)

  it("may keep the request and read its fields when it is over", function()
    local kept, keptres
    answer(function(req, res) kept, keptres = req, res return "x" end, "POST",
      "X-A: b\r\n", "body")
    assert.equal("POST", kept.method)
    assert.equal("/", kept.path)
    assert.equal("b", kept.headers["x-a"])
    assert.same({nil, "closed", "closed"}, {kept:read(1)})
    assert.same({nil, "closed", "closed"}, {keptres:write("x")})
    assert.same({nil, "closed", "closed"}, {keptres:finish()})
  end)
end)

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
    local res = answer(function(_, res)
      res.headers["X-A"] = "1"
      assert.is_true(rawequal(res, res:send(201, {["X-B"] = "2"}, {"a", "b"})))
      assert.is_true(res.started)
      assert.is_true(res.finished)
    end)
    assert.equal(201, res.status)
    assert.equal("1", res.headers["x-a"])
    assert.equal("2", res.headers["x-b"])
    assert.equal("2", res.headers["content-length"])
    assert.equal("ab", res.body)
  end)

  it("sends an iterator", function()
    local res = answer(function(_, res)
      local parts = {"b", "a"}
      res:send(nil, {["X-L"] = {"1", "2"}}, function() return table.remove(parts) end)
    end)
    assert.same({"a", "b"}, res.chunks)
  end)

  it("finishes in one piece where nothing was written before", function()
    local res = answer(function(_, res) res:finish("all") end)
    assert.equal("3", res.headers["content-length"])
    assert.equal("all", res.body)
  end)

  it("keeps to a Content-Length that it was told", function()
    local res = answer(function(_, res)
      res.headers["Content-Length"] = 4
      res:write("ab")
      res:finish("cd")
    end)
    assert.equal("4", res.headers["content-length"])
    assert.is_nil(res.headers["transfer-encoding"])
    assert.equal("abcd", res.body)
  end)

  it("is begun by an empty write, which ends nothing", function()
    local res = answer(function(_, res)
      res:write("")
      assert.is_true(res.started)
      res:write("a")
      res:write("")
      res:write("b")
    end)
    assert.same({"a", "b"}, res.chunks)
  end)

  it("finishes once", function()
    local res = answer(function(_, res)
      res:finish("x")
      assert.is_true(rawequal(res, res:finish()))
      assert.same({nil, "closed", "closed"}, {res:write("y")})
      assert.same({nil, "closed", "closed"}, {res:finish("y")})
      assert.has_error(function() res:send(200, nil, "z") end)
    end)
    assert.equal("x", res.body)
  end)

  it("redirects", function()
    local res = answer(function(_, res) res:redirect("/there?x=1") end)
    assert.equal(302, res.status)
    assert.equal("/there?x=1", res.headers.location)
    assert.equal(301, answer(function(_, res) res:redirect("/", 301) end).status)
    answer(function(_, res)
      assert.has_error(function() res:redirect("/", 200) end)
      assert.has_error(function() res:redirect("/\r\nX: y") end)
    end)
  end)

  it("sets cookies", function()
    local res = answer(function(_, res)
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
    for _, field in ipairs(res.list) do
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
    local res = answer(function(_, res) return res:sendfile(named) end)
    assert.equal(200, res.status)
    assert.equal("text/html; charset=utf-8", res.headers["content-type"])
    assert.equal(tostring(#content), res.headers["content-length"])
    assert.is_true(res.body == content)
    res = answer(function(_, res) return res:sendfile(named, {type = "x/y"}) end)
    assert.equal("x/y", res.headers["content-type"])
    res = answer(function(_, res) return res:sendfile(named) end, "HEAD")
    assert.equal(tostring(#content), res.headers["content-length"])
    res = answer(function(_, res) return res:sendfile(path) end)
    assert.equal("0", res.headers["content-length"])
    assert.equal("application/octet-stream", res.headers["content-type"])
  end)

  it("answers 404 for what is no file", function()
    for _, path in ipairs {"/no/such/file", "/tmp", "/etc/passwd/x", "/dev/null"} do
      local code
      local res = answer(function(_, res)
        code = select(3, res:sendfile(path))
      end)
      assert.equal(404, res.status)
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

describe("a connection", function()
  it("is kept alive in HTTP/1.1", function()
    local server <close> = web.serve(function(req) return req.path end)
    local sock <close> = web.connect(server)
    for i = 1, 5 do
      assert(sock:sendall(web.request("GET", "/" .. i)))
      local res = web.response(sock)
      assert.equal("/" .. i, res.body)
      assert.is_nil(res.headers.connection)
    end
  end)

  it("is closed if asked", function()
    local server <close> = web.serve(function() return "x" end)
    local sock <close> = web.connect(server)
    assert(sock:sendall(web.request("GET", "/", "Connection: Close\r\n")))
    assert.equal("close", web.response(sock).headers.connection)
    assert.is_true(web.is_closed(sock))
  end)

  it("is closed if the handler says so", function()
    local server <close> = web.serve(function()
      return 200, {Connection = "close"}, "x"
    end)
    local sock <close> = web.connect(server)
    assert(sock:sendall(web.request("GET", "/")))
    assert.equal("close", web.response(sock).headers.connection)
    assert.is_true(web.is_closed(sock))
  end)

  it("is closed in HTTP/1.0 unless keep-alive is asked for", function()
    local server <close> = web.serve(function() return "x" end)
    local sock <close> = web.connect(server)
    assert(sock:sendall("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"))
    local res = web.response(sock)
    assert.equal("keep-alive", res.headers.connection)
    assert.equal("1.1", res.version)
    assert(sock:sendall("GET / HTTP/1.0\r\n\r\n"))
    assert.equal("close", web.response(sock).headers.connection)
    assert.is_true(web.is_closed(sock))
  end)

  it("ends where the body does in HTTP/1.0 without a length", function()
    local server <close> = web.serve(function(_, res)
      res:write("a")
      res:write("b")
    end)
    local text = web.raw(server, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert.matches("Connection: close\r\n", text)
    assert.not_matches("chunked", text)
    assert.matches("\r\n\r\nab$", text)
  end)

  it("serves pipelined requests in order", function()
    local server <close> = web.serve(function(req)
      if req.path == "/1" then gevent.sleep(0.01) end
      return req.path .. (req:body() or "")
    end)
    local sock <close> = web.connect(server)
    local all = {}
    for i = 1, 50 do
      all[i] = web.request(i % 2 == 0 and "POST" or "GET", "/" .. i, nil,
        i % 2 == 0 and ("b"):rep(i) or nil)
    end
    assert(sock:sendall(table.concat(all)))
    for i = 1, 50 do
      assert.equal("/" .. i .. (i % 2 == 0 and ("b"):rep(i) or ""),
        web.response(sock).body)
    end
  end)

  it("lets others have their turn between pipelined requests", function()
    local others = 0
    local server <close> = web.serve(function() return "x" end)
    local sock <close> = web.connect(server)
    local ticker <close> = gevent.spawn(function()
      while true do
        gevent.sleep(0)
        others = others + 1
      end
    end)
    local writer = gevent.spawn(function()
      sock:sendall(web.request("GET", "/"):rep(5000))
      sock:shutdown("w")
    end)
    assert(sock:read("a"))
    writer:get()
    ticker:kill()
    assert.is_true(others > 5)
  end)

  it("answers HEAD with the length and no body", function()
    local server <close> = web.serve(function(req, res)
      if req.path == "/stream" then
        res:write("abc")
        return nil
      end
      return "hello"
    end)
    local sock <close> = web.connect(server)
    assert(sock:sendall(web.request("HEAD", "/") .. web.request("HEAD", "/stream")
      .. web.request("GET", "/")))
    local res = web.response(sock, "HEAD")
    assert.equal("5", res.headers["content-length"])
    assert.equal("text/plain; charset=utf-8", res.headers["content-type"])
    res = web.response(sock, "HEAD")
    assert.is_nil(res.headers["content-length"])
    assert.equal("hello", web.response(sock).body)
  end)

  it("sends no body with 204 and 304", function()
    local server <close> = web.serve(function(req)
      return tonumber(req.path:sub(2)), {["Content-Type"] = "a/b"}, "never"
    end)
    local sock <close> = web.connect(server)
    for _, status in ipairs {204, 304} do
      assert(sock:sendall(web.request("GET", "/" .. status)))
      local res = web.response(sock)
      assert.equal(status, res.status)
      assert.is_nil(res.headers["content-length"])
      assert.is_nil(res.headers["transfer-encoding"])
    end
    assert(sock:sendall(web.request("GET", "/200")))
    assert.equal("never", web.response(sock).body)
  end)

  it("ends after max_requests", function()
    local server <close> = web.serve(function() return "x" end, {max_requests = 2})
    local sock <close> = web.connect(server)
    assert(sock:sendall(web.request("GET", "/"):rep(3)))
    assert.is_nil(web.response(sock).headers.connection)
    assert.equal("close", web.response(sock).headers.connection)
    assert.is_true(web.is_closed(sock))
  end)

  it("is idle between requests", function()
    local server <close> = web.serve(function() return "x" end)
    local sock <close> = web.connect(server)
    local function idle()
      helper.wait_all_blocked()
      return next(server._connections):idle()
    end
    assert.is_true(idle())
    assert(sock:sendall("GET / HT"))
    assert.is_false(idle())
    assert(sock:sendall("TP/1.1\r\nHost: x\r\n\r\n"))
    assert.equal("x", web.response(sock).body)
    assert.is_true(idle())
  end)

  it("can be taken over", function()
    local server <close> = web.serve(function(req, res)
      local sock = req:takeover()
      assert.same({nil, "closed", "closed"}, {res:write("x")})
      sock:sendall("raw " .. sock:readexactly(4))
    end)
    assert.equal("raw rest", web.raw(server, web.request("GET", "/") .. "rest"))
  end)

  it("comes over a Unix socket too", function()
    local socket = require "gevent.socket"
    local path = os.tmpname()
    os.remove(path)
    local _ <close> = helper.defer(function() os.remove(path) end)
    local server <close> = http.Server("unix:" .. path, function(req)
      return tostring(req.remote_port)
    end)
    assert(server:start())
    local sock <close> = assert(socket.socket("unix"))
    assert(sock:connect(path))
    assert(sock:sendall(web.request("GET", "/")))
    assert.equal("nil", web.response(sock).body)
  end)
end)

describe("the log", function()
  it("gets a line for each request", function()
    local lines = {}
    local server <close> = web.serve(function() return 201, nil, "12345" end,
      {log = function(line) lines[#lines + 1] = line end})
    web.ask(server, "GET", "/a?b", 'User-Agent: "x"\r\nReferer: /r\r\n')
    web.ask(server, "POST", "/c", nil, "x")
    assert.equal(2, #lines)
    assert.matches('^127%.0%.0%.1 %- %- %[%d%d/%a%a%a/%d%d%d%d:%d%d:%d%d:%d%d [+-]%d%d%d%d%] '
      .. '"GET /a%?b HTTP/1%.1" 201 5 "/r" "\\x22x\\x22"$', lines[1])
    assert.matches('"POST /c HTTP/1%.1" 201 5 "%-" "%-"$', lines[2])
  end)

  it("may be a stream, and its failure is no request's", function()
    local text = {}
    local server <close> = web.serve(function() return "x" end,
      {log = {write = function(_, ...) text[#text + 1] = table.concat {...} end}})
    web.ask(server, "GET", "/")
    assert.matches("GET / HTTP/1.1.*\n$", text[1])
    local printed <close> = helper.capture_errors()
    local other <close> = web.serve(function() return "x" end,
      {log = function() error("disk full") end})
    assert.equal("x", web.ask(other, "GET", "/").body)
    assert.matches("disk full", printed:text())
  end)
end)

describe("a server", function()
  it("checks its options", function()
    local handler = function() end
    assert.has_error(function() http.Server("127.0.0.1:0", nil) end)
    assert.has_error(function() http.Server("127.0.0.1:0", handler, {max_headers = 0}) end)
    assert.has_error(function()
      http.Server("127.0.0.1:0", handler, {header_timeout = -1})
    end)
    assert.has_error(function() http.Server("127.0.0.1:0", handler, {log = 1}) end)
    assert.has_error(function() http.Server({}, handler) end)
  end)

  it("says what it is", function()
    local server = http.Server("127.0.0.1:0", function() end)
    assert.matches("^<http.Server 127.0.0.1:0 not started>$", tostring(server))
  end)

  it("returns why it cannot have the address", function()
    local first <close> = web.serve(function() end)
    local second = http.Server("127.0.0.1:" .. first.port, function() end)
    local ok, _, code = second:start()
    assert.is_nil(ok)
    assert.equal("EADDRINUSE", code)
  end)
end)
