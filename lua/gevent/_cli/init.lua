-- gevent._cli: the command `gevent`. Each of its commands is a module beside this:
-- {what options.lua says, run = function(options, words) -> exit code}.
local misuse = require "gevent._misuse"
local options = require "gevent._cli.options"

local COMMANDS = {"run", "serve", "repl", "backdoor"}
local USAGE = 2 -- exit code of a command line that is none

local ABOUT = [[
usage: gevent COMMAND [OPTION...] [ARGUMENT...]

Greenlets, cooperative sockets and servers for Lua 5.4.

Commands:
  run       a program whose blocking calls (LuaSocket, io, os.execute) let others run
  serve     a web application: handler, router, WSAPI application or directory
  repl      a prompt at which blocking calls work, while greenlets run on
  backdoor  a prompt in a process that is running

`gevent COMMAND --help` tells what a command takes, with examples.
`gevent --version` tells the version.
]]

local function command(name)
  for _, known in ipairs(COMMANDS) do
    if known == name then return require("gevent._cli." .. name) end
  end
end

-- The last line of a traceback that is the user's begins where ours is called.
local function traced(err)
  if type(err) == "table" and err.usage then return err end
  if type(err) == "string" and not err:find("interrupted!$") then
    return debug.traceback(err, 2)
  end
  return tostring(err)
end

local function wants(words, stop, ...)
  for _, word in ipairs(words) do
    if word == "--" or stop and not word:find("^%-") then return false end
    for _, name in ipairs {...} do
      if word == name then return true end
    end
  end
  return false
end

local function failed(name, err)
  if type(err) == "table" then
    io.stderr:write(("gevent %s: %s\nTry `gevent %s --help`.\n"):format(name, err.usage, name))
    return USAGE
  end
  if err:find("interrupted!$") then return 130 end -- as a shell has it for SIGINT
  io.stderr:write("gevent: " .. err .. "\n")
  return 1
end

--- Runs a command line.
-- @param words the words after `gevent`
-- @return exit code
return function(words)
  local name = words[1]
  if not name or name == "--help" or name == "-h" or name == "help" and not words[2] then
    io.stdout:write(ABOUT)
    return name and 0 or USAGE
  elseif name == "--version" then
    print(("gevent %s, %s"):format(require "gevent".version, _VERSION))
    return 0
  end
  local rest = table.move(words, 2, #words, 1, {})
  if name == "help" then name, rest = rest[1], {"--help"} end
  local this = command(name)
  if not this then
    local meant = misuse.nearest(name, misuse.names(table.concat(COMMANDS, " ")))
    io.stderr:write(("gevent: unknown command '%s'%s\nTry `gevent --help`.\n"):format(name,
      meant and (": is '%s' meant?"):format(meant) or ""))
    return USAGE
  end
  if wants(rest, this.stop, "--help", "-h") then
    io.stdout:write(options.help(this))
    return 0
  end
  local ok, result = xpcall(function()
    return this.run(options.parse(this, rest))
  end, traced)
  if not ok then return failed(name, result) end
  return result or 0
end
