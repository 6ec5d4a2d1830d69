-- Signals: handlers in greenlets, any number of them; SIGINT; storms.

local helper = require "helper"
local gevent = require "gevent"
local gos = require "gevent.os"
local signal = require "gevent.signal"
local it = helper.it

local function kill(name) assert(gos.kill(gos.getpid(), name)) end

local function wait_for(condition) helper.wait_until(condition) end

describe("signal_handler", function()
  it("calls the function with its arguments, in a greenlet, each time", function()
    local calls = {}
    local handler = gevent.signal_handler("SIGUSR1", function(...)
      gevent.sleep(0.001) -- it may block
      calls[#calls + 1] = {...}
    end, "a", nil, 3)
    kill "USR1"
    wait_for(function() return #calls == 1 end)
    assert.same({"a", nil, 3}, calls[1])
    kill "sigusr1"
    kill(signal.SIGUSR1)
    wait_for(function() return #calls == 3 end)
    handler:cancel()
    handler:cancel()
  end)

  it("has any number of handlers for one signal", function()
    local log = {}
    local first = gevent.signal_handler("USR2", function() log[#log + 1] = 1 end)
    local second = gevent.signal_handler(signal.SIGUSR2, function() log[#log + 1] = 2 end)
    local other <close> = gevent.signal_handler("USR1", function() log[#log + 1] = 0 end)
    kill "USR2"
    wait_for(function() return #log == 2 end)
    first:cancel()
    kill "USR2"
    wait_for(function() return #log == 3 end)
    assert.equal(2, log[3])
    second:cancel()
    assert.matches("^<signal handler at 0x%x+: signal 12 cancelled>$", tostring(second))
    assert.matches("^<signal handler at 0x%x+: signal 10>$", tostring(other))
  end)

  it("reports an error of the function, and goes on", function()
    local printed <close> = helper.capture_errors()
    local n = 0
    local _ <close> = gevent.signal_handler("USR1", function()
      n = n + 1
      error "in the handler"
    end)
    for i = 1, 2 do
      kill "USR1"
      wait_for(function() return n == i end)
    end
    wait_for(function() return printed:text():find "in the handler.*in the handler" end)
  end)

  it("may be cancelled by its own function, or by another handler", function()
    local n, handlers = 0, {}
    for i = 1, 2 do
      handlers[i] = gevent.signal_handler("USR1", function()
        n = n + 1
        handlers[1]:cancel()
        handlers[2]:cancel()
      end)
    end
    kill "USR1"
    wait_for(function() return n > 0 end)
    gevent.sleep(0.001)
    assert.is_true(n <= 2)
  end)

  it("interrupts a poll, whoever waits for whatever", function()
    local sock, other = helper.pair()
    local g = helper.spawn_blocked(function() return sock:recv(1) end)
    local _ <close> = gevent.signal_handler("USR1", function() other:send("x") end)
    kill "USR1"
    assert.equal("x", g:get())
    sock:close()
    other:close()
  end)

  it("does not keep the loop alive", function()
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      gevent.signal_handler("USR1", print)
      print(gevent.wait())
      print(pcall(require "gevent.event".Event().wait, require "gevent.event".Event()))
    ]]
    assert.equal(0, code, err)
    assert.matches("^true\nfalse\t.*would block forever", out)
  end)

  it("refuses what is no signal, what cannot be caught, what is no function", function()
    for _, bad in ipairs {"SIGNONE", "", 0, -1, 1000, 1.5, {}, "KILL", "STOP", signal.SIGKILL} do
      assert.error_matches(function() gevent.signal_handler(bad, print) end,
        "argument #1 to 'signal_handler'")
      assert.error_matches(function() signal.signal(bad, print) end, "argument #1 to 'signal'")
      assert.error_matches(function() signal.getsignal(bad) end, "argument #1 to 'getsignal'")
    end
    assert.error_matches(function() gevent.signal_handler("USR1") end,
      "argument #2 to 'signal_handler'")
    assert.error_matches(function() signal.signal("USR1", "up") end, "argument #2 to 'signal'")
  end)

  it("leaves the disposition as it was when the last one is cancelled", function()
    local code, _, err = helper.run_lua [[
      local gevent = require "gevent"
      local signal = require "gevent.signal"
      signal.signal("HUP", signal.SIG_IGN)
      local a = gevent.signal_handler("HUP", print)
      local b = gevent.signal_handler("HUP", print)
      a:cancel()
      assert(signal.getsignal("HUP") == nil)
      b:cancel()
      assert(signal.getsignal("HUP") == signal.SIG_IGN)
      local interpreter = signal.getsignal("INT")
      gevent.signal_handler("INT", print):cancel()
      assert(signal.getsignal("INT") == interpreter)
    ]]
    assert.equal(0, code, err)
  end)
end)

describe("signal.signal", function()
  it("sets one handler and gives back the one before", function()
    local log = {}
    local function first(number) log[#log + 1] = "first " .. number end
    local function second() log[#log + 1] = "second" end
    assert.equal(signal.SIG_DFL, signal.getsignal "USR1")
    assert.equal(signal.SIG_DFL, signal.signal("USR1", first))
    assert.equal(first, signal.getsignal "SIGUSR1")
    kill "USR1"
    wait_for(function() return #log == 1 end)
    assert.equal(first, signal.signal("USR1", second))
    kill "USR1"
    wait_for(function() return #log == 2 end)
    assert.equal(second, signal.signal("USR1", signal.SIG_IGN))
    kill "USR1"
    gevent.sleep(0.001)
    assert.equal(signal.SIG_IGN, signal.signal("USR1", signal.SIG_DFL))
    assert.same({"first 10", "second"}, log)
  end)

  it("does not disturb the handlers of signal_handler", function()
    local log = {}
    local _ <close> = gevent.signal_handler("USR1", function() log.a = true end)
    signal.signal("USR1", function() log.b = true end)
    kill "USR1"
    wait_for(function() return log.a and log.b end)
    signal.signal("USR1", signal.SIG_DFL)
  end)

  it("keeps SIGCHLD for the children", function()
    assert.error(function() signal.signal("CHLD", signal.SIG_IGN) end)
    local n = 0
    signal.signal("CHLD", function() n = n + 1 end)
    assert.equal(3, require "gevent.subprocess".call "exit 3")
    wait_for(function() return n > 0 end)
    signal.signal("CHLD", signal.SIG_DFL)
  end)
end)

describe("a handler of SIGINT", function()
  it("has it instead of main, and is not called twice", function()
    local code, out, err = helper.run_lua([[
      local gevent = require "gevent"
      local n = 0
      local handler = gevent.signal_handler("SIGINT", function()
        n = n + 1
        print("caught", n)
        io.stdout:flush()
      end)
      print "ready"
      io.stdout:flush()
      while n < 2 do gevent.sleep(0.01) end
      handler:cancel()
      gevent.spawn(function() -- runs when main is blocked
        print "again"
        io.stdout:flush()
      end)
      print(pcall(gevent.sleep, 60))
    ]], {signals = {{after = "ready", name = "INT"}, {after = "caught\t1", name = "INT"},
      {after = "again", name = "INT"}}})
    assert.equal(0, code, err)
    assert.matches("caught\t1\ncaught\t2\nagain\nfalse\t.*interrupted!\n", out)
  end)

  it("works from a greenlet, while main is blocked", function()
    local code, out, err = helper.run_lua([[
      local gevent = require "gevent"
      local event = require "gevent.event".Event()
      gevent.spawn(function()
        gevent.signal_handler("INT", event.set, event)
        print "ready"
        io.stdout:flush()
        gevent.sleep(60)
      end)
      print(event:wait(60))
    ]], {signals = {{after = "ready", name = "INT"}}})
    assert.equal(0, code, err)
    assert.equal("ready\ntrue\n", out)
  end)
end)
