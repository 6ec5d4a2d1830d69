-- gevent.queue: Queue, what it shares with its relatives, and closing.

local helper = require "helper"
local sync = require "helper_sync"
local gevent = require "gevent"
local queue = require "gevent.queue"
local it = helper.it
local letters, expect_misuse = sync.letters, sync.expect_misuse
local expect_closed, expect_timed_out = sync.expect_closed,
  sync.expect_timed_out

local function numbers(n)
  return sync.times(n, function(i) return i end)
end

local function drain(q)
  local list = {}
  while not q:empty() do list[#list + 1] = q:get_nowait() end
  return list
end

local function expect_code(code, ...)
  local results = table.pack(...)
  assert.is_nil(results[1])
  assert.is_string(results[2])
  assert.equal(code, results[3])
end

describe("Queue", function()
  it("gives items in the order they came", function()
    local q = queue.Queue()
    for i = 1, 1000 do assert.is_true(q:put(i)) end
    assert.equal(1000, q:qsize())
    assert.equal(1000, #q)
    for i = 1, 1000 do assert.equal(i, q:get()) end
    assert.is_true(q:empty())
  end)

  it("keeps order where it fills and empties round the corner", function()
    local q = queue.Queue()
    local put, got = 0, 0
    for round = 1, 200 do
      for _ = 1, round % 17 do
        put = put + 1
        q:put(put)
      end
      for _ = 1, round % 13 do
        if q:empty() then break end
        got = got + 1
        assert.equal(got, q:get())
      end
    end
    for _ = got + 1, put do
      got = got + 1
      assert.equal(got, q:get())
    end
    assert.equal(put, got)
  end)

  it("takes any value but nil", function()
    local q = queue.Queue()
    local items = {false, true, 0, "", {}, print, 0 / 0, coroutine.create(print)}
    for _, item in ipairs(items) do q:put(item) end
    for i, item in ipairs(items) do
      local got = q:get()
      assert.is_true(rawequal(item, got) or i == 7 and got ~= got)
    end
    expect_misuse("argument #%d", q.put, q, nil)
    expect_misuse("argument #%d", q.put, q)
    expect_misuse("argument #%d", q.put_nowait, q)
  end)

  it("starts with the items given", function()
    assert.same({1, 2, 3}, drain(queue.Queue(nil, {1, 2, 3})))
    assert.same({1, 2, 3}, drain(queue.Queue(0, {1, 2, 3})))
    assert.same({}, drain(queue.Queue(5, {})))
    local source = {1, 2, 3}
    local q = queue.Queue(nil, source)
    assert.equal(1, q:get())
    assert.same({1, 2, 3}, source)
  end)

  it("with maxsize is full, or not", function()
    local q = queue.Queue(2)
    assert.is_true(q:empty())
    assert.is_false(q:full())
    q:put "a"
    assert.is_false(q:empty())
    assert.is_false(q:full())
    q:put "b"
    assert.is_true(q:full())
    expect_code("full", q:put_nowait "c")
    expect_timed_out(q:put("c", 0))
    expect_timed_out(q:put("c", 0.002))
    assert.equal(2, #q)
    assert.equal("a", q:get())
    assert.is_true(q:put_nowait "c")
    assert.same({"b", "c"}, drain(q))
    for _ = 1, 100 do assert.is_false(queue.Queue():full()) end
  end)

  it("empty: get_nowait and peek_nowait say so", function()
    local q = queue.Queue()
    expect_code("empty", q:get_nowait())
    expect_code("empty", q:peek_nowait())
    expect_timed_out(q:get(0))
    expect_timed_out(q:peek(0))
    expect_timed_out(q:get(0.002))
    expect_timed_out(q:peek(0.002))
  end)

  it("peek shows without taking", function()
    local q = queue.Queue(nil, {"a", "b"})
    assert.equal("a", q:peek())
    assert.equal("a", q:peek_nowait())
    assert.equal("a", q:peek(0))
    assert.equal(2, #q)
    assert.equal("a", q:get())
    assert.equal("b", q:peek())
  end)

  it("put does not switch while there is room", function()
    local q = queue.Queue(3)
    local ran = false
    local g = gevent.spawn(function() ran = true end)
    q:put(1)
    q:put(2)
    q:get()
    assert.is_false(ran)
    g:join()
  end)

  it("serves getters in the order of their coming", function()
    local q = queue.Queue()
    local log, say = letters()
    local list = sync.times(10, function(i)
      return gevent.spawn(function() say(i .. ":" .. q:get()) end)
    end)
    helper.wait_all_blocked()
    assert.matches("getters 10", tostring(q))
    for i = 1, 10 do q:put(i) end
    gevent.joinall(list)
    assert.same(sync.times(10, function(i) return i .. ":" .. i end), log)
  end)

  it("admits putters in the order of their coming", function()
    local q = queue.Queue(1, {0})
    local list = sync.times(10, function(i)
      return gevent.spawn(q.put, q, i)
    end)
    helper.wait_all_blocked()
    assert.equal(1, #q)
    for i = 0, 10 do assert.equal(i, q:get(1)) end
    for _, g in ipairs(list) do assert.is_true(g:get()) end
  end)

  it("hands over: what was given to a waiter nobody else takes", function()
    local q = queue.Queue()
    local g = helper.spawn_blocked(q.get, q)
    q:put "his"
    expect_code("empty", q:get_nowait())
    assert.equal("his", g:get())
    local full = queue.Queue(1, {"first"})
    local putter = helper.spawn_blocked(full.put, full, "second")
    assert.equal("first", full:get_nowait())
    expect_code("full", full:put_nowait "third") -- the place is taken
    assert.is_true(putter:get())
    assert.equal("second", full:get())
  end)

  it("a killed or expired getter loses no item", function()
    local q = queue.Queue()
    local killed = helper.spawn_blocked(q.get, q)
    local expired = gevent.spawn(q.get, q, 0.001)
    local patient = helper.spawn_blocked(q.get, q)
    expect_timed_out(expired:get())
    gevent.kill(killed)
    q:put "item"
    assert.equal("item", patient:get())
    assert.is_true(sync.is_exit((killed:get())))
    assert.is_true(q:empty())
  end)

  it("a killed or expired putter leaves no item", function()
    local q = queue.Queue(1, {"a"})
    local killed = helper.spawn_blocked(q.put, q, "x")
    local expired = gevent.spawn(q.put, q, "y", 0.001)
    local patient = helper.spawn_blocked(q.put, q, "b")
    killed:kill()
    expect_timed_out(expired:get())
    assert.equal("a", q:get())
    assert.equal("b", q:get())
    assert.is_true(patient:get())
    assert.is_true(q:empty())
  end)

  it("wakes every peeker and then the getter", function()
    local q = queue.Queue()
    local peekers = sync.times(3, function()
      return helper.spawn_blocked(q.peek, q)
    end)
    local getter = helper.spawn_blocked(q.get, q)
    local late = helper.spawn_blocked(q.peek, q)
    q:put "first"
    for _, g in ipairs(peekers) do assert.equal("first", g:get()) end
    assert.equal("first", getter:get())
    q:put "second"
    assert.equal("second", late:get())
    assert.equal("second", q:get())
  end)

  it("carries a million items between two greenlets", function()
    local q = queue.Queue(100)
    local count = math.floor(1000000 / helper.scale / 10)
    local producer = gevent.spawn(function()
      for i = 1, count do q:put(i) end
    end)
    local sum = 0
    for _ = 1, count do sum = sum + q:get() end
    producer:get()
    assert.equal(count * (count + 1) // 2, sum)
  end)

  it("lets go of the items it has given", function()
    local q = queue.Queue()
    local seen = setmetatable({}, {__mode = "v"})
    for i = 1, 20 do
      seen[i] = {}
      q:put(seen[i])
    end
    for _ = 1, 20 do q:get() end
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(seen))
    assert.is_true(q:empty())
  end)

  it("lets go of the item of a putter that was killed or timed out",
    function()
      local q = queue.Queue(1, {"full"})
      local seen = setmetatable({}, {__mode = "v"})
      seen.killed, seen.expired = {}, {}
      do
        local g = helper.spawn_blocked(q.put, q, seen.killed)
        g:kill()
        q:put(seen.expired, 0.001)
      end
      helper.wait_all_blocked()
      collectgarbage()
      collectgarbage()
      assert.is_nil(seen.killed)
      assert.is_nil(seen.expired)
      assert.equal(1, #q)
    end)

  it("shows size and waiters", function()
    local q = queue.Queue(1, {1})
    assert.matches("^<Queue at 0x%x+ size 1", tostring(q))
    local putter = helper.spawn_blocked(q.put, q, 2)
    assert.matches("putters 1", tostring(q))
    putter:kill()
    q:close()
    assert.matches("closed", tostring(q))
  end)

  it("has no limit with a maxsize of 0 or less", function()
    for _, size in ipairs {0, -1} do
      local q = queue.Queue(size)
      for i = 1, 100 do assert.is_true(q:put_nowait(i)) end
      assert.is_false(q:full())
    end
  end)

  it("refuses bad arguments", function()
    local q = queue.Queue()
    for _, name in ipairs {"get", "peek"} do
      expect_misuse("argument #%d", q[name], q, -1)
      expect_misuse("argument #%d", q[name], q, "x")
    end
    expect_misuse("argument #%d", q.put, q, 1, -1)
    expect_misuse("argument #1", queue.Queue, "big")
    expect_misuse("argument #2", queue.Queue, 1, 42)
    expect_misuse("Queue", q.get, {})
  end)

  it("getting for ever is LoopExit in main", function()
    local q = queue.Queue()
    local ok, err = pcall(q.get, q)
    assert.is_false(ok)
    assert.is_true(gevent.isinstance(err, gevent.LoopExit))
    assert.matches("get", tostring(err))
    q:put "still usable"
    assert.equal("still usable", q:get())
  end, {deadline = false})
end)

describe("a closed Queue", function()
  it("is drained first, then says closed", function()
    local q = queue.Queue(nil, {1, 2})
    q:close()
    assert.equal(1, q:get())
    assert.equal(2, q:peek())
    assert.equal(2, q:get_nowait())
    expect_closed(q:get())
    expect_closed(q:get(0))
    expect_closed(q:get(1))
    expect_closed(q:peek())
    expect_closed(q:get_nowait())
    expect_closed(q:peek_nowait())
  end)

  it("refuses puts at once", function()
    local q = queue.Queue(1)
    q:close()
    expect_closed(q:put(1))
    expect_closed(q:put(1, 0))
    expect_closed(q:put_nowait(1))
    assert.is_true(q:empty())
  end)

  it("may be closed again", function()
    local q = queue.Queue()
    q:close()
    q:close()
    expect_closed(q:get())
  end)

  it("wakes everybody who waits, in order", function()
    local q = queue.Queue()
    local log, say = letters()
    local getters = sync.times(3, function(i)
      return helper.spawn_blocked(function()
        local results = table.pack(i == 2 and q:peek() or q:get())
        say(i)
        return table.unpack(results, 1, results.n)
      end)
    end)
    q:close()
    for _, g in ipairs(getters) do assert.is_nil((g:get())) end
    assert.same({1, 2, 3}, log)
    local full = queue.Queue(1, {"kept"})
    local putters = sync.times(3, function(i)
      return helper.spawn_blocked(full.put, full, i)
    end)
    full:close()
    for _, g in ipairs(putters) do expect_closed(g:get()) end
    assert.same({"kept"}, drain(full))
  end)

  it("does not take away what a getter was given before", function()
    local q = queue.Queue()
    local g = helper.spawn_blocked(q.get, q)
    q:put "item"
    q:close()
    assert.equal("item", g:get())
  end)

  it("keeps what a putter was admitted with before", function()
    local q = queue.Queue(1, {"a"})
    local g = helper.spawn_blocked(q.put, q, "b")
    assert.equal("a", q:get())
    q:close()
    assert.is_true(g:get())
    assert.equal("b", q:get())
    expect_closed(q:get())
  end)

  it("is closed at the end of a scope", function()
    local outer
    do
      local q <close> = queue.Queue()
      outer = q
    end
    expect_closed(outer:put(1))
  end)
end)

describe("iteration", function()
  it("ends when the queue is closed and drained", function()
    local q = queue.Queue(nil, numbers(5))
    q:close()
    assert.same(numbers(5), sync.collect(q:iter()))
    assert.same({}, sync.collect(q:iter()))
  end)

  it("waits for what is to come", function()
    local q = queue.Queue(1)
    local producer = gevent.spawn(function()
      for i = 1, 10 do
        q:put(i)
        if i % 3 == 0 then gevent.sleep(0) end
      end
      q:close()
    end)
    assert.same(numbers(10), sync.collect(q:iter()))
    producer:get()
  end)

  it("goes on past false", function()
    local q = queue.Queue(nil, {false, 1, false})
    q:close()
    local n = 0
    for item in q:iter() do
      assert.not_nil(item)
      n = n + 1
    end
    assert.equal(3, n)
  end)

  it("is shared by several workers: each item once", function()
    local q = queue.Queue()
    local seen = {}
    local workers = sync.times(5, function()
      return gevent.spawn(function()
        for item in q:iter() do
          assert(not seen[item])
          seen[item] = true
          gevent.sleep(0)
        end
      end)
    end)
    for i = 1, 100 do q:put(i) end
    q:close()
    gevent.joinall(workers, nil, {raise_error = true})
    assert.equal(100, #seen)
  end)
end)

local function expect_item(...) assert.same({"item", n = 1}, table.pack(...)) end

for _, way in ipairs {"get", "peek"} do
  helper.battery("Queue:" .. way, function()
    local q = queue.Queue()
    return {
      call = function(timeout) return q[way](q, timeout) end,
      release = function() q:put_nowait "item" end,
      expect = expect_item,
      takes_timeout = true,
      direct = true,
    }
  end)
end

helper.battery("Queue:put", function()
  local q = queue.Queue(1, {"first"})
  return {
    call = function(timeout) return q:put("item", timeout) end,
    release = function() q:get_nowait() end,
    expect = function(...) assert.same({true, n = 1}, table.pack(...)) end,
    takes_timeout = true,
    direct = true,
  }
end)

helper.battery("Queue:iter", function()
  local q = queue.Queue()
  local next_item = q:iter()
  return {
    call = function() return next_item() end,
    release = function() q:put_nowait "item" end,
    expect = expect_item,
    direct = true,
    fname = "get",
  }
end)

helper.battery("Queue:close of Queue:get", function()
  local q = queue.Queue()
  return {
    call = function(timeout) return q:get(timeout) end,
    release = function() q:close() end,
    expect = expect_closed,
    takes_timeout = true,
    direct = true,
    fname = "get",
  }
end)
