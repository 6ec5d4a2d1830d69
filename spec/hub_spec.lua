-- The hub: LoopExit, error reports, joining, embedding, callbacks.

local helper = require "helper"
local gevent = require "gevent"
local it = helper.it

local hub = gevent.get_hub()
local NO_DEADLINE = {deadline = false} -- where a pending timer is in the way

describe("get_hub", function()
  it("is one and the same everywhere", function()
    assert.is_true(rawequal(hub, gevent.get_hub()))
    assert.is_true(rawequal(hub, gevent.spawn(gevent.get_hub):get()))
    assert.matches("Hub", tostring(hub))
    assert.matches("0x%x+", tostring(hub))
  end)

  it("has stats that count what is there", function()
    local before = hub:stats()
    for _, name in ipairs {"greenlets", "handles", "timers", "ready", "refs"}
    do
      assert.equal("integer", math.type(before[name]), name)
    end
    local ready = gevent.spawn(function() end)
    assert.equal(before.ready + 1, hub:stats().ready)
    assert.equal(before.greenlets + 1, hub:stats().greenlets)
    local sleeper = helper.spawn_blocked(gevent.sleep, 60)
    assert.is_true(ready:ready())
    assert.equal(before.greenlets + 1, hub:stats().greenlets)
    assert.equal(before.timers + 1, hub:stats().timers)
    assert.equal(0, hub:stats().ready)
    sleeper:kill()
    assert.equal(before.greenlets, hub:stats().greenlets)
    assert.equal(before.timers, hub:stats().timers)
  end)
end)

describe("an uncaught error", function()
  it("is printed once: traceback, then who failed with what", function()
    local printed <close> = helper.capture_errors()
    local g = gevent.spawn(function()
      local function culprit() error("trouble") end
      culprit()
    end)
    g.name = "failing"
    g:join()
    helper.wait_all_blocked()
    local text = printed:text()
    assert.matches("stack traceback", text)
    assert.matches("culprit", text)
    assert.matches('<Greenlet "failing" at 0x%x+.-failed with .*trouble', text)
    local _, count = text:gsub("failed with", "")
    assert.equal(1, count)
    local from, to = text:find("traceback"), text:find("failed with")
    assert.is_true(from < to)
    pcall(g.get, g)
    assert.equal(text, printed:text())
  end)

  it("of any value is printed", function()
    local printed <close> = helper.capture_errors()
    local named = setmetatable({}, {__tostring = function() return "NAMED" end})
    for _, value in ipairs {named, 42, true, {}} do
      gevent.spawn(error, value):join()
    end
    gevent.spawn(error, nil):join()
    helper.wait_all_blocked()
    local text = printed:text()
    local _, count = text:gsub("failed with", "")
    assert.equal(5, count)
    assert.matches("NAMED", text)
    assert.matches("42", text)
  end)

  it("whose __tostring fails is reported as well as can be", function()
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      local broken = setmetatable({}, {
        __tostring = function() error("in tostring") end,
      })
      gevent.spawn(error, broken):join()
      print "goes on"
    ]]
    assert.equal(0, code, err)
    assert.equal("goes on\n", out)
    assert.matches("Greenlet", err)
    assert.matches("in tostring", err)
  end)

  it("is not printed when exception_stream is false", function()
    local former = hub.exception_stream
    hub.exception_stream = false
    gevent.spawn(error, "silent"):join()
    helper.wait_all_blocked()
    hub.exception_stream = former
  end)

  it("survives a stream that fails", function()
    local former = hub.exception_stream
    hub.exception_stream = {write = function() error("disk full") end}
    local g = gevent.spawn(error, "trouble")
    g:join()
    helper.wait_all_blocked()
    hub.exception_stream = former
    assert.equal("trouble", g.exception)
    gevent.sleep(0.001)
  end)

  it("goes to stderr unless told", function()
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      local function culprit() error("trouble") end
      local g = gevent.spawn(function() culprit() end)
      g:join()
      print(g.exception)
    ]]
    assert.equal(0, code)
    assert.matches("trouble", out)
    assert.matches("stack traceback", err)
    assert.matches("culprit", err)
    assert.matches("<Greenlet .-failed with .*trouble", err)
  end)
end)

describe("handle_error", function()
  local function with_handler(handler, body)
    hub.handle_error = handler
    local ok, err = pcall(body)
    hub.handle_error = nil
    if not ok then error(err, 0) end
  end

  it("replaces the report", function()
    local printed <close> = helper.capture_errors()
    local got
    local trouble = {}
    local g
    with_handler(function(...) got = table.pack(...) end, function()
      g = gevent.spawn(error, trouble)
      g:join()
      helper.wait_all_blocked()
    end)
    assert.equal(4, got.n)
    assert.is_true(rawequal(hub, got[1]))
    assert.is_true(rawequal(g, got[2]))
    assert.is_true(rawequal(trouble, got[3]))
    assert.matches("traceback", got[4])
    assert.equal("", printed:text())
  end)

  it("may be taken back", function()
    with_handler(function() end, function() end)
    local printed <close> = helper.capture_errors()
    gevent.spawn(error, "trouble"):join()
    helper.wait_all_blocked()
    assert.matches("trouble", printed:text())
  end)

  it("that fails does not harm the hub, and is told of", function()
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      local calls = 0
      gevent.get_hub().handle_error = function()
        calls = calls + 1
        error("handler trouble")
      end
      gevent.spawn(error, "first"):join()
      gevent.spawn(error, "second"):join()
      gevent.sleep(0.001)
      print(calls)
    ]]
    assert.equal(0, code, err)
    assert.equal("2\n", out)
    assert.matches("handler trouble", err)
    assert.matches("failed with first", err)
    assert.matches("failed with second", err)
  end)

  it("that blocks is told that it cannot, or may", function()
    local printed <close> = helper.capture_errors()
    local done
    with_handler(function()
      local ok, err = pcall(gevent.sleep, 0)
      done = ok or gevent.isinstance(err, gevent.BlockingSwitchOutError)
    end, function()
      gevent.spawn(error, "trouble"):join()
      helper.wait_until(function() return done ~= nil end)
    end)
    assert.is_true(done)
    assert.is_string(printed:text())
  end)

  it("is not asked about GreenletExit", function()
    local asked = false
    with_handler(function() asked = true end, function()
      helper.spawn_blocked(gevent.sleep, 60):kill()
      gevent.spawn(error, gevent.GreenletExit "x"):join()
      helper.wait_all_blocked()
    end)
    assert.is_false(asked)
  end)

  it("hears of errors in rawlinks, links and raw greenlets", function()
    local errors = {}
    with_handler(function(_, _, err) errors[err] = true end, function()
      local g = gevent.spawn(function() end)
      g:rawlink(function() error("rawlink", 0) end)
      g:link(function() error("link", 0) end)
      gevent.spawn_raw(error, "raw", 0)
      g:join()
      helper.wait_all_blocked()
    end)
    assert.same({rawlink = true, link = true, raw = true}, errors)
  end)
end)

describe("a blocking call in a hub callback", function()
  it("is BlockingSwitchOutError, whatever the call", function()
    local gate = helper.gate()
    local calls = {
      sleep = function() gevent.sleep(0) end,
      idle = gevent.idle,
      join = function() gate:wait() end,
      joinall = function() gevent.joinall {gate.greenlet} end,
    }
    local results = {}
    local g = gevent.spawn(function() end)
    for name, call in pairs(calls) do
      g:rawlink(function()
        local ok, err = pcall(call)
        results[name] = not ok
          and gevent.isinstance(err, gevent.BlockingSwitchOutError)
      end)
    end
    g:join()
    helper.wait_all_blocked()
    assert.same({sleep = true, idle = true, join = true, joinall = true},
      results)
  end)

  it("that is not caught is reported, and the loop goes on", function()
    local printed <close> = helper.capture_errors()
    local g = gevent.spawn(function() end)
    g:rawlink(function() gevent.sleep(1) end)
    g:join()
    helper.wait_all_blocked()
    assert.matches("BlockingSwitchOutError", printed:text())
    gevent.sleep(0.001)
  end)
end)

describe("hub:join", function()
  it("returns true when the loop has nothing left", function()
    local done = false
    gevent.spawn(function()
      gevent.sleep(0.005)
      done = true
    end)
    assert.is_true(hub:join())
    assert.is_true(done)
    assert.is_true(hub:join())
    assert.is_true(hub:join(0))
  end, NO_DEADLINE)

  it("returns false at its timeout", function()
    local g = gevent.spawn(gevent.sleep, 60)
    local start = helper.now()
    assert.is_false(hub:join(0.01))
    assert.is_true(helper.now() - start >= 0.01)
    assert.is_false(g.dead)
    g:kill()
  end, NO_DEADLINE)

  it("returns true though greenlets stay blocked for ever", function()
    local gate = helper.gate()
    local g = gevent.spawn(gate.wait, gate)
    assert.is_true(hub:join())
    assert.is_false(g.dead)
    g:kill()
  end, NO_DEADLINE)

  it("does not count its own timer", function()
    local start = helper.now()
    assert.is_true(hub:join(5))
    assert.is_true(helper.now() - start < 5)
  end, NO_DEADLINE)

  it("is for the main greenlet only", function()
    local ok, err = gevent.spawn(pcall, hub.join, hub):get()
    assert.is_false(ok)
    assert.matches("main", tostring(err))
  end)

  it("refuses a negative timeout", function()
    local ok, err = pcall(function() hub:join(-1) end)
    assert.is_false(ok)
    assert.matches("argument #1", err)
  end)
end)

describe("embedding", function()
  it("runs what is ready", function()
    local ran = 0
    local g = gevent.spawn(function()
      ran = ran + 1
      gevent.sleep(60)
    end)
    hub:run("nowait")
    assert.equal(1, ran)
    g:kill()
  end)

  it("waits for the next event with once", function()
    local done = false
    local g = gevent.spawn(function()
      gevent.sleep(0.01)
      done = true
    end)
    local start = helper.now()
    for _ = 1, 1000 do
      if done then break end
      hub:run("once")
    end
    assert.is_true(done)
    assert.is_true(helper.now() - start >= 0.01)
    g:join()
  end)

  it("does not wait with nowait", function()
    local g = gevent.spawn(gevent.sleep, 60)
    local start = helper.now()
    for _ = 1, 10 do hub:run("nowait") end
    assert.is_true(helper.now() - start < 30)
    assert.is_false(g:ready())
    g:kill()
  end)

  it("tells its descriptor and how long it may wait", function()
    local fd = hub:backend_fd()
    assert.equal("integer", math.type(fd))
    assert.is_truthy(helper.open_fds()[tostring(fd)])
    gevent.sleep(0)
    assert.is_nil(hub:backend_timeout())
    local g = gevent.spawn(gevent.sleep, 60)
    assert.equal(0, hub:backend_timeout())
    helper.wait_all_blocked()
    local timeout = hub:backend_timeout()
    assert.is_true(timeout > 0 and timeout <= 60)
    g:kill()
  end, NO_DEADLINE)

  it("refuses other modes", function()
    for _, mode in ipairs {"default", 42} do
      local ok, err = pcall(function() hub:run(mode) end)
      assert.is_false(ok)
      assert.matches("argument #1", err)
    end
  end)

  it("is not for greenlets", function()
    assert.is_false((gevent.spawn(pcall, hub.run, hub, "nowait"):get()))
  end)
end)

describe("twenty thousand", function()
  it("greenlets can sleep, be killed, and leave nothing", function()
    local count = 20000
    local list = {}
    for i = 1, count do list[i] = gevent.spawn(gevent.sleep, 60) end
    helper.wait_all_blocked()
    for i = 1, count do gevent.kill(list[i]) end
    assert.equal(count, #gevent.joinall(list))
  end, {deadline = 60})
end)
