-- gevent.threadpool: Lua functions in OS threads.
local helper = require "helper"
local it = helper.it
local gevent = require "gevent"
local core = require "gevent._core"
local threadpool = require "gevent.threadpool"
local event = require "gevent.event"

local ThreadPool = threadpool.ThreadPool

-- A pool that is given up, threads and all, when the test is over.
local function with(size, fn)
  local pool <close> = setmetatable({ThreadPool(size)}, {__close = function(p) p[1]:kill() end})
  return fn(pool[1])
end

local function forever() while true do end end

describe("what travels", function()
  local function both(...)
    return core.thaw(assert(core.freeze(...)))
  end

  it("nil, booleans, numbers and strings", function()
    local big = ("x"):rep(1 << 20) .. "\0end"
    local sent = table.pack(nil, true, false, 1, -1.5, math.mininteger, math.huge, "", big, nil)
    local values = table.pack(both(table.unpack(sent, 1, 10)))
    assert.same(sent, values)
    assert.equal("integer", math.type(values[4]))
    assert.equal("float", math.type(both(2.0)))
    assert.is_true(both(0 / 0) ~= both(0 / 0))
  end)

  it("tables, shared ones and circles as they are", function()
    local t = {1, 2, {3}, name = "n", [1.5] = true}
    t.self, t.again = t, t[3]
    t[t] = t[3]
    local copy, third = both(t, t[3])
    assert.equal(copy, copy.self)
    assert.equal(copy[3], copy.again)
    assert.equal(copy[3], copy[copy])
    assert.equal(copy[3], third)
    assert.same({3}, third)
    assert.equal("n", copy.name)
    assert.is_true(copy[1.5])
  end)

  it("a list as deep as it may be", function()
    local list, n = nil, 0
    for _ = 1, 100000 do list = {list} end
    local copy = both(list)
    while copy do
      copy = copy[1]
      n = n + 1
    end
    assert.equal(100000, n)
  end)

  it("nothing else: the message says where it stands", function()
    local function refusal(...)
      local bytes, why = core.freeze(...)
      assert.is_nil(bytes)
      return why
    end
    assert.equal("argument 2 is a function", refusal(1, print))
    assert.equal("argument 1.a.b[3] is a userdata", refusal {a = {b = {[3] = io.stdout}}})
    assert.matches("^argument 1%[function: .*%] is a function$", refusal {[print] = 1})
    assert.equal("argument 1.x is a table with a metatable", refusal {x = setmetatable({}, {})})
    local deep = {}
    local at = deep
    for _ = 1, 1000 do
      at.n = {}
      at = at.n
    end
    at.bad = coroutine.create(print)
    assert.matches("^argument ....*%.n%.bad is a thread$", refusal(deep))
  end)

  it("bytes of somebody else are refused, whatever they are", function()
    local bytes = core.freeze({1, {x = "y"}, 2.5}, "text", true)
    for i = 0, #bytes - 1 do
      assert.is_false((pcall(core.thaw, bytes:sub(1, i))))
    end
    for i = 1, #bytes do
      for byte = 0, 255, 15 do -- an error or some value; never a crash
        pcall(core.thaw, bytes:sub(1, i - 1) .. string.char(byte) .. bytes:sub(i + 1))
      end
    end
  end)
end)

describe("ThreadPool", function()
  it("runs a function in another thread", function()
    with(2, function(pool)
      assert.same({3, "x", nil, true, n = 4},
        table.pack(pool:apply(function(a, b) return a + b, "x", nil, true end, 1, 2)))
      local result = pool:spawn(function(t) return t end, {1, {2}})
      assert.same({1, {2}}, result:get())
      assert.is_true(result:successful())
    end)
  end)

  it("in a Lua state of its own, with this one's search paths", function()
    with(1, function(pool)
      _G.seen_by_spec = 1
      local seen, path = pool:apply(function() return rawget(_G, "seen_by_spec"), package.path end)
      _G.seen_by_spec = nil
      assert.is_nil(seen)
      assert.equal(package.path, path)
    end)
  end)

  it("runs a named function", function()
    with(1, function(pool)
      assert.equal("ababab", pool:apply("string", "rep", "ab", 3))
      assert.same({1, 2, 3}, {table.unpack(pool:map("math", "sqrt", {1, 4, 9}))})
    end)
  end)

  it("refuses what cannot travel, at once", function()
    with(1, function(pool)
      local up = 1
      assert.error_matches(function() pool:spawn(function() return up end) end,
        "bad argument #1 to 'spawn' %(the function has the upvalue 'up'")
      assert.error_matches(function() pool:apply(print) end,
        "bad argument #1 to 'apply' %(a C function")
      assert.error_matches(function() pool:spawn(5) end, "bad argument #1 to 'spawn' %(a function")
      assert.error_matches(function() pool:spawn("string") end, "bad argument #1 to 'spawn'")
      assert.error_matches(function() pool:spawn(function() end, {x = print}) end,
        "argument 1%.x is a function, which cannot be copied to a thread")
      assert.equal(0, #pool)
      assert.error_matches(function() pool:apply(function() return 1, {y = {print}} end) end,
        "result 2%.y%[1%] is a function, which cannot be copied from a thread")
    end)
  end)

  it("carries errors back, with the thread's traceback", function()
    with(1, function(pool)
      local printed = {}
      local hub = gevent.get_hub()
      hub.exception_stream = {write = function(_, text) printed[#printed + 1] = text end}
      local result = pool:spawn(function() error({code = 7}) end)
      local ok, err = pcall(result.get, result)
      assert.is_false(ok)
      assert.same({code = 7}, err)
      assert.matches("threadpool_spec.lua:%d+: in function", result.traceback)
      assert.matches("threadpool_spec.lua:%d+: in function", table.concat(printed))
      printed = {}
      assert.error_matches(function() pool:apply(function() return nil + 1 end) end, "nil")
      assert.error_matches(function() pool:apply(function() error(io.stdout) end) end, "^file %(")
      assert.error_matches(function() pool:apply(function() error() end) end, "nil")
      assert.error_matches(function() pool:apply("no.such.module", "f") end,
        "module 'no.such.module' not found")
      assert.error_matches(function() pool:apply("string", "nothing") end,
        "has no function 'nothing'")
      assert.same({}, printed) -- raised in somebody, so not printed
      hub.exception_stream = nil
    end)
  end)

  it("lets the others run meanwhile", function()
    with(1, function(pool)
      local ticks = 0
      local ticker = gevent.spawn(function()
        while true do
          gevent.sleep(0.001)
          ticks = ticks + 1
        end
      end)
      pool:apply(function()
        local stop = os.clock() + 0.1
        repeat until os.clock() > stop
      end)
      ticker:kill()
      assert.is_true(ticks >= 3)
    end)
  end)

  it("has as many tasks under way as it has threads, and one more", function()
    with(1, function(pool)
      pool:spawn(forever)
      pool:spawn(forever)
      local third = gevent.spawn(pool.spawn, pool, forever)
      gevent.sleep(0.01)
      assert.is_false(third:ready())
      assert.equal(2, #pool)
      third:kill()
    end)
  end)

  it("has threads when there is work, and no more than its size", function()
    with(2, function(pool)
      assert.equal(0, pool.size)
      assert.equal(2, pool.maxsize)
      for _ = 1, 10 do pool:spawn(function() end) end
      assert.is_true(pool:join())
      assert.is_true(pool.size >= 1 and pool.size <= 2)
      assert.equal(0, #pool)
      pool.maxsize = 3
      assert.equal(3, pool.maxsize)
      pool.maxsize = 1
      assert.same({2, 4, 6}, pool:map(function(x) return 2 * x end, {1, 2, 3}))
      assert.error_matches(function() pool.size = 3 end, "read%-only")
    end)
    for _, size in ipairs {0, -1, 1.5, "2", 5000} do
      assert.error_matches(function() ThreadPool(size) end,
        "'ThreadPool' %(a size is an integer from 1 to 1024, got")
    end
  end)

  it("maps: in order, one by one, as they come; errors at their place", function()
    with(3, function(pool)
      local function double(x) return 2 * x end
      local numbers = {}
      for i = 1, 50 do numbers[i] = i end
      local list = pool:map(double, numbers)
      assert.equal(50, #list)
      for i = 1, 50 do assert.equal(2 * i, list[i]) end
      local expect = 0
      for value in pool:imap(double, numbers, {maxsize = 2}) do
        expect = expect + 2
        assert.equal(expect, value)
      end
      assert.equal(100, expect)
      local sum = 0
      for value in pool:imap_unordered(double, numbers) do sum = sum + value end
      assert.equal(2550, sum)
      assert.equal(6, pool:map_async(double, {1, 2, 3}):get()[3])
      assert.equal(8, pool:apply_async(double, 4):get())
      assert.error_matches(function()
        pool:map(function(x) if x == 2 then error("second") end end, {1, 2, 3})
      end, "second")
    end)
  end)

  it("frees the waiter, not the thread, on a kill or Timeout", function()
    with(1, function(pool)
      local task = function()
        local stop = os.clock() + 0.05
        repeat until os.clock() > stop
        return "done"
      end
      assert.same({nil, "timed out", "timeout"},
        {gevent.with_timeout(0.001, function() return pool:apply(task) end)})
      local waiter = gevent.spawn(pool.apply, pool, task)
      gevent.sleep(0)
      waiter:kill()
      assert.is_true(gevent.isinstance(waiter.value, gevent.GreenletExit))
      assert.is_false(pool:join(0))
      assert.is_true(pool:join())
      assert.equal("done", pool:apply(task))
    end)
  end)

  it("keeps the loop alive while something is under way", function()
    with(1, function(pool)
      local done = event.Event()
      local result = pool:spawn(function() end)
      gevent.spawn_raw(function()
        result:wait()
        done:set()
      end)
      assert.is_true(done:wait())
    end)
  end)

  it("is waited for as others are", function()
    with(2, function(pool)
      local slow, quick = pool:spawn(forever), pool:spawn(function() return 1 end)
      assert.same({quick}, gevent.wait({slow, quick}, nil, 1))
    end)
  end)

  it("ends what is under way when it is killed", function()
    local pool = ThreadPool(2)
    local results = {pool:spawn(forever), pool:spawn(forever), pool:spawn(forever)}
    pool:kill()
    pool:kill()
    for _, result in ipairs(results) do
      assert.error_matches(function() result:get() end, "the thread pool was closed")
    end
    assert.error_matches(function() pool:spawn(forever) end, "the thread pool is closed")
    assert.is_true(pool:join())
  end)

  it("says of an error what can be said", function()
    with(1, function(pool)
      assert.error_matches(function()
        pool:apply(function()
          error(setmetatable({}, {__tostring = function() error "no" end}))
        end)
      end, "an error that is a table")
      assert.error_matches(function()
        pool:apply(function()
          local t = {}
          for i = 1, 900000 do t[i] = i end
          return table.unpack(t)
        end)
      end, "stack overflow")
      assert.error_matches(function() pool:join(-1) end, "#1 to 'join' %(seconds")
    end)
  end)

  it("sets no hook, which would slow down each instruction", function()
    with(1, function(pool)
      assert.is_nil(pool:apply(function() return (debug.gethook()) end))
    end)
  end)

  it("joins when its scope is left", function()
    local result
    do
      local pool <close> = ThreadPool(1)
      result = pool:spawn(function() return 5 end)
    end
    assert.equal(5, result:get(0))
  end)

  it("says what it is", function()
    with(4, function(pool)
      assert.matches("^<ThreadPool at 0x%x+ size 0 of 4, 0 tasks>$", tostring(pool))
    end)
  end)
end)

describe("the generic battery", function()
  helper.battery("ThreadPool:apply", function()
    local pool, gate = ThreadPool(1), os.tmpname()
    return {
      fname = "AsyncResult:get", -- what it waits in
      call = function()
        return pool:apply(function(path)
          local file
          repeat
            if file then file:close() end
            file = io.open(path)
          until not file
          return "done"
        end, gate)
      end,
      release = function() os.remove(gate) end,
      expect = function(...) assert.same({"done"}, {...}) end,
      cleanup = function()
        os.remove(gate)
        pool:kill()
      end,
    }
  end)
end)

describe("a state that ends", function()
  it("does not wait for its threads", function()
    local start = core.monotonic()
    local code, out, err = helper.run_lua [[
      local threadpool = require "gevent.threadpool"
      local pool = threadpool.ThreadPool(2)
      pool:spawn(function() while true do end end)
      pool:spawn("os", "execute", "exec sleep 10 <&- >&- 2>&-")
      require("gevent").sleep(0.02)
      print "end"
    ]]
    assert.same({0, "end\n", ""}, {code, out, err})
    assert.is_true(core.monotonic() - start < 9)
  end)

  it("nor do pools that are killed; what computes in them ends", function()
    local status <close> = io.open "/proc/self/status"
    if not status then return pending "needs /proc" end
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      local threadpool = require "gevent.threadpool"
      local function threads()
        for line in io.lines "/proc/self/status" do
          local n = line:match "^Threads:%s+(%d+)"
          if n then return tonumber(n) end
        end
      end
      local before = threads()
      for _ = 1, 20 do
        local pool = threadpool.ThreadPool(2)
        pool:spawn(function() while true do end end)
        pool:spawn(function() while true do pcall(function() while true do end end) end end)
        gevent.sleep(0.001)
        pool:kill()
      end
      local tries = 0
      while threads() > before and tries < 2000 do
        tries = tries + 1
        gevent.sleep(0.01)
      end
      print(threads() == before)
    ]]
    assert.same({0, "true\n", ""}, {code, out, err})
  end)

  it("nor does hub:destroy; the pool goes on after it", function()
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      local pool = gevent.get_hub().threadpool
      local lost = pool:spawn(function() while true do end end)
      gevent.sleep(0.01)
      gevent.get_hub():destroy()
      print(pcall(lost.get, lost))
      print(#pool, pool:join(), pool:apply(function() return 1 end))
    ]]
    assert.same({0, "false\tthe hub was destroyed\n0\ttrue\t1\n", ""}, {code, out, err})
  end)

  it("a pool that nobody holds is collected, with its threads", function()
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      local threadpool = require "gevent.threadpool"
      local weak = setmetatable({}, {__mode = "k"})
      do
        local pool = threadpool.ThreadPool(1)
        pool:apply(function() end)
        weak[pool] = true
      end
      gevent.sleep(0)
      collectgarbage()
      collectgarbage()
      print(next(weak))
    ]]
    assert.same({0, "nil\n", ""}, {code, out, err})
  end)

  it("after a fork the child has pools of its own, without the parent's tasks", function()
    if os.getenv "GEVENT_SPEC_MODE" == "asan" then
      return pending "ASan's allocator may be locked in the child"
    end
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      local os_ = require "gevent.os"
      local pool = require("gevent.threadpool").ThreadPool(1)
      local mine = pool:spawn(function()
        local stop = os.clock() + 0.05
        repeat until os.clock() > stop
        return "parent's"
      end)
      local lookup = gevent.spawn(require("gevent.socket").getaddrinfo, "localhost", 80)
      gevent.sleep(0)
      local from, to = os_.pipe()
      local pid = assert(os_.fork())
      if pid == 0 then
        os_.nb_write(to, pool:apply(function() return "child's" end))
        gevent.sleep(60) -- to be killed, lest the parent's states count as leaks
      end
      print(os_.nb_read(from, 100))
      os.execute("kill -9 " .. pid)
      print(select(2, os_.waitpid(pid)))
      print(mine:get(), lookup:get() ~= nil)
    ]]
    assert.same({0, "child's\n-9\nparent's\ttrue\n", ""}, {code, out, err})
  end)

  it("what the parent has under way takes no room in the child", function()
    if os.getenv "GEVENT_SPEC_MODE" == "asan" then
      return pending "ASan's allocator may be locked in the child"
    end
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      local os_ = require "gevent.os"
      local pool = require("gevent.threadpool").ThreadPool(1)
      local lost = pool:spawn("os", "execute", "exec sleep 10 <&- >&- 2>&-")
      pool:spawn("os", "execute", "exec sleep 10 <&- >&- 2>&-")
      gevent.sleep(0.01)
      local from, to = os_.pipe()
      local pid = assert(os_.fork())
      if pid == 0 then
        os_.nb_write(to, ("%s %s %s %s"):format(#pool, tostring(pool:join(0)),
          pool:apply(function() return 1 end), select(2, pcall(lost.get, lost))))
        gevent.sleep(60) -- to be killed, lest the parent's states count as leaks
      end
      print(os_.nb_read(from, 100, 20))
      os.execute("kill -9 " .. pid)
      print(select(2, os_.waitpid(pid)), #pool)
    ]]
    assert.same({0, "0 true 1 left in the parent by fork\n-9\t2\n", ""}, {code, out, err})
  end)

  it("the hub has a pool", function()
    local hub = gevent.get_hub()
    assert.equal(hub.threadpool, hub.threadpool)
    assert.equal(10, hub.threadpool.maxsize)
    hub.threadpool:kill()
    hub.threadpool = nil
  end)
end)
