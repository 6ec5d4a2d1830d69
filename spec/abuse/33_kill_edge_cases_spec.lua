-- Kills of oneself, of main, of the dead, of what has not begun, of who does not care:
-- each has a result that is defined.

local helper = require "helper"
local sync = require "helper_sync"
local gevent = require "gevent"
local slope = require "helper_slope"
local it = helper.it

local is_exit = sync.is_exit

local function noop() end

local function expect_killed(g)
  assert.is_true(g.dead)
  assert.is_true(g:successful())
  assert.is_true(is_exit(g.value))
  assert.is_true(is_exit((g:get())))
end

-- What there is to kill: makes a greenlet; `dead`: a kill changes nothing.
local victims = {
  {"one that was not started", function() return gevent.Greenlet(error, "it began") end},
  {"one that has not begun", function() return gevent.spawn(error, "it began") end},
  {"one that begins later", function() return gevent.spawn_later(60, error, "it began") end},
  {"one that is blocked", function() return helper.spawn_blocked(gevent.sleep, 60) end},
  {"one that has ended", function()
    local g = gevent.spawn(function() return "ended" end)
    g:join()
    return g
  end, dead = true},
  {"one that was killed", function()
    local g = gevent.spawn(noop)
    g:kill()
    return g
  end},
}

local ways = {
  ["kill"] = function(g) return g:kill() end,
  ["kill without waiting"] = function(g)
    g:kill(nil, false)
    return g:join()
  end,
  ["gevent.kill"] = function(g)
    gevent.kill(g)
    return g:join()
  end,
  ["throw"] = function(g)
    g:throw()
    return g:join()
  end,
  ["killall"] = function(g)
    gevent.killall {g, g}
    return true
  end,
  ["kill twice"] = function(g) return g:kill() and g:kill() end,
  ["kill twice in one turn"] = function(g)
    g:kill(nil, false)
    gevent.kill(g)
    return g:join()
  end,
  ["kills by several"] = function(g)
    local killers = {}
    gevent.kill(g) -- or it would begin before them
    for i = 1, 3 do killers[i] = gevent.spawn(g.kill, g) end
    gevent.joinall(killers, nil, {raise_error = true})
    return g.dead
  end,
}

describe("a kill of", function()
  for _, victim in ipairs(victims) do
    local what, make = victim[1], victim[2]
    for way, kill in pairs(ways) do
      it(("%s, by %s"):format(what, way), function()
        local printed <close> = helper.capture_errors()
        local g = make()
        assert.is_true(kill(g))
        if victim.dead then assert.equal("ended", g:get()) else expect_killed(g) end
        helper.wait_all_blocked()
        assert.equal("", printed:text())
        g:start() -- never again
        helper.wait_all_blocked()
        assert.is_true(g.dead)
      end)
    end
  end
end)

describe("kill of oneself", function()
  it("is raised at that very call", function()
    local after = false
    local g
    g = gevent.spawn(function()
      g:kill()
      after = true
    end)
    g:join()
    assert.is_false(after)
    expect_killed(g)
  end)

  it("with block=false is raised at the next blocking call", function()
    local log = {}
    local g
    g = gevent.spawn(function()
      g:kill(nil, false)
      log[#log + 1] = "after kill"
      gevent.sleep(0)
      log[#log + 1] = "survived"
    end)
    g:join()
    assert.same({"after kill"}, log)
    expect_killed(g)
  end)

  it("with block=false does not harm one that ends first", function()
    local g
    g = gevent.spawn(function()
      g:kill(nil, false)
      return "done"
    end)
    g:join()
    helper.wait_all_blocked()
    assert.equal("done", g:get())
  end)
end)

describe("kill of the main greenlet", function()
  it("is misuse", function()
    local main = gevent.getcurrent()
    local ok, err = pcall(main.kill, main)
    assert.is_false(ok)
    assert.matches("main", tostring(err))
    assert.is_false((gevent.spawn(function()
      return pcall(main.kill, main)
    end):get()))
    gevent.sleep(0)
  end)
end)

describe("one that ignores kills", function()
  --- A greenlet that catches so many kills, and then the next ends it.
  local function ignoring(times)
    local caught = 0
    return helper.spawn_blocked(function()
      while caught < times do
        local ok, err = pcall(gevent.sleep, 60)
        assert(not ok and is_exit(err))
        caught = caught + 1
      end
      gevent.sleep(60)
    end), function() return caught end
  end

  it("runs on, and kill says so at its time-out", function()
    local g, caught = ignoring(3)
    for i = 1, 3 do
      assert.is_false(g:kill(nil, true, 0.002))
      assert.equal(i, caught())
      assert.is_false(g.dead)
    end
    assert.is_true(g:kill())
    expect_killed(g)
  end)

  it("does not keep a kill that does not wait", function()
    local g = ignoring(1)
    g:kill(nil, false)
    helper.wait_all_blocked()
    assert.is_false(g:ready())
    g:kill()
  end)

  it("may return what it likes, and has then not failed", function()
    local g = helper.spawn_blocked(function()
      pcall(gevent.sleep, 60)
      return "my own way"
    end)
    assert.is_true(g:kill())
    assert.equal("my own way", g:get())
  end)

  it("keeps killall no longer than its time-out; the others are dead", function()
    local g = ignoring(1)
    local others = {}
    for i = 1, 10 do others[i] = helper.spawn_blocked(gevent.sleep, 60) end
    table.insert(others, 5, g)
    local ok, err = pcall(gevent.killall, others, nil, true, 0.01)
    assert.is_false(ok)
    assert.is_true(sync.is_timeout(err))
    for _, other in ipairs(others) do assert.is_true(other.dead ~= (other == g)) end
    gevent.killall(others)
    assert.is_true(g.dead)
  end)

  it("raises Timeout at expiry", function()
    local gate = helper.gate()
    local stubborn = helper.spawn_blocked(function()
      pcall(gevent.sleep, 60)
      gate:wait()
    end)
    local meek = helper.spawn_blocked(gevent.sleep, 60)
    local start = helper.now()
    local ok, err = pcall(gevent.killall, {stubborn, meek}, nil, true, 0.01)
    assert.is_false(ok)
    assert.is_true(gevent.isinstance(err, gevent.Timeout))
    assert.is_true(helper.now() - start >= 0.01)
    assert.is_true(meek.dead)
    assert.is_false(stubborn.dead)
    gate:open()
    stubborn:join()
  end)
end)

slope.it("kills of all kinds", function()
  return function()
    local g = gevent.spawn(function()
      pcall(gevent.sleep, 60)
      gevent.sleep(60)
    end)
    gevent.kill(gevent.spawn(noop))
    gevent.sleep(0)
    g:kill(nil, false)
    gevent.sleep(0)
    g:kill()
    g:kill()
    gevent.Greenlet(noop):kill()
  end
end)
