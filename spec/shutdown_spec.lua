-- How a process ends: lua_close with greenlets in every state, os.exit,
-- LoopExit and errors at top level. Each in a fresh interpreter.

local helper = require "helper"
local it = helper.it

local PRELUDE = [[
local gevent = require "gevent"
local gco = require "gevent.coroutine"
local function say(...) print(...) io.stdout:flush() end
local function defer(fn) return setmetatable({}, {__close = fn}) end
local function gate() return gevent.Greenlet(function() end) end
]]

--- Runs code after the prelude; returns code, stdout, stderr.
local function run(code, opts)
  return helper.run_lua(PRELUDE .. code, opts)
end

local function expect_run(code, output, program, opts)
  local got, out, err = run(program, opts)
  assert.equal(code, got, "exit code; stderr: " .. err)
  assert.equal(output, out, "stdout; stderr: " .. err)
  return err
end

describe("the end of the script", function()
  it("does not wait for greenlets, and is clean", function()
    local err = expect_run(0, "end\n", [[
      gevent.spawn(say, "never")
      gevent.spawn_later(0.01, say, "never")
      gevent.Greenlet(say, "never")
      say "end"
    ]])
    assert.equal("", err)
  end)

  it("runs <close> variables of blocked greenlets", function()
    expect_run(0, "blocked\nend\nclosed inner\nclosed outer\n", [[
      gevent.spawn(function()
        local outer <close> = defer(function() say "closed outer" end)
        local inner <close> = defer(function() say "closed inner" end)
        say "blocked"
        gevent.sleep(60)
        say "never"
      end)
      gevent.sleep(0)
      say "end"
    ]])
  end)

  it("runs those of greenlets that nobody can wake", function()
    expect_run(0, "end\nclosed\n", [[
      gevent.spawn(function()
        local _ <close> = defer(function() say "closed" end)
        gate():join()
      end)
      gevent.sleep(0)
      say "end"
    ]])
  end)

  it("runs those inside generators", function()
    local code, out, err = run [[
      gevent.spawn(function()
        local outer <close> = defer(function() say "greenlet" end)
        gco.wrap(function()
          local inner <close> = defer(function() say "generator" end)
          gevent.sleep(60)
        end)()
      end)
      gevent.sleep(0)
    ]]
    assert.equal(0, code, err)
    assert.matches("generator", out)
    assert.matches("greenlet", out)
  end)

  it("gives an error to a __close that would block; the code stays", function()
    expect_run(0, "false\tstring or exception\nouter closed\n", [[
      gevent.spawn(function()
        local outer <close> = defer(function() say "outer closed" end)
        local _ <close> = defer(function()
          local ok, err = pcall(gevent.sleep, 0.001)
          say(ok, err ~= nil and "string or exception")
        end)
        gevent.sleep(60)
      end)
      gevent.sleep(0)
    ]])
  end)

  it("survives a __close that fails or blocks uncaught", function()
    expect_run(0, "end\nfirst\nsecond\n", [[
      local function add(name, fn)
        gevent.spawn(function()
          local _ <close> = defer(function() say(name) end)
          local _ <close> = defer(fn)
          gevent.sleep(60)
        end)
      end
      add("first", function() error("in close") end)
      add("second", function() gevent.sleep(1) end)
      gevent.sleep(0)
      say "end"
    ]])
  end)

  it("survives a __close that spawns, kills and links", function()
    expect_run(0, "end\nclosed\n", [[
      local other = gevent.spawn(gevent.sleep, 60)
      gevent.spawn(function()
        local _ <close> = defer(function()
          pcall(gevent.spawn, say, "never")
          pcall(gevent.kill, other)
          pcall(other.link, other, say)
          pcall(gevent.Timeout.start_new, 1)
          say "closed"
        end)
        gevent.sleep(60)
      end)
      gevent.sleep(0)
      say "end"
    ]])
  end)

  it("survives finalizers that use the library", function()
    expect_run(0, "end\nfinalizer\n", [[
      local late = setmetatable({}, {__gc = function()
        pcall(gevent.sleep, 0.001)
        pcall(gevent.spawn, print)
        pcall(gevent.get_hub)
        pcall(gevent.getcurrent)
        pcall(gevent.Timeout.start_new, 1)
        pcall(function() return gevent.get_hub():stats() end)
        say "finalizer"
      end})
      gevent.sleep(0)
      say "end"
    ]])
  end)

  it("survives finalizers of objects older than the library", function()
    local code, out, err = helper.run_lua [[
      local gevent, hub, greenlets, timeout
      holder = setmetatable({}, {__gc = function()
        for _, g in ipairs(greenlets) do
          for _, name in ipairs {
            "kill", "link", "rawlink", "start", "start_later", "join", "get",
            "ready", "unlink",
          } do
            pcall(g[name], g, name:find("link") and print or 0)
          end
          pcall(gevent.kill, g)
          assert(tostring(g))
        end
        pcall(timeout.cancel, timeout)
        pcall(timeout.start, timeout)
        pcall(gevent.spawn, print, "never")
        pcall(gevent.spawn_raw, print, "never")
        pcall(gevent.spawn_later, 1, print)
        pcall(gevent.sleep, 0)
        pcall(gevent.idle)
        pcall(gevent.joinall, greenlets, 0)
        pcall(gevent.killall, greenlets)
        pcall(gevent.with_timeout, 1, gevent.sleep, 2)
        for _, name in ipairs {"stats", "run", "join", "destroy"} do
          pcall(hub[name], hub)
        end
        print "finalizer"
      end})
      gevent = require "gevent"
      hub = gevent.get_hub()
      timeout = gevent.Timeout.start_new(60)
      greenlets = {
        gevent.spawn(gevent.sleep, 60), gevent.spawn(type, 1),
        gevent.spawn_later(60, print), gevent.Greenlet(print),
      }
      gevent.sleep(0)
      greenlets[5] = gevent.spawn(print, "never")
      print "end"
    ]]
    assert.equal(0, code, err)
    assert.equal("end\nfinalizer\n", out)
  end)

  it("by an error keeps the exit code and the message", function()
    local code, out, err = run [[
      gevent.spawn(function()
        local _ <close> = defer(function() say "closed" end)
        gevent.sleep(60)
      end)
      gevent.sleep(0)
      error("main trouble")
    ]]
    assert.equal(1, code)
    assert.equal("closed\n", out)
    assert.matches("main trouble", err)
  end)

  it("without any use of the hub is clean", function()
    expect_run(0, "", "")
    expect_run(0, "", "gevent.get_hub()")
  end)
end)

describe("hub:destroy", function()
  it("ends the hub with greenlets blocked; the process ends well", function()
    local code, out, err = run [[
      gevent.spawn(function()
        local _ <close> = defer(function() say "closed" end)
        gevent.sleep(60)
      end)
      gevent.spawn_later(60, print)
      gevent.sleep(0)
      gevent.get_hub():destroy()
      say "destroyed"
    ]]
    assert.equal(0, code, err)
    assert.matches("closed\n", out)
    assert.matches("destroyed\n", out)
    assert.equal("", err)
  end)

  it("is idempotent", function()
    expect_run(0, "ok\n", [[
      local hub = gevent.get_hub()
      gevent.sleep(0)
      hub:destroy()
      hub:destroy()
      say "ok"
    ]])
  end)

  it("makes later blocking work on a new hub, or raise", function()
    local code, out, err = run [[
      gevent.sleep(0)
      gevent.get_hub():destroy()
      local ok, err = pcall(gevent.sleep, 0.001)
      say(ok or type(err) ~= "nil")
    ]]
    assert.equal(0, code, err)
    assert.equal("true\n", out)
  end)
end)

describe("require", function()
  it("sets no global and changes no standard table", function()
    local code, out, err = helper.run_lua [[
      local function snapshot()
        local seen = {}
        for name, value in pairs(_G) do
          seen[name] = value
          if type(value) == "table" and name ~= "arg" then
            for key, field in pairs(value) do
              seen[name .. "." .. tostring(key)] = field
            end
          end
        end
        seen["string metatable"] = getmetatable("").__index
        return seen
      end
      local before = snapshot()
      require "gevent"
      require "gevent.coroutine"
      local after = snapshot()
      for name, value in pairs(after) do
        if before[name] ~= value then print("changed", name) end
      end
      for name in pairs(before) do
        if after[name] == nil then print("gone", name) end
      end
    ]]
    assert.equal(0, code, err)
    assert.equal("", out)
  end)

  it("works in the middle of a coroutine, and in a greenlet", function()
    local code, out, err = helper.run_lua [[
      local co = coroutine.wrap(function() return require "gevent" end)
      local gevent = co()
      co = nil
      collectgarbage()
      gevent.sleep(0.001)
      print(gevent.spawn(require, "gevent"):get() == gevent)
    ]]
    assert.equal(0, code, err)
    assert.equal("true\n", out)
  end)

  it("twice gives the same hub", function()
    expect_run(0, "true\n", [[
      local hub = gevent.get_hub()
      for name in pairs(package.loaded) do
        if name:find("^gevent") then package.loaded[name] = nil end
      end
      local again = require "gevent"
      again.spawn(again.sleep, 0.001):get()
      gevent.spawn(gevent.sleep, 0.001):get()
      say(rawequal(hub, again.get_hub()))
    ]])
  end)
end)
