-- Errors in handlers, of every kind: the end of that connection, or a 500; one report
-- with a traceback; and the others are served as before.

local helper = require "helper"
local core = require "gevent.core"
local gevent = require "gevent"
local gos = require "gevent.os"
local peer = require "helper_ws"
local servers = require "gevent.server"
local slope = require "helper_slope"
local socket = require "gevent.socket"
local web = require "helper_http"
local it = helper.it

local DatagramServer, StreamServer = servers.DatagramServer, servers.StreamServer

local function connect(srv)
  return assert(socket.create_connection(srv.host, srv.port))
end

--- A started server on a port of its own, that does not wait when stopped.
local function start(handle, opts)
  local srv = StreamServer("127.0.0.1:0", handle, opts)
  assert.is_true(srv:start())
  return srv, helper.defer(function() srv:stop(0) end)
end

-- How a handler may fail.
local failures = {
  ["a string"] = function() error("trouble") end,
  ["a table"] = function() error({}) end,
  ["nil"] = function() error(nil) end,
  ["an exception"] = function() error(gevent.exception "Trouble" "trouble") end,
  ["an error of Lua's"] = function() return nil .. "x" end,
  ["an object that cannot be shown"] = function()
    error(setmetatable({}, {__tostring = function() error("again") end}))
  end,
  ["an error after a wait inside pcall"] = function()
    local ok, err = pcall(function()
      gevent.sleep(0)
      error("trouble")
    end)
    assert(ok, err)
  end,
  ["an error in an error handler"] = function()
    local ok, err = xpcall(error, function() error("again") end)
    assert(ok, err)
  end,
  ["an error in a coroutine"] = function()
    require "gevent.coroutine".wrap(function()
      gevent.sleep(0)
      error("trouble")
    end)()
  end,
  ["a bare yield"] = function() coroutine.yield(1) end,
  ["an error in __close"] = function()
    local _ <close> = helper.defer(function() error("trouble") end)
    gevent.sleep(0)
  end,
  ["a Timeout of its own"] = function()
    local _ <close> = gevent.Timeout.start_new(0)
    gevent.sleep(60)
  end,
}

-- Where handlers run: each gives a function that makes `handler` run once, and waits
-- until it has; and a function for the end.
local places = {}

places["a StreamServer"] = function(handler)
  local srv, stop = start(handler)
  return function()
    local sock <close> = connect(srv)
    sock:settimeout(5 * helper.scale)
    assert.equal("", sock:read("a"))
  end, function() local _ <close> = stop end
end

places["a DatagramServer"] = function(handler)
  local n = 0
  local srv = DatagramServer("127.0.0.1:0", function()
    local _ <close> = helper.defer(function() n = n + 1 end)
    handler()
  end)
  assert.is_true(srv:start())
  local sock = assert(socket.socket("inet", "dgram"))
  return function()
    local before = n
    assert(sock:sendto("x", "127.0.0.1", srv.port))
    helper.wait_until(function() return n > before end)
  end, function()
    sock:close()
    srv:stop(0)
  end
end

places["a WebSocket's handler"] = function(handler)
  local srv = peer.serve(handler)
  return function()
    local ws <close> = peer.connect(srv)
    local data, _, code = ws:receive(5 * helper.scale)
    assert.is_nil(data)
    assert.equal("closed", code)
  end, function() srv:stop(0) end
end

places["a signal handler"] = function(handler)
  local n = 0
  local handle = gevent.signal_handler("USR1", function()
    local _ <close> = helper.defer(function() n = n + 1 end)
    handler()
  end)
  return function()
    local before = n
    gos.kill(gos.getpid(), "USR1")
    helper.wait_until(function() return n > before end)
  end, function() handle:cancel() end
end

places["a link"] = function(handler)
  return function()
    local g = gevent.spawn(function() end)
    g:link(handler)
    g:join()
  end, function() end
end

describe("a handler that fails by", function()
  for failure, fail in pairs(failures) do
    for place, make in pairs(places) do
      it(("%s in %s harms nobody else"):format(failure, place), function()
        local bad, served = true, 0
        local act, finish = make(function()
          if bad then return fail() end
          served = served + 1
        end)
        local _ <close> = helper.defer(finish)
        local printed <close> = helper.capture_errors()
        act()
        helper.wait_until(function() return printed:text():find("failed with", 1, true) end)
        helper.wait_all_blocked()
        local _, count = printed:text():gsub("failed with", "")
        assert.equal(1, count, printed:text())
        bad = false
        act()
        helper.wait_until(function() return served == 1 end)
        _, count = printed:text():gsub("failed with", "")
        assert.equal(1, count, printed:text())
      end)
    end
  end

  -- In the hub there is no wait, and what waits is an error too.
  it("any of these in a watcher's callback harms nobody else", function()
    for failure, fail in pairs(failures) do
      local printed <close> = helper.capture_errors()
      local n = 0
      local timer <close> = core.timer(0, 0.0001)
      timer:start(function()
        n = n + 1
        if n == 1 then fail() end
      end)
      helper.wait_until(function() return n > 2 end)
      assert.is_truthy(printed:text():find("failed with", 1, true), failure)
    end
  end)
end)

describe("a handler's error", function()
  for _, spawn in ipairs {"none", "raw", 5} do
    for kind, value in pairs {string = "oops", table = {}, object =
      setmetatable({}, {__tostring = function() return "an object" end})} do
      it(("ends its connection only: %s, spawn %s"):format(kind, spawn),
        function()
          local printed <close> = helper.capture_errors()
          local srv, stop = start(function(sock)
            if sock:read() == "fail" then error(value) end
            sock:sendall("ok\n")
          end, {spawn = spawn ~= "none" and spawn or nil})
          local _ <close> = stop
          local other <close> = connect(srv)
          for _ = 1, 3 do
            local sock <close> = connect(srv)
            sock:sendall("fail\n")
            assert.equal("", sock:recv(1))
          end
          other:sendall("x\n")
          assert.equal("ok", other:read())
          local _, count = printed:text():gsub("failed with", "")
          assert.equal(3, count, "each is reported once")
        end)
    end
  end

  it("of nil is one, too; and of Lua's own", function()
    local printed <close> = helper.capture_errors()
    local srv, stop = start(function(sock)
      if sock:read() == "nil" then error() end
      local _ = nil + 1 -- luacheck: ignore
    end)
    local _ <close> = stop
    for _, text in ipairs {"nil\n", "arithmetic\n"} do
      local sock <close> = connect(srv)
      sock:sendall(text)
      assert.equal("", sock:recv(1))
    end
    assert.matches("arithmetic", printed:text())
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
    assert.matches("errors_in_handlers_spec.lua:%d+: in function", text)
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

slope.it("an error in a handler", function()
  local stream = gevent.get_hub().exception_stream
  gevent.get_hub().exception_stream = false
  local srv = StreamServer("127.0.0.1:0", function() error({}) end,
    {error_log = {write = function() end}})
  assert(srv:start())
  return function()
    local sock <close> = connect(srv)
    assert(sock:recv(1) == "")
  end, function()
    srv:stop(1)
    gevent.get_hub().exception_stream = stream
  end
end)
