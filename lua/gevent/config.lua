--- Settings, from the environment or set by the program.
-- Each may be given as an environment variable `GEVENT_<NAME>` and be assigned
-- at any time. An unknown name is an error.
--
-- - `track_greenlet_tree` (boolean, default false): record `spawning_stack` of
--   each greenlet: a traceback per spawn.
-- - `monitor_thread` (boolean, default false; also
--   `GEVENT_MONITOR_THREAD_ENABLE`): a thread that reports a greenlet which keeps
--   the others waiting, and, where there is a limit, memory. See `gevent.events`.
-- - `max_blocking_time` (seconds, default 0.1): what is too long for that.
-- - `print_blocking_reports` (boolean, default true): print them, too.
-- - `max_memory_usage` (bytes, default 0: no limit).
-- - `memory_monitor_period` (seconds, default 5): how often that is looked at.
-- - `resolver` ("thread", "ares" or an object, default "thread"): who looks names
--   up, see `gevent.resolver`. Assigning it sets `hub.resolver`.
-- @module gevent.config
local core = require "gevent._core"
local monitor = require "gevent._monitor"
local resolver = require "gevent.resolver"

local truths = {
  ["1"] = true, ["true"] = true, yes = true, on = true,
  ["0"] = false, ["false"] = false, no = false, off = false,
}

-- A kind of value: what it is called, a test, and what a text becomes.
local kinds = {
  boolean = {
    name = "boolean",
    allows = function(value) return type(value) == "boolean" end,
    parse = function(text) return truths[text:lower()] end,
  },
  seconds = {
    name = "number of seconds",
    allows = function(value) return type(value) == "number" and value >= 0 and value < 1e9 end,
    parse = tonumber,
  },
  bytes = {
    name = "number of bytes",
    allows = function(value) return math.tointeger(value) ~= nil and value >= 0 end,
    parse = tonumber,
  },
  resolver = {
    name = 'resolver ("thread", "ares" or an object)',
    allows = function(value)
      return value == "thread" or value == "ares" or type(value) == "table"
        or type(value) == "userdata"
    end,
    parse = function(text) return text end,
  },
}

-- A setting of the monitor.
local function watched(name, kind, default, variable)
  return {
    kind = kind, default = default, variable = variable,
    apply = function(value) monitor.set(name, value) end,
  }
end

local settings = {
  track_greenlet_tree = {kind = kinds.boolean, default = false, apply = core.trackstacks},
  max_blocking_time = watched("max_blocking_time", kinds.seconds, 0.1),
  print_blocking_reports = watched("print_blocking_reports", kinds.boolean, true),
  memory_monitor_period = watched("memory_monitor_period", kinds.seconds, 5),
  max_memory_usage = watched("max_memory_usage", kinds.bytes, 0),
  monitor_thread = watched("monitor_thread", kinds.boolean, false,
    "GEVENT_MONITOR_THREAD_ENABLE"),
  resolver = {kind = kinds.resolver, default = "thread", apply = resolver.choose},
}

local function fromenvironment(name, setting)
  local variable = "GEVENT_" .. name:upper()
  local text = os.getenv(variable)
  if (text == nil or text == "") and setting.variable then
    variable = setting.variable
    text = os.getenv(variable)
  end
  if text == nil or text == "" then return setting.default end
  local value = setting.kind.parse(text)
  if value == nil or not setting.kind.allows(value) then
    error(("%s: a %s is expected, not '%s'"):format(variable, setting.kind.name, text), 0)
  end
  return value
end

local values = {}

local function set(name, value)
  local setting = settings[name]
  if not setting then error(("unknown setting '%s'"):format(tostring(name)), 3) end
  if not setting.kind.allows(value) then
    local got = type(value) == "number" and tostring(value)
      or type(value) == "string" and ("%q"):format(value) or type(value)
    error(("bad value for setting '%s' (%s expected, got %s)"):format(
      name, setting.kind.name, got), 3)
  end
  values[name] = value
  setting.apply(value)
end

for name, setting in pairs(settings) do
  set(name, fromenvironment(name, setting))
end

return setmetatable({}, {
  __index = function(_, name)
    if not settings[name] then error(("unknown setting '%s'"):format(tostring(name)), 2) end
    return values[name]
  end,
  __newindex = function(_, name, value) set(name, value) end,
  __pairs = function() return pairs(values) end,
})
