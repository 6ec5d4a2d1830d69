-- Greenlets that join themselves, one another, the dead, and the killed: an error, a
-- result at once, or a LoopExit that names them; never a hang without a report.

local helper = require "helper"
local gevent = require "gevent"
local pool = require "gevent.pool"
local slope = require "helper_slope"
local it = helper.it

local NO_DEADLINE = {deadline = false} -- where a pending timer is in the way

local function is_loop_exit(err) return gevent.isinstance(err, gevent.LoopExit) end

-- Ways of waiting for a greenlet.
local joins = {
  join = function(g) return g:join() end,
  get = function(g) return g:get() end,
  joinall = function(g) return gevent.joinall {g} end,
  wait = function(g) return gevent.wait {g} end,
  iwait = function(g) return (gevent.iwait {g}()) end,
}

describe("in a circle:", function()
  for name, join in pairs(joins) do
    it("one that waits for itself is told of, and can be killed: " .. name, function()
      local g
      local refused
      g = gevent.spawn(function()
        local ok, err = pcall(join, g)
        refused = not ok and tostring(err)
        if not ok then error(err, 0) end
      end)
      g.name = "the snake"
      local printed <close> = helper.capture_errors()
      local ok, err = pcall(g.join, g)
      if not ok then -- it is blocked for ever
        assert.is_true(is_loop_exit(err))
        assert.matches("the snake", tostring(err))
        g:kill()
      else -- it was refused at once
        assert.is_string(refused)
      end
      assert.is_true(g.dead)
      assert.is_string(printed:text())
    end, NO_DEADLINE)

    for _, size in ipairs {2, 3, 50} do
      it(("%d that wait for the next are told of, and can be killed: %s"):format(size, name),
        function()
          local list = {}
          for i = 1, size do
            list[i] = gevent.spawn(function() return join(list[i % size + 1]) end)
            list[i].name = "member " .. i
          end
          local ok, err = pcall(gevent.joinall, list)
          assert.is_false(ok)
          assert.is_true(is_loop_exit(err))
          assert.matches("member 1\"", tostring(err), 1, true)
          for _, g in ipairs(list) do assert.is_false(g.dead) end
          list[1]:kill() -- and the others follow, for what they wait for has ended
          assert.equal(size, #gevent.joinall(list, 5 * helper.scale))
        end, NO_DEADLINE)
    end

    it("what is over is no wait: " .. name, function()
      local ended, killed = gevent.spawn(type, 1), gevent.Greenlet(type, 1)
      ended:join()
      killed:kill()
      for _, g in ipairs {ended, killed} do
        local turns = 0
        local other = gevent.spawn(function() turns = turns + 1 end)
        join(g)
        assert.equal(0, turns)
        other:join()
      end
    end)

    it("who waits may be killed while it ends, or is killed, in any order: " .. name,
      function()
        for _, first in ipairs {"ends", "is killed", "joiner"} do
          for _, killed in ipairs {false, true} do
            local gate = helper.gate()
            local g = helper.spawn_blocked(gate.wait, gate)
            local joiner = helper.spawn_blocked(join, g)
            if first == "joiner" then gevent.kill(joiner) end
            if killed or first == "is killed" then gevent.kill(g) else gate:open() end
            if first ~= "joiner" then gevent.kill(joiner) end
            assert.is_true(g:join(5 * helper.scale) and joiner:join(5 * helper.scale))
          end
        end
      end)
  end

  it("main is waited for by nobody, who would never be woken", function()
    local main = gevent.getcurrent()
    local g = gevent.spawn(function() return main:join(0.001) end)
    local ok, result = pcall(g.get, g)
    assert.is_true(not ok or result == false)
  end)

  it("names two that join each other", function()
    local a, b
    a = gevent.spawn(function() b:join() end)
    b = gevent.spawn(function() a:join() end)
    a.name, b.name = "left", "right"
    local ok, err = pcall(a.join, a)
    assert.is_false(ok)
    assert.matches("left", tostring(err))
    assert.matches("right", tostring(err))
    gevent.killall {a, b}
  end, NO_DEADLINE)
end)

describe("joins and cycles", function()
  it("two that join each other are a deadlock, which is told", function()
    local a, b
    a = gevent.spawn(function() b:join() end)
    b = gevent.spawn(function() a:join() end)
    local ok, err = pcall(gevent.joinall, {a, b})
    assert.is_false(ok)
    assert.is_true(gevent.isinstance(err, gevent.LoopExit))
    assert.matches("join", tostring(err))
    gevent.killall {a, b}
  end, {deadline = false})

  it("whoever joins may be killed while the other ends", function()
    for _, first in ipairs {"end", "kill"} do
      local gate = helper.gate()
      local g = helper.spawn_blocked(gate.wait, gate)
      local joiner = helper.spawn_blocked(g.join, g)
      if first == "kill" then gevent.kill(joiner) end
      gate:open()
      if first == "end" then gevent.kill(joiner) end
      g:join()
      joiner:join()
      assert.is_true(g.dead and joiner.dead)
    end
  end)

  it("a member that joins its group waits for itself", function()
    local group = pool.Group()
    local g = group:spawn(function() return group:join(0.002) end)
    assert.is_false((g:get()))
  end)
end)

slope.it("greenlets that join each other", function()
  return function()
    local one, other
    one = gevent.spawn(function() other:join() end)
    other = gevent.spawn(function() one:join() end)
    gevent.sleep(0)
    gevent.killall{one, other}
  end
end)
