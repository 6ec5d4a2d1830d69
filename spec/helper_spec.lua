-- The helper itself: a check that cannot fail checks nothing.

local helper = require "helper"
local gevent = require "gevent"
local it = helper.it

describe("the leak check", function()
  it("is silent where nothing is left", function()
    assert.is_nil(helper.leaks(function() end))
    assert.is_nil(helper.leaks(function()
      gevent.spawn(gevent.sleep, 0)
      local t <close> = gevent.Timeout.start_new(60)
      assert.is_true(t.pending)
    end))
  end)

  it("sees a greenlet, and its timer", function()
    local g
    local what = helper.leaks(function() g = gevent.spawn(gevent.sleep, 60) end)
    assert.matches("greenlets: %d+, were %d+", what)
    assert.matches("timers", what)
    assert.matches("refs", what)
    g:kill()
  end)

  it("sees a Timeout", function()
    local t
    local what = helper.leaks(function() t = gevent.Timeout.start_new(60) end)
    assert.matches("timers", what)
    t:close()
  end)

  it("sees a descriptor, and says what it is", function()
    local f
    local what = helper.leaks(function() f = io.open("/dev/null") end)
    assert.matches("fd %d+ %-> /dev/null", what)
    f:close()
  end)

  it("waits for what is on its way out", function()
    assert.is_nil(helper.leaks(function() gevent.spawn(gevent.sleep, 0.005) end))
  end)
end)

describe("the deadline", function()
  it("ends a test that blocks, and a leak fails one", function()
    local temporary = os.tmpname()
    local spec = temporary .. ".lua"
    local f = assert(io.open(spec, "w"))
    f:write [[
      local helper = require "helper"
      local gevent = require "gevent"
      helper.it("blocks", function() gevent.sleep(60) end, {deadline = 0.01})
      helper.it("leaks", function() gevent.spawn(gevent.sleep, 60) end)
      helper.it("passes", function() gevent.sleep(0) end)
    ]]
    f:close()
    local code, out = helper.run_lua(
      'require "busted.runner" {standalone = false}',
      {args = {"--no-auto-insulate", "--output=TAP", "--pattern=.", spec}})
    os.remove(temporary)
    os.remove(spec)
    assert.not_equal(0, code)
    assert.matches("not ok 1", out)
    assert.matches("deadline: blocked", out)
    assert.matches("not ok 2", out)
    assert.matches("leaked: ", out)
    assert.matches("\nok 3", out)
  end)
end)

describe("pair and tcp_pair", function()
  for _, name in ipairs {"pair", "tcp_pair"} do
    it(name .. " are connected both ways", function()
      local a, b = helper[name]()
      assert.is_true(a:sendall("ping"))
      assert.equal("ping", b:recv(10))
      assert.is_true(b:sendall("pong"))
      assert.equal("pong", a:recv(10))
      a:close()
      assert.equal("", b:recv(10))
      b:close()
    end)
  end
end)

describe("run_lua", function()
  it("returns code, stdout and stderr", function()
    local code, out, err = helper.run_lua([[
      io.write(arg[1], io.read("a"), os.getenv "SPEC_VALUE")
      io.stderr:write("to stderr")
      os.exit(3)
    ]], {args = {"it's "}, input = "read ", env = {SPEC_VALUE = "$x"}})
    assert.equal(3, code)
    assert.equal("it's read $x", out)
    assert.equal("to stderr", err)
  end)

  it("reports the signal that ended it", function()
    assert.equal("signal 9", (helper.run_lua("while true do end",
      {timeout = 1 / helper.scale})))
    assert.equal("signal 15", (helper.run_lua(
      "print 'now' io.stdout:flush() while true do end",
      {signals = {{after = "now", name = "TERM"}}})))
  end)
end)

describe("wait_all_blocked", function()
  it("returns when the others block, and raises if they never do", function()
    local turns = 0
    local g = gevent.spawn(function()
      for _ = 1, 50 do
        turns = turns + 1
        gevent.sleep(0)
      end
      gevent.sleep(60)
    end)
    helper.wait_all_blocked()
    assert.equal(50, turns)
    g:kill()
  end)
end)
