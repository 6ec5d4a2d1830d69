-- gevent.coroutine: kills and Timeouts that reach into the user's coroutines.

local helper = require "helper"
local gevent = require "gevent"
local gco = require "gevent.coroutine"
local it = helper.it

describe("a kill", function()
  it("inside wrap runs <close> variables at once, all the way", function()
    local log = {}
    local function closer(name)
      return helper.defer(function(err)
        log[#log + 1] = name
          .. (gevent.isinstance(err, gevent.GreenletExit) and "!" or "?")
      end)
    end
    local g = helper.spawn_blocked(function()
      local _ <close> = closer "greenlet"
      gco.wrap(function()
        local _ <close> = closer "outer"
        gco.wrap(function()
          local _ <close> = closer "inner"
          gevent.sleep(60)
        end)()
      end)()
    end)
    g:kill()
    assert.same({"inner!", "outer!", "greenlet!"}, log)
    assert.is_true(gevent.isinstance(g.value, gevent.GreenletExit))
  end)

  it("inside resume leaves <close> variables to close", function()
    local log = {}
    local co = gco.create(function()
      local _ <close> = helper.defer(function() log[#log + 1] = "closed" end)
      gevent.sleep(60)
    end)
    local g = helper.spawn_blocked(function()
      local ok, err = gco.resume(co)
      log[#log + 1] = not ok and gevent.isinstance(err, gevent.GreenletExit)
        and "resumed with the exit" or "wrong"
      log[#log + 1] = gco.status(co)
      local closed, reason = gco.close(co)
      log[#log + 1] = not closed and rawequal(reason, err) and "same"
    end)
    g:kill()
    assert.same({"resumed with the exit", "dead", "closed", "same"}, log)
  end)

  it("caught inside the coroutine is caught", function()
    local g = helper.spawn_blocked(function()
      return gco.wrap(function()
        local ok, err = pcall(gevent.sleep, 60)
        gevent.sleep(0)
        return ok, gevent.isinstance(err, gevent.GreenletExit)
      end)()
    end)
    g:kill()
    assert.same({false, true}, {g:get()})
  end)

  it("of a greenlet does not touch a coroutine that is suspended", function()
    local co = gco.create(function()
      gco.yield(1)
      return 2
    end)
    local g = helper.spawn_blocked(function()
      gco.resume(co)
      gevent.sleep(60)
    end)
    g:kill()
    assert.equal("suspended", gco.status(co))
    assert.same({true, 2}, {gco.resume(co)})
  end)
end)

describe("a Timeout", function()
  it("surfaces through wrap as the same object", function()
    local closed = false
    local t <close> = gevent.Timeout.start_new(0.005)
    local ok, err = pcall(gco.wrap(function()
      local _ <close> = helper.defer(function() closed = true end)
      gco.wrap(gevent.sleep)(60)
    end))
    assert.is_false(ok)
    assert.is_true(rawequal(t, err))
    assert.is_true(closed)
  end)

  it("is returned by resume as the same object", function()
    gevent.spawn(function()
      local t <close> = gevent.Timeout.start_new(0.005)
      local ok, err = gco.resume(gco.create(gevent.sleep), 60)
      assert(not ok)
      assert(rawequal(t, err))
    end):get()
  end)

  it("started inside fires outside, and the other way round", function()
    local t
    gco.wrap(function() t = gevent.Timeout.start_new(0.005) end)()
    local ok, err = pcall(gevent.sleep, 60)
    assert.is_false(ok)
    assert.is_true(rawequal(t, err))
    t:start()
    ok, err = gco.resume(gco.create(function() gevent.sleep(60) end))
    assert.is_false(ok)
    assert.is_true(rawequal(t, err))
  end)
end)
