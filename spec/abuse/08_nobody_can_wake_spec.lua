-- Waits that nothing can end: LoopExit in main, with a list of who waits on what. Never a
-- silent hang, and the processor is not kept busy.

local helper = require "helper"
local gevent = require "gevent"
local event = require "gevent.event"
local slope = require "helper_slope"
local waits = require "helper_waits"
local it = helper.it

local NO_DEADLINE = {deadline = false} -- where a pending timer is in the way

-- These have a timer, or something that has one.
local TIMED = {sleep = true, ["Greenlet:get"] = true, ["Group:join"] = true, kill = true,
  ["Pool:spawn"] = true, nursery = true, with_timeout = true}

local function is_loop_exit(err) return gevent.isinstance(err, gevent.LoopExit) end

describe("main, blocked for ever", function()
  for _, kind in ipairs(waits.kinds()) do
    if kind.light and not TIMED[kind.name] then
      it("in " .. kind.name, function()
        local wait = kind.make()
        local _ <close> = helper.defer(wait.finish)
        local other = gevent.spawn(wait.call) -- which stays blocked
        other.name = "the other"
        local ok, err = pcall(wait.call)
        assert.is_false(ok)
        assert.is_true(is_loop_exit(err), tostring(err))
        assert.matches("the other", tostring(err), 1, true)
        assert.matches("helper_waits.lua:%d+", tostring(err))
        assert.is_false(other.dead)
        other:kill()
      end, NO_DEADLINE)
    end
  end

  it("takes no time of the processor's where something may still come", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    local g = helper.spawn_blocked(a.recv, a, 1) -- from within, but who knows
    local polls = gevent.get_hub():stats().polls
    assert.is_false(event.Event():wait(0.1))
    assert.is_true(gevent.get_hub():stats().polls - polls < 20)
    g:kill()
  end)
end)

describe("LoopExit", function()
  it("is raised in main when nothing can wake it", function()
    local ok, err = pcall(function() helper.gate():wait() end)
    assert.is_false(ok)
    assert.is_true(gevent.isinstance(err, gevent.LoopExit))
    assert.matches("would block forever", tostring(err))
  end, NO_DEADLINE)

  it("leaves the hub usable, again and again", function()
    for _ = 1, 3 do
      local gate = helper.gate()
      assert.is_false((pcall(gate.wait, gate)))
      gevent.sleep(0.001)
      gate:open()
      assert.is_true(gate:wait())
    end
  end, NO_DEADLINE)

  it("lists each blocked greenlet: name, what it waits on, place", function()
    local gate = helper.gate()
    local function worker() gate:wait() end
    local g = gevent.spawn(worker)
    g.name = "stuck-one"
    local h = gevent.spawn(worker)
    h.name = "stuck-two"
    local ok, err = pcall(g.join, g)
    assert.is_false(ok)
    local text = tostring(err)
    assert.matches("stuck%-one", text)
    assert.matches("stuck%-two", text)
    assert.matches("nobody_can_wake_spec%.lua:%d+", text)
    assert.matches("join", text)
    gate:open()
    gevent.joinall {g, h}
  end, NO_DEADLINE)

  it("does not end the greenlets that stay blocked", function()
    local gate = helper.gate()
    local g = gevent.spawn(gate.wait, gate)
    assert.is_false((pcall(g.join, g)))
    assert.is_false(g.dead)
    gate:open()
    assert.is_true(g:get())
  end, NO_DEADLINE)

  it("is raised through a generator in main", function()
    local gco = require "gevent.coroutine"
    local ok, err = pcall(gco.wrap(function() helper.gate():wait() end))
    assert.is_false(ok)
    assert.is_true(gevent.isinstance(err, gevent.LoopExit))
  end, NO_DEADLINE)

  it("does not come while a timer is pending", function()
    local gate = helper.gate()
    gevent.spawn_later(0.01, function() gate:open() end)
    assert.is_true(gate:wait())
  end, NO_DEADLINE)

  it("lists a thousand without harm", function()
    local gate = helper.gate()
    local list = {}
    for i = 1, 1000 do list[i] = gevent.spawn(gate.wait, gate) end
    local ok, err = pcall(gate.wait, gate)
    assert.is_false(ok)
    assert.is_string(tostring(err))
    gevent.killall(list)
  end, NO_DEADLINE)
end)

describe("LoopExit at top level", function()
  it("ends the script with a report", function()
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      local never = gevent.Greenlet(type, 1)
      local g = gevent.spawn(function() never:join() end)
      g.name = "lonely"
      g:join()
      print "never"
    ]]
    assert.equal(1, code)
    assert.equal("", out)
    assert.matches("would block forever", err)
    assert.matches("lonely", err)
    assert.matches("join", err)
  end)
end)

slope.it("LoopExit", function()
  local main = event.Event()
  return function()
    local ok, err = pcall(main.wait, main)
    assert(not ok and is_loop_exit(err))
  end
end, NO_DEADLINE)
