--- Descriptors and processes of the operating system.
-- @module gevent.os
local core = require "gevent._core"
local misuse = require "gevent._misuse"

local os = {
  make_nonblocking = core.make_nonblocking,
  pipe = core.pipe,
  close = core.close_fd,
  getpid = core.getpid,
  kill = core.send_signal,
}

-- Calls `try(fd, value)` until it can be done, waiting in between.
local function retry(try, wait, fd, value, timeout)
  local deadline = timeout and core.monotonic() + timeout
  local result, message, code = try(fd, value)
  while not result and code == "EAGAIN" do
    local ready
    ready, message, code = wait(core.fileno(fd),
      deadline and math.max(0, deadline - core.monotonic()))
    if ready == nil then return nil, message, code end
    if not ready then return nil, "timed out", "timeout" end
    result, message, code = try(fd, value)
  end
  if result then return result end
  return nil, message, code
end

local function checkfd(fname, fd)
  if math.type(fd) == "integer" and fd >= 0 or type(fd) == "userdata" then return end
  misuse.bad(1, fname, misuse.expected("descriptor, socket or file", fd))
end

--- Reads what is there, and waits until something is. Others run meanwhile,
-- whether the descriptor blocks or not.
-- @param fd descriptor or file
-- @tparam integer n at most so many bytes
-- @tparam[opt] number timeout seconds
-- @treturn[1] string "" at the end
-- @return[2] nil, message, code
function os.nb_read(fd, n, timeout)
  checkfd("nb_read", fd)
  if type(n) ~= "number" or not math.tointeger(n) or n < 0 then
    misuse.bad(2, "nb_read", misuse.expected("integer >= 0", n))
  end
  misuse.seconds(3, "nb_read", timeout)
  return retry(core.try_read, core.wait_read, fd, n, timeout)
end

--- Writes what there is room for, and waits until there is some.
-- @param fd descriptor or file
-- @tparam string data
-- @tparam[opt] number timeout seconds
-- @treturn[1] integer bytes that were written
-- @return[2] nil, message, code
function os.nb_write(fd, data, timeout)
  checkfd("nb_write", fd)
  if type(data) ~= "string" and type(data) ~= "number" then
    misuse.bad(2, "nb_write", misuse.expected("string", data))
  end
  misuse.seconds(3, "nb_write", timeout)
  return retry(core.try_write, core.wait_write, fd, data, timeout)
end

-- processes -------------------------------------------------------------------------

local MOST = 1000 -- ends of children, kept for a waitpid to come

-- Children that fork has made and nobody has waited for: number -> process.
local children, count = {}, 0

local function add(pid, process)
  if count >= MOST then -- forget those that have ended
    for number, other in pairs(children) do
      if other:poll() then
        children[number] = nil
        count = count - 1
      end
    end
  end
  children[pid] = process
  count = count + 1
end

local function remove(pid)
  if children[pid] then count = count - 1 end
  children[pid] = nil
end

-- What the child of a fork does besides; for other modules to add to.
core.fork_hooks = core.fork_hooks or {}

local function begin()
  children, count = {}, 0
  for _, hook in ipairs(core.fork_hooks) do hook() end
end

--- Makes a child process, which goes on from here, in the greenlet that has
-- called, with a loop of its own. The parent's other greenlets, but for the main one,
-- do not run in the child, nor do their `<close>` variables. Sockets and files are
-- open in both. Leave the child by `os.exit`, or its copy of the main chunk goes on.
-- @treturn[1] integer 0 in the child, its number in the parent
-- @return[2] nil, message, code
function os.fork()
  local pid, message, code = core.fork()
  if not pid then return nil, message, code end
  if pid == 0 then
    begin()
  else
    add(pid, assert(core.process_of(pid)))
  end
  return pid
end

--- What the child has to do of a `fork` that was not ours, before it blocks. In
-- the parent it does nothing.
function os.reinit()
  if core.reinit() then begin() end
end

-- The process with that number, of Popen or of fork, or any child of this process.
local function find(pid)
  local subprocess = package.loaded["gevent.subprocess"]
  local found = children[pid] or subprocess and subprocess._find(pid)
  if found then return found end
  local process, message, code = core.process_of(pid)
  if process then add(pid, process) end
  return process, message, code
end

-- Waits for the first child of fork that ends.
local function waitany(timeout)
  local list = {}
  local _ <close> = setmetatable(list, {__close = function()
    for _, process in ipairs(list) do process:ref(false) end
  end})
  for _, process in pairs(children) do
    process:ref(true)
    list[#list + 1] = process
  end
  if not list[1] then return nil, "no child process", "ECHILD" end
  local waiter <close> = core.multiwait(list)
  local process = waiter:take(timeout)
  if not process then return nil, "timed out", "timeout" end
  return process:pid(), process
end

--- Waits for a child process: of `fork`, of `gevent.subprocess`, or of others, if its
-- number says so. Others' are never waited for.
-- @tparam integer pid -1: any that `fork` has made
-- @tparam[opt] number timeout seconds; 0: has it ended?
-- @treturn[1] integer its number
-- @treturn[1] integer returncode, -signal if it was killed
-- @return[2] nil, message, code; "ECHILD" where there is none
function os.waitpid(pid, timeout)
  if math.type(pid) ~= "integer" or pid < -1 or pid == 0 then
    error("bad argument #1 to 'waitpid' (number of a process expected)", 2)
  elseif timeout ~= nil and (type(timeout) ~= "number" or not (timeout >= 0)) then
    error("bad argument #2 to 'waitpid' (seconds must be a number >= 0)", 2)
  end
  local process, message, code
  if pid == -1 then
    pid, process, code = waitany(timeout)
    if not pid then return nil, process, code end
  else
    process, message, code = find(pid)
    if not process then return nil, message, code end
  end
  local returncode
  returncode, message, code = process:wait(timeout)
  if not returncode and code == "timeout" then return nil, message, code end
  remove(pid)
  if not returncode then return nil, message, code end
  return pid, returncode
end

--- Makes a descriptor non-blocking: for all who share it.
-- @function make_nonblocking
-- @param fd descriptor or file
-- @treturn[1] boolean was it blocking?
-- @return[2] nil, message, code

--- Makes a pipe. Both ends are non-blocking and close-on-exec.
-- @function pipe
-- @return descriptor to read from, descriptor to write to; or nil, message, code

--- Closes a descriptor that is yours.
-- @function close
-- @tparam integer fd
-- @return true; or nil, message, code

--- The number of this process.
-- @function getpid
-- @treturn integer

--- Sends a signal to a process.
-- @function kill
-- @tparam integer pid
-- @param signal number or name; 0 only asks whether it could be sent
-- @return true; or nil, message, code

return os
