-- Runs LuaSocket programs under the patch and under LuaSocket itself, each in
-- an interpreter of its own. Used by the specs of gevent.monkey.

local helper = require "helper"

local M = {}

-- What the programs get as their argument, and how each is run: all of them
-- in one interpreter; what they print stands between two lines of marks.
local RUNNER = [==[
local patch, directory = arg[1], arg[2]
if patch ~= "" then assert(load(patch))() end
local socket = require "socket"
local t = {}

local function text(value)
  if type(value) == "string" then return ("%q"):format(value) end
  return (tostring(value):gsub("0x%x+", "ADDRESS"))
end

function t.show(...)
  local parts = table.pack(...)
  for i = 1, parts.n do parts[i] = text(parts[i]) end
  print(table.concat(parts, " "))
end

function t.try(fn, ...)
  local results = table.pack(pcall(fn, ...))
  for i = 1, results.n do
    if type(results[i]) == "string" then
      results[i] = results[i]:gsub("^[^ ]+:%d+: ", ""):gsub("'socket%.core%.", "'socket.")
        :gsub("'socket%.unix%.", "'socket.")
    end
  end
  t.show(table.unpack(results, 1, results.n))
end

function t.names(what, list)
  local names = {}
  for name, value in pairs(list) do names[#names + 1] = name .. ":" .. type(value) end
  table.sort(names)
  print(what, table.concat(names, " "))
end

function t.pair()
  local listener = assert(socket.bind("127.0.0.1", 0))
  local client = assert(socket.connect(listener:getsockname(), (select(2, listener:getsockname()))))
  return client, assert(listener:accept()), listener
end

local function print_text(...)
  local parts = table.pack(...)
  for i = 1, parts.n do parts[i] = tostring(parts[i]):gsub("0x%x+", "ADDRESS") end
  io.write(table.concat(parts, "\t"), "\n")
end
print = print_text

for i = 3, #arg do
  io.write("== ", arg[i], "\n")
  local ok, err = pcall(assert(loadfile(directory .. "/" .. arg[i] .. ".lua")), t)
  if not ok then io.write("failed: ", tostring(err), "\n") end
end
]==]

local function split(out)
  local found, name = {}, nil
  for line in out:gmatch("[^\n]*") do
    local mark = line:match("^== (.*)")
    if mark then
      name = mark
      found[name] = {}
    elseif name then
      table.insert(found[name], line)
    end
  end
  return found
end

--- Runs the programs of a directory.
-- @param patch Lua code that is run first, "" for none
-- @return program -> list of lines
function M.run(patch, directory, programs)
  local code, out, err = helper.run_lua(RUNNER,
    {args = {patch, directory, table.unpack(programs)}, timeout = 60})
  if code ~= 0 then error(("exit %s: %s"):format(code, err), 0) end
  return split(out)
end

-- What the code of `M.lua` begins with. `tick(fn)` calls fn while another
-- greenlet wakes every few milliseconds; the longest that one had to wait, the
-- best of three, must be below 50 ms.
local PRELUDE = [==[
local gevent = require "gevent"
local monkey = require "gevent.monkey"
local SCALE = tonumber(os.getenv "SCALE")
if os.getenv "GEVENT_SPEC_GC" == "incremental" then
  collectgarbage("incremental", 100, 1000, 1)
  collectgarbage("setpause", 0)
elseif os.getenv "GEVENT_SPEC_GC" then
  collectgarbage("generational", 1, 1)
end
local open = io.open
-- How long this process was ready to run and was not let: not its own fault.
local function delayed()
  local f <close> = open "/proc/self/schedstat"
  local _, delay = 0, 0
  if f then _, delay = f:read("n", "n") end
  return (delay or 0) / 1e9
end
local function measure(fn)
  local monotonic, worst = require("gevent.time").monotonic, 0
  local function now() return monotonic() - delayed() end
  local ticker = gevent.spawn(function()
    local before = now()
    while true do
      gevent.sleep(0.002)
      worst = math.max(worst, now() - before)
      before = now()
    end
  end)
  fn()
  ticker:kill()
  return worst
end
local function tick(fn)
  local worst = math.huge
  for _ = 1, 3 do
    worst = math.min(worst, measure(fn))
    if worst < 0.05 * SCALE then return end
  end
  error(("a greenlet had to wait for %.3f s"):format(worst))
end
local function parallel(n, fn)
  local all = {}
  for i = 1, n do all[i] = gevent.spawn(fn, i) end
  gevent.joinall(all, nil, {raise_error = true})
end
local function port_of(socket) return (select(2, socket:getsockname())) end
]==]

--- Can a fresh interpreter load all these modules?
function M.has(...)
  local code = helper.run_lua("for _, name in ipairs(arg) do require(name) end", {args = {...}})
  return code == 0
end

--- Runs `code` in a fresh interpreter, after the prelude; it must succeed.
-- @return what it wrote
function M.lua(code, opts)
  opts = opts or {}
  opts.env = opts.env or {}
  opts.env.SCALE = helper.scale
  local exit, out, err = helper.run_lua(PRELUDE .. code, opts)
  if exit ~= 0 then error(("exit %s: %s\n%s"):format(exit, err, out), 0) end
  return out
end

--- Starts a server program by a shell command; `stop` ends it.
-- @return a table with `stop()`
function M.start(command)
  local pipe = assert(io.popen("echo $$; exec " .. command .. " >/dev/null 2>&1 </dev/null"))
  local pid = pipe:read("n", "l")
  local server = {}
  function server.stop()
    os.execute(("kill %d 2>/dev/null"):format(pid))
    pipe:close()
  end
  return server
end

--- What a shell command prints, without the last newline; nil for nothing.
function M.output(command)
  local pipe <close> = assert(io.popen(command))
  local out = pipe:read("a"):gsub("\n$", "")
  return out ~= "" and out or nil
end

--- The full name of a program, or nil.
function M.program(name, directories)
  return M.output(("PATH=\"$PATH:%s\" command -v %s"):format(directories or "", name))
end

--- A new directory, as short as can be: names of Unix sockets are.
function M.directory() return assert(M.output "mktemp -d") end

return M
