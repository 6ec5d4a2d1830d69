--- `os.execute`, cooperative. Private to `gevent.monkey`.
local saved = require "gevent.monkey._saved"
local outcome = require "gevent.monkey.io".outcome

local SHELL = "/bin/sh"

local function execute(command)
  local original = saved.original("os", "execute")
  if command == nil then return original() end -- asks for a shell
  if type(command) ~= "string" and type(command) ~= "number" then
    error(("bad argument #1 to 'execute' (string expected, got %s)"):format(
      type(command)), 2)
  end
  local subprocess = require "gevent.subprocess"
  local process, message, code = subprocess.Popen({SHELL, "-c", tostring(command)})
  if not process then return nil, message, code end
  return outcome(process:wait())
end

local function patch()
  saved.replace("os", os, {execute = execute})
end

return {patch = patch}
