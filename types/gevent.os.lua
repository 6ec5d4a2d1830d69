---@meta gevent.os
-- Made by `make types` from lua/gevent/os.lua: change that.

---Descriptors and processes of the operating system.
---@class gevent.os
local M = {}

---Reads what is there, and waits until something is. Others run meanwhile,
---whether the descriptor blocks or not.
---@param fd any descriptor or file
---@param n integer at most so many bytes
---@param timeout? number seconds
---@return string? # "" at the end
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.nb_read(fd, n, timeout) end

---Writes what there is room for, and waits until there is some.
---@param fd any descriptor or file
---@param data string
---@param timeout? number seconds
---@return integer? # bytes that were written
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.nb_write(fd, data, timeout) end

---Makes a child process, which goes on from here, in the greenlet that has
---called, with a loop of its own. The parent's other greenlets, but for the main one,
---do not run in the child, nor do their `<close>` variables. Sockets and files are
---open in both. Leave the child by `os.exit`, or its copy of the main chunk goes on.
---@return integer? # 0 in the child, its number in the parent
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.fork() end

---What the child has to do of a `fork` that was not ours, before it blocks. In
---the parent it does nothing.
function M.reinit() end

---Waits for a child process: of `fork`, of `gevent.subprocess`, or of others, if its
---number says so. Others' are never waited for.
---@param pid integer -1: any that `fork` has made
---@param timeout? number seconds; 0: has it ended?
---@return integer? # its number
---@return integer? # returncode, -signal if it was killed
function M.waitpid(pid, timeout) end

---Makes a descriptor non-blocking: for all who share it.
---@param fd any descriptor or file
---@return boolean? # was it blocking?
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.make_nonblocking(fd) end

---Makes a pipe. Both ends are non-blocking and close-on-exec.
---@return any # descriptor to read from, descriptor to write to; or nil, message, code
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.pipe() end

---Closes a descriptor that is yours.
---@param fd integer
---@return boolean? # true; or nil, message, code
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.close(fd) end

---The number of this process.
---@return integer
function M.getpid() end

---Sends a signal to a process.
---@param pid integer
---@param signal any number or name; 0 only asks whether it could be sent
---@return boolean? # true; or nil, message, code
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.kill(pid, signal) end

return M
