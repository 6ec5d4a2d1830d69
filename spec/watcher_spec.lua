-- gevent.core: the loop's watchers.
local helper = require "helper"
local it = helper.it
local gevent = require "gevent"
local core = require "gevent.core"
local event = require "gevent.event"
local private = require "gevent._core"
local gos = require "gevent.os"
local socket = require "gevent.socket"
local subprocess = require "gevent.subprocess"
local time = require "gevent.time"

-- Starts the watcher; the function's arguments come to an AsyncResult.
local function await(watcher)
  local result = event.AsyncResult()
  assert(watcher:start(function(...) result:set(...) end))
  return result
end

local pairs_made = {}

-- A socket pair that is closed when the test is over.
local function pair()
  local a, b = assert(socket.socketpair())
  pairs_made[#pairs_made + 1], pairs_made[#pairs_made + 2] = a, b
  return a, b
end

local function test(name, body, opts)
  return it(name, function()
    local _ <close> = helper.defer(function()
      for i, sock in ipairs(pairs_made) do
        sock:close()
        pairs_made[i] = nil
      end
    end)
    body()
  end, opts)
end

local makers = {
  io = function() return core.io(0) end,
  timer = function() return core.timer(60) end,
  signal = function() return core.signal "USR1" end,
  async = core.async, idle = core.idle, prepare = core.prepare, check = core.check,
  fork = core.fork,
  stat = function() return core.stat("/", 60) end,
}

for name, make in pairs(makers) do
  describe(name .. " watcher", function()
    test("starts, stops, closes, any number of times", function()
      local watcher = name == "io" and core.io((pair())) or make()
      assert.is_false(watcher.active)
      assert.is_false(watcher.pending)
      assert.is_false(watcher.closed)
      assert.equal(watcher, watcher:start(function() end))
      assert.is_true(watcher.active)
      watcher:start(function() end)
      watcher:stop()
      watcher:stop()
      assert.is_false(watcher.active)
      watcher:start(function() end)
      watcher:close()
      watcher:close()
      assert.is_false(watcher.active)
      assert.is_true(watcher.closed)
      assert.error_matches(function() watcher:start(function() end) end, "closed")
    end)

    test("wants a function, and says what it is", function()
      local reader, writer = pair()
      local watcher <close> = name == "io" and core.io(writer) or make()
      assert.error_matches(function() watcher:start(5) end, "function")
      assert.matches("^<watcher " .. name .. " at ", tostring(watcher))
      assert.is_boolean(watcher.ref)
      watcher.ref = not watcher.ref
      assert.error_matches(function() watcher.active = true end, "active")
      assert(reader)
    end)

    test("keeps the loop alive as long as it is active, if it refers to it", function()
      local reader, writer = pair()
      local watcher <close> = name == "io" and core.io(reader) or make()
      watcher.ref = false
      watcher:start(function() end)
      assert.is_true(gevent.get_hub():join(5))
      watcher:stop()
      assert.is_true(gevent.get_hub():join(5))
      assert(writer)
    end, {deadline = false})
  end)
end

describe("watchers", function()
  test("of descriptors tell which way", function()
    local a, b = pair()
    local watcher <close> = core.io(a:fileno(), "r")
    local result = await(watcher)
    b:sendall("x")
    assert.equal("r", result:get())
    watcher:stop()
    local both <close> = core.io(a, "rw")
    assert.equal("rw", await(both):get())
  end)

  test("of a descriptor go on with its copy when it is closed", function()
    local a, b = pair()
    local watcher <close> = core.io(a)
    local result = await(watcher)
    a:close()
    b:sendall("x")
    assert.equal("r", result:get())
  end)

  test("of time are never early, and repeat", function()
    local start, n = time.monotonic(), 0
    local done = event.Event()
    local watcher <close> = core.timer(0.01, 0.005)
    watcher:start(function()
      n = n + 1
      if n == 3 then
        watcher:stop()
        done:set()
      end
    end)
    done:wait()
    assert.is_true(time.monotonic() - start >= 0.02)
    gevent.sleep(0.02)
    assert.equal(3, n)
    local once <close> = core.timer(0)
    await(once):get()
    assert.is_false(once.active)
  end)

  test("of signals get the number; several hear of one", function()
    local first <close> = core.signal "SIGUSR1"
    local second <close> = core.signal(10)
    local one, two = await(first), await(second)
    gos.kill(gos.getpid(), "USR1")
    assert.equal(10, one:get())
    assert.equal(10, two:get())
    assert.error_matches(function() core.signal "NOSUCH" end, "signal")
    assert.error_matches(function() core.signal "KILL" end, "signal")
  end)

  test("of calls from elsewhere hear several as one", function()
    local n, done = 0, event.Event()
    local watcher <close> = core.async()
    watcher:send() -- not active: nobody hears
    watcher:start(function()
      n = n + 1
      done:set()
    end)
    watcher:send()
    watcher:send()
    done:wait()
    gevent.sleep(0.005)
    assert.equal(1, n)
    local timer <close> = core.timer(1)
    assert.error_matches(function() timer:send() end, "async")
  end)

  test("of turns are called in each", function()
    for _, make in ipairs {core.idle, core.prepare, core.check} do
      local n, done = 0, event.Event()
      local watcher <close> = make()
      watcher:start(function()
        n = n + 1
        if n == 3 then done:set() end
      end)
      local ticker = gevent.spawn(function()
        while true do gevent.sleep(0.001) end
      end)
      done:wait()
      ticker:kill()
    end
  end)

  test("of children get the number and the code, and reap", function()
    local pid = gos.fork()
    if pid == 0 then os.exit(7) end
    local watcher <close> = core.child(pid)
    local number, code = await(watcher):get()
    assert.same({pid, 7}, {number, code})
    assert.is_false(watcher.active)
    assert.error_matches(function() core.child(0) end, "process number")
    assert.equal(0, subprocess.call {"true"})
  end)

  test("of files get what they were and what they are", function()
    local path = os.tmpname()
    os.remove(path)
    local came, gone = event.AsyncResult(), event.AsyncResult()
    local watcher <close> = core.stat(path, 0.01)
    watcher:start(function(former, now)
      if not former then came:set(former, now) end
      if not now then gone:set(former, now) end
    end)
    gevent.sleep(0.02)
    io.open(path, "w"):write("abc"):close()
    local former, now = came:get()
    assert.is_nil(former)
    assert.is_true(now.size <= 3 and now.mtime > 0 and now.ino > 0)
    os.remove(path)
    former, now = gone:get()
    assert.is_table(former)
    assert.is_nil(now)
  end)

  test("of forks are called in the child; the others are stopped there", function()
    if os.getenv "GEVENT_SPEC_MODE" == "asan" then
      return pending "ASan's allocator may be locked in the child"
    end
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      local core = require "gevent.core"
      local gos = require "gevent.os"
      local where = "parent"
      local timer = core.timer(0.05):start(function() print("timer", where) end)
      core.fork():start(function() print("fork", where) end)
      local pid = gos.fork()
      if pid == 0 then
        where = "child"
        gevent.sleep(0.1)
        os.exit(timer.active and 1 or 5, true)
      end
      print(select(2, gos.waitpid(pid)))
      gevent.wait()
    ]]
    assert.same({0, ""}, {code, err})
    assert.matches("fork\tchild\n", out)
    assert.matches("timer\tparent\n", out)
    assert.matches("5\n", out)
  end)

  test("may not block; an error is reported, and the watcher goes on", function()
    local reports = {}
    local hub = gevent.get_hub()
    hub.handle_error = function(_, _, err) reports[#reports + 1] = tostring(err) end
    local n, done = 0, event.Event()
    local watcher <close> = core.timer(0, 0.001)
    watcher:start(function()
      n = n + 1
      if n == 1 then gevent.sleep(0) end
      if n == 2 then error "oops" end
      done:set()
    end)
    done:wait()
    hub.handle_error = nil
    assert.matches("impossible to call a blocking function", reports[1])
    assert.matches("oops", reports[2])
  end)

  test("that nobody holds stay as long as they are active", function()
    local done = event.Event()
    core.timer(0.02):start(function() done:set() end)
    local heard = event.Event()
    local keep = core.signal "USR1"
    keep:start(function() heard:set() end)
    collectgarbage()
    collectgarbage()
    done:wait()
    gos.kill(gos.getpid(), "USR1")
    heard:wait()
    keep:close()
  end)

  test("stopped with an event pending do not hear of it", function()
    local heard = false
    local watcher <close> = core.async()
    watcher:start(function() heard = true end)
    watcher:send()
    local other <close> = core.check()
    other:start(function()
      other:stop()
      watcher:stop()
    end)
    gevent.sleep(0.005)
    assert.is_false(watcher.pending)
    assert(heard ~= nil)
  end)

  test("end with the hub", function()
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      local core = require "gevent.core"
      local list = {core.timer(60), core.async(), core.idle(), core.io(0), core.stat("/", 1),
        core.signal "USR1", core.prepare(), core.check()}
      for _, watcher in ipairs(list) do watcher:start(function() end) end
      gevent.sleep(0.001)
      gevent.get_hub():destroy()
      for _, watcher in ipairs(list) do io.write(tostring(watcher.active), " ") end
      print(gevent.wait())
      for _, watcher in ipairs(list) do watcher:start(function() end) end
    ]]
    assert.same({0, ("false "):rep(8) .. "true\n", ""}, {code, out, err})
  end)
end)

describe("a watcher", function()
  it("has the fields that it has, and no others", function()
    local watcher <close> = private.newwatcher("timer", 1, 0)
    assert.is_nil(watcher.nonsense)
    assert.same({false, false, true, "timer"},
      {watcher.active, watcher.pending, watcher.ref, watcher.kind})
  end)

  it("is stopped when the loop goes, and may be started again", function()
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      local core = require "gevent._core"
      local event = require "gevent.event"
      local watcher, n, seen = core.newwatcher "idle", 0, event.Event()
      watcher:start(function() n = n + 1 seen:set() end)
      seen:wait()
      gevent.get_hub():destroy()
      print(watcher.active, core.hub:stats().external)
      n = 0
      gevent.sleep(0.01)
      print(n)
      seen:clear()
      watcher:start(function() n = n + 1 seen:set() end)
      print(seen:wait(20), n > 0)
      watcher:stop()
      print(pcall(event.Event().wait, event.Event()))
    ]]
    assert.equal(0, code, err)
    assert.matches("^false\t0\n0\ntrue\ttrue\nfalse\tLoopExit", out)
  end)

  it("that nobody holds is collected, once the loop has gone", function()
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      local core = require "gevent._core"
      local weak = setmetatable({}, {__mode = "k"})
      do
        local watcher = core.newwatcher("prepare")
        weak[watcher:start(function() end)] = true
      end
      gevent.sleep(0)
      collectgarbage()
      print(next(weak) ~= nil)
      gevent.get_hub():destroy()
      collectgarbage()
      collectgarbage()
      print(next(weak))
    ]]
    assert.same({0, "true\nnil\n", ""}, {code, out, err})
  end)
end)
