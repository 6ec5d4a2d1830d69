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

  it("may return a status that was computed", function()
    assert.equal(202, answer(function() return 404 / 2, {}, "x" end).status)
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
      local _, conn = next(server._active)
      return conn:idle()
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

  it("has what the server answered by itself, too", function()
    local lines = {}
    local server <close> = web.serve(function(req)
      if req.path == "/e" then error("x") end
      return req:body(1)
    end, {log = function(line) lines[#lines + 1] = line end, error_log = false})
    web.ask(server, "GET", "/e")
    web.ask(server, "POST", "/b", nil, "xy")
    assert.matches('"GET /e HTTP/1%.1" 500 22', lines[1])
    assert.matches('"POST /b HTTP/1%.1" 413 18', lines[2])
    assert.equal(2, #lines)
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
