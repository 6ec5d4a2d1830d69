-- nursery: structured concurrency.

local helper = require "helper"
local sync = require "helper_sync"
local gevent = require "gevent"
local event = require "gevent.event"
local it = helper.it
local letters, expect_misuse = sync.letters, sync.expect_misuse

local function noop() end

--- A child that lives until it is killed, and then says so.
local function sleeper(say, name)
  return function()
    local _ <close> = helper.defer(function() say(name) end)
    gevent.sleep(60)
  end
end

local function fail(problem) error(problem, 0) end

describe("nursery", function()
  it("waits at the end of its scope for all children", function()
    local done = 0
    do
      local n <close> = gevent.nursery()
      for i = 1, 5 do
        n:spawn(function()
          gevent.sleep(0.001 * i)
          done = done + 1
        end)
      end
    end
    assert.equal(5, done)
  end)

  it("spawn returns a Greenlet with the results", function()
    local g
    do
      local n <close> = gevent.nursery()
      g = n:spawn(function(...) return ... end, 1, nil, 3)
      assert.is_false(g:ready())
      assert.same({1, nil, 3, n = 3}, table.pack(g:get()))
    end
    assert.equal(1, g.value)
  end)

  it("without children ends at once", function()
    local ran = false
    local other = gevent.spawn(function() ran = true end)
    do local _ <close> = gevent.nursery() end
    gevent.nursery():join()
    assert.is_false(ran)
    other:join()
  end)

  it("waits for children of children, spawned in it", function()
    local log, say = letters()
    do
      local n <close> = gevent.nursery()
      n:spawn(function()
        gevent.sleep(0)
        n:spawn(function()
          gevent.sleep(0.001)
          n:spawn(say, "grandchild")
        end)
      end)
    end
    assert.same({"grandchild"}, log)
  end)

  it("close is join, and may be called again", function()
    local n, done = gevent.nursery(), false
    n:spawn(function()
      gevent.sleep(0.001)
      done = true
    end)
    n:close()
    assert.is_true(done)
    n:close()
    assert.has_error(function() n:spawn(print) end)
  end)

  it("join is the end: true scope or not, and may be called again", function()
    local n = gevent.nursery()
    local g = n:spawn(gevent.sleep, 0.001)
    n:join()
    assert.is_true(g.dead)
    n:join()
    expect_misuse("ended", n.spawn, n, noop)
    do local _ <close> = n end
  end)

  it("spawning after its end is misuse", function()
    local kept
    do
      local n <close> = gevent.nursery()
      kept = n
    end
    local ran = false
    expect_misuse("ended", kept.spawn, kept, function() ran = true end)
    helper.wait_all_blocked()
    assert.is_false(ran)
  end)

  it("refuses to spawn what is no function, and stays usable", function()
    local n <close> = gevent.nursery()
    expect_misuse("argument", n.spawn, n, 42)
    assert.equal(1, n:spawn(function() return 1 end):get())
  end)

  it("shows its state", function()
    local n = gevent.nursery()
    n:spawn(noop)
    assert.matches("^<Nursery at 0x%x+.*1", tostring(n))
    n:join()
    assert.is_string(tostring(n))
  end)
end)

describe("a child's failure", function()
  it("kills the siblings and is raised by the scope, once", function()
    local printed <close> = helper.capture_errors()
    local log, say = letters()
    local problem = {}
    local ok, err = pcall(function()
      local n <close> = gevent.nursery()
      n:spawn(sleeper(say, "a"))
      n:spawn(function()
        gevent.sleep(0.001)
        fail(problem)
      end)
      n:spawn(sleeper(say, "b"))
    end)
    assert.is_false(ok)
    assert.is_true(rawequal(problem, err))
    table.sort(log)
    assert.same({"a", "b"}, log)
    gevent.sleep(0) -- nothing is still to come
    assert.equal("", printed:text())
  end)

  it("is raised by join", function()
    local n = gevent.nursery()
    n:spawn(fail, "bad")
    assert.same({false, "bad"}, {pcall(n.join, n)})
    gevent.sleep(0)
    n:join()
    expect_misuse("ended", n.spawn, n, noop)
  end)

  for _, place in ipairs {"main", "a greenlet"} do
    local function run(fn)
      if place == "main" then return fn() end
      return gevent.spawn(fn):get()
    end

    it("interrupts the owner where it blocks, in " .. place, function()
      run(function()
        local start = helper.now()
        local reached = false
        local ok, err = pcall(function()
          local n <close> = gevent.nursery()
          n:spawn(fail, "bad")
          gevent.sleep(60)
          reached = true
        end)
        assert.same({false, "bad"}, {ok, err})
        assert.is_false(reached)
        assert.is_true(helper.now() - start < 5 * helper.scale)
        gevent.sleep(0.001)
      end)
    end)

    it("that the owner has caught is not raised again, in " .. place,
      function()
        run(function()
          local caught
          do
            local n <close> = gevent.nursery()
            n:spawn(fail, "bad")
            caught = table.pack(pcall(gevent.sleep, 60))
          end
          assert.same({false, "bad", n = 2}, caught)
          gevent.sleep(0)
        end)
      end)

    it("comes at the end where the owner never blocked, in " .. place,
      function()
        run(function()
          local ok, err = pcall(function()
            local n <close> = gevent.nursery()
            n:spawn(fail, "bad")
          end)
          assert.same({false, "bad"}, {ok, err})
          gevent.sleep(0)
        end)
      end)

    it("while the owner fails itself is dropped, in " .. place, function()
      run(function()
        local n = gevent.nursery()
        local child = n:spawn(fail, "child's")
        local ok, err = pcall(function()
          local _ <close> = n
          -- The child fails while the owner is ready: it is not raised yet.
          gevent.spawn(noop)
          gevent.shield(child.join, child)
          fail "owner's"
        end)
        assert.same({false, "owner's"}, {ok, err})
        gevent.sleep(0)
        gevent.sleep(0.001)
      end)
    end)
  end

  it("in a shielded owner waits until the shield is lifted", function()
    local log, say = letters()
    local ok, err = pcall(function()
      local n <close> = gevent.nursery()
      n:spawn(fail, "bad")
      gevent.shield(function()
        gevent.sleep(0.002)
        say "shielded"
      end)
      say "after"
      gevent.sleep(60)
      say "never"
    end)
    assert.same({false, "bad"}, {ok, err})
    assert.same({"shielded", "after"}, log)
  end)

  it("the first of several is the one that counts", function()
    local printed <close> = helper.capture_errors()
    local ok, err = pcall(function()
      local n <close> = gevent.nursery()
      for i = 1, 3 do n:spawn(fail, "bad " .. i) end
      n:spawn(function() -- fails as it is killed
        pcall(gevent.sleep, 60)
        fail "late"
      end)
    end)
    assert.same({false, "bad 1"}, {ok, err})
    helper.wait_all_blocked()
    assert.equal("", printed:text())
  end)

  it("kills also who is spawned in the failing nursery", function()
    local began = false
    local ok, err = pcall(function()
      local n <close> = gevent.nursery()
      n:spawn(function()
        pcall(gevent.sleep, 60) -- is killed with the siblings
        n:spawn(function() began = true end)
      end)
      n:spawn(fail, "bad")
    end)
    assert.same({false, "bad"}, {ok, err})
    assert.is_false(began)
  end)

  it("waits for a sibling that takes its time to die", function()
    local cleaned = false
    local ok = pcall(function()
      local n <close> = gevent.nursery()
      n:spawn(function()
        local _ <close> = helper.defer(function()
          gevent.sleep(0.005)
          cleaned = true
        end)
        gevent.sleep(60)
      end)
      n:spawn(fail, "bad")
    end)
    assert.is_false(ok)
    assert.is_true(cleaned)
  end)

  it("can still be asked of the child", function()
    local n = gevent.nursery()
    local child = n:spawn(fail, "bad")
    pcall(n.join, n)
    assert.equal("bad", child.exception)
    assert.same({false, "bad"}, {pcall(child.get, child)})
  end)

  it("goes up through nested nurseries", function()
    local log, say = letters()
    local ok, err = pcall(function()
      local outer <close> = gevent.nursery()
      outer:spawn(sleeper(say, "outer's"))
      outer:spawn(function()
        local inner <close> = gevent.nursery()
        inner:spawn(sleeper(say, "inner's"))
        inner:spawn(fail, "deep")
      end)
    end)
    assert.same({false, "deep"}, {ok, err})
    assert.same({"inner's", "outer's"}, log)
  end)

  it("of the outer nursery ends an inner one of the same owner", function()
    local log, say = letters()
    local ok, err = pcall(function()
      local outer <close> = gevent.nursery()
      local inner <close> = gevent.nursery()
      inner:spawn(sleeper(say, "inner's"))
      outer:spawn(fail, "bad")
      gevent.sleep(60)
    end)
    assert.same({false, "bad"}, {ok, err})
    assert.same({"inner's"}, log)
  end)
end)

describe("the end of the owner", function()
  it("by an error kills the children and waits for them", function()
    local log, say = letters()
    local ok, err = pcall(function()
      local n <close> = gevent.nursery()
      n:spawn(sleeper(say, "child"))
      gevent.sleep(0)
      fail "owner's"
    end)
    assert.same({false, "owner's"}, {ok, err})
    assert.same({"child"}, log)
  end)

  it("by a Timeout too, which is still that Timeout", function()
    local log, say = letters()
    local mine <close> = gevent.Timeout.start_new(0.002)
    local ok, err = pcall(function()
      local n <close> = gevent.nursery()
      n:spawn(sleeper(say, "child"))
    end)
    assert.is_false(ok)
    assert.is_true(rawequal(mine, err))
    assert.same({"child"}, log)
  end)

  it("by with_timeout too", function()
    local log, say = letters()
    sync.expect_timed_out(gevent.with_timeout(0.002, function()
      local n <close> = gevent.nursery()
      n:spawn(sleeper(say, "child"))
      n:join()
    end))
    assert.same({"child"}, log)
  end)

  it("by a kill too; a second kill does not leave children behind",
    function()
      local log, say = letters()
      local owner = helper.spawn_blocked(function()
        local n <close> = gevent.nursery()
        n:spawn(function()
          local _ <close> = helper.defer(function()
            gevent.sleep(0.005)
            say "child"
          end)
          gevent.sleep(60)
        end)
        gevent.sleep(60)
      end)
      gevent.kill(owner)
      gevent.sleep(0)
      gevent.kill(owner)
      owner:join()
      assert.same({"child"}, log)
      assert.is_true(sync.is_exit((owner:get())))
    end)

  it("by a kill in the same turn as a child's failure: one of them",
    function()
      for _, first in ipairs {"kill", "failure"} do
        local printed <close> = helper.capture_errors()
        local gate = helper.gate()
        local owner = helper.spawn_blocked(function()
          local n <close> = gevent.nursery()
          n:spawn(function()
            gate:wait()
            fail "bad"
          end)
          gevent.sleep(60)
        end)
        if first == "kill" then gevent.kill(owner) end
        gate:open()
        if first == "failure" then gevent.sleep(0) gevent.kill(owner) end
        owner:join(5)
        assert.is_true(owner.dead)
        assert.is_true(owner.exception == "bad" or sync.is_exit(owner.value))
        assert.is_string(printed:text())
      end
    end)
end)

describe("cancel", function()
  it("kills all and raises nothing", function()
    local log, say = letters()
    do
      local n <close> = gevent.nursery()
      n:spawn(sleeper(say, "a"))
      n:spawn(sleeper(say, "b"))
      gevent.sleep(0)
      n:cancel()
      say "cancelled"
    end
    assert.equal("cancelled", log[1])
    assert.equal(3, #log)
  end)

  it("also where children fail at it, or one calls it", function()
    local printed <close> = helper.capture_errors()
    do
      local n <close> = gevent.nursery()
      n:spawn(function()
        pcall(gevent.sleep, 60)
        fail "at it"
      end)
      n:spawn(function()
        gevent.sleep(0)
        n:cancel()
      end)
    end
    assert.equal("", printed:text())
  end)

  it("is for who has not begun as well", function()
    local began = false
    do
      local n <close> = gevent.nursery()
      n:spawn(function() began = true end)
      n:cancel()
    end
    assert.is_false(began)
  end)

  it("after the end does nothing", function()
    local n = gevent.nursery()
    n:join()
    n:cancel()
    n:join()
  end)
end)

describe("a killed child", function()
  it("is no failure", function()
    local value
    do
      local n <close> = gevent.nursery()
      local a = n:spawn(gevent.sleep, 60)
      local b = n:spawn(function()
        gevent.sleep(0.001)
        value = "b"
      end)
      gevent.sleep(0)
      a:kill()
      assert.is_false(b.dead)
    end
    assert.equal("b", value)
  end)

  it("is none also if it was killed before it began", function()
    do
      local n <close> = gevent.nursery()
      n:spawn(noop):kill()
    end
  end)
end)

helper.battery("nursery:join", function()
  local gate = helper.gate()
  return {
    call = function()
      local n <close> = gevent.nursery()
      local g = n:spawn(function()
        gate:wait()
        return "child"
      end)
      n:join()
      return (g:get())
    end,
    release = function() gate:open() end,
    expect = function(...) assert.same({"child", n = 1}, table.pack(...)) end,
    cleanup = function() gate:open() end,
  }
end)

helper.battery("nursery: __close", function()
  local gate = helper.gate()
  local e = event.Event()
  return {
    call = function()
      do
        local n <close> = gevent.nursery()
        n:spawn(function()
          gate:wait()
          e:set()
        end)
      end
      return e:is_set()
    end,
    release = function() gate:open() end,
    expect = function(set) assert.is_true(set) end,
    fname = "join",
    cleanup = function() gate:open() end,
  }
end)
