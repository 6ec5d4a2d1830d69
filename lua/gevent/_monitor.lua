-- gevent._monitor: what the monitor thread sees, made public (private; chosen by
-- gevent.config, heard of by gevent.events).
local core = require "gevent._core"
local events = require "gevent.events"

local settings = {
  monitor_thread = false, max_blocking_time = 0.1, memory_monitor_period = 5,
  max_memory_usage = 0, print_blocking_reports = true,
}
local monitor -- the one that runs

local function print_report(text)
  local stream = core.hub.exception_stream
  if stream == nil then stream = io.stderr end
  if stream then stream:write(text) end
end

local reports = {}

function reports.blocked(greenlet, seconds, traceback)
  if settings.print_blocking_reports then
    print_report(("%s has kept the others waiting for %.3f s\n%s\n"):format(
      greenlet or "a callback", seconds, traceback))
  end
  events.notify {name = "EventLoopBlocked", greenlet = greenlet,
    blocking_time = seconds, traceback = traceback}
end

function reports.memory(bytes, exceeded)
  events.notify {
    name = exceeded and "MemoryUsageThresholdExceeded" or "MemoryUsageUnderThreshold",
    mem_usage = bytes, max_allowed = settings.max_memory_usage,
  }
end

local function report(kind, ...)
  local ok, err = pcall(reports[kind], ...)
  if not ok then core.report("monitor", err) end
end

local function restart()
  if monitor then monitor:close() end
  monitor = nil
  if not settings.monitor_thread then return end
  local message
  monitor, message = core.newmonitor(report, settings.max_blocking_time,
    settings.memory_monitor_period, settings.max_memory_usage)
  if not monitor then error("cannot start the monitor: " .. message, 0) end
  events.notify {name = "PeriodicMonitorThreadStarted", monitor = monitor}
end

-- Sets one of the settings above.
local function set(name, value)
  if settings[name] == value then return end
  settings[name] = value
  if name ~= "print_blocking_reports" then restart() end
end

return {set = set}
