-- Greenlet:kill and :throw in every state a greenlet can be in.

local helper = require "helper"
local gevent = require "gevent"
local it = helper.it

local function is_exit(value)
  return gevent.isinstance(value, gevent.GreenletExit)
end

--- A greenlet that has been killed and reports so.
local function expect_killed(g)
  assert.is_true(g.dead)
  assert.is_false(g.started)
  assert.is_true(g:ready())
  assert.is_true(g:successful())
  assert.is_true(is_exit(g.value))
  assert.is_true(is_exit((g:get())))
  assert.is_nil(g.exception)
end

--- The ways to kill one that has not begun.
local ways = {
  ["kill()"] = function(g) return g:kill() end,
  ["kill() twice"] = function(g) return g:kill(), g:kill() end,
  ["kill(nil, false)"] = function(g) return g:kill(nil, false) end,
  ["kill(GreenletExit)"] = function(g) return g:kill(gevent.GreenletExit) end,
  ["kill(instance)"] = function(g) return g:kill(gevent.GreenletExit()) end,
  ["gevent.kill"] = function(g) return gevent.kill(g) end,
  ["killall"] = function(g) return gevent.killall {g} end,
  ["throw"] = function(g) return g:throw(gevent.GreenletExit) end,
}

local makers = {
  ["never started"] = function(fn) return gevent.Greenlet(fn) end,
  ["started"] = function(fn) return gevent.spawn(fn) end,
  ["started later"] = function(fn) return gevent.spawn_later(0.005, fn) end,
}

describe("kill before the greenlet begins", function()
  for how, kill in pairs(ways) do
    for state, make in pairs(makers) do
      it(("by %s, %s: it never runs"):format(how, state), function()
        local ran = false
        local links = 0
        local g = make(function() ran = true end)
        g:link(function(source)
          assert(rawequal(source, g))
          links = links + 1
        end)
        kill(g)
        g:join()
        helper.wait_all_blocked()
        expect_killed(g)
        assert.equal(1, links)
        g:kill()
        g:start()
        gevent.sleep(0.01)
        assert.is_false(ran)
        assert.equal(1, links)
        expect_killed(g)
      end)
    end
  end

  it("with an error makes it a failure", function()
    local printed <close> = helper.capture_errors()
    local trouble = {}
    local g = gevent.spawn(function() end)
    g:kill(trouble)
    assert.is_true(g.dead)
    assert.is_false(g:successful())
    assert.is_true(rawequal(trouble, g.exception))
    local ok, err = pcall(g.get, g)
    assert.is_false(ok)
    assert.is_true(rawequal(trouble, err))
    assert.is_string(printed:text())
  end)

  it("wakes those who join", function()
    local g = gevent.Greenlet(function() end)
    local joiner = helper.spawn_blocked(g.join, g)
    g:kill()
    assert.is_true(joiner:get())
  end)
end)

describe("kill of a blocked greenlet", function()
  it("returns when it has ended, its cleanup done", function()
    local log = {}
    local g = helper.spawn_blocked(function()
      log[#log + 1] = "start"
      local ok, err = pcall(gevent.sleep, 60)
      log[#log + 1] = not ok and is_exit(err) and "killed" or "not killed"
      gevent.sleep(0.005)
      log[#log + 1] = "finished"
      error(err, 0)
    end)
    assert.is_true(g:kill())
    assert.same({"start", "killed", "finished"}, log)
    expect_killed(g)
  end)

  it("runs its <close> variables, innermost first, with the exit", function()
    local log = {}
    local function closer(name)
      return helper.defer(function(err)
        log[#log + 1] = name .. (is_exit(err) and "!" or "?")
      end)
    end
    local g = helper.spawn_blocked(function()
      local _ <close> = closer "outer"
      do
        local _ <close> = closer "inner"
        gevent.sleep(60)
      end
    end)
    g:kill()
    assert.same({"inner!", "outer!"}, log)
  end)

  it("lets its __close block", function()
    local done = false
    local g = helper.spawn_blocked(function()
      local _ <close> = helper.defer(function()
        gevent.sleep(0.005)
        done = true
      end)
      gevent.sleep(60)
    end)
    g:kill()
    assert.is_true(done)
    expect_killed(g)
  end)

  it("a second time hits a cleanup that blocks", function()
    local log = {}
    local g = helper.spawn_blocked(function()
      pcall(gevent.sleep, 60)
      log[#log + 1] = "cleanup"
      local _, err = pcall(gevent.sleep, 60)
      log[#log + 1] = is_exit(err) and "killed again" or "no"
    end)
    assert.is_false(g:kill(nil, true, 0.005))
    assert.is_true(g:kill())
    assert.same({"cleanup", "killed again"}, log)
  end)

  it("leaves its result to one that catches it and returns", function()
    local g = helper.spawn_blocked(function()
      pcall(gevent.sleep, 60)
      return "caught", 2
    end)
    assert.is_true(g:kill())
    assert.same({"caught", 2}, {g:get()})
    assert.equal("caught", g.value)
  end)

  it("with an error makes it a failure that is printed", function()
    local printed <close> = helper.capture_errors()
    local Trouble = gevent.exception "Trouble"
    local g = helper.spawn_blocked(gevent.sleep, 60)
    assert.is_true(g:kill(Trouble "t"))
    assert.is_false(g:successful())
    assert.is_nil(g.value)
    assert.is_true(gevent.isinstance(g.exception, Trouble))
    local ok, err = pcall(g.get, g)
    assert.is_false(ok)
    assert.is_true(rawequal(err, g.exception))
    assert.matches("failed with .*t", printed:text())
  end)

  it("with GreenletExit prints nothing", function()
    local printed <close> = helper.capture_errors()
    local g = helper.spawn_blocked(gevent.sleep, 60)
    g:kill()
    local Quiet = gevent.exception("Quiet", gevent.GreenletExit)
    local h = helper.spawn_blocked(gevent.sleep, 60)
    h:kill(Quiet)
    assert.is_true(gevent.isinstance(h.value, Quiet))
    assert.is_true(h:successful())
    helper.wait_all_blocked()
    assert.equal("", printed:text())
  end)

  it("with block=false returns before it has ended", function()
    local g = helper.spawn_blocked(gevent.sleep, 60)
    g:kill(nil, false)
    assert.is_false(g:ready())
    gevent.sleep(0)
    expect_killed(g)
  end)

  it("with a timeout returns false and goes on waiting for nobody",
    function()
      local gate = helper.gate()
      local g = helper.spawn_blocked(function()
        pcall(gevent.sleep, 60)
        gate:wait()
        return "stubborn"
      end)
      local start = helper.now()
      assert.is_false(g:kill(nil, true, 0.01))
      assert.is_true(helper.now() - start >= 0.01)
      assert.is_false(g.dead)
      gate:open()
      assert.equal("stubborn", g:get())
    end)

  it("that is over already returns at once", function()
    local g = gevent.spawn(function() return 1 end)
    g:join()
    assert.is_true(g:kill())
    assert.is_true(g:kill(nil, true, 0))
    assert.equal(1, g:get())
    local killed = gevent.Greenlet(function() end)
    killed:kill()
    assert.is_true(killed:kill())
    expect_killed(killed)
  end)

  it("from several at once ends it once", function()
    local closed = 0
    local g = helper.spawn_blocked(function()
      local _ <close> = helper.defer(function() closed = closed + 1 end)
      gevent.sleep(60)
    end)
    local killers = {}
    for i = 1, 5 do killers[i] = gevent.spawn(g.kill, g) end
    gevent.joinall(killers, nil, {raise_error = true})
    assert.equal(1, closed)
    expect_killed(g)
  end)

  it("while it joins one that ends in the same turn", function()
    local gate = helper.gate()
    local g = helper.spawn_blocked(function() return gate:wait() end)
    gate:open()
    gevent.kill(g)
    g:join()
    assert.is_true(g.dead)
    assert.is_true(g:get() == true or is_exit(g.value))
  end)

  it("does not reach the one it waits for", function()
    local gate = helper.gate()
    local inner = helper.spawn_blocked(gate.wait, gate)
    local outer = helper.spawn_blocked(inner.join, inner)
    outer:kill()
    assert.is_false(inner.dead)
    gate:open()
    assert.is_true(inner:get())
  end)
end)

describe("throw", function()
  it("is a kill that does not wait", function()
    local trouble = {}
    local printed <close> = helper.capture_errors()
    local g = helper.spawn_blocked(gevent.sleep, 60)
    g:throw(trouble)
    assert.is_false(g:ready())
    g:join()
    assert.is_true(rawequal(trouble, g.exception))
    assert.is_string(printed:text())
  end)

  it("without an exception is GreenletExit", function()
    local g = helper.spawn_blocked(gevent.sleep, 60)
    g:throw()
    g:join()
    expect_killed(g)
  end)

  it("can be caught", function()
    local Reason = gevent.exception "Reason"
    local g = helper.spawn_blocked(function()
      local _, err = pcall(gevent.sleep, 60)
      return gevent.isinstance(err, Reason)
    end)
    g:throw(Reason)
    assert.is_true(g:get())
  end)
end)

-- Nobody should do that, but it is Lua's own function: no crash, no greenlet that
-- the hub keeps for ever.
describe("a blocked greenlet whose coroutine somebody closes", function()
  local event = require "gevent.event"
  local lock = require "gevent.lock"
  local queue = require "gevent.queue"
  local subprocess = require "gevent.subprocess"
  local waits = {
    Event = function() event.Event():wait() end,
    AsyncResult = function() event.AsyncResult():get() end,
    ["Queue:get"] = function() queue.Queue():get() end,
    ["Queue:put"] = function()
      local q = queue.Queue(1)
      q:put(1)
      q:put(2)
    end,
    ["Queue:join"] = function()
      local q = queue.JoinableQueue()
      q:put(1)
      q:join()
    end,
    Semaphore = function() lock.Semaphore(0):acquire() end,
    Condition = function()
      local condition = lock.Condition()
      condition:acquire()
      condition:wait()
    end,
    ["an unstarted greenlet"] = function() gevent.Greenlet(print):join() end,
    wait = function() gevent.wait {event.Event(), queue.Queue()} end,
    socket = function() (helper.pair()):recv(1) end,
    process = function() subprocess.Popen({"sleep", "60"}):wait() end,
  }
  for name, wait in pairs(waits) do
    it("ends, be it killed or not: " .. name, function()
      local printed <close> = helper.capture_errors()
      for _, killed in ipairs {true, false} do
        local threads = {}
        local g = helper.spawn_blocked(function()
          threads[1] = coroutine.running()
          wait()
        end)
        coroutine.close(table.remove(threads))
        collectgarbage()
        collectgarbage()
        helper.wait_all_blocked()
        if killed or not g.dead then g:kill() end
        assert.is_true(g.dead)
      end
      os.execute "pkill -P $PPID -x sleep"
      assert.equal("", (printed:text():gsub("[^\n]*cannot resume dead coroutine\n", "")))
    end)
  end
end)

helper.battery("Greenlet:kill", function()
  local gate = helper.gate()
  local stubborn = gevent.spawn(function()
    while not gate.greenlet:ready() do pcall(gate.wait, gate) end
  end)
  helper.wait_all_blocked()
  return {
    call = function(timeout) return stubborn:kill(nil, true, timeout) end,
    release = function() gate:open() end,
    expect = function(...) assert.same({true, n = 1}, table.pack(...)) end,
    takes_timeout = true,
    timeout_result = false,
    cleanup = function()
      gate:open()
      stubborn:join()
    end,
  }
end)
