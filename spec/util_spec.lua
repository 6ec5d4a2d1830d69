-- gevent.util: what every greenlet is doing, and assert_switches.

local helper = require "helper"
local sync = require "helper_sync"
local gevent = require "gevent"
local event = require "gevent.event"
local util = require "gevent.util"
local it = helper.it

local function waits_for_event(e) e:wait() end

local function has(text, part)
  assert.is_truthy(text:find(part, 1, true),
    ("%q is not in:\n%s"):format(part, text))
end

local function indent_of(text, part)
  for line in text:gmatch "[^\n]+" do
    if line:find(part, 1, true) then return #line:match "^ *" end
  end
  error(("%q is not in:\n%s"):format(part, text))
end

describe("format_run_info", function()
  it("tells each greenlet's name, what it waits on, and its stack", function()
    local e = event.Event()
    local g = helper.spawn_blocked(waits_for_event, e)
    g.name = "the patient one"
    local text = util.format_run_info()
    has(text, "the patient one")
    has(text, "Event:wait")
    has(text, ("%p"):format(e))
    has(text, "util_spec.lua:")
    has(text, ("util_spec.lua:%d"):format(
      debug.getinfo(waits_for_event, "S").linedefined))
    e:set()
    g:join()
    assert.is_nil(util.format_run_info():find("the patient one", 1, true))
  end)

  it("names the main greenlet", function()
    assert.matches("[Mm]ain", util.format_run_info())
  end)

  it("shows the tree of who spawned whom", function()
    local gate = helper.gate()
    local parent = helper.spawn_blocked(function()
      local child = gevent.spawn(function()
        local grandchild = gevent.spawn(gate.wait, gate)
        grandchild.name = "grandchild"
        gate:wait()
      end)
      child.name = "child"
      gate:wait()
    end)
    parent.name = "parent"
    helper.wait_all_blocked()
    local text = util.format_run_info()
    local a, b, c = indent_of(text, "parent"), indent_of(text, '"child"'),
      indent_of(text, "grandchild")
    assert.is_true(a < b and b < c, text)
    gate:open()
    parent:join()
    helper.wait_all_blocked()
  end)

  it("shows one whose spawner has ended", function()
    local gate = helper.gate()
    local orphan
    gevent.spawn(function() orphan = gevent.spawn(gate.wait, gate) end):join()
    orphan.name = "orphan"
    helper.wait_all_blocked()
    collectgarbage()
    has(util.format_run_info(), "orphan")
    gate:open()
    orphan:join()
  end)

  it("tells every kind of blocking call", function()
    local queue = require "gevent.queue"
    local lock = require "gevent.lock"
    local q, s = queue.Queue(1, {1}), lock.Semaphore(0)
    local empty = queue.Queue()
    local list = {
      helper.spawn_blocked(gevent.sleep, 60),
      helper.spawn_blocked(q.put, q, 2),
      helper.spawn_blocked(empty.get, empty),
      helper.spawn_blocked(s.acquire, s),
      helper.spawn_blocked(gevent.wait, {empty, s}),
    }
    local text = util.format_run_info()
    for _, what in ipairs {"sleep", "put", "get", "acquire", "wait"} do
      has(text, what)
    end
    gevent.killall(list)
  end)

  it("sees raw greenlets and those that have not begun", function()
    local gate = helper.gate()
    gevent.spawn_raw(gate.wait, gate)
    local fresh = gevent.spawn(function() end)
    fresh.name = "fresh"
    local text = util.format_run_info()
    has(text, "RawGreenlet")
    has(text, "fresh")
    gate:open()
    fresh:join()
  end)

  it("sees inside a coroutine that blocks", function()
    local gco = require "gevent.coroutine"
    local e = event.Event()
    local function deep_inside() e:wait() end
    local g = helper.spawn_blocked(function()
      gco.wrap(function() deep_inside() end)()
    end)
    has(util.format_run_info(), "deep_inside")
    e:set()
    g:join()
  end)

  it("works from a greenlet and with thousands of them", function()
    local gate = helper.gate()
    local list = sync.times(2000, function()
      return gevent.spawn(gate.wait, gate)
    end)
    helper.wait_all_blocked()
    local text = gevent.spawn(util.format_run_info):get()
    assert.is_true(select(2, text:gsub("<Greenlet", "")) >= 2000)
    gate:open()
    gevent.joinall(list)
  end)

  it("keeps nothing alive", function()
    local seen = setmetatable({}, {__mode = "v"})
    do
      local g = gevent.spawn(function() end)
      seen.greenlet = g
      util.format_run_info()
      g:join()
    end
    helper.wait_all_blocked()
    collectgarbage()
    collectgarbage()
    assert.is_nil(seen.greenlet)
  end)
end)

describe("print_run_info", function()
  it("writes the same to a stream", function()
    local parts = {}
    local stream = {write = function(_, ...)
      for _, part in ipairs {...} do parts[#parts + 1] = part end
    end}
    local g = helper.spawn_blocked(gevent.sleep, 60)
    g.name = "printed"
    util.print_run_info(stream)
    has(table.concat(parts), "printed")
    g:kill()
  end)

  it("writes to stderr unless told", function()
    local code, out, err = helper.run_lua [[
      require("gevent.util").print_run_info()
    ]]
    assert.equal(0, code)
    assert.equal("", out)
    assert.matches("[Mm]ain", err)
  end)
end)

describe("LoopExit", function()
  it("carries the same report", function()
    local e = event.Event()
    local g = helper.spawn_blocked(waits_for_event, e)
    g.name = "deadlocked"
    local ok, err = pcall(e.wait, e)
    assert.is_false(ok)
    assert.is_true(gevent.isinstance(err, gevent.LoopExit))
    has(tostring(err), "deadlocked")
    has(tostring(err), "Event:wait")
    has(tostring(err), "util_spec.lua:")
    g:kill()
  end, {deadline = false})
end)

describe("assert_switches", function()
  it("is silent where the block lets others run", function()
    do
      local _ <close> = util.assert_switches()
      gevent.sleep(0)
    end
    local other = gevent.spawn(function() end)
    do
      local _ <close> = util.assert_switches()
      other:join()
    end
  end)

  it("raises where it does not", function()
    local ok, err = pcall(function()
      local _ <close> = util.assert_switches()
      for _ = 1, 1000 do assert(true) end
    end)
    assert.is_false(ok)
    assert.matches("switch", tostring(err))
  end)

  it("does not hide an error of the block", function()
    local ok, err = pcall(function()
      local _ <close> = util.assert_switches()
      error("in the block", 0)
    end)
    assert.is_false(ok)
    assert.equal("in the block", err)
  end)

  it("checks the call of a function, too", function()
    assert.same({1, nil, 3, n = 3}, table.pack(util.assert_switches(
      function(...)
        gevent.sleep(0)
        return ...
      end, 1, nil, 3)))
    local ok, err = pcall(util.assert_switches, function() return 1 end)
    assert.is_false(ok)
    assert.matches("switch", tostring(err))
    assert.same({false, "inside"}, {pcall(util.assert_switches,
      function() error("inside", 0) end)})
  end)

  it("works in a greenlet as well", function()
    local g = gevent.spawn(function()
      local _ <close> = util.assert_switches()
      gevent.sleep(0)
      return "fine"
    end)
    assert.equal("fine", g:get())
    local bad = gevent.spawn(function()
      return pcall(util.assert_switches, function() end)
    end)
    assert.is_false((bad:get()))
  end)
end)
