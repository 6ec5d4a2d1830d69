-- gevent._cli.app: what is to be served: found, loaded, told apart; and watched.
local core = require "gevent._core"
local http = require "gevent.http"

local LOOK = 0.5 -- seconds between looks at the files

local app = {}

-- For people, and not worth a traceback.
local Problem = {__tostring = function(self) return self[1] end}

local function complain(text, ...)
  error(setmetatable({text:format(...)}, Problem), 0)
end

app.complain = complain

local EXPECTED = "a handler function, a router, a WSAPI application (a table with a "
  .. "function 'run') expected"

-- Finding ---------------------------------------------------------------------------------

local function isdirectory(path)
  local f <close> = io.open(path)
  if not f then return false end
  local _, _, code = f:read(0)
  return code == 21 -- EISDIR
end

-- `path`, or `module`, and `field`, of a name on the command line.
local function parse(name)
  if isdirectory(name) and not package.searchpath(name, package.path) then
    return {directory = name}
  elseif name:find("%.lua$") or name:find("/", 1, true) then
    return {path = name}
  end
  local module, field = name:match("^([^:]+):(.+)$")
  return {module = module or name, field = field}
end

-- The modules beside the application are its own.
local function addpath(directory)
  local entry = directory .. "/?.lua;" .. directory .. "/?/init.lua;"
  if package.path:sub(1, #entry) ~= entry then package.path = entry .. package.path end
end

local function callable(value)
  return type(value) == "function" or (getmetatable(value) or {}).__call ~= nil
end

-- A WSAPI application, or a handler of ours; which, nobody can see in a function.
local function kindof(value, wsapi)
  local run = type(value) == "table" and rawget(value, "run")
  if type(run) == "function" and (wsapi or not callable(value)) then return "wsapi" end
  if callable(value) then return wsapi and "wsapi" or "http" end
end

--- Loads it. What is wrong with it is raised, with a traceback where there is one.
-- @param name a file, a module, `module:field`, a directory
-- @param wsapi a function is a WSAPI application's
-- @return the application, "http" or "wsapi"
function app.load(name, wsapi)
  local what = parse(name)
  if what.directory then return http.files(what.directory), "http" end
  local value
  if what.path then
    addpath(what.path:match("^(.*)/") or ".")
    local chunk, message = loadfile(what.path)
    if not chunk then complain("%s", message) end
    value = chunk(what.path)
  else
    addpath(".")
    local path, message = package.searchpath(what.module, package.path)
    if not path and not package.loaded[what.module] and not package.preload[what.module] then
      complain("module '%s' not found:\n\t%s", what.module, message)
    end
    value = require(what.module)
  end
  if what.field then
    if type(value) ~= "table" then
      complain("module '%s' is no table, and has no field '%s'", what.module, what.field)
    end
    value = value[what.field]
  end
  local kind = kindof(value, wsapi)
  if not kind then complain("%s gave %s; %s", name, type(value), EXPECTED) end
  return value, kind
end

-- Watching --------------------------------------------------------------------------------

local function slurp(path)
  local f <close> = io.open(path, "rb")
  return f and f:read("a") or nil
end

-- The files of the application and of all modules but the library's.
local function files(name)
  local list = {}
  local what = parse(name)
  if what.path then list[1] = what.path end
  for module in pairs(package.loaded) do
    if not module:find("^gevent%f[%.%z]") then
      list[#list + 1] = package.searchpath(module, package.path)
    end
  end
  return list
end

--- Calls `changed(path)` whenever a file of the application becomes another. One that
-- cannot be read, as an editor is writing it, has not changed.
function app.watch(name, changed)
  local seen = {}
  while true do
    for _, path in ipairs(files(name)) do
      local text = slurp(path)
      if text and seen[path] and seen[path] ~= text then changed(path) end
      seen[path] = text or seen[path]
    end
    core.sleep(LOOK)
  end
end

return app
