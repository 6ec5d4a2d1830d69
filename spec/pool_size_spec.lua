-- gevent.pool: a Pool with a size: who may come in, and when.

local helper = require "helper"
local sync = require "helper_sync"
local gevent = require "gevent"
local pool = require "gevent.pool"
local it = helper.it
local expect_misuse = sync.expect_misuse

local function noop() end

--- A pool of one with a member that stays until the gate is opened.
local function full_pool()
  local p = pool.Pool(1)
  local gate = helper.gate()
  p:spawn(gate.wait, gate)
  return p, gate
end

local function close(p, gate)
  gate:open()
  p:kill()
end

describe("Pool(size)", function()
  it("may be computed: a whole float is an integer", function()
    assert.equal("integer", math.type(pool.Pool(2^4).size))
    assert.has_error(function() pool.Pool(1.5) end)
    assert.has_error(function() pool.Pool("4") end)
  end)

  it("counts its free places", function()
    local p = pool.Pool(2)
    assert.equal(2, p:free_count())
    assert.is_false(p:full())
    local a = p:spawn(gevent.sleep, 60)
    assert.equal(1, p:free_count())
    p:spawn(gevent.sleep, 60)
    assert.equal(0, p:free_count())
    assert.is_true(p:full())
    a:kill()
    helper.wait_all_blocked()
    assert.equal(1, p:free_count())
    p:kill()
    assert.equal(2, p:free_count())
  end)

  it("never has more members than its size", function()
    local p = pool.Pool(3)
    local running, most, done = 0, 0, 0
    for _ = 1, 30 do
      p:spawn(function()
        running = running + 1
        most = math.max(most, running)
        gevent.sleep(0)
        running = running - 1
        done = done + 1
      end)
      assert.is_true(#p <= 3)
    end
    p:join()
    assert.equal(30, done)
    assert.equal(3, most)
  end)

  it("spawn, start and add of a full pool block", function()
    for _, how in ipairs {"spawn", "start", "add"} do
      local p, gate = full_pool()
      local g = helper.spawn_blocked(function()
        if how == "spawn" then return p:spawn(noop) end
        return p[how](p, gevent.Greenlet(noop))
      end)
      assert.equal(1, #p)
      gate:open()
      assert.is_truthy(g:get())
      p:kill()
    end
  end)

  it("start and add may time out, and then nothing has happened", function()
    local p, gate = full_pool()
    local fresh = gevent.Greenlet(noop)
    for _, how in ipairs {"start", "add"} do
      sync.expect_timed_out(p[how](p, fresh, 0))
      sync.expect_timed_out(p[how](p, fresh, 0.002))
      assert.is_false(fresh.started)
      expect_misuse("argument #%d", p[how], p, fresh, -1)
    end
    gate:open()
    p:join()
    assert.equal(1, p:free_count())
    assert.is_true(p:start(fresh, 0))
    p:join()
  end)

  it("add of a member needs no second place", function()
    local p = pool.Pool(1)
    local g = p:spawn(gevent.sleep, 0)
    assert.is_true(p:add(g, 0))
    assert.equal(1, #p)
    p:join()
    assert.equal(1, p:free_count())
  end)

  it("discard frees the place, once", function()
    local p = pool.Pool(1)
    local g = p:spawn(gevent.sleep, 0.002)
    p:discard(g)
    p:discard(g)
    assert.equal(1, p:free_count())
    g:join()
    helper.wait_all_blocked()
    assert.equal(1, p:free_count())
  end)

  it("a failed or killed member frees its place", function()
    local printed <close> = helper.capture_errors()
    local p = pool.Pool(1)
    p:spawn(error, "bad")
    p:spawn(noop):kill()
    p:spawn(gevent.sleep, 60):kill()
    p:spawn(noop)
    p:join()
    assert.equal(1, p:free_count())
    assert.matches("bad", printed:text())
  end)

  it("lets waiting spawners in, in the order of their coming", function()
    local p, gate = full_pool()
    local log, say = sync.letters()
    local spawners = sync.times(5, function(i)
      return helper.spawn_blocked(function() p:spawn(say, i) end)
    end)
    gevent.kill(spawners[2])
    gate:open()
    gevent.joinall(spawners)
    p:join()
    assert.same({1, 3, 4, 5}, log)
    assert.equal(1, p:free_count())
  end)

  it("of size 0 admits nobody", function()
    local p = pool.Pool(0)
    assert.is_true(p:full())
    assert.equal(0, p:free_count())
    assert.is_false(p:wait_available(0))
    assert.is_false(p:wait_available(0.002))
    sync.expect_timed_out(p:start(gevent.Greenlet(noop), 0.002))
    assert.is_true(p:join())
  end)

  it("wait_available takes nothing", function()
    local p, gate = full_pool()
    assert.is_false(p:wait_available(0.002))
    local g = helper.spawn_blocked(p.wait_available, p)
    gate:open()
    assert.is_true(g:get())
    assert.is_true(p:wait_available(0))
    assert.equal(1, p:free_count())
  end)

  it("apply in a member runs at once: no deadlock", function()
    local p = pool.Pool(1)
    assert.equal(6, p:apply(function()
      return p:apply(function(a) return a + 1 end, 5)
    end))
    local e = require("gevent.event").Event()
    p:apply_async(e.set, e)
    assert.is_true(e:wait(5))
    p:join()
  end)

  it("apply_async of a full pool does not block", function()
    local p, gate = full_pool()
    local g = p:apply_async(function() return "done" end)
    assert.is_false(g:ready())
    gate:open()
    assert.equal("done", g:get())
    p:join()
  end)

  it("spawns objects of the class given", function()
    local Worker = gevent.Greenlet:subclass("Worker")
    function Worker:_run(n)
      self.seen = n
      return n * 2
    end
    local p = pool.Pool(2, Worker)
    local g = p:spawn(21)
    assert.equal(42, g:get())
    assert.equal(21, g.seen)
    p:join()
  end)

  it("is a different pool for each of them", function()
    local a, b = pool.Pool(1), pool.Pool(1)
    a:spawn(gevent.sleep, 60)
    assert.is_true(a:full())
    assert.is_false(b:full())
    a:kill()
  end)

  it("refuses a size that is none", function()
    for _, size in ipairs {-1, 1.5, "many", {}} do
      expect_misuse("argument #1", pool.Pool, size)
    end
  end)
end)

local function expect_true(...) assert.same({true, n = 1}, table.pack(...)) end

helper.battery("Pool:wait_available", function()
  local p, gate = full_pool()
  return {
    call = function(timeout) return p:wait_available(timeout) end,
    release = function() gate:open() end,
    expect = expect_true,
    takes_timeout = true,
    timeout_result = false,
    cleanup = function() close(p, gate) end,
  }
end)

for _, how in ipairs {"add", "start"} do
  helper.battery("Pool:" .. how, function()
    local p, gate = full_pool()
    return {
      call = function(timeout)
        return p[how](p, gevent.Greenlet(noop), timeout)
      end,
      release = function() gate:open() end,
      expect = expect_true,
      takes_timeout = true,
        cleanup = function() close(p, gate) end,
    }
  end)
end

helper.battery("Pool:spawn", function()
  local p, gate = full_pool()
  return {
    call = function() return p:spawn(noop) end,
    release = function() gate:open() end,
    expect = function(g) assert.is_true(g.started or g.dead) end,
    cleanup = function() close(p, gate) end,
  }
end)

helper.battery("Pool:kill", function()
  local p, gate = pool.Pool(1), helper.gate()
  p:spawn(function()
    while not gate:wait(0) do pcall(gate.wait, gate) end
  end)
  gevent.sleep(0)
  return {
    call = function(timeout)
      p:kill(nil, true, timeout)
      return #p
    end,
    release = function() gate:open() end,
    expect = function(n) assert.equal(0, n) end,
    takes_timeout = true,
    timeout_result = function(n) assert.equal(1, n) end,
    cleanup = function() close(p, gate) end,
  }
end)
