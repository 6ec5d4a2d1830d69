--- Descriptors and processes of the operating system.
-- @module gevent.os
local core = require "gevent._core"

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

--- Reads what is there, and waits until something is. Others run meanwhile,
-- whether the descriptor blocks or not.
-- @param fd descriptor or file
-- @tparam integer n at most so many bytes
-- @tparam[opt] number timeout seconds
-- @treturn[1] string "" at the end
-- @return[2] nil, message, code
function os.nb_read(fd, n, timeout)
  if timeout ~= nil and (type(timeout) ~= "number" or not (timeout >= 0)) then
    error("bad argument #3 to 'nb_read' (seconds must be a number >= 0)", 2)
  end
  return retry(core.try_read, core.wait_read, fd, n, timeout)
end

--- Writes what there is room for, and waits until there is some.
-- @param fd descriptor or file
-- @tparam string data
-- @tparam[opt] number timeout seconds
-- @treturn[1] integer bytes that were written
-- @return[2] nil, message, code
function os.nb_write(fd, data, timeout)
  if timeout ~= nil and (type(timeout) ~= "number" or not (timeout >= 0)) then
    error("bad argument #3 to 'nb_write' (seconds must be a number >= 0)", 2)
  end
  return retry(core.try_write, core.wait_write, fd, data, timeout)
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
