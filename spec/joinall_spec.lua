-- joinall and killall.

local helper = require "helper"
local gevent = require "gevent"
local it = helper.it

local function noop() end

local function after(seconds, ...)
  return gevent.spawn(function(...)
    gevent.sleep(seconds)
    return ...
  end, ...)
end

local function fail_after(seconds, err)
  return gevent.spawn(function()
    gevent.sleep(seconds)
    error(err, 0)
  end)
end

--- The same greenlets in the same order; compares identities.
local function expect_list(expected, list)
  assert.is_table(list)
  assert.equal(#expected, #list)
  for i, g in ipairs(expected) do assert.is_true(rawequal(g, list[i])) end
end

describe("joinall", function()
  it("waits for all and returns them in finish order", function()
    local a, b, c = after(0.02), after(0.005), after(0.01)
    expect_list({b, c, a}, gevent.joinall {a, b, c})
  end)

  it("of an empty list returns at once", function()
    expect_list({}, gevent.joinall {})
    expect_list({}, gevent.joinall({}, 0))
  end)

  it("of finished ones does not block", function()
    local a, b = gevent.spawn(noop), gevent.spawn(noop)
    helper.wait_all_blocked()
    local ran = false
    local other = gevent.spawn(function() ran = true end)
    assert.equal(2, #gevent.joinall {a, b})
    assert.equal(2, #gevent.joinall({a, b}, 0))
    assert.is_boolean(ran)
    other:join()
  end)

  it("returns a duplicate as often as it was given", function()
    local a, b = gevent.spawn(noop), gevent.spawn(noop)
    local list = gevent.joinall {a, b, a}
    assert.equal(3, #list)
    local counts = {}
    for _, g in ipairs(list) do counts[g] = (counts[g] or 0) + 1 end
    assert.equal(2, counts[a])
    assert.equal(1, counts[b])
  end)

  it("returns at its timeout what has finished", function()
    local quick, slow = after(0.002), after(60)
    expect_list({quick}, gevent.joinall({slow, quick}, 0.02))
    expect_list({quick}, gevent.joinall({slow, quick}, 0))
    slow:kill()
  end)

  it("returns when count have finished", function()
    local a, b, c = after(0.02), after(0.002), after(0.005)
    expect_list({b}, gevent.joinall({a, b, c}, nil, {count = 1}))
    expect_list({b, c}, gevent.joinall({a, b, c}, nil, {count = 2}))
    assert.equal(3, #gevent.joinall({a, b, c}, nil, {count = 5}))
  end)

  it("does not raise what the greenlets raised", function()
    local printed <close> = helper.capture_errors()
    local bad = fail_after(0, "trouble")
    expect_list({bad}, gevent.joinall {bad})
    assert.matches("trouble", printed:text())
  end)

  it("with raise_error raises the earliest failure, the rest run on",
    function()
      local printed <close> = helper.capture_errors()
      local first, second = {}, {}
      local late = fail_after(0.01, second)
      local early = fail_after(0.002, first)
      local slow = after(0.2 * helper.scale, "v")
      local ok, err = pcall(gevent.joinall, {late, slow, early}, nil,
        {raise_error = true})
      assert.is_false(ok)
      assert.is_true(rawequal(first, err))
      assert.is_false(slow:ready())
      assert.equal("v", slow:get())
      assert.is_false((pcall(late.get, late)))
      assert.is_string(printed:text())
    end)

  it("with raise_error and count looks at those that were counted",
    function()
      local printed <close> = helper.capture_errors()
      local good, bad = after(0.002), fail_after(0.02, "trouble")
      expect_list({good},
        gevent.joinall({bad, good}, nil, {raise_error = true, count = 1}))
      local ok, err = pcall(gevent.joinall, {bad, good}, nil,
        {raise_error = true, count = 2})
      assert.is_false(ok)
      assert.equal("trouble", err)
      assert.matches("trouble", printed:text())
    end)

  it("counts a killed one as finished, and as no failure", function()
    local g = after(60)
    gevent.spawn(gevent.kill, g)
    expect_list({g}, gevent.joinall({g}, nil, {raise_error = true}))
  end)

  it("leaves no link behind when it is interrupted", function()
    local slow = after(60)
    for _ = 1, 100 do gevent.joinall({slow}, 0) end
    local refs = gevent.get_hub():stats().refs
    for _ = 1, 100 do gevent.joinall({slow}, 0.0001) end
    assert.equal(refs, gevent.get_hub():stats().refs)
    slow:kill()
  end)

  it("of greenlets that nobody starts times out", function()
    expect_list({}, gevent.joinall({gevent.Greenlet(noop)}, 0.005))
  end)

  it("waits for a thousand", function()
    local list = {}
    for i = 1, 1000 do list[i] = gevent.spawn(gevent.sleep, 0) end
    assert.equal(1000, #gevent.joinall(list))
  end)

  it("refuses what is no list of greenlets", function()
    for _, value in ipairs {42, "x", noop} do
      local ok, err = pcall(gevent.joinall, value)
      assert.is_false(ok)
      assert.matches("argument #1", err)
    end
    assert.is_false((pcall(gevent.joinall, {1, 2})))
    assert.is_false((pcall(gevent.joinall)))
    local ok, err = pcall(gevent.joinall, {}, -1)
    assert.is_false(ok)
    assert.matches("argument #2", err)
  end)
end)

helper.battery("joinall", function()
  local gate = helper.gate()
  local done = gevent.spawn(noop)
  done:join()
  return {
    call = function(timeout)
      return gevent.joinall({gate.greenlet, done}, timeout)
    end,
    release = function() gate:open() end,
    expect = function(list) expect_list({done, gate.greenlet}, list) end,
    takes_timeout = true,
    timeout_result = function(list) expect_list({done}, list) end,
  }
end)

describe("killall", function()
  it("kills all and waits for them", function()
    local closed = 0
    local list = {}
    for i = 1, 10 do
      list[i] = helper.spawn_blocked(function()
        local _ <close> = helper.defer(function() closed = closed + 1 end)
        gevent.sleep(60)
      end)
    end
    gevent.killall(list)
    assert.equal(10, closed)
    for _, g in ipairs(list) do assert.is_true(g.dead) end
  end)

  it("cancels those that have not begun, and their links fire", function()
    local ran, linked = 0, 0
    local list = {}
    for i = 1, 10 do
      local g = gevent.spawn(function() ran = ran + 1 end)
      g:link(function() linked = linked + 1 end)
      list[i] = g
    end
    list[11] = gevent.Greenlet(noop)
    gevent.killall(list)
    helper.wait_all_blocked()
    assert.equal(0, ran)
    assert.equal(10, linked)
    assert.is_true(list[11].dead)
  end)

  it("raises the given exception in them", function()
    local printed <close> = helper.capture_errors()
    local Reason = gevent.exception "Reason"
    local running = helper.spawn_blocked(gevent.sleep, 60)
    local fresh = gevent.spawn(noop)
    gevent.killall({running, fresh}, Reason)
    assert.is_true(gevent.isinstance(running.exception, Reason))
    assert.is_true(gevent.isinstance(fresh.exception, Reason))
    assert.is_string(printed:text())
  end)

  it("with block=false does not wait", function()
    local g = helper.spawn_blocked(gevent.sleep, 60)
    gevent.killall({g}, nil, false)
    assert.is_false(g:ready())
    g:join()
    assert.is_true(gevent.isinstance(g.value, gevent.GreenletExit))
  end)

  it("of finished ones and of none returns at once", function()
    local g = gevent.spawn(noop)
    g:join()
    gevent.killall {g}
    gevent.killall {}
    gevent.killall({g}, nil, true, 0)
    assert.is_nil(g.value)
  end)

  it("may contain duplicates", function()
    local g = helper.spawn_blocked(gevent.sleep, 60)
    gevent.killall {g, g}
    assert.is_true(g.dead)
    assert.is_true(gevent.isinstance(g.value, gevent.GreenletExit))
  end)

  it("may contain the caller", function()
    local other = helper.spawn_blocked(gevent.sleep, 60)
    local g
    g = gevent.spawn(function()
      gevent.killall {other, g}
      return "survived"
    end)
    g:join()
    helper.wait_all_blocked()
    assert.is_true(gevent.isinstance(g.value, gevent.GreenletExit))
    assert.is_true(other.dead)
  end)

  it("refuses what is no list of greenlets", function()
    for _, value in ipairs {42, "x", noop} do
      local ok, err = pcall(gevent.killall, value)
      assert.is_false(ok)
      assert.matches("argument #1", err)
    end
    local g = helper.spawn_blocked(gevent.sleep, 60)
    assert.is_false((pcall(gevent.killall, {g, 42})))
    assert.is_false((pcall(gevent.killall, {g}, nil, true, -1)))
    assert.is_false((pcall(gevent.killall, {g, gevent.getcurrent()})))
    helper.wait_all_blocked()
    assert.is_false(g.dead)
    g:kill()
  end)
end)

helper.battery("killall", function()
  local gate = helper.gate()
  local stubborn = gevent.spawn(function()
    while not gate.greenlet:ready() do pcall(gate.wait, gate) end
  end)
  helper.wait_all_blocked()
  return {
    call = function(timeout)
      gevent.killall({stubborn}, nil, true, timeout)
      return stubborn.dead
    end,
    release = function() gate:open() end,
    expect = function(dead) assert.is_true(dead) end,
    takes_timeout = true,
    timeout_result = "raises",
    cleanup = function()
      gate:open()
      stubborn:join()
    end,
  }
end)
