--- What has been replaced, and by what it was before. Private to
-- `gevent.monkey`.
local saved = {
  modules = {}, -- module name -> {field -> what it was, or NONE}
  preloads = {}, -- module name -> what package.preload had
}

local NONE = setmetatable({}, {__tostring = function() return "(none)" end})

--- Replaces fields of a module's table, in place, and remembers what they
-- were. A field that was replaced before keeps its first original.
-- @tparam string name of the module
-- @tparam table target its table
-- @tparam table items field -> new value
function saved.replace(name, target, items)
  local originals = saved.modules[name] or {}
  saved.modules[name] = originals
  for field, value in pairs(items) do
    if originals[field] == nil then
      local was = target[field]
      originals[field] = was == nil and NONE or was
    end
    target[field] = value
  end
end

--- Notes that a module is replaced whole, before anybody has loaded it.
function saved.mark(name)
  saved.modules[name] = saved.modules[name] or {}
end

function saved.is_patched(name)
  return saved.modules[name] ~= nil
end

local C_SEARCHERS = {package.searchers[3], package.searchers[4]}

-- The loader of a C module, past package.preload, where a replacement is, and
-- its data; or nil.
local function find_original(name)
  if saved.preloads[name] then return saved.preloads[name], ":preload:" end
  for _, searcher in ipairs(C_SEARCHERS) do
    local load, data = searcher(name)
    if type(load) == "function" then return load, data end
  end
end

-- A C module that was never loaded, or nil.
local function load_original(name)
  local load, data = find_original(name)
  return load and load(name, data)
end

--- Patches a C module: now, or once it is loaded.
-- @tparam string name
-- @tparam function patch called with the module
-- @tparam string missing what `require` says where there is none
function saved.when_loaded(name, patch, missing)
  local module = package.loaded[name]
  if module then return patch(module) end
  saved.preloads[name] = package.preload[name]
  package.preload[name] = nil
  table.insert(package.searchers, 2, function(wanted)
    if wanted ~= name then return nil end
    local load, data = find_original(name)
    if not load then return missing end
    return function(...)
      local loaded = load(...)
      patch(loaded)
      return loaded
    end, data
  end)
end

local unloaded = {} -- module name -> what load_original gave

--- A field of a module as it was.
-- @return the value, or nil
function saved.original(name, field)
  local originals = saved.modules[name]
  local was = originals and originals[field]
  if was == NONE then return nil end
  if was ~= nil then return was end
  if originals and next(originals) == nil then
    if unloaded[name] == nil then unloaded[name] = load_original(name) or false end
    return unloaded[name] and unloaded[name][field] or nil
  end
  local module = name == "_G" and _G or package.loaded[name] or require(name)
  return module[field]
end

return saved
