-- The monitor thread, events, the hub's counts.
local helper = require "helper"
local it = helper.it
local gevent = require "gevent"
local events = require "gevent.events"
local metrics = require "gevent.metrics"

describe("events", function()
  it("reach all subscribers in order, until they leave", function()
    local seen = {}
    local function subscriber(name)
      return events.subscribe(function(event) seen[#seen + 1] = name .. event.name end)
    end
    local leave_a, leave_b = subscriber "a", subscriber "b"
    events.notify {name = "1"}
    leave_a()
    leave_a()
    events.notify {name = "2"}
    leave_b()
    events.notify {name = "3"}
    assert.same({"a1", "b1", "b2"}, seen)
  end)

  it("a subscriber may leave or come during an event; its error is reported", function()
    local reports, seen = {}, {}
    local hub = gevent.get_hub()
    hub.handle_error = function(_, context, err) reports[#reports + 1] = context .. ": " .. err end
    local leave, late
    leave = events.subscribe(function()
      leave()
      late = events.subscribe(function(event) seen[#seen + 1] = event.name end)
      error("oops", 0)
    end)
    events.notify {name = "1"}
    events.notify {name = "2"}
    late()
    hub.handle_error = nil
    assert.same({"subscriber of 1: oops"}, reports)
    assert.equal("2", seen[#seen])
    assert.error_matches(function() events.subscribe(1) end, "function expected, got number")
  end)
end)

describe("the monitor", function()
  it("names who keeps the others waiting, and the line", function()
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      local events = require "gevent.events"
      local time = require "gevent.time"
      local blocked
      events.subscribe(function(e) if e.name == "EventLoopBlocked" then blocked = e end end)
      gevent.config.max_blocking_time = 0.05
      gevent.config.monitor_thread = true
      local hog = gevent.spawn(function()
        local stop = time.monotonic() + 30
        while not blocked and time.monotonic() < stop do end -- line 10
      end)
      hog.name = "hog"
      hog:join()
      print(blocked.greenlet == hog, blocked.blocking_time >= 0.05,
        blocked.traceback:find(":10: in", 1, true) ~= nil)
      gevent.config.monitor_thread = false
    ]]
    assert.same({0, "true\ttrue\ttrue\n"}, {code, out})
    assert.matches('^<Greenlet "hog".-> has kept the others waiting for %d.%d+ s\nstack', err)
    local _, reports = err:gsub("has kept", "")
    assert.equal(1, reports) -- once, however long it goes on
  end)

  it("says nothing of a hub that waits, nor of one that switches", function()
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      gevent.config.max_blocking_time = 0.2
      gevent.config.monitor_thread = true
      gevent.sleep(0.6)
      local stop = os.clock() + 0.4
      local function turn() while os.clock() < stop do gevent.sleep(0) end end
      gevent.joinall {gevent.spawn(turn), gevent.spawn(turn)}
    ]]
    assert.same({0, "", ""}, {code, out, err})
  end)

  it("names a C function that blocks, too; the user's hook stays", function()
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      gevent.config.max_blocking_time = 0.05
      gevent.config.monitor_thread = true
      local function hook() end
      debug.sethook(hook, "", 1000000)
      os.execute("sleep 0.3")
      local x = 1
      local now, mask, count = debug.gethook()
      print(now == hook, mask, count, x)
    ]]
    assert.same({0, "true\t\t1000000\t1\n"}, {code, out})
    assert.matches("main.-has kept the others waiting", err)
    assert.matches("in function 'os.execute'", err)
  end)

  it("tells when the process takes more memory than it may, and when less again", function()
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      local events = require "gevent.events"
      local seen = gevent.Greenlet(function() end)
      events.subscribe(function(e)
        if e.name == "MemoryUsageThresholdExceeded" then
          print(e.name, e.mem_usage > e.max_allowed, e.max_allowed)
          seen:start()
        end
      end)
      gevent.config.memory_monitor_period = 0.01
      gevent.config.max_memory_usage = 1000
      gevent.config.monitor_thread = true
      print(seen:join(20))
    ]]
    assert.same({0, "MemoryUsageThresholdExceeded\ttrue\t1000\ntrue\n", ""}, {code, out, err})
  end)

  it("can be silent, and is off unless asked for", function()
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      print(gevent.config.monitor_thread)
      gevent.config.print_blocking_reports = false
      gevent.config.max_blocking_time = 0.02
      gevent.config.monitor_thread = true
      local stop = os.clock() + 0.2
      repeat until os.clock() > stop
    ]]
    assert.same({0, "false\n", ""}, {code, out, err})
  end)

  it("is not there in a child, and does not hold it up", function()
    if os.getenv "GEVENT_SPEC_MODE" == "asan" then
      return pending "ASan's allocator may be locked in the child"
    end
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      local os_ = require "gevent.os"
      gevent.config.monitor_thread = true
      gevent.sleep(0.01)
      local pid = assert(os_.fork())
      if pid == 0 then
        gevent.sleep(0.01)
        gevent.config.monitor_thread = false
        os.exit(3, true)
      end
      print(select(2, os_.waitpid(pid)))
    ]]
    assert.same({0, "3\n", ""}, {code, out, err})
  end)

  it("goes with the hub", function()
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      gevent.config.monitor_thread = true
      gevent.sleep(0)
      gevent.get_hub():destroy()
      gevent.sleep(0.01)
      print "end"
    ]]
    assert.same({0, "end\n", ""}, {code, out, err})
  end)
end)

describe("hub:stats", function()
  it("counts blocked greenlets by what they wait in", function()
    local sleepers = {}
    for i = 1, 3 do sleepers[i] = gevent.spawn(gevent.sleep, 60) end
    local event = require("gevent.event").Event()
    local waiter = gevent.spawn(event.wait, event)
    gevent.sleep(0)
    local stats = gevent.get_hub():stats()
    assert.equal(3, stats.blocked.sleep)
    assert.equal(1, stats.blocked["Event:wait"])
    assert.is_true(stats.lag >= 0)
    gevent.killall(sleepers)
    waiter:kill()
  end)

  it("is there for Prometheus", function()
    local sleeper = gevent.spawn(gevent.sleep, 60)
    gevent.sleep(0)
    local status, headers, text = metrics.handler()
    sleeper:kill()
    assert.equal(200, status)
    assert.matches("^text/plain", headers["Content-Type"])
    assert.matches("\n# TYPE gevent_switches_total counter\ngevent_switches_total %d+\n", text)
    assert.matches('\ngevent_blocked_greenlets{call="sleep"} 1\n', text)
    for line in text:gmatch("[^\n]+") do
      local sample = line:find("^gevent_[%w_]+[^ ]* [%d.]+$")
      assert.is_true(line:find("^# ") ~= nil or sample ~= nil, line)
    end
  end)
end)
