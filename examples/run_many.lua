-- usage: lua5.4 examples/run_many.lua "sleep 1; echo slow" "echo quick" "false" "sleep 60"
-- Runs commands at once, at most so many at a time, and tells how each has ended.
-- What takes too long is killed, and what it has printed so far is not lost.
-- The arguments are shell commands.
-- spec: true false hostname
local subprocess = require "gevent.subprocess"
local pool = require "gevent.pool"

local AT_ONCE, PATIENCE = 3, 5 -- seconds

local function run(command)
  local result, message, code, so_far = subprocess.run(command,
    {timeout = PATIENCE, stderr = subprocess.STDOUT})
  local output = (result or so_far or {stdout = ""}).stdout
  if result then message = "returncode " .. result.returncode end
  print(("%-30s %s%s"):format(command, message, code and " (" .. code .. ")" or ""))
  for line in output:gmatch("[^\n]+") do print("    " .. line) end
end

local commands = #arg > 0 and arg or {"echo hello", "exit 3"}
pool.Pool(AT_ONCE):map(run, commands)
