-- os.exit, with and without closing the state, wherever it is called: the process ends
-- with the code that was given, and says nothing. Each in a fresh interpreter.

local helper = require "helper"
local it = helper.it

local PRELUDE = [[
local gevent = require "gevent"
local gco = require "gevent.coroutine"
local function say(...) print(...) io.stdout:flush() end
local function defer(fn) return setmetatable({}, {__close = fn}) end
]]

local function expect_run(code, output, program)
  local got, out, err = helper.run_lua(PRELUDE .. program)
  assert.equal(code, got, "exit code; stderr: " .. err)
  assert.equal(output, out, "stdout; stderr: " .. err)
  assert.equal("", err)
end

-- Where `leave` is called, while others are blocked.
local PLACES = {
  ["a greenlet"] = "gevent.spawn(leave)",
  ["a raw greenlet"] = "gevent.spawn_raw(leave)",
  ["a greenlet that was blocked"] = [[
    gevent.spawn(function() gevent.sleep(0.001) leave() end)]],
  ["a link"] = "gevent.spawn(type, 1):link(leave)",
  ["a rawlink"] = "gevent.spawn(type, 1):rawlink(leave)",
  ["a generator"] = "gevent.spawn(gco.wrap(function() gevent.sleep(0) leave() end))",
  ["a generator of main's"] = "gco.wrap(function() gevent.sleep(0) leave() end)()",
  ["handle_error"] = [[
    gevent.get_hub().handle_error = leave
    gevent.spawn(error, "x")]],
  ["a cleanup after a kill"] = [[
    gevent.spawn(function()
      local _ <close> = defer(leave)
      gevent.sleep(60)
    end):kill(nil, false)
    local g = gevent.spawn(function()
      local _ <close> = defer(leave)
      gevent.sleep(60)
    end)
    gevent.sleep(0)
    g:kill()]],
  ["a cleanup after a time-out"] = [[
    gevent.with_timeout(0.001, function()
      local _ <close> = defer(leave)
      gevent.sleep(60)
    end)]],
  ["a finalizer"] = [[
    setmetatable({}, {__gc = function() leave() end})
    gevent.spawn(function()
      while true do collectgarbage() gevent.sleep(0) end
    end)]],
  ["a callback of a timer"] = [[
    local timer = require "gevent.core".timer(0.001)
    timer:start(leave)]],
  ["a callback of a descriptor"] = [[
    local a, b = require "gevent.socket".socketpair()
    local watcher = require "gevent.core".io(a:fileno(), "r")
    watcher:start(leave)
    b:sendall("x")]],
  ["a signal handler"] = [[
    gevent.signal_handler("USR1", leave)
    gevent.sleep(0)
    require "gevent.os".kill(require "gevent.os".getpid(), "USR1")]],
  ["a nursery"] = [[
    local n <close> = gevent.nursery()
    n:spawn(leave)
    gevent.sleep(60)]],
  ["a comparator"] = [[
    gevent.spawn(table.sort, {2, 1}, function() leave() end)]],
  ["a server's handler"] = [[
    local srv = require "gevent.server".StreamServer("127.0.0.1:0", leave)
    srv:start()
    local sock = require "gevent.socket".create_connection("127.0.0.1", srv.port)
    sock:recv(1)]],
  ["an HTTP handler"] = [[
    local http = require "gevent.http"
    local srv = http.Server("127.0.0.1:0", leave)
    srv:start()
    http.get("http://127.0.0.1:" .. srv.port)]],
  ["main, blocked before"] = "gevent.sleep(0.001) leave()",
}

describe("os.exit", function()
  for place, program in pairs(PLACES) do
    for _, close in ipairs {"true", "false"} do
      it(("with %s in %s"):format(close, place), function()
        expect_run(7, close == "true" and "closed\n" or "", ([[
          local left = false
          local function leave()
            if left then return end -- it is closed by a finalizer of its own
            left = true
            os.exit(7, %s)
          end
          local a, b = require "gevent.socket".socketpair()
          gevent.spawn(function()
            local _ <close> = defer(function() say "closed" end)
            a:recv(1)
          end)
          gevent.sleep(0)
          %s
          gevent.sleep(60)
        ]]):format(close, program))
      end)
    end
  end
end)

describe("os.exit", function()
  it("with close keeps its code in a greenlet, others blocked", function()
    expect_run(7, "exiting\nclosed\n", [[
      gevent.spawn(function()
        local _ <close> = defer(function() say "closed" end)
        gevent.sleep(60)
      end)
      gevent.spawn(function()
        say "exiting"
        os.exit(7, true)
      end)
      gevent.sleep(60)
      say "never"
    ]])
  end)

  it("without close keeps its code, too", function()
    expect_run(8, "", [[
      gevent.spawn(os.exit, 8)
      gevent.sleep(60)
    ]])
  end)

  it("works in main after blocking", function()
    expect_run(9, "closed\n", [[
      gevent.spawn(function()
        local _ <close> = defer(function() say "closed" end)
        gevent.sleep(60)
      end)
      gevent.sleep(0)
      os.exit(9, true)
    ]])
  end)

  it("works in a generator in a greenlet, in a link, in a rawlink", function()
    for i, program in ipairs {
      "gevent.spawn(gco.wrap(function() gevent.sleep(0) os.exit(N, true) end))",
      "gevent.spawn(print and type, 1):link(function() os.exit(N, true) end)",
      "gevent.spawn(type, 1):rawlink(function() os.exit(N, true) end)",
      "gco.wrap(function() gevent.sleep(0) os.exit(N, true) end)()",
    } do
      expect_run(20 + i, "", program:gsub("N", 20 + i) .. "\ngevent.sleep(60)")
    end
  end)

  it("works in a __close that a kill runs", function()
    expect_run(5, "", [[
      local g = gevent.spawn(function()
        local _ <close> = defer(function() os.exit(5, true) end)
        gevent.sleep(60)
      end)
      gevent.sleep(0)
      g:kill()
    ]])
  end)

  it("with true and false works", function()
    expect_run(0, "", "gevent.spawn(os.exit, true, true) gevent.sleep(60)")
    expect_run(1, "", "gevent.spawn(os.exit, false, true) gevent.sleep(60)")
  end)
end)
