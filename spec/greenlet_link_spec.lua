-- Links: who is told that a greenlet has ended, in which order, and what
-- happens when they fail, block, or change the list.

local helper = require "helper"
local gevent = require "gevent"
local it, logger = helper.it, helper.logger

local function noop() end

describe("link", function()
  it("calls back with the greenlet, once", function()
    local calls = {}
    local g = gevent.spawn(function() return 1, 2 end)
    g:link(function(...) calls[#calls + 1] = table.pack(...) end)
    g:join()
    helper.wait_all_blocked()
    assert.equal(1, #calls)
    assert.equal(1, calls[1].n)
    assert.is_true(rawequal(g, calls[1][1]))
  end)

  it("calls back in registration order, before join returns", function()
    local log, says = logger()
    local g = gevent.spawn(noop)
    for i = 1, 1000 do g:link(says(i)) end
    g:join()
    assert.equal(1000, #log)
    for i = 1, 1000 do assert.equal(i, log[i]) end
  end)

  it("keeps the order of links, rawlinks and joiners", function()
    local log, says = logger()
    local gate = helper.gate()
    local g = helper.spawn_blocked(gate.wait, gate)
    g:link(says "link 1")
    g:rawlink(says "raw 2")
    local joiner = helper.spawn_blocked(function()
      g:join()
      says "join 3" ()
    end)
    g:link(says "link 4")
    gate:open()
    joiner:join()
    helper.wait_all_blocked()
    local first = {}
    for i, text in ipairs(log) do first[text] = i end
    assert.equal(4, #log)
    assert.is_true(first["link 1"] < first["join 3"])
    assert.is_true(first["raw 2"] < first["join 3"])
    assert.is_true(first["link 1"] < first["link 4"])
  end)

  it("to a finished one fires later, never inline", function()
    local g = gevent.spawn(noop)
    g:join()
    local fired = 0
    g:link(function() fired = fired + 1 end)
    g:rawlink(function() fired = fired + 1 end)
    assert.equal(0, fired)
    helper.wait_all_blocked()
    assert.equal(2, fired)
  end)

  it("runs in a greenlet of its own, which may block", function()
    local runner, done
    local g = gevent.spawn(noop)
    g:link(function()
      runner = gevent.getcurrent()
      gevent.sleep(0.002)
      done = true
    end)
    g:join()
    helper.wait_until(function() return done end)
    assert.is_false(rawequal(runner, g))
    assert.is_false(rawequal(runner, gevent.getcurrent()))
  end)

  it("that blocks does not hold up the others", function()
    local log, says = logger()
    local gate = helper.gate()
    local g = gevent.spawn(noop)
    g:link(function() gate:wait() end)
    g:link(says "second")
    g:join()
    helper.wait_all_blocked()
    assert.same({"second"}, log)
    gate:open()
    helper.wait_all_blocked()
  end)

  it("takes any callable", function()
    local seen
    local g = gevent.spawn(function() return "v" end)
    g:link(setmetatable({}, {__call = function(_, source) seen = source end}))
    g:join()
    helper.wait_all_blocked()
    assert.is_true(rawequal(g, seen))
  end)

  it("carries all results", function()
    local got
    local g = gevent.spawn(function() return 1, nil, 3 end)
    g:link(function(source) got = table.pack(source:get()) end)
    g:join()
    helper.wait_all_blocked()
    assert.same({1, nil, 3, n = 3}, got)
  end)

  it("fires for a killed one", function()
    local g = helper.spawn_blocked(gevent.sleep, 60)
    local fired = {}
    g:link(function() fired.link = true end)
    g:link_value(function() fired.value = true end)
    g:link_exception(function() fired.exception = true end)
    g:kill()
    helper.wait_all_blocked()
    assert.same({link = true, value = true}, fired)
  end)

  it("refuses what cannot be called", function()
    local g = gevent.Greenlet(noop)
    for _, name in ipairs {"link", "link_value", "link_exception", "rawlink"}
    do
      for _, value in ipairs {42, "x", {}} do
        local ok, err = pcall(g[name], g, value)
        assert.is_false(ok, name)
        assert.matches("argument", err)
      end
      assert.is_false((pcall(g[name], g)))
    end
  end)
end)

describe("link_value and link_exception", function()
  it("tell success from failure", function()
    local printed <close> = helper.capture_errors()
    local fired = {}
    local good = gevent.spawn(function() return 1 end)
    local bad = gevent.spawn(error, "trouble")
    for name, g in pairs {good = good, bad = bad} do
      g:link_value(function() fired[name .. " value"] = true end)
      g:link_exception(function() fired[name .. " exception"] = true end)
    end
    gevent.joinall {good, bad}
    helper.wait_all_blocked()
    assert.same({["good value"] = true, ["bad exception"] = true}, fired)
    assert.matches("trouble", printed:text())
  end)
end)

describe("unlink", function()
  it("takes back a link of any kind", function()
    local fired = 0
    local function callback() fired = fired + 1 end
    local g = gevent.spawn(noop)
    for _, name in ipairs {"link", "link_value", "link_exception", "rawlink"}
    do
      g[name](g, callback)
      g:unlink(callback)
    end
    g:join()
    helper.wait_all_blocked()
    assert.equal(0, fired)
  end)

  it("of an unknown one is no error", function()
    local g = gevent.spawn(noop)
    g:unlink(noop)
    g:join()
    g:unlink(noop)
  end)

  it("during notification is honoured", function()
    local log, says = logger()
    local g = gevent.spawn(noop)
    local third = says "third"
    g:rawlink(says "first")
    g:rawlink(function() g:unlink(third) end)
    g:rawlink(third)
    g:rawlink(says "fourth")
    g:join()
    helper.wait_all_blocked()
    assert.same({"first", "fourth"}, log)
  end)

  it("during notification by a link is honoured", function()
    local printed <close> = helper.capture_errors()
    local log, says = logger()
    local g = gevent.spawn(error, "trouble")
    local third = says "third"
    g:link(says "first")
    g:link(function() g:unlink(third) end)
    g:link(third)
    g:join()
    helper.wait_all_blocked()
    assert.same({"first"}, log)
    assert.matches("trouble", printed:text())
  end)
end)

describe("a link that changes the list", function()
  it("may add another, which is called too", function()
    local log, says = logger()
    local g = gevent.spawn(noop)
    g:rawlink(function()
      says "first" ()
      g:rawlink(says "added")
    end)
    g:rawlink(says "second")
    g:join()
    helper.wait_all_blocked()
    assert.same({"first", "second", "added"}, log)
  end)
end)

describe("rawlink", function()
  it("calls back in the hub, where blocking is an error", function()
    local printed <close> = helper.capture_errors()
    local ok, err
    local g = gevent.spawn(noop)
    g:rawlink(function() ok, err = pcall(gevent.sleep, 0.001) end)
    g:join()
    helper.wait_all_blocked()
    assert.is_false(ok)
    assert.is_true(gevent.isinstance(err, gevent.BlockingSwitchOutError))
    assert.equal("", printed:text())
  end)

  it("may spawn, kill and link", function()
    local ran = false
    local victim = helper.spawn_blocked(gevent.sleep, 60)
    local g = gevent.spawn(noop)
    g:rawlink(function()
      gevent.kill(victim)
      gevent.spawn(function() ran = true end)
    end)
    g:join()
    helper.wait_all_blocked()
    assert.is_true(ran)
    assert.is_true(victim.dead)
  end)
end)
