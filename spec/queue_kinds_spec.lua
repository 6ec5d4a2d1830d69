-- gevent.queue: LifoQueue, PriorityQueue, JoinableQueue, Channel.

local helper = require "helper"
local sync = require "helper_sync"
local gevent = require "gevent"
local queue = require "gevent.queue"
local it = helper.it
local letters, expect_misuse = sync.letters, sync.expect_misuse
local expect_closed, expect_timed_out = sync.expect_closed,
  sync.expect_timed_out

local function drain(q)
  local list = {}
  while not q:empty() do list[#list + 1] = q:get_nowait() end
  return list
end

describe("LifoQueue", function()
  it("gives the last item first, and shows it to peek", function()
    local q = queue.LifoQueue(nil, {1, 2})
    q:put(3)
    assert.equal(3, q:peek())
    assert.same({3, 2, 1}, drain(q))
    q:put "a"
    assert.equal("a", q:get())
    for i = 1, 100 do q:put(i) end
    for i = 100, 1, -1 do assert.equal(i, q:get()) end
  end)

  it("admits a blocked putter, whose item is then the last", function()
    local q = queue.LifoQueue(2, {1, 2})
    local g = helper.spawn_blocked(q.put, q, 3)
    assert.equal(2, q:get())
    assert.is_true(g:get())
    assert.same({3, 1}, drain(q))
  end)

  it("is drained after it was closed", function()
    local q = queue.LifoQueue(nil, {1, 2, 3})
    q:close()
    assert.same({3, 2, 1}, sync.collect(q:iter()))
    expect_closed(q:get())
  end)
end)

describe("PriorityQueue", function()
  it("gives the least item first", function()
    local q = queue.PriorityQueue(nil, {5, 1, 4})
    q:put(3)
    q:put(2)
    assert.equal(1, q:peek())
    assert.same({1, 2, 3, 4, 5}, drain(q))
  end)

  it("sorts random items, put and got in random order", function()
    math.randomseed(20)
    local q = queue.PriorityQueue()
    local model = {}
    for _ = 1, 5000 do
      if #model > 0 and math.random() < 0.4 then
        assert.equal(table.remove(model, 1), q:get())
      else
        local item = math.random(1000)
        q:put(item)
        model[#model + 1] = item
        table.sort(model)
      end
      assert.equal(#model, #q)
      if #model > 60 then
        for _ = 1, 50 do
          assert.equal(table.remove(model, 1), q:get())
        end
      end
    end
  end)

  it("asks `less` where given", function()
    local q = queue.PriorityQueue(nil, {1, 5, 3},
      function(a, b) return a > b end)
    assert.equal(5, q:peek())
    assert.same({5, 3, 1}, drain(q))
    local jobs = queue.PriorityQueue(nil, nil,
      function(a, b) return a.at < b.at end)
    for _, at in ipairs {3, 1, 2} do jobs:put {at = at} end
    for at = 1, 3 do assert.equal(at, jobs:get().at) end
  end)

  it("uses __lt of the items", function()
    local mt = {__lt = function(a, b) return a.n < b.n end}
    local q = queue.PriorityQueue()
    for _, n in ipairs {2, 3, 1} do q:put(setmetatable({n = n}, mt)) end
    for n = 1, 3 do assert.equal(n, q:get().n) end
  end)

  it("an error in a comparison changes nothing", function()
    local q = queue.PriorityQueue(nil, {1, 2, 3})
    expect_misuse("compare", q.put, q, "x")
    expect_misuse("compare", q.put_nowait, q, {})
    assert.equal(3, #q)
    assert.same({1, 2, 3}, drain(q))
    local fail = false
    local mean = queue.PriorityQueue(nil, {4, 2, 3, 1}, function(a, b)
      if fail then error "less failed" end
      return a < b
    end)
    fail = true
    expect_misuse("less failed", mean.get, mean)
    expect_misuse("less failed", mean.put, mean, 5)
    fail = false
    assert.same({1, 2, 3, 4}, drain(mean))
  end)

  it("an error in admitting a putter's item is the putter's", function()
    local printed <close> = helper.capture_errors()
    local q = queue.PriorityQueue(3, {1, 2, 3})
    local bad = helper.spawn_blocked(q.put, q, "x")
    local good = helper.spawn_blocked(q.put, q, 0)
    assert.equal(1, q:get())
    helper.wait_all_blocked()
    assert.is_false((pcall(bad.get, bad)))
    assert.matches("compare", printed:text())
    assert.is_true(good:get())
    assert.same({0, 2, 3}, drain(q))
  end)

  it("an error in `less` while another item comes off is no loss", function()
    local fail = false
    local q = queue.PriorityQueue(4, {1, 2, 3, 4}, function(a, b)
      if fail then error "less failed" end
      return a < b
    end)
    local putter = helper.spawn_blocked(q.put, q, 0)
    fail = true
    expect_misuse("less failed", q.get, q)
    fail = false
    assert.equal(1, q:get())
    assert.is_true(putter:get())
    assert.same({0, 2, 3, 4}, drain(q))
  end)

  it("a `less` that blocks is refused in a greenlet", function()
    local q = queue.PriorityQueue(nil, {1}, function(a, b)
      gevent.sleep(0)
      return a < b
    end)
    gevent.spawn(function() expect_misuse("yield", q.put, q, 2) end):get()
    assert.equal(1, #q)
  end)

  it("a `less` that changes the queue is refused", function()
    local q, mean
    q = queue.PriorityQueue(nil, {1, 2}, function(a, b)
      if mean then q:get_nowait() end
      return a < b
    end)
    mean = true
    expect_misuse("less", q.put, q, 0)
    mean = false
    assert.same({2}, drain(q))
  end)

  it("a `less` that kills the putter, or closes, does no harm", function()
    for _, deed in ipairs {"kill", "close"} do
      local q, putter, mean
      q = queue.PriorityQueue(2, {1, 2}, function(a, b)
        if mean and deed == "kill" then gevent.kill(putter) end
        if mean and deed == "close" then q:close() end
        return a < b
      end)
      putter = helper.spawn_blocked(q.put, q, 3)
      q:get_nowait()
      putter:get()
      putter = helper.spawn_blocked(q.put, q, 4)
      mean = true
      assert.equal(2, q:get_nowait())
      mean = false
      putter:join()
      local rest = drain(q)
      assert.equal(3, rest[1])
      assert.is_true(#rest <= 2)
    end
  end)

  it("gives to a waiting getter without comparing", function()
    local q = queue.PriorityQueue()
    local g = helper.spawn_blocked(q.get, q)
    q:put {}
    assert.is_table(g:get())
  end)

  it("orders blocked putters' items once they are in", function()
    local q = queue.PriorityQueue(1, {5})
    local list = sync.times(3, function(i)
      return helper.spawn_blocked(q.put, q, 4 - i)
    end)
    assert.equal(5, q:get())
    assert.equal(3, q:get()) -- the one that came first
    assert.equal(2, q:get())
    assert.equal(1, q:get())
    gevent.joinall(list)
  end)

  it("refuses a `less` that cannot be called", function()
    expect_misuse("argument #3", queue.PriorityQueue, nil, nil, 42)
  end)
end)

describe("JoinableQueue", function()
  it("join waits until each put has its task_done", function()
    local q = queue.JoinableQueue()
    local done = 0
    local workers = sync.times(3, function()
      return gevent.spawn(function()
        for _ in q:iter() do
          gevent.sleep(0.001)
          done = done + 1
          q:task_done()
        end
      end)
    end)
    for i = 1, 10 do q:put(i) end
    assert.is_true(q:join())
    assert.equal(10, done)
    q:close()
    gevent.joinall(workers, nil, {raise_error = true})
  end)

  it("join returns at once where nothing is open", function()
    local q = queue.JoinableQueue()
    assert.is_true(q:join())
    assert.is_true(q:join(0))
    q:put(1)
    assert.is_false(q:join(0))
    assert.is_false(q:join(0.002))
    q:get()
    assert.is_false(q:join(0))
    q:task_done()
    assert.is_true(q:join())
  end)

  it("counts the items it was made with, and blocked puts once in", function()
    local q = queue.JoinableQueue(2, {"a", "b"})
    local putter = helper.spawn_blocked(q.put, q, "c")
    for _ = 1, 3 do q:get() end
    assert.is_true(putter:get())
    for _ = 1, 3 do
      assert.is_false(q:join(0))
      q:task_done()
    end
    assert.is_true(q:join(0))
  end)

  it("counts what was handed to a waiting getter", function()
    local q = queue.JoinableQueue()
    local g = helper.spawn_blocked(q.get, q)
    q:put "x"
    assert.equal("x", g:get())
    assert.is_false(q:join(0))
    q:task_done()
    assert.is_true(q:join(0))
  end)

  it("does not count a put that was killed or refused", function()
    local q = queue.JoinableQueue(1, {"a"})
    local g = helper.spawn_blocked(q.put, q, "b")
    g:kill()
    q:put_nowait "c"
    q:put("d", 0.001)
    q:get()
    q:task_done()
    assert.is_true(q:join(0))
  end)

  it("task_done too often is misuse", function()
    local q = queue.JoinableQueue()
    expect_misuse("too many", q.task_done, q)
    q:put(1)
    q:task_done()
    expect_misuse("too many", q.task_done, q)
  end)

  it("wakes all joiners", function()
    local q = queue.JoinableQueue(nil, {1})
    local joiners = sync.times(5, function()
      return helper.spawn_blocked(q.join, q)
    end)
    q:task_done()
    for _, g in ipairs(joiners) do assert.is_true(g:get()) end
  end)

  it("is a queue in all else", function()
    local q = queue.JoinableQueue(2)
    q:put(1)
    q:put(2)
    assert.is_true(q:full())
    expect_timed_out(q:put(3, 0))
    assert.equal(1, q:peek())
    assert.same({1, 2}, drain(q))
    q:close()
    expect_closed(q:put(1))
  end)

  it("alone has task_done and join", function()
    assert.is_nil(queue.Queue().task_done)
    assert.is_nil(queue.Queue().join)
    expect_misuse("Queue", queue.JoinableQueue().task_done, queue.Queue())
  end)
end)

describe("Channel", function()
  it("is always empty and full", function()
    local c = queue.Channel()
    assert.equal(0, c:qsize())
    assert.equal(0, #c)
    assert.is_true(c:empty())
    assert.is_true(c:full())
    local g = helper.spawn_blocked(c.put, c, 1)
    assert.equal(0, #c)
    assert.is_true(c:full())
    assert.equal(1, c:get())
    assert.is_true(g:get())
  end)

  it("runs the getter before the putter goes on", function()
    local c = queue.Channel()
    local log, say = letters()
    local sender = gevent.spawn(function()
      say "sending"
      c:put "hello"
      say "sent hello"
      c:put "world"
      say "sent world"
    end)
    local receiver = gevent.spawn(function()
      say(c:get())
      say(c:get())
    end)
    gevent.joinall {sender, receiver}
    assert.same({"sending", "hello", "sent hello", "world", "sent world"}, log)
  end)

  it("put waits until the item is taken", function()
    local c = queue.Channel()
    local g = helper.spawn_blocked(c.put, c, "item")
    assert.equal("item", c:get(0))
    assert.is_false(g:ready())
    assert.is_true(g:get())
  end)

  it("without waiting needs the other side there", function()
    local c = queue.Channel()
    expect_timed_out(c:put(1, 0))
    expect_timed_out(c:put(1, 0.002))
    expect_timed_out(c:get(0))
    assert.equal("full", (select(3, c:put_nowait(1))))
    assert.equal("empty", (select(3, c:get_nowait())))
    local getter = helper.spawn_blocked(c.get, c)
    assert.is_true(c:put_nowait "a")
    assert.equal("a", getter:get())
    local putter = helper.spawn_blocked(c.put, c, "b")
    assert.equal("b", c:peek_nowait())
    assert.equal("b", c:get_nowait())
    assert.is_true(putter:get())
  end)

  it("pairs putters and getters in the order of their coming", function()
    local c = queue.Channel()
    local putters = sync.times(5, function(i)
      return helper.spawn_blocked(c.put, c, i)
    end)
    for i = 1, 5 do assert.equal(i, c:get()) end
    gevent.joinall(putters)
    local getters = sync.times(5, function()
      return helper.spawn_blocked(c.get, c)
    end)
    for i = 1, 5 do c:put(i) end
    for i, g in ipairs(getters) do assert.equal(i, g:get()) end
  end)

  it("loses nothing with a killed side", function()
    local c = queue.Channel()
    local dead = helper.spawn_blocked(c.put, c, "dead")
    local live = helper.spawn_blocked(c.put, c, "live")
    dead:kill()
    assert.equal("live", c:get())
    assert.is_true(live:get())
    local gone = helper.spawn_blocked(c.get, c)
    local here = helper.spawn_blocked(c.get, c)
    gone:kill()
    assert.is_true(c:put "x")
    assert.equal("x", here:get())
  end)

  it("closing wakes both sides, and an untaken item is not delivered",
    function()
      local c = queue.Channel()
      local putter = helper.spawn_blocked(c.put, c, "x")
      c:close()
      expect_closed(putter:get())
      expect_closed(c:get())
      local d = queue.Channel()
      local getter = helper.spawn_blocked(d.get, d)
      d:close()
      expect_closed(getter:get())
    end)

  it("iterates until it is closed", function()
    local c = queue.Channel()
    local producer = gevent.spawn(function()
      for i = 1, 5 do c:put(i) end
      c:close()
    end)
    assert.same({1, 2, 3, 4, 5}, sync.collect(c:iter()))
    producer:get()
  end)

  it("put works where the getter waits and nobody may yield", function()
    local c = queue.Channel()
    local getter = helper.spawn_blocked(c.get, c)
    gevent.spawn(function()
      assert(("x"):gsub("x", function() assert(c:put "item") end))
    end):get()
    assert.equal("item", getter:get())
  end)
end)

local function expect_item(...) assert.same({"item", n = 1}, table.pack(...)) end
local function expect_true(...) assert.same({true, n = 1}, table.pack(...)) end

for _, kind in ipairs {"LifoQueue", "PriorityQueue", "JoinableQueue"} do
  helper.battery(kind .. ":get", function()
    local q = queue[kind]()
    return {
      call = function(timeout) return q:get(timeout) end,
      release = function() q:put_nowait "item" end,
      expect = expect_item,
      takes_timeout = true,
      direct = true,
    }
  end)

  helper.battery(kind .. ":put", function()
    local q = queue[kind](1, {"first"})
    return {
      call = function(timeout) return q:put("item", timeout) end,
      release = function() q:get_nowait() end,
      expect = expect_true,
      takes_timeout = true,
      direct = true,
    }
  end)
end

helper.battery("JoinableQueue:join", function()
  local q = queue.JoinableQueue(nil, {1})
  return {
    call = function(timeout) return q:join(timeout) end,
    release = function() q:task_done() end,
    expect = expect_true,
    takes_timeout = true,
    timeout_result = false,
    direct = true,
  }
end)

helper.battery("Channel:get", function()
  local c = queue.Channel()
  return {
    call = function(timeout) return c:get(timeout) end,
    release = function() c:put_nowait "item" end,
    expect = expect_item,
    takes_timeout = true,
    direct = true,
  }
end)

helper.battery("Channel:put", function()
  local c = queue.Channel()
  return {
    call = function(timeout) return c:put("item", timeout) end,
    release = function() c:get_nowait() end,
    expect = expect_true,
    takes_timeout = true,
    direct = true,
  }
end)
