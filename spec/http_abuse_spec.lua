-- What clients and handlers must not be able to do to a server.

local helper = require "helper"
local gevent = require "gevent"
local web = require "helper_http"
local it = helper.it

local function echo(req)
  local body = req:body()
  return body and req.method .. " " .. req.path .. " " .. body
end

local GET = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"

--- Bytes -> the status of the one answer; every connection must be closed.
local refused = {
  {"both lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
    .. "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" .. GET, 400},
  {"both lengths, the other way", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
    .. "chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" .. GET, 400},
  {"two lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: "
    .. "5\r\n\r\nabcde" .. GET, 400},
  {"two equal lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
    .. "Content-Length: 4\r\n\r\nabcd" .. GET, 400},
  {"a list of lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4, 4\r\n\r\nabcd"
    .. GET, 400},
  {"a signed length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +4\r\n\r\nabcd"
    .. GET, 400},
  {"a negative length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -4\r\n\r\n"
    .. GET, 400},
  {"a hexadecimal length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x4\r\n\r\nabcd"
    .. GET, 400},
  {"an empty length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n" .. GET, 400},
  {"a length that overflows", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: "
    .. "18446744073709551620\r\n\r\nabcd" .. GET, 400},
  {"another coding", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n"
    .. GET, 501},
  {"two codings", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: br, chunked\r\n\r\n"
    .. "0\r\n\r\n" .. GET, 501},
  {"a coding with a tail", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
    .. "chunked;q=1\r\n\r\n0\r\n\r\n" .. GET, 501},
  {"a coding twice", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    .. "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" .. GET, 400},
  {"chunks in HTTP/1.0", "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    .. "0\r\n\r\n" .. GET, 400},
  {"a space before the colon", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length : 4\r\n\r\n"
    .. "abcd" .. GET, 400},
  {"a folded field", "GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n" .. GET, 400},
  {"a bare LF", "GET / HTTP/1.1\r\nHost: x\nX: y\r\n\r\n" .. GET, 400},
  {"a bare CR", "GET / HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n" .. GET, 400},
  {"a NUL in a value", "GET / HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n" .. GET, 400},
  {"no Host", "GET / HTTP/1.1\r\n\r\n" .. GET, 400},
  {"two Hosts", "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n" .. GET, 400},
  {"a bad Host", "GET / HTTP/1.1\r\nHost: x/y\r\n\r\n" .. GET, 400},
  {"two spaces", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n" .. GET, 400},
  {"no version", "GET /\r\nHost: x\r\n\r\n" .. GET, 400},
  {"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
  {"HTTP/1.2", "GET / HTTP/1.2\r\nHost: x\r\n\r\n" .. GET, 505},
  {"an unknown method", "BREW / HTTP/1.1\r\nHost: x\r\n\r\n" .. GET, 501},
  {"TLS", "\22\3\1\2\0\1\0\1\252\3\3", 400},
  {"a chunk size with 0x", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    .. "0x1\r\na\r\n0\r\n\r\n" .. GET, 400},
  {"a signed chunk size", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    .. "-1\r\na\r\n0\r\n\r\n" .. GET, 400},
  {"a chunk size that overflows", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked"
    .. "\r\n\r\n10000000000000001\r\na\r\n0\r\n\r\n" .. GET, 400},
  {"a chunk with too much", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    .. "1\r\nab\r\n0\r\n\r\n" .. GET, 400},
  {"a chunk line with a bare LF", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked"
    .. "\r\n\r\n1\na\r\n0\r\n\r\n" .. GET, 400},
  {"a length in the trailers", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    .. "\r\n0\r\nContent-Length: 5\r\n\r\n" .. GET, 400},
  {"a coding in the trailers", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    .. "\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n" .. GET, 400},
}

describe("the server refuses", function()
  for _, case in ipairs(refused) do
    local name, bytes, status = table.unpack(case)

    it(name .. ", whole or byte by byte", function()
      local paths = {}
      local server <close> = web.serve(function(req)
        paths[#paths + 1] = req.path
        return echo(req)
      end)
      local text = web.raw(server, bytes)
      assert.same({status}, web.statuses(text))
      assert.matches("Connection: close\r\n", text)
      local sock <close> = web.connect(server)
      for i = 1, #bytes do
        if not sock:sendall(bytes:sub(i, i)) then break end
        gevent.sleep(0)
      end
      local again = sock:read("a")
      assert.same({status}, web.statuses(again or text))
      for _, path in ipairs(paths) do assert.equal("/", path) end
    end)
  end
end)

describe("requests", function()
  local bytes = web.request("POST", "/a", "Transfer-Encoding: chunked\r\n")
    .. "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nT: t\r\n\r\n" .. web.request("GET", "/b")
    .. web.request("POST", "/c", nil, "body") .. "\r\n"
    .. web.request("GET", "/d", "Connection: close\r\n")
  local bodies = {"POST /a abcdefg", "GET /b ", "POST /c body", "GET /d "}

  local function read_all(sock)
    local list = {}
    for i = 1, #bodies do list[i] = web.response(sock).body end
    assert.is_true(web.is_closed(sock))
    return list
  end

  it("mean the same at once and byte by byte", function()
    local server <close> = web.serve(echo)
    local whole <close> = web.connect(server)
    assert(whole:sendall(bytes))
    assert.same(bodies, read_all(whole))
    local single <close> = web.connect(server)
    for i = 1, #bytes do
      assert(single:sendall(bytes:sub(i, i)))
      gevent.sleep(0)
    end
    assert.same(bodies, read_all(single))
  end)

  it("mean the same cut anywhere", function()
    local server <close> = web.serve(echo)
    for cut = 1, #bytes - 1, 3 do
      local sock <close> = web.connect(server)
      assert(sock:sendall(bytes:sub(1, cut)))
      gevent.sleep(0)
      assert(sock:sendall(bytes:sub(cut + 1)))
      assert.same(bodies, read_all(sock))
    end
  end)
end)

describe("a client", function()
  it("that closes its side still gets its answer", function()
    local server <close> = web.serve(function(req)
      gevent.sleep(0.01)
      return echo(req)
    end)
    local sock <close> = web.connect(server)
    assert(sock:sendall(web.request("POST", "/", nil, "abc")))
    assert(sock:shutdown("w"))
    assert.equal("POST / abc", web.response(sock).body)
    assert.is_true(web.is_closed(sock))
  end)

  it("that stops inside a head gets 400", function()
    local server <close> = web.serve(echo)
    local sock <close> = web.connect(server)
    assert(sock:sendall("GET / HTTP/1.1\r\nHo"))
    assert(sock:shutdown("w"))
    assert.equal(400, web.response(sock).status)
  end)

  it("that comes and goes disturbs nobody", function()
    local printed <close> = helper.capture_errors()
    local server <close> = web.serve(echo)
    local texts = {"", "GET", "GET / HTTP/1.1\r\n", web.request("GET", "/"),
      web.request("POST", "/", "Content-Length: 10\r\n") .. "abc", "\r\n", "\0"}
    for i = 1, 50 do
      local sock = web.connect(server)
      sock:sendall(texts[i % #texts + 1])
      if i % 3 == 0 then sock:setsockopt("linger", 0) end
      if i % 2 == 0 then gevent.sleep(0) end
      sock:close()
    end
    assert.equal("GET /x ", web.ask(server, "GET", "/x").body)
    helper.wait_until(function() return server._count == 0 end)
    assert.equal("", printed:text())
  end)

  it("that sends CRLF without end is refused", function()
    local server <close> = web.serve(echo)
    assert.same({400}, web.statuses(web.raw(server, ("\r\n"):rep(1000))))
  end)
end)

describe("an error in a handler", function()
  local Mine = gevent.exception "Mine"
  local errors = {
    {"a string", function() error("secret text") end, "secret text"},
    {"a table", function() error({}) end, "table: "},
    {"nil", function() error() end, "nil"},
    {"an exception", function() error(Mine "secret text") end, "secret text"},
    {"a Timeout of its own", function()
      local _ <close> = gevent.Timeout.start_new(0.001)
      gevent.sleep(1)
    end, "[Tt]imeout"},
    {"an overflow of the stack", function()
      local function down() return 1 + down() end
      down()
    end, "stack overflow"},
    {"an error after a wait", function()
      gevent.sleep(0)
      error("secret text")
    end, "secret text"},
    {"a value that is no body", function() return print end, "bad argument", true},
    {"a boolean", function() return false end, "boolean"},
    {"a list of other things", function() return {"a", {}} end, "part 2"},
    {"a bad status", function() return 99, nil, "x" end, "99"},
    {"bad headers", function() return 200, "x" end, "string"},
    {"a coroutine", function() return coroutine.create(print) end, "thread"},
    {"an object that cannot be shown", function()
      error(setmetatable({}, {__tostring = function() error("secret") end}))
    end, "table"},
  }

  for _, case in ipairs(errors) do
    local name, handler, pattern, skip = table.unpack(case)
    if not skip then
      it("is a 500 without details, and logged once: " .. name, function()
        local logged = {}
        local server <close> = web.serve(function(req)
          if req.path == "/ok" then return "ok" end
          return handler()
        end, {error_log = function(text) logged[#logged + 1] = text end})
        local text = web.raw(server, web.request("GET", "/"))
        assert.same({500}, web.statuses(text))
        assert.matches("\r\n\r\nInternal Server Error\n$", text)
        assert.not_matches("secret", text)
        assert.equal(1, #logged)
        assert.matches(pattern, logged[1])
        assert.equal("ok", web.ask(server, "GET", "/ok").body)
      end)
    end
  end

  it("goes to the hub's handle_error with a traceback", function()
    local printed <close> = helper.capture_errors()
    local server <close> = web.serve(function() error("for the log") end)
    assert.equal(500, web.ask(server, "GET", "/").status)
    local text = printed:text()
    assert.matches("for the log\nstack traceback:", text)
    assert.matches("http_abuse_spec.lua:%d+: in function", text)
    assert.matches("<http.Server 127.0.0.1:%d+ listening> failed with", text)
  end)

  it("can be silenced, or go to a stream", function()
    local printed <close> = helper.capture_errors()
    local server <close> = web.serve(function() error("x") end, {error_log = false})
    assert.equal(500, web.ask(server, "GET", "/").status)
    assert.equal("", printed:text())
    local text = {}
    local other <close> = web.serve(function() error("to a stream") end,
      {error_log = {write = function(_, ...) text[#text + 1] = table.concat {...} end}})
    assert.equal(500, web.ask(other, "GET", "/").status)
    assert.matches("to a stream", text[1])
  end)

  it("cuts the connection once bytes are out", function()
    local server <close> = web.serve(function(_, res)
      res:write("begun")
      error("late")
    end, {error_log = false})
    local text = web.raw(server, web.request("GET", "/"))
    assert.same({200}, web.statuses(text))
    assert.matches("5\r\nbegun\r\n$", text)
  end)

  it("cuts a body that is shorter than its length", function()
    local server <close> = web.serve(function(_, res)
      res.headers["Content-Length"] = 10
      res:write("abc")
    end, {error_log = false})
    assert.matches("\r\n\r\nabc$", web.raw(server, web.request("GET", "/")))
  end)

  it("is a body that is longer than its length", function()
    local logged
    local server <close> = web.serve(function(_, res)
      res.headers["Content-Length"] = 2
      res:write("a")
      res:write("bc")
    end, {error_log = function(text) logged = text end})
    assert.matches("\r\n\r\na$", web.raw(server, web.request("GET", "/")))
    assert.matches("longer than its Content%-Length", logged)
  end)

  it("is none if it is killed: the connection ends", function()
    local printed <close> = helper.capture_errors()
    local greenlet
    local server <close> = web.serve(function()
      greenlet = gevent.getcurrent()
      gevent.sleep(10)
    end)
    local sock <close> = web.connect(server)
    assert(sock:sendall(web.request("GET", "/")))
    helper.wait_until(function() return greenlet end)
    gevent.kill(greenlet)
    assert.is_true(web.is_closed(sock))
    assert.equal("", printed:text())
  end)
end)

describe("stop", function()
  it("closes idle connections at once, lets active ones finish", function()
    local gate = helper.gate()
    local server = web.serve(function(req)
      if req.path == "/slow" then gate:wait() end
      return "done"
    end)
    local idle <close> = web.connect(server)
    local used <close> = web.connect(server)
    local active <close> = web.connect(server)
    assert(used:sendall(web.request("GET", "/")))
    web.response(used)
    assert(active:sendall(web.request("GET", "/slow")))
    helper.wait_until(function() return server._count == 3 end)
    helper.wait_all_blocked()
    local began = helper.now()
    local stopper = gevent.spawn(server.stop, server, 5)
    assert.is_true(web.is_closed(idle))
    assert.is_true(web.is_closed(used))
    assert.is_true(helper.now() - began < helper.scale)
    gate:open()
    local res = web.response(active)
    assert.equal("done", res.body)
    assert.equal("close", res.headers.connection)
    assert.is_true(web.is_closed(active))
    stopper:get()
    assert.is_true(server.closed)
  end)

  -- A proxy may have chosen the connection just before: it would say 502.
  it("answers a request that is there but was not read yet", function()
    local server = web.serve(echo)
    local sock <close> = web.connect(server)
    assert(sock:sendall(web.request("GET", "/first")))
    web.response(sock)
    helper.wait_all_blocked()
    assert(sock:sendall(web.request("GET", "/second")))
    server:stop(5)
    local res = web.response(sock)
    assert.equal("GET /second ", res.body)
    assert.equal("close", res.headers.connection)
    assert.is_true(web.is_closed(sock))
  end)

  it("waits a moment for the first request of a new connection", function()
    local server = web.serve(echo)
    local new <close> = web.connect(server)
    local silent <close> = web.connect(server)
    helper.wait_until(function() return server._count == 2 end)
    helper.wait_all_blocked()
    local stopper = gevent.spawn(server.stop, server, 5)
    helper.wait_all_blocked()
    assert.is_false(stopper:ready())
    assert(new:sendall(web.request("GET", "/")))
    local res = web.response(new)
    assert.equal("GET / ", res.body)
    assert.equal("close", res.headers.connection)
    assert.is_true(web.is_closed(silent))
    assert.is_true(stopper:join(helper.scale))
  end)

  it("kills what is not done in time", function()
    local unwound = false
    local server = web.serve(function()
      local _ <close> = helper.defer(function() unwound = true end)
      gevent.sleep(60)
    end)
    local sock <close> = web.connect(server)
    assert(sock:sendall(web.request("GET", "/")))
    helper.wait_until(function() return server._count == 1 end)
    helper.wait_all_blocked()
    server:stop(0.01)
    assert.is_true(unwound)
    assert.is_true(web.is_closed(sock))
  end)

  it("frees the address", function()
    local http = require "gevent.http"
    local server = web.serve(function() return "x" end)
    local sock <close> = web.connect(server)
    local port = server.port
    server:stop()
    local again <close> = http.Server("127.0.0.1:" .. port, function() return "y" end)
    assert(again:start())
    assert.equal("y", web.ask(again, "GET", "/").body)
    assert.is_true(web.is_closed(sock))
  end)

  it("can be called by a handler", function()
    local server
    server = web.serve(function()
      server:stop(1)
      return "stopped"
    end)
    local res = web.ask(server, "GET", "/")
    assert.equal("stopped", res.body)
    assert.equal("close", res.headers.connection)
    assert.is_true(server.closed)
  end)

  it("ends a client that only drips a head", function()
    local server = web.serve(echo)
    local sock <close> = web.connect(server)
    assert(sock:sendall("GET / HT"))
    helper.wait_until(function() return server._count == 1 end)
    helper.wait_all_blocked()
    server:stop(0.01)
    assert.is_true(web.is_closed(sock))
  end)
end)

describe("many connections", function()
  it("may stay idle while others are served", function()
    local server <close> = web.serve(echo)
    local idle = {}
    for i = 1, 200 do idle[i] = web.connect(server) end
    for _ = 1, 20 do
      assert.equal("GET / ", web.ask(server, "GET", "/").body)
    end
    for i, sock in ipairs(idle) do
      assert(sock:sendall(web.request("GET", "/" .. i)))
    end
    for i, sock in ipairs(idle) do
      assert.equal("GET /" .. i .. " ", web.response(sock).body)
      sock:close()
    end
  end)
end)
