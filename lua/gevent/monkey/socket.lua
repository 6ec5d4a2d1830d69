--- The C half of LuaSocket, over gevent's sockets: `socket.core` and
-- `socket.unix`. Private to `gevent.monkey`.
local core = require "gevent._core"
local saved = require "gevent.monkey._saved"
local except = require "gevent.monkey._except"
local select = require "gevent.monkey.select"
local ls = core.luasocket

local SET_SIZE = 1024 -- what programs ask for; select takes any number
local LUA_HALF = "gevent.monkey has no '%s': it provides socket.core and "
  .. "socket.unix, the rest is LuaSocket's Lua half, which is not installed"

-- The functions and constants of socket.core.
local function make(newtry)
  local module = {
    _SETSIZE = SET_SIZE, _SOCKETINVALID = -1,
    dns = require "gevent.monkey._dns".dns,
    select = select.get(),
    gettime = core.time,
    __unload = function() end,
  }
  module.sleep = ls.checked(nil, "n", function(seconds)
    core.sleep(math.max(0, seconds))
  end)
  module.skip = ls.checked(nil, "n", function(count, ...)
    return table.unpack({...}, count + 1, _G.select("#", ...))
  end)
  for _, part in ipairs {
    require "gevent.monkey._tcp".tcp, require "gevent.monkey._udp".udp, except(newtry),
  } do
    for name, value in pairs(part) do module[name] = value end
  end
  return module
end

-- What is loaded is changed in place; what is not will be ours when it is.
local function provide(name, make_module)
  local loaded = package.loaded[name]
  if type(loaded) == "table" then
    local ours = make_module(loaded)
    saved.replace(name, loaded, ours)
    return loaded
  end
  local ours = make_module({})
  saved.mark(name)
  saved.preloads[name] = saved.preloads[name] or package.preload[name]
  package.preload[name] = function()
    ls.loaded()
    return ours
  end
  if loaded then package.loaded[name] = ours end
  return ours
end

-- Says why LuaSocket's other modules are not there.
local function searcher(name)
  if name == "socket" or name:find("^socket%.") or name == "mime" or name == "ltn12" then
    return LUA_HALF:format(name)
  end
end

local function patch()
  if saved.is_patched "socket" then return end
  local module = provide("socket.core", function(loaded)
    local ours = make(loaded.newtry)
    if loaded.try then ours.try = ours.newtry() end
    ours._VERSION = loaded._VERSION or "LuaSocket 3.0.0"
    return ours
  end)
  provide("socket.unix", function() return require "gevent.monkey._unix" end)
  saved.modules.socket = saved.modules["socket.core"]
  saved.mark "select"
  local searchers = package.searchers
  searchers[#searchers + 1] = searcher
  return module
end

return {patch = patch}
