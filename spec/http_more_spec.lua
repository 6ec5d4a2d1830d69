-- Server-sent events, trailers, the log's rarer lines, paths as they were sent.

local helper = require "helper"
local gevent = require "gevent"
local web = require "helper_http"
local it = helper.it

describe("events", function()
  it("are sent one by one", function()
    local server <close> = web.serve(function(req, res)
      local events = res:events()
      assert.is_true(rawequal(events, events:send("one")))
      events:send("two\nlines\r\nand\rmore", {event = "news", id = 7, retry = 1.5})
      events:comment("still here")
      events:send("last " .. (req.headers["last-event-id"] or ""))
    end, {error_log = function(text) error(text, 0) end})
    local res = web.ask(server, "GET", "/", "Last-Event-ID: 6\r\n")
    assert.equal("text/event-stream", res.headers["content-type"])
    assert.equal("no-store", res.headers["cache-control"])
    assert.same({": \n\n", "data: one\n\n",
      "event: news\nid: 7\nretry: 1500\ndata: two\ndata: lines\ndata: and\ndata: more\n\n",
      ": still here\n\n", "data: last 6\n\n"}, res.chunks)
  end)

  it("let nothing in between", function()
    local failed = 0
    local server <close> = web.serve(function(_, res)
      local events = res:events()
      for _, opts in ipairs {{event = "a\nb"}, {id = "a\rb"}, {id = "\0"}} do
        if not pcall(events.send, events, "x", opts) then failed = failed + 1 end
      end
      if not pcall(res.events, res) then failed = failed + 1 end
    end)
    assert.same({": \n\n"}, web.ask(server, "GET", "/").chunks)
    assert.equal(4, failed)
  end)

  it("tell that the client has gone", function()
    local code
    local server <close> = web.serve(function(_, res)
      local events = res:events()
      repeat
        gevent.sleep(0.001)
        local ok, _, why = events:send("x")
        code = why
      until not ok
    end)
    local sock = web.connect(server)
    assert(sock:sendall(web.request("GET", "/")))
    assert(sock:readuntil("data: x"))
    sock:close()
    helper.wait_until(function() return code end)
    assert.is_string(code)
  end)
end)

describe("trailers", function()
  local CHUNKED = "Transfer-Encoding: chunked\r\n"

  it("can be read after the body", function()
    local before, after
    local server <close> = web.serve(function(req)
      before = req.trailers
      local body = req:body()
      after = {req.trailers["x-sum"], #req.trailers["X-Two"], #req.trailers}
      return body
    end)
    local sock <close> = web.connect(server)
    for _ = 1, 2 do
      assert(sock:sendall(web.request("POST", "/", CHUNKED)
        .. "3\r\nabc\r\n0\r\nX-Sum: 7\r\nX-Two: a\r\nX-Two: b\r\n\r\n"))
      assert.equal("abc", web.response(sock).body)
      assert.is_nil(before)
      assert.same({"7", 4, 3}, after)
    end
  end)

  it("are none where there are none", function()
    local counts = {}
    local kept
    local server <close> = web.serve(function(req)
      kept = req
      req:body()
      counts[#counts + 1] = #req.trailers
    end)
    web.ask(server, "GET", "/")
    web.ask(server, "POST", "/", nil, "abc")
    web.ask(server, "POST", "/", CHUNKED .. "Connection: close\r\n\r\n0\r\n")
    assert.same({0, 0, 0}, counts)
    assert.equal(0, #kept.trailers)
    local never
    local other <close> = web.serve(function(req) never = req end)
    web.ask(other, "GET", "/")
    assert.is_nil(never.trailers)
  end)
end)

describe("trailers of an answer", function()
  --- All that comes for a handler, after the head.
  local function tail(handler, version)
    local server <close> = web.serve(handler, {error_log = function() end})
    return web.raw(server, ("GET / HTTP/%s\r\nHost: x\r\nConnection: close\r\n\r\n"):format(
      version or "1.1")):match("\r\n\r\n(.*)$")
  end

  it("follow a body in chunks", function()
    assert.equal("3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n", tail(function(_, res)
      return res:finish("abc", {["X-Sum"] = 7})
    end))
    assert.equal("1\r\na\r\n0\r\nX-A: 1\r\nX-A: 2\r\n\r\n", tail(function(_, res)
      res:write("a")
      return res:finish(nil, {["X-A"] = {1, 2}})
    end))
  end)

  it("are left out where there are no chunks", function()
    assert.equal("abc", tail(function(_, res) return res:finish("abc", {A = "b"}) end, "1.0"))
    assert.equal("abc", tail(function(_, res)
      res.headers["Content-Length"] = 3
      return res:finish("abc", {A = "b"})
    end))
  end)

  it("are checked", function()
    for _, bad in ipairs {{["A\r\nB"] = "x"}, {A = "x\r\nB: y"}, {["Content-Length"] = 1},
      {["set-cookie"] = "a=b"}, 1} do
      assert.equal("Internal Server Error\n", tail(function(_, res)
        return res:finish("abc", bad)
      end))
    end
  end)
end)

describe("cookies", function()
  it("that are none are left out", function()
    local got
    local server <close> = web.serve(function(req) got = req:cookies() end)
    web.ask(server, "GET", "/", "Cookie: a=1; b c=2; =3; d; e=; a=4; f=\"q\"\r\n")
    assert.same({a = "1", e = "", f = "q"}, got)
  end)

  it("with a prefix need its attributes", function()
    local errors = 0
    local server <close> = web.serve(function(_, res)
      for _, case in ipairs {{"__Host-a"}, {"__Host-a", {secure = true}}, {"__secure-a", {}},
        {"__Host-a", {secure = true, path = "/", domain = "x.org"}}} do
        if not pcall(res.set_cookie, res, case[1], "1", case[2]) then errors = errors + 1 end
      end
      res:set_cookie("__Host-a", "1", {secure = true, path = "/"})
      res:write("x")
      if not pcall(res.set_cookie, res, "b", "1") then errors = errors + 1 end
    end)
    assert.equal("__Host-a=1; Path=/; Secure",
      web.ask(server, "GET", "/").headers["set-cookie"])
    assert.equal(5, errors)
  end)
end)

describe("a path", function()
  local function seen(target)
    local got
    local server <close> = web.serve(function(req) got = {req.path, req.raw_path, req.query} end)
    web.ask(server, "GET", target)
    return got
  end

  it("is there as it was sent, too", function()
    assert.same({"/a b/c", "/a%20b%2Fc", "d=%20"}, seen "/a%20b%2Fc?d=%20")
    assert.same({"/a/../b/./c//", "/a/../b/./c//"}, seen "/a/../b/./c//")
    assert.same({"/../x", "/%2e%2E/x"}, seen "/%2e%2E/x")
    assert.same({"/", "/"}, seen "http://localhost")
    assert.same({"/x", "/x"}, seen "http://localhost/x")
  end)
end)

describe("the log", function()
  local function collector()
    local lines = {}
    return lines, function(line, ...) lines[#lines + 1] = {line, ...} end
  end

  it("has what was refused", function()
    local lines, log = collector()
    local server <close> = web.serve(function() end, {log = log})
    web.raw(server, "GET / HTTP/1.1\r\n\r\n")
    assert.matches('^127%.0%.0%.1 %- %- %[.-%] "%-" 400 12 "%-" "%-"$', lines[1][1])
    assert.is_nil(lines[1][2])
    assert.equal(400, lines[1][3])
  end)

  it("gives the request, status and bytes, too", function()
    local lines, log = collector()
    local server <close> = web.serve(function() return 201, nil, "abc" end, {log = log})
    web.ask(server, "GET", "/x")
    assert.equal("/x", lines[1][2].path)
    assert.same({201, 3}, {lines[1][3], lines[1][4]})
  end)

  it("has what was cut short, once", function()
    local lines, log = collector()
    local server <close> = web.serve(function(req, res)
      if req.path == "/begun" then
        res:write("abc")
        error("late")
      elseif req.path == "/taken" then
        req:takeover()
      else
        helper.wait_until(function() return select(3, res:write(("x"):rep(100000))) end)
      end
    end, {log = log, error_log = false})
    web.raw(server, web.request("GET", "/begun"))
    web.raw(server, web.request("GET", "/taken"))
    local sock = web.connect(server)
    assert(sock:sendall(web.request("GET", "/gone")))
    assert(sock:readuntil("\r\n\r\n"))
    sock:close()
    helper.wait_until(function() return #lines == 3 end)
    assert.matches('"GET /begun HTTP/1.1" 200 3 ', lines[1][1])
    assert.matches('"GET /taken HTTP/1.1" 101 0 ', lines[2][1])
    assert.matches('"GET /gone HTTP/1.1" 200 %d+ ', lines[3][1])
    helper.wait_until(function() return server._count == 0 end)
    assert.equal(3, #lines)
  end)

  it("of a client that went before the answer says 499", function()
    local lines, log = collector()
    local server <close> = web.serve(function(_, res)
      local big = ("x"):rep(1000000)
      helper.wait_until(function() return select(3, res:send(200, nil, big)) end)
    end, {log = log})
    local sock = web.connect(server)
    sock:setsockopt("linger", 0)
    assert(sock:sendall(web.request("GET", "/")))
    helper.wait_until(function() return server._count == 1 end)
    sock:close()
    helper.wait_until(function() return lines[1] end)
    assert.is_true(lines[1][3] == 499 or lines[1][3] == 200)
  end)

  it("is stderr where it is true", function()
    local code, _, err = helper.run_lua [[
      local http, socket = require "gevent.http", require "gevent.socket"
      local server <close> = http.Server("127.0.0.1:0", function() return "x" end, {log = true})
      server:start()
      local sock <close> = socket.create_connection("127.0.0.1", server.port)
      sock:sendall("GET /logged HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
      sock:read("a")
    ]]
    assert.equal(0, code)
    assert.matches('"GET /logged HTTP/1.1" 200 1 "%-" "%-"\n$', err)
  end)
end)
