-- gevent._cli.repl: a prompt on the terminal.
local gevent = require "gevent"
local console = require "gevent._console"
local fileobject = require "gevent.fileobject"
local util = require "gevent.util"

local BANNER = [[
%s, gevent %s. Blocking calls work here, and greenlets run while the prompt waits.
gevent, socket, http and sleep are there; greenlets() shows all; Ctrl-D ends.
]]

local command = {
  usage = "gevent repl [OPTION...] [FILE.lua...]",
  about = [[
A prompt of Lua. What blocks, blocks until it is done or Ctrl-C is pressed;
greenlets run on while the prompt waits. Expressions are printed. Files given are
run first, and their globals are there. For history and editing: `rlwrap gevent repl`.]],
  options = {
    {"--quiet", "-q", "", "no banner and no prompts"},
    {"--help", "-h", "", "this text"},
  },
  examples = {
    "gevent repl",
    "echo 'http.get(\"http://localhost:8080/\").body' | gevent repl -q",
  },
}

local function newenv()
  local names = {
    gevent = gevent, sleep = gevent.sleep, spawn = gevent.spawn,
    socket = require "gevent.socket", http = require "gevent.http",
    greenlets = util.print_run_info, quit = console.quit, exit = console.quit,
  }
  return setmetatable(names, {__index = _G, __newindex = _G})
end

-- Ctrl-C ends what runs, not the prompt.
local function interruptible(fn, handler)
  return xpcall(fn, function(err)
    if tostring(err):find("interrupted!$") then return "interrupted!" end
    return handler(err)
  end)
end

local function readline(prompt)
  io.stdout:write(prompt)
  io.stdout:flush()
  local ok, line = pcall(fileobject.stdin.read, fileobject.stdin, "L")
  if ok then return line end
  if not tostring(line):find("interrupted!$") then error(line, 0) end
  io.stdout:write("\n")
  return "\n"
end

function command.run(opts, words)
  local env = newenv()
  for _, path in ipairs(words) do
    local chunk, message = loadfile(path, "t", env)
    if not chunk then
      io.stderr:write("gevent: " .. message .. "\n")
      return 1
    end
    chunk()
  end
  local function write(text)
    io.stdout:write(text)
    io.stdout:flush()
  end
  if not opts.quiet then write(BANNER:format(_VERSION, gevent.version)) end
  console.run {
    name = "stdin", env = env, write = write, pcall = interruptible,
    readline = opts.quiet and function() return readline("") end or readline,
  }
  return 0
end

return command
