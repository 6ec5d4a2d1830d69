-- sleep and idle.

local helper = require "helper"
local gevent = require "gevent"
local it = helper.it

helper.battery("sleep", function()
  return {
    fname = "sleep",
    call = function() return gevent.sleep(0.03 * helper.scale) end,
    release = function() end,
    expect = function(...) assert.is_nil((...)) end,
  }
end)

describe("sleep", function()
  it("is never early", function()
    for _, seconds in ipairs {0.001, 0.0015, 0.005, 0.0105, 0.02} do
      local start = helper.now()
      gevent.sleep(seconds)
      assert.is_true(helper.now() - start >= seconds)
    end
  end)

  it("is never early in many greenlets at once", function()
    local early = 0
    local list = {}
    for i = 1, 200 do
      list[i] = gevent.spawn(function()
        local seconds = (i % 17) / 1000
        local start = helper.now()
        gevent.sleep(seconds)
        if helper.now() - start < seconds then early = early + 1 end
      end)
    end
    gevent.joinall(list)
    assert.equal(0, early)
  end)

  it("does not count time that was computed away before", function()
    local start = helper.now()
    while helper.now() - start < 0.02 do end -- the loop's clock is now stale
    start = helper.now()
    gevent.sleep(0.01)
    assert.is_true(helper.now() - start >= 0.01)
  end)

  it("wakes in the order of the deadlines", function()
    local log = {}
    local list = {}
    for _, ms in ipairs {30, 10, 20, 0, 40} do
      list[#list + 1] = gevent.spawn(function()
        gevent.sleep(ms / 1000)
        log[#log + 1] = ms
      end)
    end
    gevent.joinall(list)
    assert.same({0, 10, 20, 30, 40}, log)
  end)

  it("of 0 lets each other greenlet run once", function()
    local counts = {0, 0, 0}
    local stop = false
    local list = {}
    for i = 1, 3 do
      list[i] = gevent.spawn(function()
        while not stop do
          counts[i] = counts[i] + 1
          gevent.sleep(0)
        end
      end)
    end
    gevent.sleep(0)
    assert.same({1, 1, 1}, counts)
    gevent.sleep()
    assert.same({2, 2, 2}, counts)
    stop = true
    gevent.joinall(list)
  end)

  it("of 0 with nobody else returns at once", function()
    for _ = 1, 1000 do gevent.sleep(0) end
    assert.equal(0, select("#", gevent.sleep(0)))
  end)

  it("refuses a negative time and what is no number", function()
    for _, value in ipairs {-1, -0.001, -math.huge, "x", {}, true} do
      local ok, err = pcall(gevent.sleep, value)
      assert.is_false(ok, tostring(value))
      assert.matches("argument #1", err)
      assert.matches("sleep", err)
    end
  end)

  it("refuses what is not a time", function()
    local ok, err = pcall(gevent.sleep, 0 / 0)
    assert.is_false(ok)
    assert.matches("argument #1", err)
  end)

  it("takes huge times", function()
    for _, value in ipairs {math.huge, 1e300, 1e18, math.maxinteger} do
      local g = helper.spawn_blocked(gevent.sleep, value)
      assert.is_false(g:ready())
      g:kill()
      assert.is_true(g:ready())
    end
  end)

  it("leaves no timer when killed", function()
    local before = gevent.get_hub():stats().timers
    local list = {}
    for i = 1, 100 do list[i] = gevent.spawn(gevent.sleep, 60 + i) end
    helper.wait_all_blocked()
    assert.equal(before + 100, gevent.get_hub():stats().timers)
    for i = 1, 100, 2 do list[i]:kill() end
    assert.equal(before + 50, gevent.get_hub():stats().timers)
    gevent.killall(list)
    assert.equal(before, gevent.get_hub():stats().timers)
  end)
end)

describe("idle", function()
  it("returns when the others are blocked", function()
    local log = {}
    local gate = helper.gate()
    local g = gevent.spawn(function()
      for i = 1, 20 do
        gevent.sleep(0)
        log[i] = i
      end
      gate:wait()
    end)
    gevent.idle()
    assert.equal(20, #log)
    gate:open()
    g:join()
  end)

  it("does not wait for timers", function()
    local g = helper.spawn_blocked(gevent.sleep, 60)
    gevent.idle()
    assert.is_false(g:ready())
    g:kill()
  end)

  it("works in a greenlet, in several at once", function()
    local done = 0
    local list = {}
    for i = 1, 3 do
      list[i] = gevent.spawn(function()
        gevent.idle()
        done = done + 1
      end)
    end
    gevent.joinall(list)
    assert.equal(3, done)
  end)

  it("can be killed and interrupted", function()
    local busy = gevent.spawn(function() while true do gevent.sleep(0) end end)
    local g = gevent.spawn(gevent.idle)
    gevent.sleep(0)
    gevent.sleep(0)
    assert.is_false(g:ready())
    g:kill()
    assert.is_true(g:ready())
    assert.same({nil, "timed out", "timeout", n = 3},
      table.pack(gevent.with_timeout(0.01, gevent.idle)))
    busy:kill()
  end)
end)
