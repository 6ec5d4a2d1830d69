---@meta gevent.subprocess
-- Made by `make types` from lua/gevent/subprocess.lua: change that.

---Child processes.
---Starting one returns `nil, message, code` where it cannot be done, waiting
---for one blocks only the calling greenlet: see `docs/subprocess.md`.
---@class gevent.subprocess
local M = {}

---A child process. Fields: `pid`, `args`, `returncode` (nil while it runs,
----signal if it was killed), and, where `PIPE` was asked for, `stdin`, `stdout`,
---`stderr`: files, see `gevent.fileobject`. It can be waited for by `gevent.wait`.
---Leaving a `<close>` scope closes the pipes and waits for its end; leaving by
---an error kills it first.
---@class gevent.subprocess.Popen
local Popen = {}

---Waits for its end.
---@param timeout? number seconds
---@return integer # returncode
function Popen:wait(timeout) end

---Has it ended? Never blocks.
---@return integer? # returncode; nil while it runs
function Popen:poll() end

---Sends it a signal; does nothing when it has ended.
---@param signal any number or name
---@return boolean? # true; or nil, message, code
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function Popen:send_signal(signal) end

---Sends it SIGTERM.
function Popen:terminate() end

---Sends it SIGKILL.
function Popen:kill() end

---Writes the input to its stdin, reads its stdout and stderr to their ends, and
---waits for its end, all at once. What a call that ran out of time has gathered is
---kept: the next one goes on with it.
---@param input? string only with the first call
---@param timeout? number seconds
---@return string? # stdout; nil where it is no pipe
---@return string? # stderr
function Popen:communicate(input, timeout) end

---Closes the pipes, and waits for its end.
---@return any # as `wait`
function Popen:close() end

---Starts a child process.
---@param command any list of the program and its arguments, or a string for the shell
---@param opts? table `stdin`, `stdout`, `stderr` (what the parent has unless told: `PIPE`, `DEVNULL`, for stderr `STDOUT`, a file of `io` or of `gevent.fileobject`, a socket, a descriptor), `cwd`, `env` (name -> value, in place of the parent's), `shell` (the list's first string is for the shell), `executable` (the program, where the first argument is to be another name), `start_new_session`, `pass_fds` (list of descriptors, sockets, files that it inherits), `close_fds=false` (it inherits all that are not close-on-exec), `uid`, `gid`
---@return gevent.subprocess.Popen?
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.Popen(command, opts) end

---Runs a command to its end. stdout and stderr are gathered, unless told otherwise.
---@param command any as of `Popen`
---@param opts? table those of `Popen`; `input` (string), `timeout` (seconds; it is killed then)
---@return table? # `{returncode=, stdout=, stderr=, args=}`
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.run(command, opts) end

---Runs a command to its end; its output is the parent's.
---@param command any as of `Popen`
---@param opts? table as of `run`
---@return integer? # returncode
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.call(command, opts) end

---As `call`; another returncode than 0 is a failure.
---@param command any as of `Popen`
---@param opts? table as of `run`
---@return integer? # 0
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.check_call(command, opts) end

---The output of a command.
---@param command any as of `Popen`
---@param opts? table as of `run`; `stderr=STDOUT` has both
---@return string? # stdout
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.check_output(command, opts) end

---The process with that number, if it was started here and is still held.
---@param pid integer
---@return gevent.subprocess.Popen?
function M._find(pid) end

---@type number
M.DEVNULL = nil

---@type number
M.PIPE = nil

---@type number
M.STDOUT = nil

return M
