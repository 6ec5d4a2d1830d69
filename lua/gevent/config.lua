--- Settings, from the environment or set by the program.
-- Each may be given as an environment variable `GEVENT_<NAME>` and be assigned
-- at any time. An unknown name is an error.
--
-- - `track_greenlet_tree` (boolean, default false; `GEVENT_TRACK_GREENLET_TREE`):
--   record `spawning_stack` of each greenlet: a traceback per spawn.
-- @module gevent.config
local core = require "gevent._core"

local settings = {
  track_greenlet_tree = {type = "boolean", default = false, apply = core.trackstacks},
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
  return text
end

local values = {}

local function set(name, value)
  local setting = settings[name]
  if not setting then error(("unknown setting '%s'"):format(tostring(name)), 3) end
  if type(value) ~= setting.type then
    error(("bad value for setting '%s' (%s expected, got %s)"):format(
      name, setting.type, type(value)), 3)
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
