-- Errors in __gc and __close: a warning, or the error of the greenlet, and never a crash;
-- a __close may block, a __gc may not and is told so.

local helper = require "helper"
local gevent = require "gevent"
local slope = require "helper_slope"
local waits = require "helper_waits"
local it = helper.it

local function is_exit(value) return gevent.isinstance(value, gevent.GreenletExit) end

local function garbage(fn) setmetatable({}, {__gc = fn}) end

-- Neither a connection of others nor a timer to wait for.
local KINDS = {}
for _, kind in ipairs(waits.kinds()) do
  if kind.light or kind.name == "recv" or kind.name == "send" or kind.name == "accept" then
    KINDS[#KINDS + 1] = kind
  end
end

describe("a finalizer", function()
  it("that fails while greenlets are blocked in anything harms none", function()
    local list, finish = {}, {}
    for i, kind in ipairs(KINDS) do
      local wait = kind.make()
      finish[i], list[i] = wait.finish, helper.spawn_blocked(wait.call)
    end
    for _, value in ipairs {"trouble", {}, false} do
      for _ = 1, 10 do garbage(function() error(value) end) end
      collectgarbage()
      gevent.sleep(0)
    end
    for _, g in ipairs(list) do assert.is_false(g:ready()) end
    gevent.killall(list)
    for _, fn in ipairs(finish) do fn() end
  end)

  for _, kind in ipairs(KINDS) do
    it("that blocks in " .. kind.name .. " is refused, and nothing is left half-done", function()
      local wait = kind.make()
      local _ <close> = helper.defer(wait.finish)
      local results = {}
      local g = gevent.spawn(function()
        garbage(function() results[#results + 1] = table.pack(pcall(wait.call)) end)
        collectgarbage()
        gevent.sleep(0)
        collectgarbage()
      end)
      g:get()
      assert.equal(1, #results)
      assert.is_false(results[1][1])
      local text = tostring(results[1][2])
      assert.is_truthy(text:find("yield", 1, true) or text:find("cannot block", 1, true), text)
      local h = helper.spawn_blocked(wait.call)
      h:kill()
    end)
  end

  it("may wake, spawn, kill, set and close", function()
    local a, b = helper.pair()
    local flag, q = require "gevent.event".Event(), require "gevent.queue".Queue()
    local waiter, getter = gevent.spawn(flag.wait, flag), gevent.spawn(q.get, q)
    local victim, reader = gevent.spawn(gevent.sleep, 60), gevent.spawn(a.recv, a, 1)
    gevent.sleep(0)
    local spawned
    garbage(function()
      spawned = gevent.spawn(function() return "spawned" end)
      flag:set()
      q:put("item")
      gevent.kill(victim)
      a:close()
    end)
    collectgarbage()
    assert.is_true(waiter:get())
    assert.equal("item", getter:get())
    assert.is_true(is_exit(victim:get()))
    assert.equal("EBADF", (select(3, reader:get())))
    assert.equal("spawned", spawned:get())
    b:close()
  end)

  it("that fails at the end of the state is a warning", function()
    local code, out, err = helper.run_lua [[
      warn "@on"
      local gevent = require "gevent"
      local a = require "gevent.socket".socketpair()
      kept = {}
      for i, value in ipairs {"trouble", {}, false} do
        kept[i] = setmetatable({}, {__gc = function() error(value) end})
      end
      for _ = 1, 10 do
        gevent.spawn(function()
          local held = setmetatable({}, {__gc = function() gevent.sleep(1) end})
          local _ <close> = setmetatable({}, {__close = function() error "in __close" end})
          a:recv(1)
          return held
        end)
      end
      gevent.sleep(0)
      print "end"
    ]]
    assert.same({0, "end\n"}, {code, out})
    assert.matches("warning: error in __gc", err)
  end)
end)

describe("a __close", function()
  it("that fails gives its error to the greenlet, whatever ended it", function()
    local Trouble = gevent.exception "Trouble"
    for _, how in ipairs {"return", "error", "kill", "timeout"} do
      local printed <close> = helper.capture_errors()
      local g = gevent.spawn(function()
        local _timeout <close> = how == "timeout" and gevent.Timeout.start_new(0.001) or nil
        local _ <close> = helper.defer(function() error(Trouble "in __close") end)
        if how == "error" then error "the first" end
        if how ~= "return" then gevent.sleep(60) end
      end)
      gevent.sleep(0)
      if how == "kill" then g:kill() end
      assert.is_false((pcall(g.get, g)))
      assert.is_true(gevent.isinstance(g.exception, Trouble), how)
      local _, count = printed:text():gsub("failed with", "")
      assert.equal(1, count)
    end
  end)

  it("that fails lets the others run, each with the error before it", function()
    local log = {}
    local printed <close> = helper.capture_errors()
    local g = helper.spawn_blocked(function()
      local _one <close> = helper.defer(function(err) log[#log + 1] = err end)
      local _two <close> = helper.defer(function(err)
        log[#log + 1] = is_exit(err) and "exit" or err
        error("second", 0)
      end)
      local _three <close> = helper.defer(function(err)
        log[#log + 1] = is_exit(err) and "exit" or err
      end)
      gevent.sleep(60)
    end)
    g:kill()
    assert.same({"exit", "exit", "second"}, log)
    assert.equal("second", g.exception)
    assert.is_string(printed:text())
  end)

  for _, kind in ipairs(KINDS) do
    it("may block in " .. kind.name .. ", and is killed there by a second kill", function()
      local wait = kind.make()
      local _ <close> = helper.defer(wait.finish)
      local log = {}
      local g = helper.spawn_blocked(function()
        local _ <close> = helper.defer(function(err)
          log.first = is_exit(err)
          local ok, again = pcall(wait.call)
          log.second = not ok and is_exit(again)
        end)
        gevent.sleep(60)
      end)
      g:kill(nil, false)
      helper.wait_all_blocked()
      assert.is_true(log.first)
      assert.is_nil(log.second)
      g:kill()
      assert.is_true(log.second)
      assert.is_true(is_exit(g:get()))
    end)
  end
end)

slope.it("errors in __gc and __close", function()
  return function()
    setmetatable({}, {__gc = function() error("ignored", 0) end})
    local ok = pcall(function()
      local _ <close> = helper.defer(function() error({}) end)
      gevent.sleep(0)
    end)
    assert(not ok)
  end
end)
