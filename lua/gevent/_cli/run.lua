-- gevent._cli.run: a program, patched.
local gevent = require "gevent"
local options = require "gevent._cli.options"

local command = {
  stop = true, -- what follows the program is the program's
  usage = "gevent run [OPTION...] PROGRAM.lua [ARGUMENT...]",
  about = [[
Runs a program with the standard library, LuaSocket and LuaSec patched by
gevent.monkey: calls that block let other greenlets run. The program's arguments
are in `arg`, as ever. When its main chunk ends, the greenlets that it has
started go on until they are done.]],
  options = {
    {"--no-patch", nil, "", "leave the standard library as it is"},
    {"--no-wait", nil, "", "end when the main chunk does"},
    {"--monitor", nil, "SECONDS", "report greenlets that block the loop for longer"},
    {"--help", "-h", "", "this text"},
  },
  examples = {
    "gevent run crawler.lua http://example.org",
    "gevent run --no-patch --monitor 0.1 service.lua",
  },
}

local function setmonitor(seconds)
  if not seconds then return end
  gevent.config.max_blocking_time = seconds
  gevent.config.monitor_thread = true
end

function command.run(opts, words)
  local path = words[1]
  if not path then options.complain("which program?") end
  setmonitor(options.number(opts, "monitor", 0))
  local chunk, message = loadfile(path)
  if not chunk then
    io.stderr:write("gevent: " .. message .. "\n")
    return 1
  end
  if not opts.no_patch then require "gevent.monkey".patch_all() end
  _G.arg = table.move(words, 1, #words, 0, {})
  chunk(table.unpack(words, 2))
  if not opts.no_wait then gevent.wait() end
  return 0
end

return command
