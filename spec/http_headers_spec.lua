-- Headers: those of requests, of answers, and free ones.

local helper = require "helper"
local http = require "gevent.http"
local web = require "helper_http"
local it = helper.it

local function pairs_of(headers)
  local list = {}
  for name, value in headers:each() do list[#list + 1] = {name, value} end
  return list
end

describe("headers", function()
  it("are found whatever the case", function()
    local h = http.Headers {["Content-Type"] = "a/b"}
    assert.equal("a/b", h["content-type"])
    assert.equal("a/b", h["CONTENT-TYPE"])
    assert.is_nil(h["content"])
    assert.is_nil(h[1])
  end)

  it("keep their order and spelling", function()
    local h = http.Headers()
    h["B"] = "1"
    h["a"] = 2
    h:add("C", "3")
    assert.same({{"B", "1"}, {"a", "2"}, {"C", "3"}}, pairs_of(h))
    assert.equal(3, #h)
  end)

  it("may have one name several times", function()
    local h = http.Headers()
    h:add("X-A", "1")
    h:add("Other", "o")
    h:add("x-a", 2)
    assert.equal("1, 2", h["X-A"])
    assert.same({"1", "2"}, h:get_all("X-a"))
    assert.same({}, h:get_all("none"))
  end)

  it("are replaced by assignment, whatever the case", function()
    local h = http.Headers()
    h:add("X-A", "1")
    h:add("B", "b")
    h:add("x-A", "2")
    h["x-a"] = "3"
    assert.same({{"B", "b"}, {"x-a", "3"}}, pairs_of(h))
    h["X-A"] = {"4", "5"}
    assert.same({"4", "5"}, h:get_all("x-a"))
    h["X-A"] = nil
    assert.same({{"B", "b"}}, pairs_of(h))
    h["B"] = {}
    assert.equal(0, #h)
  end)

  it("can be iterated by pairs", function()
    local seen = {}
    for name, value in pairs(http.Headers {A = "1", B = {"2", "3"}}) do
      seen[#seen + 1] = name .. value
    end
    table.sort(seen)
    assert.same({"A1", "B2", "B3"}, seen)
  end)

  it("refuse what would inject something", function()
    local h = http.Headers()
    for _, value in ipairs {"a\r\nX: y", "a\n", "\r", "a\0b", "a\127", "a\1"} do
      assert.has_error(function() h["X-A"] = value end)
      assert.has_error(function() h["X-A"] = {"ok", value} end)
      assert.has_error(function() h:add("X-A", value) end)
      assert.has_error(function() http.Headers {["X-A"] = value} end)
    end
    for _, name in ipairs {"", "a b", "a:", "a\r\n", "a\0", "ä", "a\r\nb: c"} do
      assert.has_error(function() h[name] = "x" end)
      assert.has_error(function() h:add(name, "x") end)
    end
    assert.equal(0, #h)
  end)

  it("refuse what is no string", function()
    local h = http.Headers()
    for _, value in ipairs {true, print, {{}}, {true}} do
      assert.has_error(function() h["X-A"] = value end)
    end
    assert.has_error(function() h[{}] = "x" end)
    assert.has_error(function() h:add("x") end)
    assert.has_error(function() h.add({}, "a", "b") end)
    assert.has_error(function() http.Headers(1) end)
    assert.equal(0, #h)
  end)

  it("take tabs and bytes above 127", function()
    local h = http.Headers {["X-A"] = "a\tb\xe9"}
    assert.equal("a\tb\xe9", h["x-a"])
  end)

  it("show what they are", function()
    assert.matches("^<headers at 0x%x+: 1 fields>$",
      tostring(http.Headers {A = "1"}))
  end)
end)

describe("the headers of a request", function()
  local function seen(head, fn)
    local server <close> = web.serve(function(req)
      fn(req.headers, req)
    end)
    assert.equal(200, web.ask(server, "GET", "/", head).status)
  end

  it("are as they came, without blanks around", function()
    seen("X-A:  b c \t\r\nx-a:d\r\nEmpty:\r\n", function(h, req)
      assert.equal("b c, d", h["X-A"])
      assert.equal("", h.empty)
      assert.equal("localhost", h.host)
      assert.same({{"Host", "localhost"}, {"X-A", "b c"}, {"x-a", "d"}, {"Empty", ""}},
        pairs_of(h))
      assert.equal(4, #h)
      assert.is_true(rawequal(h, req.headers))
    end)
  end)

  it("may be changed by the handler", function()
    seen("X-A: 1\r\nX-B: 2\r\n", function(h, req)
      h["x-a"] = nil
      h:add("X-C", "3")
      assert.is_nil(req.headers["X-A"])
      assert.equal("2", req.headers["X-B"])
      assert.equal("3", req.headers["X-C"])
      assert.equal("localhost", req.host)
    end)
  end)
end)

describe("the headers of an answer", function()
  --- The answer, and what was logged.
  local function answer(handler)
    local logged
    local server <close> = web.serve(handler, {
      error_log = function(text) logged = text end})
    return web.ask(server, "GET", "/"), logged
  end

  it("that would inject something make it a 500", function()
    for _, headers in ipairs {
      {["X-A"] = "a\r\nX-Evil: 1"}, {["X-A\r\nX-Evil"] = "1"}, {["X-A"] = {"a", "b\n"}},
      {["X-A"] = "a\0"}, {["X A"] = "1"}, {[1] = "x"}, {["X-A"] = true}, {["X-A"] = {{}}},
      {["Content-Length"] = "1\r\n"}, {["Content-Length"] = "-1"},
    } do
      local res, logged = answer(function() return 200, headers, "x" end)
      assert.equal(500, res.status)
      assert.is_nil(res.headers["x-evil"])
      assert.is_string(logged)
    end
  end)

  it("that would inject something raise where they are set", function()
    local res = answer(function(_, res)
      assert.has_error(function() res.headers["X-A"] = "a\r\nb" end)
      assert.has_error(function() res:send(200, {["X-A"] = "a\r\nb"}, "x") end)
      assert.has_error(function() res.reason = "OK\r\nX-Evil: 1" end)
      return "fine"
    end)
    assert.equal("fine", res.body)
  end)

  it("leave framing to the server", function()
    local res = answer(function()
      return 200, {["Transfer-Encoding"] = "chunked", ["Content-Length"] = "99",
        ["Connection"] = "keep-alive"}, "x"
    end)
    assert.is_nil(res.headers["transfer-encoding"])
    assert.equal("1", res.headers["content-length"])
    assert.is_nil(res.headers.connection)
  end)

  it("may have a Date of their own", function()
    local res = answer(function() return 200, {date = "then"}, "x" end)
    local count = 0
    for _, field in ipairs(res.list) do
      if field[1]:lower() == "date" then count = count + 1 end
    end
    assert.equal(1, count)
    assert.equal("then", res.headers.date)
  end)

  it("may be long", function()
    local value = ("v"):rep(7000)
    local res = answer(function(_, res)
      for i = 1, 20 do res.headers["X-" .. i] = value end
      return "body"
    end)
    assert.equal(value, res.headers["x-20"])
    assert.equal("body", res.body)
  end)
end)
