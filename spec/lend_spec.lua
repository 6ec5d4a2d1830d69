-- A greenlet that blocks lets the others run on its own stack while it can: nothing of
-- that is to be seen but the speed. In each of these a host has lent its stack to a
-- guest, which shows in the state of the host's coroutine: "normal", not "suspended".

local helper = require "helper"
local gevent = require "gevent"
local event = require "gevent.event"
local gco = require "gevent.coroutine"
local queue = require "gevent.queue"
local it = helper.it

local status, running = coroutine.status, coroutine.running

--- Runs `host(lent)` in a greenlet; `lent(greenlet)` says whether the stack of the one
-- that called it last is lent. What the host returns comes back.
local function hosting(host, ...)
  local co
  local function lent() return status(co) == "normal" end
  local g = gevent.spawn(function(...)
    co = running()
    return host(lent, ...)
  end, ...)
  return g:get()
end

-- At the end of a slice the host yields, and a slow machine gets there at any time.
local interval = gevent.getswitchinterval()
local function endless() gevent.setswitchinterval(60) end
local function usual() gevent.setswitchinterval(interval) end

describe("a guest", function()
  before_each(endless)
  after_each(usual)

  it("runs on the stack of the greenlet that blocks", function()
    hosting(function(lent)
      local seen = {}
      local guest = gevent.spawn(function()
        seen[1] = lent()
        gevent.sleep(0)
        seen[2] = lent()
      end)
      guest:join()
      assert.same({true, true}, seen)
      seen = {}
      guest = gevent.spawn(function()
        gevent.sleep(0.001) -- the loop is polled by the hub alone
        seen[1] = lent()
      end)
      guest:join()
      assert.same({false}, seen)
    end)
  end)

  it("runs in its turn, and so does the host", function()
    local log = {}
    local function say(what) log[#log + 1] = what end
    hosting(function()
      local list = {}
      for i = 1, 3 do
        list[i] = gevent.spawn(function()
          say(i)
          gevent.sleep(0)
          say(i * 10)
        end)
      end
      gevent.sleep(0)
      say "host"
      list[1]:join()
      say "joined"
    end)
    gevent.sleep(0)
    assert.same({1, 2, 3, "host", 10, 20, 30, "joined"}, log)
  end)

  it("hands its values over, however many", function()
    hosting(function(lent)
      for _, list in ipairs {{}, {1}, {1, nil, 3, n = 3}, {n = 200}} do
        local n = list.n or #list
        local g = gevent.spawn(function(...)
          assert(lent())
          return ...
        end, table.unpack(list, 1, n))
        assert.same(table.pack(table.unpack(list, 1, n)), table.pack(g:get()))
      end
    end)
  end)

  it("fails as ever", function()
    local printed <close> = helper.capture_errors()
    hosting(function(lent)
      local reason = {}
      local g = gevent.spawn(function()
        assert(lent())
        error(reason)
      end)
      local ok, err = pcall(g.get, g)
      assert.is_false(ok)
      assert.is_true(rawequal(reason, err))
      assert.matches("lend_spec", g.traceback)
    end)
    assert.matches("failed with", printed:text())
  end)

  it("that ends fires its links in order", function()
    local log = {}
    hosting(function(lent)
      local g = gevent.spawn(function() return assert(lent()) end)
      g:link(function()
        log[#log + 1] = "first"
        gevent.sleep(0)
        log[#log + 1] = "late"
      end)
      g:rawlink(function() log[#log + 1] = "second" end)
      gevent.spawn(function() log[#log + 1] = "other" end)
      g:join()
      log[#log + 1] = "joined"
      gevent.sleep(0)
    end)
    assert.same({"first", "second", "other", "late", "joined"}, log)
  end)

  it("may kill its host", function()
    local closed = false
    hosting(function()
      local victim = gevent.spawn(function()
        local _ <close> = helper.defer(function()
          gevent.sleep(0)
          closed = true
        end)
        local me = gevent.getcurrent()
        gevent.spawn(gevent.kill, me)
        gevent.sleep(60)
      end)
      assert.is_true(gevent.isinstance(victim:get(), gevent.GreenletExit))
    end)
    assert.is_true(closed)
  end)

  it("may be what the host's time-out is waiting behind", function()
    usual()
    hosting(function()
      local busy = gevent.spawn(function()
        local over = helper.now() + 0.02
        while helper.now() < over do gevent.sleep(0) end
      end)
      local ok, _, code = gevent.with_timeout(0.001, busy.join, busy)
      assert.same({nil, "timeout"}, {ok, code})
      assert.is_false(busy:ready())
      busy:join()
    end)
  end)

  it("may block in a coroutine, on a host that does", function()
    hosting(function(lent)
      local q = queue.Queue(1)
      local producer = gco.wrap(function()
        for i = 1, 3 do
          q:put(i)
          gco.yield(i)
        end
      end)
      local g = gevent.spawn(function()
        assert(lent())
        for _ = 1, 3 do producer() end
      end)
      local consumer = gco.wrap(function()
        for i = 1, 3 do assert.equal(i, q:get()) end
        return "all"
      end)
      assert.equal("all", consumer())
      g:join()
    end)
  end)

  it("cannot resume nor close its host", function()
    local co
    local host = gevent.spawn(function()
      co = running()
      gevent.spawn(function()
        for _, lib in ipairs {coroutine, gco} do
          assert.equal("normal", lib.status(co))
          assert.is_false((lib.resume(co)))
          assert.is_false((pcall(lib.close, co)))
        end
      end):get()
      return "whole"
    end)
    assert.equal("whole", host:get())
  end)

  it("sees its host wait, and where", function()
    local util = require "gevent.util"
    hosting(function()
      gevent.spawn(function()
        local text = util.format_run_info()
        assert.matches("waits in Greenlet:get on", text)
        assert.matches("lend_spec.lua", text)
      end):get()
    end)
  end)

  it("may overflow its stack", function()
    local printed <close> = helper.capture_errors()
    hosting(function(lent)
      local function deep(n) return (n > 0 and lent() or nil) and 1 + deep(n) end
      local function deeper() return pcall(string.gsub, "x", "x", deeper) end
      local g = gevent.spawn(deep, 1)
      assert.is_false((pcall(g.get, g)))
      gevent.spawn(deeper):get()
    end)
    assert.matches("stack overflow", printed:text())
  end)

  it("may collect all garbage", function()
    hosting(function(lent)
      local text = ("x"):rep(10)
      local box <close> = helper.defer(function() text = text .. "y" end)
      gevent.spawn(function()
        assert(lent())
        for _ = 1, 3 do
          collectgarbage()
          gevent.sleep(0)
        end
      end):join()
      assert.is_true(getmetatable(box) ~= nil)
    end)
  end)

  it("and its host may wait any number of times in one call", function()
    local n = 30000
    local function generator() for _ = 1, n do gevent.sleep(0) end end
    local a = gevent.spawn(function() gco.wrap(generator)() end)
    local b = gevent.spawn(generator)
    gevent.joinall {a, b}
    gco.wrap(generator)() -- the main greenlet's
    hosting(function()
      local list = {}
      for i = 1, 1000 do
        list[i] = gevent.spawn(function() for _ = 1, i do gevent.sleep(0) end end)
      end
      assert.equal(1000, #gevent.joinall(list))
    end)
  end)

  it("may be the host of nobody", function()
    hosting(function()
      local function nest(n)
        if n > 0 then return gevent.spawn(nest, n - 1):get() end
        return "the last"
      end
      assert.equal("the last", nest(300))
    end)
  end)

  it("leaves the loop its turn", function()
    usual()
    local woken = false
    hosting(function(lent)
      local done = event.Event()
      gevent.spawn_later(0.001, done.set, done)
      local other = gevent.spawn(function()
        while not woken do gevent.sleep(0) end
        assert.is_boolean(lent())
      end)
      done:wait()
      woken = true
      other:get()
    end)
  end)
end)

describe("with a host below", function()
  it("a process exits, and closes what both have open", function()
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      gevent.setswitchinterval(60)
      local function defer(what)
        return setmetatable({}, {__close = function() io.write(what, "\n") end})
      end
      local co
      gevent.spawn(function()
        local _ <close> = defer "host"
        co = coroutine.running()
        gevent.spawn(function()
          local _ <close> = defer "guest"
          assert(coroutine.status(co) == "normal")
          os.exit(7, true)
        end):join()
        print "not here"
      end)
      gevent.sleep(60)
    ]]
    assert.same({7, ""}, {code, err})
    local lines = {}
    for line in out:gmatch "%w+" do lines[#lines + 1] = line end
    table.sort(lines)
    assert.same({"guest", "host"}, lines)
  end)

  it("a child of fork closes nothing of it, and finds it dead", function()
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      local gos = require "gevent.os"
      gevent.setswitchinterval(60)
      local child, co, host
      host = gevent.spawn(function()
        local _ <close> = setmetatable({}, {__close = function()
          io.write(child and "the child closes\n" or "the parent closes\n")
        end})
        co = coroutine.running()
        gevent.sleep(0.01)
      end)
      gevent.spawn(function()
        assert(coroutine.status(co) == "normal")
        io.flush()
        local pid = gos.fork()
        if pid == 0 then
          child = true
          collectgarbage()
          assert(host.dead and gevent.isinstance(host:get(), gevent.GreenletExit))
          host:join()
          host:kill()
          os.exit(0, true)
        end
        local which, status = gos.waitpid(pid, 20)
        assert(which == pid and status == 0)
      end):get()
      host:join()
    ]]
    assert.same({0, "the parent closes\n", ""}, {code, out, err})
  end)

  it("a child of fork goes on without it", function()
    local code, out, err = helper.run_lua([[
      local gevent = require "gevent"
      local gos = require "gevent.os"
      gevent.setswitchinterval(60)
      local function say(...)
        io.write(table.concat({...}, " "), "\n")
        io.flush()
      end
      local co, host
      host = gevent.spawn(function()
        co = coroutine.running()
        local guest = gevent.spawn(function()
          assert(coroutine.status(co) == "normal")
          local pid = gevent.fork()
          if pid > 0 then
            local which, code = gos.waitpid(pid, 20)
            assert(which == pid, "waitpid")
            return say("child:", code)
          end
          local pid2 = gevent.fork() -- and once more, without a turn between
          if pid2 > 0 then
            local which, code = gos.waitpid(pid2, 20)
            say("grandchild:", code)
            os.exit(which == pid2 and 3 or 9, false)
          end
          collectgarbage()
          assert(host:ready())
          gevent.sleep(0.001)
          collectgarbage()
          assert(gevent.isinstance(host:get(), gevent.GreenletExit))
          assert(gevent.spawn(function() gevent.sleep(0) return 4 end):get() == 4)
          say "left behind"
          os.exit(5, false)
        end)
        guest:get()
        return "host"
      end)
      if host:get() == "host" then
        say "host"
        os.exit(0, false)
      end
      gevent.sleep(60) -- in a child
    ]])
    assert.same({0, "left behind\ngrandchild: 5\nchild: 3\nhost\n", ""}, {code, out, err})
  end)
end)
