-- Blocking, killing and waking from wherever Lua calls back: it works where Lua can
-- yield; elsewhere it is an error that says so, and nothing is left half-done.

local helper = require "helper"
local core = require "gevent.core"
local gevent = require "gevent"
local event = require "gevent.event"
local gco = require "gevent.coroutine"
local queue = require "gevent.queue"
local slope = require "helper_slope"
local waits = require "helper_waits"
local it = helper.it

-- Where a function is called: each calls `fn` and returns what pcall returns of it.
-- `free` says whether it may block there.
local places = {}

local function place(name, free, call)
  places[#places + 1] = {name = name, free = free, call = call}
end

--- pcall's results of fn, called in the hub by `arrange`.
local function in_hub(arrange)
  return function(fn)
    local results
    arrange(function() results = table.pack(pcall(fn)) end)
    helper.wait_until(function() return results end)
    return table.unpack(results, 1, results.n)
  end
end

place("a greenlet", true, function(fn) return gevent.spawn(pcall, fn):get() end)
place("main", true, pcall)
place("a link", true, in_hub(function(fn) gevent.spawn(type, 1):link(fn) end))
place("a pcall in an xpcall", true, function(fn)
  local _, ok, err = xpcall(pcall, debug.traceback, fn)
  return ok, err
end)
place("a generator", true, function(fn) return gco.wrap(function() return pcall(fn) end)() end)
place("an iterator", true, function(fn)
  local results
  local function step()
    if not results then
      results = table.pack(pcall(fn))
      return true
    end
  end
  for _ in step do assert(results) end
  return table.unpack(results, 1, results.n)
end)
place("a metamethod", true, function(fn)
  local results
  local _ = setmetatable({}, {__index = function()
    results = table.pack(pcall(fn))
  end}).x
  return table.unpack(results, 1, results.n)
end)
place("a __close", true, function(fn)
  local results
  do
    local _ <close> = helper.defer(function() results = table.pack(pcall(fn)) end)
  end
  return table.unpack(results, 1, results.n)
end)
place("a rawlink", false, in_hub(function(fn) gevent.spawn(type, 1):rawlink(fn) end))
place("a watcher's callback", false, function(fn)
  local timer <close> = core.timer(0)
  return in_hub(function(call) timer:start(call) end)(fn)
end)
place("a comparator", false, function(fn)
  return gevent.spawn(function()
    local results
    table.sort({2, 1}, function(a, b)
      results = results or table.pack(pcall(fn))
      return a < b
    end)
    return table.unpack(results, 1, results.n)
  end):get()
end)
place("a gsub callback", false, function(fn)
  return gevent.spawn(function()
    local results
    string.gsub("x", "x", function() results = table.pack(pcall(fn)) end)
    return table.unpack(results, 1, results.n)
  end):get()
end)
place("a finalizer", false, function(fn)
  return gevent.spawn(function()
    local results
    setmetatable({}, {__gc = function() results = table.pack(pcall(fn)) end})
    collectgarbage()
    return table.unpack(results, 1, results.n)
  end):get()
end)
place("a coroutine of the standard library's", false, function(fn)
  return gevent.spawn(function()
    return coroutine.wrap(function() return pcall(fn) end)()
  end):get()
end)
place("load's reader", false, function(fn)
  return gevent.spawn(function()
    local results
    load(function() results = results or table.pack(pcall(fn)) end)
    return table.unpack(results, 1, results.n)
  end):get()
end)

-- These are released by `release`, or take a moment: what may block ends.
local calls = {
  sleep = function() gevent.sleep(0.0001) return true end,
  ["wait for an event"] = function()
    local e = event.Event()
    gevent.spawn_later(0.0001, e.set, e)
    return e:wait()
  end,
  ["get from a queue"] = function()
    local q = queue.Queue()
    gevent.spawn_later(0.0001, q.put, q, true)
    return q:get()
  end,
  ["join"] = function() return gevent.spawn(gevent.sleep, 0.0001):join() end,
  ["kill"] = function()
    local g = gevent.spawn(function() pcall(gevent.sleep, 60) gevent.sleep(0.0001) end)
    local _ <close> = helper.defer(function() gevent.kill(g) end)
    gevent.spawn(function() end):join()
    return g:kill()
  end,
  ["recv"] = function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    gevent.spawn_later(0.0001, b.sendall, b, "x")
    return a:recv(1) == "x"
  end,
}

--- Says the error that it cannot be done here, and what?
local function is_refusal(err)
  local text = tostring(err)
  return gevent.isinstance(err, gevent.BlockingSwitchOutError) or text:find("yield", 1, true)
    or text:find("in a callback of the hub", 1, true)
    or text:find("gevent.coroutine", 1, true)
end

describe("blocking in", function()
  for _, where in ipairs(places) do
    for name, call in pairs(calls) do
      it(("%s: %s"):format(where.name, name), function()
        local ok, result = where.call(call)
        if where.free then
          assert.is_true(ok, tostring(result))
          assert.is_true(result)
        else
          assert.is_false(ok, "it was not refused")
          assert.is_truthy(is_refusal(result), tostring(result))
        end
        assert.is_true(call()) -- and now it works
      end)
    end
  end

  -- Each kind that there is, where it may not be.
  for _, kind in ipairs(waits.kinds()) do
    if not kind.once and not kind.slow then
      it("any place that forbids it leaves nothing half-waiting: " .. kind.name, function()
        local wait = kind.make()
        local _ <close> = helper.defer(wait.finish)
        for _, where in ipairs(places) do
          if not where.free then
            local ok, err = where.call(wait.call)
            assert.is_false(ok, where.name)
            assert.is_truthy(is_refusal(err), where.name .. ": " .. tostring(err))
          end
        end
        helper.spawn_blocked(wait.call):kill()
      end)
    end
  end
end)

describe("what does not block may be done in", function()
  for _, where in ipairs(places) do
    it(where.name, function()
      local flag, q = event.Event(), queue.Queue()
      local waiter, getter = gevent.spawn(flag.wait, flag), gevent.spawn(q.get, q)
      local victim = gevent.spawn(gevent.sleep, 60)
      local a, b = helper.pair()
      local reader = gevent.spawn(a.recv, a, 1)
      gevent.sleep(0)
      local spawned
      local ok, err = where.call(function()
        flag:set()
        q:put_nowait("item")
        gevent.kill(victim)
        victim:kill(nil, false)
        spawned = gevent.spawn(function() return "spawned" end)
        spawned:link(type)
        a:close()
        return true
      end)
      assert.is_true(ok, tostring(err))
      assert.is_true(waiter:get())
      assert.equal("item", getter:get())
      assert.is_true(victim:join() and spawned:get() == "spawned")
      assert.equal("EBADF", (select(3, reader:get())))
      b:close()
    end)
  end

  it("main before any loop", function()
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      local g = gevent.spawn(gevent.sleep, 60)
      g:kill(nil, false)
      gevent.kill(gevent.spawn(print, "never"))
      local e = require "gevent.event".Event()
      e:set()
      assert(e:wait() and not pcall(gevent.kill, gevent.getcurrent()))
      print(g:kill())
    ]]
    assert.same({0, "true\n", ""}, {code, out, err})
  end)
end)

slope.it("what is refused", function()
  local e = event.Event()
  return function()
    for _, where in ipairs(places) do
      if not where.free and where.name ~= "a finalizer" then
        assert(not where.call(function() e:wait() end))
      end
    end
  end
end, {times = 4})
