-- The client's requests and responses, against our own server.

local helper = require "helper"
local gevent = require "gevent"
local http = require "gevent.http"
local web = require "helper_http"
local it = helper.it

local function urlof(server, path)
  return ("http://127.0.0.1:%d%s"):format(server.port, path or "/")
end

--- What a handler sees, as one string.
local function echo(req)
  return {req.method, " ", req.target, " ", req.headers["content-type"] or "-", " ",
    req:body()}
end

describe("http.get", function()
  it("returns status, reason, headers and body", function()
    local server <close> = web.serve(function()
      return 201, {["X-A"] = {"1", "2"}, ["Content-Type"] = "text/x"}, "made"
    end)
    local res = assert(http.get(urlof(server)))
    assert.equal(201, res.status)
    assert.equal("Created", res.reason)
    assert.equal("made", res.body)
    assert.equal("1, 2", res.headers["x-a"])
    assert.same({"1", "2"}, res.headers:get_all("X-A"))
    assert.equal("text/x", res.headers["Content-Type"])
    assert.equal("4", res.headers["content-length"])
    assert.equal("1.1", res.version)
    assert.equal(urlof(server), res.url)
    assert.is_truthy(tostring(res):find("201", 1, true))
  end)

  it("sends Host, User-Agent and what it accepts", function()
    local seen
    local server <close> = web.serve(function(req)
      seen = {}
      for name, value in req.headers:each() do seen[name] = value end
      return "x"
    end)
    assert(http.get(urlof(server)))
    assert.same({Host = "127.0.0.1:" .. server.port, ["User-Agent"] = "gevent-lua",
      Accept = "*/*", ["Accept-Encoding"] = "gzip, deflate", Connection = "close"}, seen)
    assert(http.get(urlof(server), {headers = {["user-agent"] = "me", Accept = "text/html",
      ["X-List"] = {"a", "b"}, Host = "elsewhere"}}))
    assert.equal("me", seen["user-agent"])
    assert.equal("text/html", seen.Accept)
    assert.equal("elsewhere", seen.Host)
    assert.equal("b", seen["X-List"])
    assert.is_nil(seen["User-Agent"])
  end)

  it("takes headers objects", function()
    local server <close> = web.serve(function(req) return req.headers["x-a"] end)
    local headers = http.Headers {["X-A"] = "1"}
    headers:add("X-A", "2")
    assert.equal("1, 2", http.get(urlof(server), {headers = headers}).body)
  end)

  it("encodes what may not stand in a request line", function()
    local server <close> = web.serve(function(req) return req.target end)
    assert.equal("/a%20b%C3%A9?c=d%20e", http.get(urlof(server, "/a b\u{e9}?c=d e#frag")).body)
    assert.equal("/?q", http.get(("http://127.0.0.1:%d?q"):format(server.port)).body)
    assert.equal("/", http.get(("http://127.0.0.1:%d"):format(server.port)).body)
    assert.equal("/x?a=1%202&b=1&b=2&c=%26", http.get(urlof(server, "/x"),
      {query = {a = "1 2", b = {1, 2}, c = "&"}}).body)
    assert.equal("/x?a=1&b=2", http.get(urlof(server, "/x?a=1"), {query = {b = 2}}).body)
  end)

  it("does not change the caller's options", function()
    local server <close> = web.serve(function() return "x" end)
    local opts = {headers = {A = "b"}}
    assert(http.get(urlof(server), opts))
    assert.same({headers = {A = "b"}}, opts)
  end)

  it("returns what is wrong with the world", function()
    local server = web.serve(function() return "x" end)
    local url = urlof(server)
    server:stop()
    local res, message, code = http.get(url)
    assert.is_nil(res)
    assert.equal("connection refused", message)
    assert.equal("ECONNREFUSED", code)
    res, message, code = http.get("http://no-such-host.invalid/")
    assert.is_nil(res)
    assert.is_string(message)
    assert.is_truthy(code:find("^EAI_"), code)
  end)

  it("has Basic credentials of the URL sent", function()
    local server <close> = web.serve(function(req) return req.headers.authorization end)
    local url = ("http://%s@127.0.0.1:%d/"):format("Aladdin:open%20sesame", server.port)
    local res = assert(http.get(url))
    assert.equal("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", res.body)
    assert.is_nil(res.url:find("sesame", 1, true))
    url = ("http://u:@127.0.0.1:%d/"):format(server.port)
    assert.equal("Basic dTo=", http.get(url).body)
    assert.equal("mine", http.get(url, {headers = {Authorization = "mine"}}).body)
  end)
end)

describe("http.post", function()
  it("sends strings, lists and nothing", function()
    local server <close> = web.serve(echo)
    assert.equal("POST /p - abc", http.post(urlof(server, "/p"), "abc").body)
    assert.equal("POST / - abc", http.post(urlof(server), {"a", "b", "c"}).body)
    assert.equal("POST / - 12", http.post(urlof(server), 12).body)
    assert.equal("POST / - ", http.post(urlof(server), "").body)
    assert.equal("POST / - ", http.post(urlof(server)).body)
    assert.equal("POST / text/x abc", http.post(urlof(server), "abc",
      {headers = {["Content-Type"] = "text/x"}}).body)
  end)

  it("sends iterators in chunks", function()
    local kind
    local server <close> = web.serve(function(req)
      kind = req.headers["transfer-encoding"]
      return req:body()
    end)
    local parts = {"one", "", "two", 3}
    local i = 0
    local res = assert(http.post(urlof(server), function()
      i = i + 1
      gevent.sleep(0)
      return parts[i]
    end))
    assert.equal("onetwo3", res.body)
    assert.equal("chunked", kind)
    local callable = setmetatable({}, {__call = function()
      i = i + 1
      return i < 8 and "c" or nil
    end})
    assert.equal("cc", http.post(urlof(server), callable).body)
  end)

  it("sends iterators with a length that was told", function()
    local length
    local server <close> = web.serve(function(req)
      length = req.headers["content-length"]
      return req:body()
    end)
    local function twice()
      local n = 0
      return function()
        n = n + 1
        return n <= 2 and "abc" or nil
      end
    end
    local function post(told)
      return http.post(urlof(server), twice(), {headers = {["Content-Length"] = told}})
    end
    assert.equal("abcabc", post(6).body)
    assert.equal("6", length)
    local ok, err = pcall(post, 5)
    assert.is_false(ok)
    assert.is_truthy(err:find("longer than its Content-Length", 1, true), err)
    ok, err = pcall(post, 7)
    assert.is_false(ok)
    assert.is_truthy(err:find("shorter than its Content-Length", 1, true), err)
  end)

  it("raises what the iterator raises", function()
    local server <close> = web.serve(function(req) return req:body() end)
    local reason = {}
    local ok, err = pcall(http.post, urlof(server), function() error(reason) end)
    assert.is_false(ok)
    assert.equal(reason, err)
    ok, err = pcall(http.post, urlof(server), function() return true end)
    assert.is_false(ok)
    assert.is_truthy(err:find("part of the body is a boolean", 1, true), err)
  end)

  it("gives up where the iterator returns a failure", function()
    local server <close> = web.serve(function(req) return req:body() end)
    local i = 0
    local res, message, code = http.post(urlof(server), function()
      i = i + 1
      if i < 3 then return "x" end
      return nil, "disk on fire", "EIO"
    end)
    assert.same({nil, "disk on fire", "EIO"}, {res, message, code})
  end)

  it("sends a large body while its answer comes", function()
    local server <close> = web.serve(function(req, res)
      local n = 0
      while true do
        local piece = req:read(65536)
        if not piece then break end
        n = n + #piece
        assert(res:write(piece))
      end
      res:finish("|" .. n)
    end, {max_body_bytes = false})
    local size = 8 * 1024 * 1024 -- more than the buffers of both sockets hold
    local res = assert(http.post(urlof(server), ("x"):rep(size)))
    assert.equal(size + #("|" .. size), #res.body)
    assert.equal("|" .. size, res.body:sub(-#("|" .. size)))
  end)

  it("returns an answer that comes before the body was sent", function()
    local server <close> = web.serve(function() return 403, nil, "no" end)
    local client <close> = http.Client()
    local n = 0
    local res = assert(client:post(urlof(server), function()
      n = n + 1
      gevent.sleep(0.001)
      return ("x"):rep(1000)
    end))
    assert.equal(403, res.status)
    assert.equal("no", res.body)
    assert.equal("no", client:get(urlof(server)).body)
  end)

  it("sends forms", function()
    local server <close> = web.serve(echo)
    assert.equal("POST / application/x-www-form-urlencoded a=1%202&b=%26&c=1&c=2",
      http.request {url = urlof(server), form = {a = "1 2", b = "&", c = {1, 2}}}.body)
  end)
end)

describe("http.request", function()
  it("sends any method", function()
    local server <close> = web.serve(echo)
    for _, method in ipairs {"GET", "PUT", "DELETE", "PATCH", "OPTIONS"} do
      assert.equal(method .. " / - x",
        http.request({url = urlof(server), method = method, body = "x"}).body)
    end
    assert.equal("POST / - y", http.request({url = urlof(server), body = "y"}).body)
    assert.equal("GET /z - ", http.request(urlof(server, "/z")).body)
  end)

  it("has no body of HEAD, 204 and 304", function()
    local server <close> = web.serve(function(req)
      local status = tonumber(req.path:sub(2))
      return status, nil, status == 200 and "hello" or nil
    end)
    local client <close> = http.Client()
    local res = assert(client:request {url = urlof(server, "/200"), method = "HEAD"})
    assert.equal("", res.body)
    assert.equal("5", res.headers["content-length"])
    assert.equal("", client:get(urlof(server, "/204")).body)
    assert.equal("", client:get(urlof(server, "/304")).body)
    assert.equal("hello", client:get(urlof(server, "/200")).body)
    assert.is_truthy(tostring(client):find("0 connections busy, 1 idle", 1, true))
  end)
end)

describe("a streamed response", function()
  local function lines(_, res)
    res:write("one\ntw")
    res:write("o\nthree")
    res:finish()
  end

  it("is read by the formats of io", function()
    local server <close> = web.serve(lines)
    local res <close> = assert(http.get(urlof(server), {stream = true}))
    assert.is_nil(res.body)
    assert.equal("one", res:read())
    assert.equal("two\n", res:read("L"))
    assert.equal("th", res:read(2))
    assert.equal("ree", res:read("a"))
    assert.equal("", res:read("a"))
    assert.same({n = 3, nil, "closed", "closed"}, table.pack(res:read("l")))
    assert.equal("", res:recv(10))
  end)

  it("is iterated over by lines and by pieces", function()
    local server <close> = web.serve(lines)
    local list = {}
    for line in http.get(urlof(server), {stream = true}):lines() do list[#list + 1] = line end
    assert.same({"one", "two", "three"}, list)
    list = {}
    for piece in http.get(urlof(server), {stream = true}):chunks() do list[#list + 1] = piece end
    assert.equal("one\ntwo\nthree", table.concat(list))
    list = {}
    for all in http.get(urlof(server), {stream = true}):lines("a") do list[#list + 1] = all end
    assert.same({"one\ntwo\nthree"}, list)
  end)

  it("comes before its body does", function()
    local gate = helper.gate()
    local server <close> = web.serve(function(_, res)
      res:write("begun ")
      gate:wait()
      res:finish("ended")
    end)
    local res <close> = assert(http.get(urlof(server), {stream = true}))
    assert.equal("begun ", res:recv(100))
    gate:open()
    assert.equal("ended", res:read("a"))
  end)

  it("gives the connection back when it is read to the end", function()
    local gate = helper.gate()
    local server <close> = web.serve(function(_, res)
      res:write("x")
      gate:wait()
    end)
    local client <close> = http.Client()
    local res = assert(client:get(urlof(server), {stream = true}))
    local function state() return tostring(client):match("%d+ connections busy, %d+ idle") end
    assert.equal("1 connections busy, 0 idle", state())
    gate:open()
    res:read("a")
    assert.equal("0 connections busy, 1 idle", state())
    res:close()
    res:close()
    assert.equal("0 connections busy, 1 idle", state())
  end)

  it("closes the connection when it is closed before", function()
    local gate = helper.gate()
    local server <close> = web.serve(function(_, res)
      res:write("x")
      gate:wait()
    end)
    local client <close> = http.Client()
    do
      local res <close> = assert(client:get(urlof(server), {stream = true}))
      assert.equal("x", res:read(1))
    end
    assert.is_truthy(tostring(client):find("0 connections busy, 0 idle", 1, true))
    gate:open()
  end)

  it("lets go of its connection when it is collected", function()
    local gate = helper.gate()
    local server <close> = web.serve(function(_, res)
      res:write("x")
      gate:wait()
    end)
    local client <close> = http.Client {max_connections = 1}
    assert(client:get(urlof(server), {stream = true}))
    helper.wait_until(function()
      collectgarbage()
      return tostring(client):find("0 connections busy, 0 idle", 1, true)
    end)
    gate:open()
  end)

  it("is the body of another request", function()
    local server <close> = web.serve(function(req)
      if req.method == "POST" then return "got " .. req:body() end
      return "from there"
    end)
    local res <close> = assert(http.get(urlof(server), {stream = true}))
    assert.equal("got from there", http.post(urlof(server), res:chunks()).body)
  end)

  it("is read by one greenlet at a time", function()
    local gate = helper.gate()
    local server <close> = web.serve(function(_, res)
      res:write("x")
      gate:wait()
    end)
    local res <close> = assert(http.get(urlof(server), {stream = true}))
    assert.equal("x", res:read(1))
    local first = helper.spawn_blocked(function() return res:read(1) end)
    local ok, err = pcall(res.read, res, 1)
    assert.is_false(ok)
    assert.is_true(gevent.isinstance(err, gevent.ConcurrentObjectUseError))
    res:close()
    assert.is_nil((first:get()))
    gate:open()
  end)
end)

helper.battery("response:read", function()
  local gate = helper.gate()
  local server = web.serve(function(_, res)
    res:write("head ")
    gate:wait()
    res:finish("a line\n")
  end)
  local res = assert(http.get(urlof(server), {stream = true}))
  assert.equal("head ", res:read(5))
  return {
    call = function() return res:read("l") end,
    release = function() gate:open() end,
    expect = function(...) assert.same({n = 1, "a line"}, table.pack(...)) end,
    cleanup = function() res:close() server:stop(0) end,
  }
end)

helper.battery("http answer", function()
  local gate = helper.gate()
  local server = web.serve(function()
    gate:wait()
    return "hello"
  end)
  local client = http.Client()
  return {
    fname = "connect",
    call = function(timeout)
      local res, message, code = client:get(urlof(server), {timeout = timeout})
      return res and res.body, message, code
    end,
    takes_timeout = true,
    release = function() gate:open() end,
    expect = function(...) assert.same({n = 3, "hello"}, table.pack(...)) end,
    cleanup = function() client:close() server:stop(0) end,
  }
end)

describe("misuse", function()
  it("is naming the options where they are no table", function()
    assert.error_matches(function() http.get("http://h/", 3) end,
      "bad argument #2 to 'get' %(table expected, got number")
    assert.error_matches(function() http.post("http://h/", "x", "y") end,
      "bad argument #3 to 'post' %(table expected, got string")
  end)

  local cases = {
    {"url must be a string", {}},
    {"no scheme and host", {url = "localhost"}},
    {"no scheme and host", {url = "/path"}},
    {"unknown scheme 'ftp'", {url = "ftp://h/"}},
    {"bad host or port", {url = "http:///"}},
    {"bad host or port", {url = "http://h:0/"}},
    {"bad host or port", {url = "http://h:65536/"}},
    {"bad host or port", {url = "http://h:8x/"}},
    {"bad host or port", {url = "http://a b/"}},
    {"bad host or port", {url = "http://[::1/"}},
    {"backslash", {url = "http://good.example\\@bad.example/"}},
    {"control characters", {url = "http://h/\r\nX: y"}},
    {"control characters", {url = "http://h/\n"}},
    {"control characters", {url = "http://h\r\n/"}},
    {"method must be a token", {url = "http://h/", method = "GET / HTTP/1.1\r\nX: y"}},
    {"method must be a token", {url = "http://h/", method = "G T"}},
    {"method must be a token", {url = "http://h/", method = ""}},
    {"method must be a token", {url = "http://h/", method = 1}},
    {"CONNECT", {url = "http://h/", method = "CONNECT"}},
    {"bad value of header 'X'", {url = "http://h/", headers = {X = "a\r\nY: b"}}},
    {"bad value of header 'X'", {url = "http://h/", headers = {X = "a\nb"}}},
    {"bad value of header 'X'", {url = "http://h/", headers = {X = "a\0"}}},
    {"bad value of header 'X'", {url = "http://h/", headers = {X = true}}},
    {"bad header name", {url = "http://h/", headers = {["X: y\r\nZ"] = "a"}}},
    {"bad header name", {url = "http://h/", headers = {["X "] = "a"}}},
    {"headers must be a table", {url = "http://h/", headers = "X: y"}},
    {"Transfer-Encoding", {url = "http://h/", headers = {["Transfer-Encoding"] = "gzip"}}},
    {"body must be", {url = "http://h/", body = true}},
    {"bad Content-Length", {url = "http://h/", body = print,
      headers = {["Content-Length"] = "x"}}},
    {"body together with", {url = "http://h/", body = "x", form = {}}},
    {"form must be", {url = "http://h/", form = "x"}},
    {"multipart must be", {url = "http://h/", multipart = "x"}},
    {"a part has no name", {url = "http://h/", multipart = {{value = "x"}}}},
    {"part 'a' has no value", {url = "http://h/", multipart = {{name = "a"}}}},
    {"cannot read", {url = "http://h/", multipart = {{name = "a", path = "/no/such"}}}},
    {"timeout must be", {url = "http://h/", timeout = -1}},
    {"timeout must be", {url = "http://h/", timeout = 0 / 0}},
    {"read_timeout must be", {url = "http://h/", read_timeout = "x"}},
    {"redirects must be", {url = "http://h/", redirects = -1}},
    {"max_body_bytes must be", {url = "http://h/", max_body_bytes = 1.5}},
    {"max_headers must be", {url = "http://h/", max_headers = 0}},
    {"bad proxy", {url = "http://h/", proxy = "http://:x"}},
    {"bad proxy", {url = "http://h/", proxy = 1}},
    {"cookies must be", {url = "http://h/", cookies = {}}},
    {"unix must be", {url = "http://h/", unix = 1}},
    {"ssl_context must be", {url = "https://h/", ssl_context = true}},
  }

  for i, case in ipairs(cases) do
    it(("raises: %s (%d)"):format(case[1], i), function()
      local ok, err = pcall(http.request, case[2])
      assert.is_false(ok)
      assert.is_truthy(tostring(err):find(case[1], 1, true), tostring(err))
    end)
  end

  it("raises for what is no table", function()
    assert.has_error(function() http.request(1) end)
    assert.has_error(function() http.Client(1) end)
    assert.has_error(function() http.Client {max_connections = 0} end)
    assert.has_error(function() http.get() end)
  end)
end)
