-- Bodies in pieces, both ways; 100-continue; back-pressure.

local helper = require "helper"
local gevent = require "gevent"
local web = require "helper_http"
local it = helper.it

--- "5\r\nhello\r\n" ... "0\r\n\r\n"
local function chunked(...)
  local text = {}
  for i, part in ipairs {...} do text[i] = ("%x\r\n%s\r\n"):format(#part, part) end
  return table.concat(text) .. "0\r\n\r\n"
end

local CHUNKED = "Transfer-Encoding: chunked\r\n"

describe("req:read", function()
  --- What `fn(req)` returns, for a request with that head and raw body.
  local function seen(head, body, fn)
    local result
    local server <close> = web.serve(function(req)
      result = table.pack(fn(req))
      return "x"
    end)
    local sock <close> = web.connect(server)
    assert(sock:sendall(web.request("POST", "/", head) .. body))
    assert.equal(200, web.response(sock).status)
    assert(sock:sendall(web.request("GET", "/next"))) -- still in step?
    assert.equal(200, web.response(sock).status)
    return result
  end

  local both = {
    {"Content-Length: 11\r\n", "one\ntwo\nend"},
    {CHUNKED, chunked("o", "ne\nt", "wo\ne", "nd")},
    {CHUNKED, "3;ext=1\r\none\r\n8\r\n\ntwo\nend\r\n0\r\nX-Trailer: t\r\n\r\n"},
  }

  for i, case in ipairs(both) do
    it("reads by the formats of io " .. i, function()
      local results = {}
      seen(case[1], case[2], function(req)
        if req.path ~= "/" then return end
        results = {req:read("l"), req:read("L"), req:read(2), req:read("a"),
          req:read("a")}
        assert.same({nil, "closed", "closed"}, {req:read("l")})
        assert.same({nil, "closed", "closed"}, {req:read(1)})
      end)
      assert.same({"one", "two\n", "en", "d", ""}, results)
    end)

    it("gives lines " .. i, function()
      local lines = {}
      seen(case[1], case[2], function(req)
        for line in req:lines() do lines[#lines + 1] = line end
      end)
      assert.same({"one", "two", "end"}, lines)
    end)

    it("gives all at once, again and again " .. i, function()
      local results
      seen(case[1], case[2], function(req)
        results = results or {req:body(), req:body()}
      end)
      assert.same({"one\ntwo\nend", "one\ntwo\nend"}, results)
    end)
  end

  it("has nothing where there is no body", function()
    local server <close> = web.serve(function(req)
      assert.equal("", req:body())
      assert.equal("", req:read("a"))
      assert.same({nil, "closed", "closed"}, {req:read()})
      for _ in req:lines() do error("a line") end
      return "ok"
    end)
    assert.equal("ok", web.ask(server, "GET", "/").body)
  end)

  it("blocks until there is enough", function()
    local steps = {}
    local server <close> = web.serve(function(req)
      for _ = 1, 3 do steps[#steps + 1] = req:read(2) end
      return "x"
    end)
    local sock <close> = web.connect(server)
    assert(sock:sendall(web.request("POST", "/", "Content-Length: 6\r\n") .. "a"))
    helper.wait_all_blocked()
    assert.same({}, steps)
    assert(sock:sendall("bc"))
    helper.wait_all_blocked()
    assert.same({"ab"}, steps)
    assert(sock:sendall("def"))
    web.response(sock)
    assert.same({"ab", "cd", "ef"}, steps)
  end)

  it("takes large bodies through in pieces", function()
    local server <close> = web.serve(function(req)
      local sum, pieces = 0, 0
      while true do
        local piece = req:read(50000)
        if not piece then break end
        sum, pieces = sum + #piece, pieces + 1
      end
      return sum .. " " .. pieces
    end, {max_body_bytes = false})
    local res = web.ask(server, "POST", "/", nil, ("x"):rep(5000000))
    assert.equal("5000000 100", res.body)
  end)

  it("can be used by a greenlet of the handler's", function()
    local server <close> = web.serve(function(req)
      return (gevent.spawn(function() return req:body() end):get())
    end)
    assert.equal("abc", web.ask(server, "POST", "/", nil, "abc").body)
  end)

  it("has one reader at a time", function()
    local message
    local server <close> = web.serve(function(req)
      local other <close> = gevent.spawn(function() return req:body() end)
      gevent.sleep(0.001)
      local ok, err = gevent.pcall(req.body, req)
      message = not ok and tostring(err)
      return (other:get())
    end)
    local sock <close> = web.connect(server)
    assert(sock:sendall(web.request("POST", "/", "Content-Length: 2\r\n")))
    gevent.sleep(0.02)
    assert(sock:sendall("ab"))
    assert.equal("ab", web.response(sock).body)
    assert.matches("already used by another greenlet", message)
  end)
end)

describe("Expect: 100-continue", function()
  it("is answered once, when the body is wanted", function()
    local gate = helper.gate()
    local server <close> = web.serve(function(req)
      gate:wait()
      return req:read(1) .. req:body()
    end)
    local sock <close> = web.connect(server)
    assert(sock:sendall(web.request("POST", "/",
      "Expect: 100-Continue\r\nContent-Length: 3\r\n")))
    assert.same({nil, "timed out", "timeout"}, {sock:recv(1, 0.01)})
    gate:open()
    assert.equal(100, web.response(sock).status)
    assert(sock:sendall("abc"))
    assert.equal("abc", web.response(sock).body)
    assert(sock:sendall(web.request("GET", "/")))
  end)

  it("is not answered where the body is not wanted", function()
    local server <close> = web.serve(function() return 403, nil, "no" end)
    local sock <close> = web.connect(server)
    assert(sock:sendall(web.request("POST", "/",
      "Expect: 100-continue\r\nContent-Length: 3\r\n")))
    local res = web.response(sock)
    assert.equal(403, res.status)
    assert.equal("close", res.headers.connection)
    assert.is_true(web.is_closed(sock))
  end)

  it("is not answered where there is no body, or in HTTP/1.0", function()
    local server <close> = web.serve(function(req) return req:body() end)
    assert.not_matches("100 Continue", web.raw(server,
      web.request("GET", "/", "Expect: 100-continue\r\nConnection: close\r\n")))
    assert.not_matches("100 Continue", web.raw(server,
      "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx"))
  end)
end)

describe("a body that nobody reads", function()
  it("is read away if it is small", function()
    local server <close> = web.serve(function(req) return req.path end)
    local sock <close> = web.connect(server)
    assert(sock:sendall(web.request("POST", "/1", nil, ("x"):rep(100000))
      .. web.request("POST", "/2", CHUNKED) .. chunked("abc", "def")
      .. web.request("GET", "/3")))
    for i = 1, 3 do assert.equal("/" .. i, web.response(sock).body) end
  end)

  it("ends the connection if it is large, and the answer arrives", function()
    local server <close> = web.serve(function() return "x" end,
      {max_body_bytes = false})
    local sock <close> = web.connect(server)
    local sender = gevent.spawn(function()
      sock:sendall(web.request("POST", "/", nil, ("x"):rep(3000000)))
    end)
    local res = web.response(sock)
    assert.equal("x", res.body)
    assert.equal("close", res.headers.connection)
    sender:join()
  end)

  it("ends the connection if it turns out to be large", function()
    local server <close> = web.serve(function() return "x" end,
      {max_body_bytes = false})
    local sock <close> = web.connect(server)
    local sender = gevent.spawn(function()
      sock:sendall(web.request("POST", "/", CHUNKED))
      sock:sendall(chunked(("x"):rep(3000000)))
    end)
    assert.equal("x", web.response(sock).body)
    sender:join()
    assert.is_true(web.is_closed(sock))
  end)
end)

describe("res:write", function()
  it("sends what it is given at once", function()
    local gate = helper.gate()
    local server <close> = web.serve(function(_, res)
      res:write("first")
      gate:wait()
      res:write("second")
    end)
    local sock <close> = web.connect(server)
    assert(sock:sendall(web.request("GET", "/")))
    assert(sock:readuntil("\r\n\r\n"))
    assert.equal("5\r\nfirst\r\n", sock:readexactly(10))
    gate:open()
    assert.equal("6\r\nsecond\r\n0\r\n\r\n", sock:readexactly(16))
  end)

  it("writes large strings as they are", function()
    local parts = {}
    for i = 1, 300000 do parts[i] = ("%08d"):format(i) end
    local text = table.concat(parts)
    local server <close> = web.serve(function(req, res)
      if req.path == "/whole" then return text end
      res:write("<")
      res:write(text)
      res:finish(">")
    end)
    local sock <close> = web.connect(server)
    assert(sock:setsockopt("rcvbuf", 16384))
    assert(sock:sendall(web.request("GET", "/whole") .. web.request("GET", "/")))
    gevent.sleep(0.01)
    assert.is_true(web.response(sock).body == text)
    assert.is_true(web.response(sock).body == "<" .. text .. ">")
  end)

  it("tells when the client has gone, and the connection ends quietly", function()
    local printed <close> = helper.capture_errors()
    local result
    local server <close> = web.serve(function(_, res)
      for _ = 1, 1000 do
        result = table.pack(res:write(("x"):rep(100000)))
        if not result[1] then break end
      end
      web.assert(result[1], result[2])
    end)
    local sock = web.connect(server)
    assert(sock:sendall(web.request("GET", "/")))
    assert(sock:recv(1000))
    sock:close()
    helper.wait_until(function() return result and not result[1] end)
    helper.wait_until(function() return server._count == 0 end)
    assert.is_string(result[2])
    assert.is_truthy(result[3] == "EPIPE" or result[3] == "ECONNRESET")
    assert.equal("", printed:text())
  end)

  it("may be called in a coroutine of the handler's", function()
    local coroutine = require "gevent.coroutine"
    local server <close> = web.serve(function(req, res)
      local co = coroutine.wrap(function()
        local body = req:body()
        gevent.sleep(0)
        res:write(body)
        coroutine.yield()
        res:finish("!")
      end)
      co()
      co()
    end)
    assert.equal("abc!", web.ask(server, "POST", "/", nil, "abc").body)
  end)

  it("writes nothing more after a write that was interrupted", function()
    local second
    local server <close> = web.serve(function(_, res)
      local ok = pcall(gevent.with_timeout, 0.01, function()
        for _ = 1, 1000 do res:write(("x"):rep(100000)) end
      end)
      assert(ok)
      second = table.pack(res:write("y"))
    end)
    local sock <close> = web.connect(server)
    assert(sock:sendall(web.request("GET", "/")))
    helper.wait_until(function() return second end)
    assert.same({nil, "closed", "closed", n = 3}, second)
    sock:read("a")
    assert.is_true(web.is_closed(sock))
  end)
end)

describe("an iterator", function()
  it("is not asked for more once the client has gone", function()
    local calls, ended = 0, false
    local server <close> = web.serve(function()
      return function()
        calls = calls + 1
        gevent.sleep(0)
        return ("x"):rep(10000)
      end
    end)
    local sock = web.connect(server)
    assert(sock:sendall(web.request("GET", "/")))
    assert(sock:recv(1000))
    sock:close()
    helper.wait_until(function() ended = server._count == 0 return ended end)
    local before = calls
    gevent.sleep(0.01)
    assert.equal(before, calls)
  end)

  it("that fails before its first part is a 500", function()
    local logged
    local server <close> = web.serve(function()
      return function() error("no first") end
    end, {error_log = function(text) logged = text end})
    assert.equal(500, web.ask(server, "GET", "/").status)
    assert.matches("no first", logged)
  end)

  it("that fails later cuts the connection", function()
    local logged, n = nil, 0
    local server <close> = web.serve(function()
      return function()
        n = n + 1
        if n == 2 then error("no second") end
        return "first"
      end
    end, {error_log = function(text) logged = text end})
    local text = web.raw(server, web.request("GET", "/"))
    assert.matches("5\r\nfirst\r\n$", text)
    assert.matches("no second", logged)
  end)

  it("must give strings", function()
    local logged
    local server <close> = web.serve(function() return function() return {} end end,
      {error_log = function(text) logged = text end})
    assert.equal(500, web.ask(server, "GET", "/").status)
    assert.matches("part of the body is a table", logged)
  end)
end)
