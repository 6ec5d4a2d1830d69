-- Behaviours that gevent's own tests pin down, by the number that they have in
-- the list we work from. Most have their place in the spec of what they are
-- about: 1 order (spawn), 2 and 8 links (greenlet_link), 3 flags (greenlet),
-- 4 kill before the start (greenlet_kill), 9 joinall (joinall), 10 scope
-- (greenlet), 12 and 13 Timeout (timeout), 14 and 15 Event (event), 18
-- channels (queue_kinds), 20 full pools (pool_size), 24 to 31 sockets, servers
-- and processes (there), 32 assert_switches (util). Here is the rest, and what
-- goes across several modules.

local helper = require "helper"
local sync = require "helper_sync"
local gevent = require "gevent"
local event = require "gevent.event"
local lock = require "gevent.lock"
local pool = require "gevent.pool"
local queue = require "gevent.queue"
local it = helper.it
local letters, is_exit = sync.letters, sync.is_exit

--- Calls fn(...) in the hub, and returns what pcall returns.
local function in_hub(fn, ...)
  local args, results = table.pack(...), nil
  local g = gevent.spawn(function() end)
  g:rawlink(function()
    results = table.pack(pcall(fn, table.unpack(args, 1, args.n)))
  end)
  g:join()
  helper.wait_all_blocked()
  return table.unpack(results, 1, results.n)
end

describe("5: killed before its first switch", function()
  local Problem = gevent.exception "Problem"
  for how, kill in pairs {
    kill = function(g, e) gevent.kill(g, e) end,
    method = function(g, e) g:kill(e) end,
    throw = function(g, e) g:throw(e) end,
    killall = function(g, e) gevent.killall({g}, e) end,
  } do
    it("by " .. how .. " with an instance: that is its failure", function()
      local printed <close> = helper.capture_errors()
      local ran = false
      local g = gevent.spawn(function() ran = true end)
      local problem = Problem "p"
      kill(g, problem)
      local ok, err = pcall(g.get, g)
      assert.is_false(ok)
      assert.is_true(rawequal(problem, err))
      assert.is_false(ran)
      assert.is_false(g:successful())
      assert.is_string(printed:text())
    end)
  end
end)

describe("6: what a kill leaves", function()
  it("with an error get raises, without it returns GreenletExit", function()
    local printed <close> = helper.capture_errors()
    local a = helper.spawn_blocked(gevent.sleep, 60)
    a:kill("an error")
    assert.same({false, "an error"}, {pcall(a.get, a)})
    assert.is_false(a:successful())
    local b = helper.spawn_blocked(gevent.sleep, 60)
    b:kill()
    assert.is_true(is_exit((b:get())))
    assert.is_true(b:successful())
    assert.matches("an error", printed:text())
  end)
end)

describe("7: kill of a dormant greenlet", function()
  it("returns when its handler has run", function()
    local log, say = letters()
    local g = helper.spawn_blocked(function()
      say "start"
      local ok, err = pcall(gevent.sleep, 60)
      say((not ok and is_exit(err)) and "except" or "?")
      say "finished"
    end)
    g:kill()
    assert.same({"start", "except", "finished"}, log)
  end)
end)

describe("11: killing many", function()
  it("hits each once, however often it is listed", function()
    local hits = 0
    local g = helper.spawn_blocked(function()
      for _ = 1, 2 do
        if not pcall(gevent.sleep, 0.005) then hits = hits + 1 end
      end
    end)
    local group = pool.Group(g)
    group:kill()
    assert.equal(1, hits)
  end)

  it("raises at its timeout for started ones only", function()
    local never = {gevent.spawn(error, "x"), gevent.spawn(error, "y")}
    gevent.killall(never, nil, true, 0.5)
    local gate = helper.gate()
    local stubborn = helper.spawn_blocked(function()
      pcall(gevent.sleep, 60)
      gate:wait()
    end)
    local ok, err = pcall(gevent.killall, {stubborn}, nil, true, 0.005)
    assert.is_false(ok)
    assert.is_true(sync.is_timeout(err))
    gate:open()
    stubborn:join()
  end)
end)

describe("16: wait with count and timeout", function()
  local function make()
    local e, r = event.Event(), event.AsyncResult()
    local g1, g2 = gevent.spawn(gevent.sleep, 0), gevent.spawn(gevent.sleep, 0)
    e:set()
    return {event.Event(), e, event.AsyncResult(), g1, r, g2}
  end

  for _, row in ipairs {
    {count = 0, timeout = 0.01, length = 0},
    {count = 1, timeout = 0.01, length = 1},
    {count = 2, timeout = 0.01, length = 2},
    {count = 3, length = 3},
    {count = 4, timeout = 0.01, length = 3},
    {timeout = 0.01, length = 3},
  } do
    it(("count %s, timeout %s: %d"):format(row.count, row.timeout, row.length),
      function()
        local objects = make()
        assert.equal(row.length,
          #gevent.wait(objects, row.timeout, row.count))
        gevent.joinall {objects[4], objects[6]}
      end)
  end
end)

describe("17: queues in the hub", function()
  it("put_nowait and get_nowait never block there", function()
    local q = queue.Queue(1)
    assert.same({true, true}, {in_hub(q.put_nowait, q, 2)})
    assert.equal("full", (select(4, in_hub(q.put_nowait, q, 3))))
    assert.same({true, 2}, {in_hub(q.get_nowait, q)})
    assert.equal("empty", (select(4, in_hub(q.get_nowait, q))))
  end)

  it("get_nowait takes from a putter that waits", function()
    for _, q in ipairs {queue.Queue(1, {5}), queue.Channel()} do
      local first = #q == 1 and 5 or 6
      local p = helper.spawn_blocked(q.put, q, 6)
      assert.same({true, first}, {in_hub(q.get_nowait, q)})
      assert.is_true(p:get())
    end
  end)

  it("put_nowait gives to a getter that waits", function()
    for _, q in ipairs {queue.Queue(), queue.Channel()} do
      local g = helper.spawn_blocked(q.get, q)
      assert.same({true, true}, {in_hub(q.put_nowait, q, 10)})
      assert.equal(10, g:get())
    end
  end)

  it("two getters that give up take nothing with them", function()
    local q = queue.Queue()
    local bogus = sync.times(2, function()
      return gevent.spawn(q.get, q, 0.001)
    end)
    gevent.joinall(bogus)
    local real = helper.spawn_blocked(q.get, q, 60)
    q:put(1)
    assert.equal(1, real:get())
    assert.is_true(q:empty())
  end)

  it("one getter of two that dies leaves the item to the other", function()
    local q = queue.Queue()
    local dies, lives = gevent.spawn(q.get, q), gevent.spawn(q.get, q)
    gevent.sleep(0)
    gevent.kill(dies)
    gevent.sleep(0)
    q:put(2)
    assert.equal(2, lives:get())
  end)

  it("maxsize holds back, and lets go in order", function()
    local q = queue.Queue(2)
    local log, say = letters()
    local putter = gevent.spawn(function()
      for _, item in ipairs {"a", "b", "c"} do
        q:put(item)
        say(item)
      end
      return "OK"
    end)
    gevent.sleep(0)
    assert.same({"a", "b"}, log)
    assert.equal("a", q:get())
    gevent.sleep(0)
    assert.same({"a", "b", "c"}, log)
    assert.equal("b", q:get())
    assert.equal("c", q:get())
    assert.equal("OK", putter:get())
  end)
end)

describe("19: imap", function()
  it("over a queue ends when the queue is closed, not before", function()
    for _, p in ipairs {pool.Pool(), pool.Pool(1), pool.Pool(10)} do
      local q = queue.Queue()
      q:put(123)
      gevent.spawn_later(0.005, q.close, q)
      assert.same({123}, sync.collect(p:imap(function(x) return x end,
        q:iter())))
    end
  end)

  it("gives 1, an error, 0 for 1/x over 1, 0, ...", function()
    local printed <close> = helper.capture_errors()
    local next_item = pool.Pool(3):imap(function(x)
      if x == 0 then error("division by zero", 0) end
      return 1 // x
    end, {1, 0, 2})
    assert.equal(1, next_item())
    assert.same({false, "division by zero"}, {pcall(next_item)})
    assert.equal(0, next_item())
    assert.is_nil(next_item())
    assert.is_string(printed:text())
  end)
end)

describe("21: a fair semaphore", function()
  it("two that hand it to and fro never starve", function()
    local s = lock.Semaphore()
    local order = {}
    local function worker(name)
      for _ = 1, 3 do
        s:acquire()
        order[#order + 1] = name
        gevent.sleep(0.0005)
        s:release()
      end
    end
    gevent.joinall {gevent.spawn(worker, 1), gevent.spawn(worker, 2)}
    assert.same({1, 2, 1, 2, 1, 2}, order)
  end)
end)

describe("22: errors and the end of the program", function()
  it("an error in a greenlet does not end it", function()
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      gevent.spawn(error, "ordinary")
      gevent.sleep(0)
      io.write "still here"
    ]]
    assert.equal(0, code)
    assert.equal("still here", out)
    assert.matches("ordinary", err)
  end)

  it("os.exit in a greenlet does, with its code", function()
    for _, close in ipairs {"", ", true"} do
      local code, out = helper.run_lua(([[
        local gevent = require "gevent"
        gevent.spawn(function() os.exit(7%s) end)
        gevent.sleep(1)
        io.write "not reached"
      ]]):format(close))
      assert.equal(7, code)
      assert.equal("", out)
    end
  end)
end)

describe("23: what waiting leaves", function()
  it("nothing: no links, no references, no garbage", function()
    local objects = {event.Event(), event.AsyncResult(), lock.Semaphore(0),
      queue.Queue(), helper.spawn_blocked(gevent.sleep, 60)}
    local ready = event.Event()
    ready:set()
    objects[#objects + 1] = ready
    local function round()
      for _ = 1, 200 do
        for object in gevent.iwait(objects) do
          if object == ready then break end
        end
        gevent.wait(objects, 0)
        gevent.wait(objects, nil, 1)
      end
      collectgarbage()
      collectgarbage()
      return collectgarbage "count", gevent.get_hub():stats().refs
    end
    round()
    local before, refs = round()
    local after, refs_after = round()
    assert.equal(refs, refs_after)
    assert.is_true(after < before + 4, ("%g KB, were %g"):format(after, before))
    objects[5]:kill()
  end)
end)

describe("a blocking call in a callback of the hub", function()
  local function names_it(name, fn, ...)
    local ok, err = in_hub(fn, ...)
    assert.is_false(ok, name)
    assert.is_true(gevent.isinstance(err, gevent.BlockingSwitchOutError),
      name .. ": " .. tostring(err))
  end

  it("is BlockingSwitchOutError, for each primitive", function()
    local e, r, s = event.Event(), event.AsyncResult(), lock.Semaphore(0)
    local q, full = queue.Queue(), queue.Queue(1, {1})
    local c, j = queue.Channel(), queue.JoinableQueue(nil, {1})
    names_it("Event:wait", e.wait, e)
    names_it("AsyncResult:get", r.get, r)
    names_it("AsyncResult:wait", r.wait, r, 1)
    names_it("acquire", s.acquire, s)
    names_it("hold", s.hold, s)
    names_it("get", q.get, q)
    names_it("peek", q.peek, q, 1)
    names_it("put", full.put, full, 2)
    names_it("Channel:put", c.put, c, 2)
    names_it("Channel:get", c.get, c)
    names_it("JoinableQueue:join", j.join, j)
    names_it("wait", gevent.wait, {e})
    local p = pool.Pool(1)
    local g = p:spawn(gevent.sleep, 60)
    gevent.sleep(0)
    names_it("Pool:spawn", p.spawn, p, error)
    names_it("Pool:join", p.join, p)
    g:kill()
    for _, object in ipairs {e, s, q, full, c} do
      assert.is_nil(tostring(object):find("ters [1-9]"), tostring(object))
      assert.is_nil(tostring(object):find("waiters [1-9]"), tostring(object))
    end
  end)

  it("what does not block works there", function()
    local e, r, s = event.Event(), event.AsyncResult(), lock.Semaphore(0)
    assert.is_true((in_hub(e.set, e)))
    assert.is_true((in_hub(r.set, r, 1)))
    assert.is_true((in_hub(s.release, s)))
    assert.same({true, true}, {in_hub(e.wait, e)})
    assert.same({true, 1}, {in_hub(r.get, r)})
    assert.same({true, true}, {in_hub(s.acquire, s)})
    assert.same({true, false}, {in_hub(s.acquire, s, 0)})
  end)
end)

describe("fairness", function()
  it("greenlets that hand items to and fro do not hold up timers", function()
    local ping, pong = queue.Queue(1), queue.Queue(1)
    local echo = gevent.spawn(function()
      for item in ping:iter() do pong:put(item) end
    end)
    local rounds, stop = 0, false
    local player = gevent.spawn(function()
      while not stop do
        ping:put(rounds)
        rounds = pong:get() + 1
      end
      ping:close()
    end)
    local start = helper.now()
    gevent.sleep(0.02)
    local late = helper.now() - start - 0.02
    stop = true
    gevent.joinall({player, echo}, nil, {raise_error = true})
    assert.is_true(rounds > 100)
    assert.is_true(late < 0.5 * helper.scale, ("%g s late"):format(late))
  end)
end)
