-- gevent.wsapi: applications as the WSAPI manual has them, small ones.

local helper = require "helper"
local gevent = require "gevent"
local gco = require "gevent.coroutine"
local web = require "helper_http"
local wsapi = require "gevent.wsapi"
local it = helper.it

local function serve(app, opts)
  local server = wsapi.Server("127.0.0.1:0", app, opts)
  assert(server:start())
  return server
end

--- The answer of an application to one request.
local function ask(app, method, target, head, body, opts)
  local server <close> = serve(app, opts)
  return web.ask(server, method, target, head, body)
end

--- An iterator over the arguments.
local function parts(...)
  local list, i = {...}, 0
  return function()
    i = i + 1
    return list[i]
  end
end

--- The environment that an application sees.
local function env_of(method, target, head, body, opts)
  local seen
  ask(function(env)
    seen = env
    return 200, {}, parts("x")
  end, method, target, head, body, opts)
  return seen
end

-- The manual's first example.
local function hello(env)
  local headers = {["Content-type"] = "text/html"}
  local function text()
    coroutine.yield("<html><body>")
    coroutine.yield("<p>Hello Wsapi!</p>")
    coroutine.yield("<p>PATH_INFO: " .. env.PATH_INFO .. "</p>")
    coroutine.yield("<p>SCRIPT_NAME: " .. env.SCRIPT_NAME .. "</p>")
    coroutine.yield("</body></html>")
  end
  return 200, headers, coroutine.wrap(text)
end

describe("a WSAPI application", function()
  it("answers", function()
    local res = ask(hello, "GET", "/a/b")
    assert.equal(200, res.status)
    assert.equal("text/html", res.headers["content-type"])
    assert.equal("chunked", res.headers["transfer-encoding"])
    assert.equal(5, #res.chunks)
    assert.equal("<html><body><p>Hello Wsapi!</p><p>PATH_INFO: /a/b</p>"
      .. "<p>SCRIPT_NAME: </p></body></html>", res.body)
  end)

  it("is a function, a table with run, a callable, or a module's name", function()
    package.preload["spec_wsapi_app"] = function() return {run = hello} end
    for _, app in ipairs {
      hello, {run = hello}, setmetatable({}, {__call = function(_, env) return hello(env) end}),
      "spec_wsapi_app",
    } do
      assert.equal(200, ask(app, "GET", "/").status)
    end
    package.preload["spec_wsapi_app"], package.loaded["spec_wsapi_app"] = nil, nil
    for _, app in ipairs {{}, 1, true} do
      assert.has_error(function() wsapi.Server("127.0.0.1:0", app) end)
    end
    assert.has_error(function() wsapi.Server("127.0.0.1:0", nil) end)
  end)

  it("tells its status in several ways", function()
    for given, expected in pairs {
      [200] = "200 OK", ["404"] = "404 Not Found", ["201 Made"] = "201 Made",
      [299] = "299 ", ["500 Oh no"] = "500 Oh no",
    } do
      local res = ask(function() return given, {}, parts("x") end, "GET", "/")
      assert.equal(expected, res.status .. " " .. res.reason)
    end
  end)

  it("sends fields, repeated ones too", function()
    local res = ask(function()
      return 200, {["Set-Cookie"] = {"a=1", "b=2"}, ["X-Number"] = 12}, parts("x")
    end, "GET", "/")
    local cookies = {}
    for _, field in ipairs(res.list) do
      if field[1] == "Set-Cookie" then cookies[#cookies + 1] = field[2] end
    end
    assert.same({"a=1", "b=2"}, cookies)
    assert.equal("12", res.headers["x-number"])
  end)

  it("may have no fields, no body, or a string for one", function()
    local res = ask(function() return 204 end, "GET", "/")
    assert.equal(204, res.status)
    res = ask(function() return 200, nil, nil end, "GET", "/")
    assert.equal("0", res.headers["content-length"])
    res = ask(function() return 200, {}, "text" end, "GET", "/")
    assert.equal("text", res.body)
  end)

  it("may give empty parts and numbers", function()
    local res = ask(function() return 200, {}, parts("a", "", 1, "", "b") end, "GET", "/")
    assert.equal("a1b", res.body)
    assert.same({"a", "1", "b"}, res.chunks)
    res = ask(function() return 200, {}, parts("", "") end, "GET", "/")
    assert.equal("", res.body)
  end)

  it("sends each part when it is made", function()
    local gate = helper.gate()
    local server <close> = serve(function()
      local n = 0
      return 200, {}, function()
        n = n + 1
        if n == 2 then gate:wait() end
        return n < 3 and "part" .. n or nil
      end
    end)
    local sock <close> = web.connect(server)
    sock:sendall(web.request("GET", "/"))
    assert.matches("part1", sock:readuntil("part1"))
    gate:open()
    assert.matches("part2", sock:readuntil("0\r\n\r\n"))
  end)

  it("is not asked for a body after HEAD, and the connection goes on", function()
    local server <close> = serve(hello)
    local sock <close> = web.connect(server)
    sock:sendall(web.request("HEAD", "/") .. web.request("GET", "/"))
    assert.equal("", web.response(sock, "HEAD").body)
    assert.matches("Hello", web.response(sock).body)
  end)
end)

describe("the framing of a WSAPI answer", function()
  it("is ours, whatever the application says", function()
    local server <close> = serve(function()
      return 200, {["Transfer-Encoding"] = "gzip, chunked", ["Connection"] = "keep-alive"},
        parts("ab", "c")
    end)
    local sock <close> = web.connect(server)
    for _ = 1, 2 do
      sock:sendall(web.request("GET", "/"))
      local res = web.response(sock)
      assert.equal("abc", res.body)
      assert.equal("chunked", res.headers["transfer-encoding"])
      assert.is_nil(res.headers["content-length"])
    end
  end)

  it("takes a Content-Length that is true", function()
    local res = ask(function()
      return 200, {["Content-Length"] = "3"}, parts("ab", "c")
    end, "GET", "/")
    assert.equal("3", res.headers["content-length"])
    assert.is_nil(res.headers["transfer-encoding"])
    assert.equal("abc", res.body)
  end)

  it("cuts the connection where it was false", function()
    local printed <close> = helper.capture_errors()
    for _, length in ipairs {2, 4} do
      local server <close> = serve(function()
        return 200, {["Content-Length"] = length}, parts("ab", "c")
      end)
      local text = web.raw(server, web.request("GET", "/") .. web.request("GET", "/"))
      assert.same({200}, web.statuses(text))
    end
    assert.matches("Content%-Length", printed:text())
  end)

  it("refuses what would be fields of somebody else", function()
    for _, headers in ipairs {
      {["X-A"] = "b\r\nSet-Cookie: c"}, {["X A"] = "b"}, {["Content-Length"] = "3, 4"},
    } do
      local printed <close> = helper.capture_errors()
      local res = ask(function() return 200, headers, parts("abc") end, "GET", "/")
      assert.equal(500, res.status)
      assert.is_nil(res.headers["set-cookie"])
      assert.is_true(#printed:text() > 0)
    end
  end)
end)

describe("the environment of a WSAPI application", function()
  it("says what CGI says", function()
    local env = env_of("GET", "/a%20b?c=d%20e", "X-Custom-Field: v\r\nCookie: a=1\r\n"
      .. "Accept: x\r\nAccept: y\r\n")
    assert.equal("GET", env.REQUEST_METHOD)
    assert.equal("/a b", env.PATH_INFO)
    assert.equal("", env.SCRIPT_NAME)
    assert.equal("c=d%20e", env.QUERY_STRING)
    assert.equal("localhost", env.SERVER_NAME)
    assert.matches("^%d+$", env.SERVER_PORT)
    assert.equal("HTTP/1.1", env.SERVER_PROTOCOL)
    assert.equal("CGI/1.1", env.GATEWAY_INTERFACE)
    assert.is_true(#env.SERVER_SOFTWARE > 0)
    assert.equal("127.0.0.1", env.REMOTE_ADDR)
    assert.equal("localhost", env.HTTP_HOST)
    assert.equal("v", env.HTTP_X_CUSTOM_FIELD)
    assert.equal("a=1", env.HTTP_COOKIE)
    assert.equal("x, y", env.HTTP_ACCEPT)
    assert.equal(".", env.APP_PATH)
    assert.equal(200, env.STATUS)
  end)

  it("has an empty string for all else", function()
    local env = env_of("GET", "/")
    for _, name in ipairs {"QUERY_STRING", "CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_X",
      "AUTH_TYPE", "HTTPS", "HTTP_TRANSFER_ENCODING"} do
      assert.equal("", env[name])
    end
  end)

  it("has a body's type and length, and not among the fields", function()
    local env = env_of("POST", "/", "Content-Type: text/x\r\n", "abc")
    assert.equal("text/x", env.CONTENT_TYPE)
    assert.equal("3", env.CONTENT_LENGTH)
    assert.equal("", env.HTTP_CONTENT_TYPE)
    assert.equal("", env.HTTP_CONTENT_LENGTH)
    assert.equal(3, env.input.length)
  end)

  it("leaves out fields that could be taken for others", function()
    local env = env_of("GET", "/", "X_Real_Ip: 1\r\nProxy: http://evil\r\nX-Real-Ip: 2\r\n")
    assert.equal("2", env.HTTP_X_REAL_IP)
    assert.equal("", env.HTTP_PROXY)
  end)

  it("has the port of Host, and names for what the options say", function()
    local server <close> = serve(function(env)
      return 200, {}, parts(table.concat({env.SERVER_NAME, env.SERVER_PORT, env.SCRIPT_NAME,
        env.PATH_INFO, env.APP_PATH, env.MORE}, " "))
    end, {script_name = "/app/", app_path = "/srv/app", env = {MORE = "more"}})
    local function body(target)
      local sock <close> = web.connect(server)
      sock:sendall("GET " .. target .. " HTTP/1.1\r\nHost: example.org:81\r\n\r\n")
      local res = web.response(sock)
      return res.status == 200 and res.body or res.status
    end
    assert.equal("example.org 81 /app /x/y /srv/app more", body("/app/x/y"))
    assert.equal("example.org 81 /app / /srv/app more", body("/app"))
    assert.equal(404, body("/application"))
    assert.equal(404, body("/"))
    assert.has_error(function() serve(hello, {script_name = 1}) end)
  end)

  it("has somewhere to complain to", function()
    local lines = {}
    ask(function(env)
      env.error:write("one ", "two", 3)
      return 200
    end, "GET", "/", nil, nil, {error_log = function(text) lines[#lines + 1] = text end})
    assert.same({"one two3"}, lines)
  end)
end)

describe("the input of a WSAPI application", function()
  --- What an application reads of the body `abcdef`, sent in that way.
  local function reads(head, body, fn)
    local got
    ask(function(env)
      got = table.pack(fn(env.input, env))
      return 200
    end, "POST", "/", head, body)
    return got
  end

  local WAYS = {
    ["with a length"] = {"", "abcdef"},
    ["in chunks"] = {"Transfer-Encoding: chunked\r\n"},
  }
  for way, args in pairs(WAYS) do
    local function read(fn)
      if args[2] then return reads(args[1], args[2], fn) end
      local got
      local server <close> = serve(function(env)
        got = table.pack(fn(env.input, env))
        return 200
      end)
      local sock <close> = web.connect(server)
      sock:sendall(web.request("POST", "/", args[1]) .. "4\r\nabcd\r\n2\r\nef\r\n0\r\n\r\n")
      assert.equal(200, web.response(sock).status)
      return got
    end

    it("is read whole, " .. way, function()
      assert.same({"abcdef", nil, n = 2}, read(function(input)
        return input:read(), (input:read())
      end))
    end)

    it("is read in pieces, " .. way, function()
      assert.same({"", "abcd", "ef", nil, nil, n = 5}, read(function(input)
        return (input:read(0)), (input:read(4)), (input:read(10)), (input:read(1)),
          (input:read())
      end))
    end)

    it("has its length, " .. way, function()
      assert.same({6, "6", "abcdef", n = 3}, read(function(input, env)
        return input.length, env.CONTENT_LENGTH, (input:read(tonumber(env.CONTENT_LENGTH)))
      end))
    end)
  end

  it("is nil where there is none", function()
    assert.same({nil, 0, n = 2}, reads(nil, nil, function(input)
      return (input:read()), input.length
    end))
  end)

  it("that is malformed or too large is answered by the server", function()
    local server <close> = serve(function(env)
      env.input:read()
      return 200, {}, parts("x")
    end, {max_body_bytes = 10})
    local chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert.same({400}, web.statuses(web.raw(server, chunked .. "x\r\n")))
    assert.same({413}, web.statuses(web.raw(server, chunked .. "ff\r\n")))
    assert.same({413}, web.statuses(web.raw(server,
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n")))
  end)
end)

describe("a generator of a WSAPI application", function()
  for name, wrap in pairs {stock = coroutine.wrap, ours = gco.wrap} do
    local yield = name == "stock" and coroutine.yield or gco.yield

    it("may block, " .. name, function()
      local gate = helper.gate()
      local server <close> = serve(function()
        return 200, {}, wrap(function()
          yield("one ")
          gate:wait()
          yield("two ")
          gevent.sleep(0.001)
          yield("three")
        end)
      end)
      local clients = {}
      for i = 1, 3 do clients[i] = gevent.spawn(web.ask, server, "GET", "/") end
      helper.wait_all_blocked()
      gate:open()
      for _, client in ipairs(clients) do
        assert.equal("one two three", client:get().body)
      end
    end)

    it("may return its last part, " .. name, function()
      local res = ask(function()
        return 200, {}, wrap(function()
          yield("one ")
          return "two"
        end)
      end, "GET", "/")
      assert.equal("one two", res.body)
    end)

    it("that fails before the first part is a 500, " .. name, function()
      local printed <close> = helper.capture_errors()
      local res = ask(function()
        return 200, {["X-A"] = "b"}, wrap(function() error("oops") end)
      end, "GET", "/")
      assert.equal(500, res.status)
      assert.is_nil(res.headers["x-a"])
      assert.is_nil(res.body:find("oops"))
      assert.matches("oops", printed:text())
    end)

    it("that fails later cuts the answer, " .. name, function()
      local printed <close> = helper.capture_errors()
      local server <close> = serve(function()
        return 200, {}, wrap(function()
          yield("part")
          error("oops")
        end)
      end)
      local text = web.raw(server, web.request("GET", "/"))
      assert.matches("part", text)
      assert.is_nil(text:find("\r\n0\r\n", 1, true))
      assert.matches("oops", printed:text())
    end)

    it("is closed when the client goes, " .. name, function()
      local closed = false
      local server <close> = serve(function()
        return 200, {}, wrap(function()
          local _guard <close> = helper.defer(function() closed = true end)
          while true do yield(("x"):rep(100000)) end
        end)
      end)
      local sock = web.connect(server)
      sock:sendall(web.request("GET", "/"))
      sock:recv(10)
      sock:close()
      helper.wait_until(function() return closed end)
    end)

    it("is closed when it is killed in a wait, " .. name, function()
      local closed = false
      local gate = helper.gate()
      local server = serve(function()
        return 200, {}, wrap(function()
          local _guard <close> = helper.defer(function() closed = true end)
          yield("x")
          gate:wait()
        end)
      end)
      local sock <close> = web.connect(server)
      sock:sendall(web.request("GET", "/"))
      sock:readuntil("x\r\n")
      helper.wait_all_blocked()
      server:stop(0)
      helper.wait_until(function() return closed end)
    end)
  end
end)

describe("a WSAPI application that fails", function()
  it("is a 500 without details, and a traceback in the log", function()
    local printed <close> = helper.capture_errors()
    local function broken() error("secret") end
    local res = ask(function() broken() return 200 end, "GET", "/")
    assert.equal(500, res.status)
    assert.is_nil(res.body:find("secret"))
    assert.matches("secret", printed:text())
    assert.matches("broken", printed:text())
  end)

  it("may answer by an error of status and text", function()
    local res = ask(function() error({404, "no such page"}) end, "GET", "/")
    assert.equal(404, res.status)
    assert.equal("no such page", res.body)
  end)

  it("is a 500 where its status is none", function()
    for _, status in ipairs {"x", 99, 600, 101, true, {}} do
      local printed <close> = helper.capture_errors()
      assert.equal(500, ask(function() return status, {}, parts("x") end, "GET", "/").status)
      assert.matches("bad status", printed:text())
    end
    local printed <close> = helper.capture_errors()
    assert.equal(500, ask(function() return nil end, "GET", "/").status)
    assert.matches("bad status", printed:text())
  end)
end)
