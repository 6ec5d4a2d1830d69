--- A way into the running process: a prompt of Lua over a socket.
-- Whoever can connect can do anything, so it listens on the loopback interface or
-- a Unix socket, and nowhere else unless told.
--
--     local backdoor = require "gevent.backdoor"
--     backdoor.BackdoorServer("unix:/run/app.sock", {app = app}):start()
--
-- Then `nc -U /run/app.sock`, or `telnet 127.0.0.1 PORT`.
-- @module gevent.backdoor
local core = require "gevent._core"
local misuse = require "gevent._misuse"
local console = require "gevent._console"
local server = require "gevent.server"
local socket = require "gevent.socket"
local util = require "gevent.util"

local HELP = [[
Expressions are printed, statements are run; "= x" works, too. Here are:
  greenlets()  every greenlet, what it waits on, its stack
  stats()      counts of the hub
  print(...)   to this connection
  quit()       ends this connection only
]]

-- The session ---------------------------------------------------------------------------

-- What the code of a session sees: its own names, those of `env`, the globals.
local function newenv(sock, env)
  local function sendprint(...)
    sock:sendall(console.texts(...) .. "\n")
  end
  local own = {
    print = sendprint,
    greenlets = function() sock:sendall(util.format_run_info()) end,
    help = function() sock:sendall(HELP) end,
    quit = console.quit,
    stats = function()
      local names = {}
      local stats = core.hub:stats()
      for name in pairs(stats) do names[#names + 1] = name end
      table.sort(names)
      for _, name in ipairs(names) do sendprint(name, stats[name]) end
    end,
  }
  return setmetatable(own, {
    __index = function(_, name)
      local value = env and env[name]
      if value == nil then value = _G[name] end
      return value
    end,
    __newindex = env and function(_, name, value) env[name] = value end or nil,
  })
end

local function session(sock, env, banner)
  sock:sendall(banner)
  console.run {
    name = "backdoor", env = newenv(sock, env),
    write = function(text) return sock:sendall(text) end,
    readline = function(prompt)
      return sock:sendall(prompt) and sock:readuntil("\n", console.LONGEST)
    end,
  }
end

-- The server ----------------------------------------------------------------------------

-- A port alone means the loopback interface here.
local function checklistener(listener, remote)
  if type(listener) == "userdata" or remote then return listener end
  if math.type(listener) == "integer" then return "127.0.0.1:" .. listener end
  if type(listener) == "string" then
    if listener:find("^%d+$") then return "127.0.0.1:" .. listener end
    if listener:find("^:%d+$") then return "127.0.0.1" .. listener end
    local host = listener:match("^%[?(.-)%]?:%d+$")
    if host and host ~= "localhost" and host ~= "::1" and not host:find("^127%.") then
      misuse.bad(1, "BackdoorServer", ("%s can be reached by others: "
        .. "give {remote=true} if that is meant"):format(listener))
    end
  end
  return listener
end

local BackdoorServer = server.subclass("BackdoorServer", server.StreamServer)
local OPTIONS = misuse.names "remote banner"

--- Makes a server; a StreamServer.
-- @function BackdoorServer
-- @param listener as StreamServer's; a port alone is one of 127.0.0.1
-- @tparam[opt] table env names that the code sees, and where its globals go; each
-- connection has names of its own otherwise
-- @tparam[opt] table opts `remote` (boolean): other interfaces than loopback may
-- be listened on; `banner` (string)
-- @treturn StreamServer
local function new(listener, env, opts)
  if env ~= nil and type(env) ~= "table" then
    misuse.bad(2, "BackdoorServer", misuse.expected("table", env))
  end
  opts = misuse.options(3, "BackdoorServer", opts, OPTIONS)
  listener = checklistener(listener, opts.remote)
  local banner = opts.banner or ("%s, gevent backdoor of %s; help() tells more\n")
    :format(_VERSION, socket.gethostname())
  return BackdoorServer(listener, function(sock) session(sock, env, banner) end)
end

return {BackdoorServer = new}
