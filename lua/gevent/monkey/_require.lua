--- A `require` under which a module may block while it loads: stock Lua calls
-- the searchers and loaders from C, where nobody may yield. Private to
-- `gevent.monkey`.
local core = require "gevent._core"
local saved = require "gevent.monkey._saved"
local Event = require("gevent.event").Event

local loaded = package.loaded
local loading = {} -- module name -> {greenlet=, done=Event}
local waiting = {} -- greenlet -> the load that it waits for

-- Would a wait of ours for this load never end, as it waits for one of ours?
local function iscircular(load, greenlet)
  while load do
    if load.greenlet == greenlet then return true end
    load = waiting[load.greenlet]
  end
  return false
end

-- Waits while another greenlet loads the module.
local function wait_for(name)
  local greenlet = core.getcurrent()
  local load = loading[name]
  while load and not iscircular(load, greenlet) do
    waiting[greenlet] = load
    local _ <close> = setmetatable({}, {__close = function()
      waiting[greenlet] = nil
    end})
    load.done:wait()
    load = loading[name]
  end
end

-- Asks the searchers in turn. -> loader, its data
local function find(name)
  local searchers = package.searchers
  if type(searchers) ~= "table" then
    error("'package.searchers' must be a table", 4)
  end
  local messages = {}
  for _, searcher in ipairs(searchers) do
    local loader, data = searcher(name)
    if type(loader) == "function" then return loader, data end
    if type(loader) == "string" then messages[#messages + 1] = "\n\t" .. loader end
  end
  error(("module '%s' not found:%s"):format(name, table.concat(messages)), 4)
end

local function load_module(name)
  local loader, data = find(name)
  local value = loader(name, data)
  if value ~= nil then loaded[name] = value end
  if loaded[name] == nil then loaded[name] = true end
  return loaded[name], data
end

--- As the standard one; of several greenlets that ask for a module at once,
-- one loads it and the others wait.
local function cooperative_require(name)
  if type(name) == "number" then name = tostring(name) end
  if type(name) ~= "string" then
    error(("bad argument #1 to 'require' (string expected, got %s)"):format(
      name == nil and "no value" or type(name)), 2)
  end
  if loaded[name] then return loaded[name] end
  wait_for(name)
  if loaded[name] then return loaded[name] end
  local outer = loading[name] -- ours, where modules need each other
  local load = outer or {greenlet = core.getcurrent(), done = Event()}
  loading[name] = load
  local _ <close> = setmetatable({}, {__close = function()
    if outer then return end
    loading[name] = nil
    load.done:set()
  end})
  return load_module(name)
end

local function patch()
  saved.replace("_G", _G, {require = cooperative_require})
end

return {patch = patch}
