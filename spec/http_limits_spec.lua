-- Limits and time-outs of gevent.http.Server, with small values.

local helper = require "helper"
local gevent = require "gevent"
local http = require "gevent.http"
local web = require "helper_http"
local it = helper.it

local function ok() return "ok" end

--- Statuses for raw bytes, on a connection that the server must close.
local function statuses(opts, bytes, handler)
  local server <close> = web.serve(handler or ok, opts)
  return web.statuses(web.raw(server, bytes))
end

describe("the limit", function()
  it("of the request line gives 414", function()
    local opts = {max_request_line = 64}
    assert.same({414}, statuses(opts, web.request("GET", "/" .. ("x"):rep(60))))
    assert.same({200}, statuses(opts, web.request("GET", "/" .. ("x"):rep(40),
      "Connection: close\r\n")))
  end)

  it("of the head gives 431", function()
    local opts = {max_header_bytes = 300}
    assert.same({431}, statuses(opts, web.request("GET", "/",
      ("X-A: b\r\n"):rep(50))))
    assert.same({200}, statuses(opts, web.request("GET", "/", "Connection: close\r\n")))
  end)

  it("of one field gives 431, unless the head may be larger", function()
    local field = "X-A: " .. ("x"):rep(8300) .. "\r\nConnection: close\r\n"
    assert.same({431}, statuses({}, web.request("GET", "/", field)))
    assert.same({200}, statuses({max_header_bytes = 65536},
      web.request("GET", "/", field)))
  end)

  it("of the number of fields gives 431", function()
    local opts = {max_headers = 5}
    assert.same({431}, statuses(opts, web.request("GET", "/", ("A: b\r\n"):rep(5))))
    assert.same({200}, statuses(opts, web.request("GET", "/",
      "Connection: close\r\n" .. ("A: b\r\n"):rep(3))))
  end)

  it("of the body gives 413 before the handler is asked", function()
    local asked = false
    local server <close> = web.serve(function() asked = true end, {max_body_bytes = 10})
    local text = web.raw(server, web.request("POST", "/", nil, ("x"):rep(11)))
    assert.same({413}, web.statuses(text))
    assert.matches("Connection: close\r\n", text)
    assert.is_false(asked)
    assert.equal(200, web.ask(server, "POST", "/", nil, ("x"):rep(10)).status)
  end)

  it("of a chunked body gives 413, and the handler learns of it", function()
    local result
    local bytes = web.request("POST", "/", "Transfer-Encoding: chunked\r\n")
      .. "6\r\nabcdef\r\n6\r\nabcdef\r\n0\r\n\r\n"
    assert.same({413}, statuses({max_body_bytes = 10}, bytes, function(req)
      result = table.pack(req:body())
      return "not sent"
    end))
    assert.same({nil, "request body too large", "toolarge", n = 3}, result)
  end)

  it("may be set for one body", function()
    local result
    local function handler(req)
      result = table.pack(req:body(5))
      return "not sent"
    end
    assert.same({413}, statuses({}, web.request("POST", "/", nil, "123456"), handler))
    assert.equal("toolarge", result[3])
    assert.same({413}, statuses({}, web.request("POST", "/",
      "Transfer-Encoding: chunked\r\n") .. "6\r\n123456\r\n0\r\n\r\n", handler))
    local server <close> = web.serve(function(req) return req:body(6) end)
    assert.equal("123456", web.ask(server, "POST", "/", nil, "123456").body)
  end)
end)

describe("a limit", function()
  it("may be computed: a whole float is an integer", function()
    local server <close> = web.serve(function(req) return req:body() end,
      {max_body_bytes = 2^10, spawn = 1e3})
    local url = "http://127.0.0.1:" .. server.port
    assert.equal(200, http.post(url, ("x"):rep(1024), {max_body_bytes = 1e6}).status)
    assert.equal(413, http.post(url, ("x"):rep(1025)).status)
    for _, bad in ipairs {0.5, -1, "x", 1e300} do
      assert.has_error(function() web.serve(print, {max_body_bytes = bad}) end)
      assert.has_error(function() http.get(url, {max_body_bytes = bad}) end)
    end
  end)
end)

describe("a bad body", function()
  local bad = web.request("POST", "/", "Transfer-Encoding: chunked\r\n") .. "zz\r\n"

  it("is answered with 400, whatever the handler returns", function()
    local result
    assert.same({400}, statuses({}, bad, function(req)
      result = table.pack(req:body())
      return 200, nil, "fine"
    end))
    assert.is_nil(result[1])
    assert.equal("malformed", result[3])
  end)

  it("is answered with 400 if the handler fails for it, and not logged", function()
    local logged
    assert.same({400}, statuses({error_log = function(text) logged = text end}, bad,
      function(req) web.assert(req:body()) end))
    assert.same({400}, statuses({error_log = function(text) logged = text end}, bad,
      function(req) error("no body: " .. select(2, req:body()), 0) end))
    assert.is_nil(logged)
  end)

  it("stays bad", function()
    statuses({}, bad, function(req)
      for _ = 1, 2 do
        assert.equal("malformed", select(3, req:read("l")))
      end
      assert.has_error(function() for _ in req:lines() do error("a line") end end)
    end)
  end)

  it("that is cut off is bad", function()
    local result
    local server <close> = web.serve(function(req) result = table.pack(req:body()) end)
    local sock <close> = web.connect(server)
    assert(sock:sendall(web.request("POST", "/", "Content-Length: 10\r\n") .. "abc"))
    assert(sock:shutdown("w"))
    assert.equal(400, web.response(sock).status)
    assert.equal("malformed", result[3])
  end)

  it("ends an answer that has begun as the handler ends it", function()
    local server <close> = web.serve(function(req, res)
      res:write("begun;")
      local body = req:body()
      res:finish(body or "bad")
    end)
    local text = web.raw(server, bad)
    assert.same({200}, web.statuses(text))
    assert.matches("begun;.*bad\r\n0\r\n\r\n$", text)
  end)
end)

describe("the time-out", function()
  --- Seconds until the server has closed a connection on which `fn` acted.
  local function lasts(opts, fn)
    local server <close> = web.serve(function(req)
      local body = req:body()
      return body
    end, opts)
    local sock <close> = web.connect(server)
    local began = helper.now()
    if fn then fn(sock) end
    local text = sock:read("a")
    return helper.now() - began, text and web.statuses(text) or {}
  end

  it("of a connection on which nothing comes is that of the head", function()
    local seconds, statuses_ = lasts {header_timeout = 0.05, keepalive_timeout = 60}
    assert.is_true(seconds >= 0.049 and seconds < 0.05 + helper.scale)
    assert.same({}, statuses_)
  end)

  it("of an idle connection closes it without a word", function()
    local seconds, statuses_ = lasts({keepalive_timeout = 0.05}, function(sock)
      assert(sock:sendall(web.request("GET", "/")))
    end)
    assert.is_true(seconds >= 0.049 and seconds < 0.05 + helper.scale)
    assert.same({200}, statuses_)
  end)

  it("of an idle connection may be 0: each answer is the last", function()
    local server <close> = web.serve(function() return "x" end, {keepalive_timeout = 0})
    local text = web.raw(server, web.request("GET", "/a") .. web.request("GET", "/b"))
    assert.same({200}, web.statuses(text))
    assert.matches("Connection: close\r\n", text)
  end)

  it("of a head is 408", function()
    local seconds, statuses_ = lasts({header_timeout = 0.05}, function(sock)
      assert(sock:sendall("GET / HT"))
    end)
    assert.is_true(seconds >= 0.049 and seconds < 0.05 + helper.scale)
    assert.same({408}, statuses_)
  end)

  it("of a head that trickles is 408 all the same", function()
    local seconds, statuses_ = lasts({header_timeout = 0.1}, function(sock)
      assert(sock:sendall("GET /"))
      for _ = 1, 200 do
        if not sock:sendall("x") then break end
        gevent.sleep(0.005)
        if sock:recv(1, 0) == "H" then break end -- of HTTP: it has answered
      end
    end)
    assert.is_true(seconds >= 0.09 and seconds < 0.9 * helper.scale)
    assert.is_true(#statuses_ <= 1)
  end)

  it("of a head counts from its first byte", function()
    local server <close> = web.serve(ok, {header_timeout = 0.2})
    local sock <close> = web.connect(server)
    assert(sock:sendall(web.request("GET", "/")))
    assert.equal(200, web.response(sock).status)
    gevent.sleep(0.25)
    assert(sock:sendall(web.request("GET", "/")))
    assert.equal(200, web.response(sock).status)
  end)

  it("of a body is 408", function()
    local seconds, statuses_ = lasts({body_timeout = 0.05}, function(sock)
      assert(sock:sendall(web.request("POST", "/", "Content-Length: 5\r\n") .. "abc"))
    end)
    assert.is_true(seconds >= 0.049 and seconds < 0.06 + helper.scale)
    assert.same({408}, statuses_)
  end)

  it("of a body that trickles is 408 all the same", function()
    local seconds = lasts({body_timeout = 0.1}, function(sock)
      assert(sock:sendall(web.request("POST", "/", "Content-Length: 1000\r\n")))
      for _ = 1, 200 do
        if not sock:sendall("x") then break end
        gevent.sleep(0.005)
        if sock:recv(1, 0) == "H" then break end
      end
    end)
    assert.is_true(seconds < 0.9 * helper.scale)
  end)

  it("of a body is told to the handler", function()
    local result
    local server <close> = web.serve(function(req)
      result = table.pack(req:read("l"))
    end, {body_timeout = 0.02})
    local text = web.raw(server, web.request("POST", "/", "Content-Length: 5\r\n"))
    assert.same({408}, web.statuses(text))
    assert.same({nil, "timed out", "timeout", n = 3}, result)
  end)

  it("of a body does not count while the handler does other things", function()
    local server <close> = web.serve(function(req)
      gevent.sleep(0.1)
      return req:read(1) .. req:body()
    end, {body_timeout = 0.05})
    local sock <close> = web.connect(server)
    assert(sock:sendall(web.request("POST", "/", "Content-Length: 3\r\n") .. "a"))
    gevent.sleep(0.11)
    assert(sock:sendall("bc"))
    assert.equal("abc", web.response(sock).body)
  end)

  it("of writing ends with a client that does not read", function()
    local result
    local server <close> = web.serve(function(_, res)
      for _ = 1, 1000 do
        result = table.pack(res:write(("x"):rep(100000)))
        if not result[1] then return end
      end
    end, {write_timeout = 0.05})
    local sock <close> = web.connect(server)
    assert(sock:sendall(web.request("GET", "/")))
    helper.wait_until(function() return result and not result[1] end)
    assert.same({nil, "timed out", "timeout", n = 3}, result)
    helper.wait_until(function() return server._count == 0 end)
  end)

  it("of writing ends a whole answer too", function()
    local server <close> = web.serve(function() return ("x"):rep(30000000) end,
      {write_timeout = 0.05})
    local sock <close> = web.connect(server)
    assert(sock:sendall(web.request("GET", "/")))
    helper.wait_until(function() return server._count == 1 end)
    helper.wait_until(function() return server._count == 0 end)
  end)

  it("may be switched off", function()
    local server <close> = web.serve(ok, {header_timeout = false,
      keepalive_timeout = false, body_timeout = false, write_timeout = false})
    assert.equal("ok", web.ask(server, "GET", "/").body)
    assert.equal("ok", web.ask(server, "POST", "/", nil, "x").body)
  end)
end)
