--- Settings, from the environment or set by the program.
-- Each may be given as an environment variable `GEVENT_<NAME>` and be assigned
-- at any time. An unknown name is an error.
--
-- - `track_greenlet_tree` (boolean, default false; `GEVENT_TRACK_GREENLET_TREE`):
--   record `spawning_stack` of each greenlet: a traceback per spawn.
-- - `resolver` ("thread", "ares" or an object, default "thread";
--   `GEVENT_RESOLVER`): who looks names up, see `gevent.resolver`. Assigning it
--   sets `hub.resolver`.
-- @module gevent.config
local core = require "gevent._core"
local resolver = require "gevent.resolver"

local function isboolean(value) return type(value) == "boolean" end

local function isresolver(value)
  return value == "thread" or value == "ares" or type(value) == "table"
    or type(value) == "userdata"
end

local settings = {
  track_greenlet_tree = {
    type = "boolean", expected = "boolean", allows = isboolean,
    default = false, apply = core.trackstacks,
  },
  resolver = {
    type = "string", expected = '"thread", "ares" or an object',
    allows = isresolver, default = "thread", apply = resolver.choose,
  },
}

local truths = {
  ["1"] = true, ["true"] = true, yes = true, on = true,
  ["0"] = false, ["false"] = false, no = false, off = false,
}

local function fromenvironment(name, setting)
  local text = os.getenv("GEVENT_" .. name:upper())
  if text == nil or text == "" then return setting.default end
  if setting.type == "boolean" then
    local value = truths[text:lower()]
    if value == nil then
      error(("GEVENT_%s: a boolean is expected, not '%s'"):format(name:upper(), text), 0)
    end
    return value
  end
  if not setting.allows(text) then
    error(("GEVENT_%s: %s expected, not '%s'"):format(name:upper(),
      setting.expected, text), 0)
  end
  return text
end

local values = {}

local function set(name, value)
  local setting = settings[name]
  if not setting then error(("unknown setting '%s'"):format(tostring(name)), 3) end
  if not setting.allows(value) then
    error(("bad value for setting '%s' (%s expected, got %s)"):format(
      name, setting.expected, type(value) == "string" and ("%q"):format(value)
      or type(value)), 3)
  end
  values[name] = value
  if setting.apply then setting.apply(value) end
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
