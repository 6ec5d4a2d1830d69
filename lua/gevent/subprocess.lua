--- Child processes.
-- Starting one returns `nil, message, code` where it cannot be done, waiting
-- for one blocks only the calling greenlet: see `docs/subprocess.md`.
-- @module gevent.subprocess
local core = require "gevent._core"
local misuse = require "gevent._misuse"
local nursery = require "gevent.nursery"
local waiting = require "gevent._wait"

local PIPE, STDOUT, DEVNULL = -1, -2, -3
local CHUNK = 65536 -- bytes written to a child at a time
local SHELL = "/bin/sh"

local subprocess = {PIPE = PIPE, STDOUT = STDOUT, DEVNULL = DEVNULL}

local Popen = {__name = "Popen"}

-- Processes by their number, for gevent.os.waitpid; while somebody holds them.
local known = setmetatable({}, {__mode = "v"})

-- arguments -----------------------------------------------------------------------

local NAMES = {"stdin", "stdout", "stderr"}

-- Options that Popen itself understands, with their types.
local OPTIONS = {
  stdin = "any", stdout = "any", stderr = "any", cwd = "string", env = "table",
  shell = "boolean", executable = "string", start_new_session = "boolean",
  close_fds = "boolean", pass_fds = "table", uid = "number", gid = "number",
}
-- What run and its like take besides.
local RUN_OPTIONS = {input = "string", timeout = "number"}
for name, kind in pairs(OPTIONS) do RUN_OPTIONS[name] = kind end

local function checkoptions(opts, fname, types)
  types = types or OPTIONS
  opts = misuse.options(2, fname, opts, types)
  for name, value in pairs(opts) do
    local expected = types[name]
    if expected ~= "any" and type(value) ~= expected then
      misuse.bad(2, fname, ("option '%s' must be a %s, got %s"):format(name, expected,
        type(value)))
    end
  end
  local timeout = opts.timeout
  if timeout and not (timeout >= 0) then
    misuse.bad(2, fname, "seconds must not be negative")
  end
  return opts
end

-- A string as the system takes it: what it holds must not be cut.
local function checkstring(value, fname, index, what)
  if type(value) == "number" then value = tostring(value) end
  if type(value) ~= "string" then
    misuse.bad(index, fname, what .. " is a " .. type(value))
  elseif value:find("\0", 1, true) then
    misuse.bad(index, fname, what .. " contains a zero byte")
  end
  return value
end

local function argumentsof(command, opts, fname)
  if type(command) == "string" then
    return {SHELL, "-c", checkstring(command, fname, 1, "the command")}
  elseif type(command) ~= "table" then
    misuse.bad(1, fname, "list or string expected, got " .. type(command))
  elseif command[1] == nil then
    misuse.bad(1, fname, "an empty list")
  end
  local list = opts.shell and {SHELL, "-c"} or {}
  for i, argument in ipairs(command) do
    list[#list + 1] = checkstring(argument, fname, 1, "argument " .. i)
  end
  return list
end

local function environmentof(env, fname)
  if not env then return nil end
  local list = {}
  for name, value in pairs(env) do
    name = checkstring(name, fname, 2, "a name in the environment")
    value = checkstring(value, fname, 2, name)
    if name == "" or name:find("=", 1, true) then
      misuse.bad(2, fname, ("'%s' is no name for the environment"):format(name))
    end
    list[#list + 1] = name .. "=" .. value
  end
  return list
end

-- standard streams of the child ------------------------------------------------------

-- Makes the pipe of one stream; `keep` is what the child is given, for as long
-- as it takes to start it.
local function makepipe(streams, keep, name)
  local ours, theirs, code = core.pipe_file(name == "stdin" and "w" or "r")
  if not ours then return nil, theirs, code end
  streams[name] = ours
  keep[#keep + 1] = theirs
  return theirs:fileno()
end

-- The descriptor that the child has as standard stream `index - 1`; false for
-- none.
local function descriptorof(value, index, streams, keep, fname)
  if value == nil then return index - 1 end
  if value == PIPE then return makepipe(streams, keep, NAMES[index]) end
  if value == DEVNULL then return false end
  local ok, fd = pcall(core.fileno, value)
  if not ok then
    misuse.bad(2, fname, ("option '%s' must be PIPE, DEVNULL, a file, a socket or a descriptor")
      :format(NAMES[index]))
  end
  local file = core.file_for_child(value)
  if file == value then return fd end
  keep[#keep + 1] = file
  return file:fileno()
end

-- The three descriptors, and the files of ours on the other ends; or nil,
-- message, code.
local function standard(opts, keep, fname)
  local fds, streams = {}, {}
  for index = 1, 2 do
    if opts[NAMES[index]] == STDOUT then
      misuse.bad(2, fname, "STDOUT is for stderr only")
    end
  end
  for index, name in ipairs(NAMES) do
    local fd, message, code
    if opts[name] == STDOUT then
      fd = fds[2]
    else
      fd, message, code = descriptorof(opts[name], index, streams, keep, fname)
    end
    if fd == nil then
      for _, file in pairs(streams) do file:close() end
      return nil, message, code
    end
    fds[index] = fd
  end
  return fds, streams
end

local function closeall(list)
  for _, file in ipairs(list) do file:close() end
end

-- Popen --------------------------------------------------------------------------------

-- What an error of the start is about: the program, or where it was to run.
local function culprit(file, cwd)
  local directory <close> = cwd and io.open(cwd)
  return cwd and not directory and cwd or file
end

-- A child that lack of memory has kept from its Popen must not run on.
local Unheld = {__close = function(unheld)
  if unheld.process then unheld.process:signal("SIGKILL") end
end}

local function start(command, opts, fname)
  local args = argumentsof(command, opts, fname)
  local env = environmentof(opts.env, fname)
  local keep <close> = setmetatable({}, {__close = closeall})
  local fds, streams, code = standard(opts, keep, fname)
  if not fds then return nil, streams, code end
  local file = opts.executable or args[1]
  local inherit = opts.close_fds ~= false and {}
  if inherit then
    for i, fd in ipairs(opts.pass_fds or {}) do inherit[i] = core.fileno(fd) end
  end
  local self = setmetatable({
    args = command,
    pid = 0,
    stdin = streams.stdin,
    stdout = streams.stdout,
    stderr = streams.stderr,
    _process = false,
    _talk = false, -- of communicate: what went out and came in so far
  }, Popen)
  local unheld <close> = setmetatable({process = false}, Unheld)
  local process, message
  process, message, code = core.spawn_process(file, args, env, opts.cwd, fds,
    {inherit = inherit, detached = opts.start_new_session, uid = opts.uid, gid = opts.gid})
  if not process then
    for _, stream in pairs(streams) do stream:close() end
    return nil, ("%s: %s"):format(culprit(file, opts.cwd), message), code
  end
  unheld.process = process
  self._process, self.pid = process, process:pid()
  known[self.pid] = self
  unheld.process = false
  return self
end

--- A child process. Fields: `pid`, `args`, `returncode` (nil while it runs,
-- -signal if it was killed), and, where `PIPE` was asked for, `stdin`, `stdout`,
-- `stderr`: files, see `gevent.fileobject`. It can be waited for by `gevent.wait`.
-- Leaving a `<close>` scope closes the pipes and waits for its end; leaving by
-- an error kills it first.
-- @type Popen

function Popen.__index(self, name)
  if name == "returncode" then return rawget(self, "_process"):returncode() end
  return Popen[name]
end

function Popen.__waitable(self)
  return self._process
end

function Popen.__tostring(self)
  local code = self.returncode
  return ("<Popen at %p: pid %d %s>"):format(self, self.pid,
    code and "returncode " .. code or "running")
end

--- Waits for its end.
-- @tparam[opt] number timeout seconds
-- @treturn[1] integer returncode
-- @return[2] nil, "timed out", "timeout"; "ECHILD" if somebody else has reaped it
function Popen:wait(timeout)
  return self._process:wait(misuse.seconds(1, "wait", timeout))
end

--- Has it ended? Never blocks.
-- @treturn ?integer returncode; nil while it runs
function Popen:poll()
  return self._process:poll()
end

--- Sends it a signal; does nothing when it has ended.
-- @param signal number or name
-- @return true; or nil, message, code
function Popen:send_signal(signal)
  if signal ~= 0 and not core.signum(signal) then
    misuse.bad(1, "send_signal", ("%s is no signal"):format(tostring(signal)))
  end
  return self._process:signal(signal)
end

--- Sends it SIGTERM.
function Popen:terminate()
  return self._process:signal("SIGTERM")
end

--- Sends it SIGKILL.
function Popen:kill()
  return self._process:signal("SIGKILL")
end

-- communicate ------------------------------------------------------------------------------

-- Writes what is left of the input; a child that does not want it all is none
-- of our business.
local function feed(stdin, talk)
  while talk.sent < #talk.input do
    local sent = stdin:send(talk.input:sub(talk.sent + 1, talk.sent + CHUNK))
    if not sent then break end
    talk.sent = talk.sent + sent
  end
  stdin:close()
end

local function collect(file, parts)
  while true do
    local data = file:recv(CHUNK)
    if not data or data == "" then break end
    parts[#parts + 1] = data
  end
  file:close()
end

-- All pipes at once. However this ends, no greenlet of it runs on.
local function exchange(self, talk)
  local n <close> = nursery()
  if self.stdin and not self.stdin.closed then n:spawn(feed, self.stdin, talk) end
  for _, name in ipairs {"stdout", "stderr"} do
    local file = self[name]
    if file and not file.closed then n:spawn(collect, file, talk[name]) end
  end
end

local function gathered(self, talk)
  return self.stdout and table.concat(talk.stdout), self.stderr and table.concat(talk.stderr)
end

--- Writes the input to its stdin, reads its stdout and stderr to their ends, and
-- waits for its end, all at once. What a call that ran out of time has gathered is
-- kept: the next one goes on with it.
-- @tparam[opt] string input only with the first call
-- @tparam[opt] number timeout seconds
-- @treturn[1] ?string stdout; nil where it is no pipe
-- @treturn[1] ?string stderr
-- @return[2] nil, "timed out", "timeout", `{stdout=, stderr=}`
function Popen:communicate(input, timeout)
  if input ~= nil and type(input) ~= "string" then
    misuse.bad(1, "communicate", "string expected, got " .. type(input))
  elseif timeout ~= nil and (type(timeout) ~= "number" or not (timeout >= 0)) then
    misuse.bad(2, "communicate", "seconds must be a number >= 0")
  elseif input and (self._talk or not self.stdin) then
    misuse.bad(1, "communicate", self._talk and "the input was given already"
      or "its stdin is no pipe")
  end
  local talk = self._talk or {input = input or "", sent = 0, stdout = {}, stderr = {}}
  self._talk = talk
  local ok, message, code = waiting.with_timeout(timeout, function()
    exchange(self, talk)
    return self._process:wait()
  end)
  local out, err = gathered(self, talk)
  if ok then return out, err end
  return nil, message, code, {stdout = out, stderr = err}
end

--- Closes the pipes, and waits for its end.
-- @return as `wait`
function Popen:close()
  for _, name in ipairs(NAMES) do
    if self[name] then self[name]:close() end
  end
  return self._process:wait()
end

function Popen.__close(self, err)
  if err ~= nil then self:kill() end
  core.unwind(err, self.close, self)
end

misuse.methods(Popen, "_process")

--- Functions
-- @section functions

--- Starts a child process.
-- @param command list of the program and its arguments, or a string for the shell
-- @tparam[opt] table opts `stdin`, `stdout`, `stderr` (what the parent has unless
-- told: `PIPE`, `DEVNULL`, for stderr `STDOUT`, a file of `io` or of
-- `gevent.fileobject`, a socket, a descriptor), `cwd`, `env` (name -> value, in place
-- of the parent's), `shell` (the list's first string is for the shell),
-- `executable` (the program, where the first argument is to be another name),
-- `start_new_session`, `pass_fds` (list of descriptors, sockets, files that it inherits),
-- `close_fds=false` (it inherits all that are not close-on-exec), `uid`, `gid`
-- @treturn[1] Popen
-- @return[2] nil, message, code: "ENOENT" where there is no such program
function subprocess.Popen(command, opts)
  return start(command, checkoptions(opts, "Popen"), "Popen")
end

local function resultof(process, out, err)
  return {args = process.args, returncode = process.returncode, stdout = out, stderr = err}
end

-- Runs a command to its end; whatever comes between kills it. The result, and
-- where time ran out nil, message, code, result.
local function run(command, opts, fname)
  if opts.input and opts.stdin ~= nil then
    misuse.bad(2, fname, "both 'stdin' and 'input'")
  end
  local settings = {}
  for name in pairs(OPTIONS) do settings[name] = opts[name] end
  if opts.input then settings.stdin = PIPE end
  local process <close>, message, code = start(command, settings, fname)
  if not process then return nil, message, code end
  local out, err, why, partial = process:communicate(opts.input, opts.timeout)
  if not partial then return resultof(process, out, err) end
  process:kill()
  process:wait()
  return nil, err, why, resultof(process, partial.stdout, partial.stderr)
end

local function failureof(result)
  local status = result.returncode
  local name = type(result.args) == "table" and result.args[1] or result.args
  if status < 0 then
    return nil, ("'%s' was killed by signal %d"):format(name, -status), "signal", result
  end
  return nil, ("'%s' ended with exit status %d"):format(name, status), "exit", result
end

local function with(opts, defaults)
  local all = {}
  for name, value in pairs(defaults) do all[name] = value end
  for name, value in pairs(opts) do all[name] = value end
  return all
end

--- Runs a command to its end. stdout and stderr are gathered, unless told otherwise.
-- @param command as of `Popen`
-- @tparam[opt] table opts those of `Popen`; `input` (string), `timeout` (seconds; it
-- is killed then)
-- @treturn[1] table `{returncode=, stdout=, stderr=, args=}`
-- @return[2] nil, message, code [, result so far]
function subprocess.run(command, opts)
  opts = checkoptions(opts, "run", RUN_OPTIONS)
  return run(command, with(opts, {stdout = PIPE, stderr = PIPE}), "run")
end

--- Runs a command to its end; its output is the parent's.
-- @param command as of `Popen`
-- @tparam[opt] table opts as of `run`
-- @treturn[1] integer returncode
-- @return[2] nil, message, code [, result]
function subprocess.call(command, opts)
  local result, message, code, partial = run(command, checkoptions(opts, "call", RUN_OPTIONS),
    "call")
  if not result then return nil, message, code, partial end
  return result.returncode
end

--- As `call`; another returncode than 0 is a failure.
-- @param command as of `Popen`
-- @tparam[opt] table opts as of `run`
-- @treturn[1] integer 0
-- @return[2] nil, message, code, result; code is "exit" or "signal"
function subprocess.check_call(command, opts)
  local result, message, code, partial = run(command,
    checkoptions(opts, "check_call", RUN_OPTIONS), "check_call")
  if not result then return nil, message, code, partial end
  if result.returncode ~= 0 then return failureof(result) end
  return 0
end

--- The output of a command.
-- @param command as of `Popen`
-- @tparam[opt] table opts as of `run`; `stderr=STDOUT` has both
-- @treturn[1] string stdout
-- @return[2] nil, message, code, result; code is "exit" or "signal"
function subprocess.check_output(command, opts)
  opts = checkoptions(opts, "check_output", RUN_OPTIONS)
  if opts.stdout ~= nil then misuse.bad(2, "check_output", "'stdout' is what it returns") end
  local result, message, code, partial = run(command, with(opts, {stdout = PIPE}), "check_output")
  if not result then return nil, message, code, partial end
  if result.returncode ~= 0 then return failureof(result) end
  return result.stdout
end

--- The process with that number, if it was started here and is still held.
-- @tparam integer pid
-- @treturn ?Popen
-- @local
function subprocess._find(pid)
  return known[pid]
end

return subprocess
