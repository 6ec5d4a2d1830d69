-- Watchers: what core/ and the others promise to gevent.core.
local helper = require "helper"
local it = helper.it
local core = require "gevent._core"

describe("a watcher", function()
  it("has the fields that it has, and no others", function()
    local watcher <close> = core.newwatcher("timer", 1, 0)
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
