--- Files as those of `io`, over gevent's streams: what `io.popen` returns under
-- the patch. Private to `gevent.monkey`.
local core = require "gevent._core"
local new_reader = require "gevent.monkey._reader"

local state_of = setmetatable({}, {__mode = "k"}) -- file -> its state
local methods = {}
local metatable = {__name = "FILE*", __index = methods}

local function check(file)
  local state = state_of[file]
  if not state then error("bad argument #1 (FILE* expected)", 3) end
  if state.closed then error("attempt to use a closed file", 3) end
  return state
end

-- A failure as io gives it: with a number.
local function failed(message, code)
  return nil, message, code and core.stdio_errno(code) or 0
end

local function results(...)
  local first, message, code = ...
  if first == nil and type(code) == "string" then return failed(message, code) end
  return ...
end

function methods:read(...)
  local state = check(self)
  if not state.reader then return failed("Bad file descriptor", "EBADF") end
  return results(state.reader:read(...))
end

function methods:lines(...)
  check(self)
  local formats = table.pack(...)
  return function()
    if state_of[self].closed then error("file is already closed", 2) end
    local values = table.pack(self:read(table.unpack(formats, 1, formats.n)))
    if values[1] == nil and values[2] ~= nil then error(values[2], 2) end
    return table.unpack(values, 1, values.n)
  end
end

function methods:write(...)
  local state = check(self)
  if not state.output then return failed("Bad file descriptor", "EBADF") end
  local ok, message, code = state.output:write(...)
  if not ok then return failed(message, code) end
  return self
end

function methods:flush()
  local state = check(self)
  if state.output then
    local ok, message, code = state.output:flush()
    if not ok then return failed(message, code) end
  end
  return true
end

function methods:setvbuf(mode, size)
  local state = check(self)
  if state.output then return results(state.output:setvbuf(mode, size)) end
  return true
end

function methods:seek(whence, offset)
  local state = check(self)
  local buffer = state.reader and state.reader.buffer
  whence, offset = whence or "cur", offset or 0
  if buffer and whence == "cur" then offset = offset - buffer:size() end
  local stream = state.output or state.reader.stream
  local at, message, code = stream:seek(whence, offset)
  if not at then return failed(message, code) end
  if buffer then buffer:take(buffer:size()) end
  return at
end

function methods:close()
  local state = check(self)
  state.closed = true
  return state.close()
end

function metatable:__tostring()
  return state_of[self].closed and "file (closed)" or ("file (%p)"):format(self)
end

local function close(self)
  local state = state_of[self]
  if state and not state.closed then
    state.closed = true
    state.close()
  end
end
metatable.__close = close

local file = {}

--- Makes a file.
-- @tparam table streams `input` and `output`, either or both
-- @tparam function finish what closing does and returns, once they are closed
function file.new(streams, finish)
  local self = core.stdio_new(metatable)
  state_of[self] = {
    closed = false,
    reader = streams.input and new_reader(streams.input),
    output = streams.output,
    close = function()
      if streams.output then streams.output:close() end
      if streams.input and streams.input ~= streams.output then streams.input:close() end
      if finish then return finish() end
      return true
    end,
  }
  return self
end

--- "file", "closed file", or nil for what is none of these files.
function file.type(value)
  local state = state_of[value]
  return state and (state.closed and "closed file" or "file")
end

return file
