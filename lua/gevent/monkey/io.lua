--- `io.popen`, and reads of pipes and terminals by `io`, cooperative. Private
-- to `gevent.monkey`.
local core = require "gevent._core"
local fileobject = require "gevent.fileobject"
local file = require "gevent.monkey._file"
local new_reader = require "gevent.monkey._reader"
local saved = require "gevent.monkey._saved"

local original = {}
for name, value in pairs(io) do original[name] = value end
local stock = getmetatable(io.stdout).__index -- methods of io's own files
local original_read, original_lines, original_close = stock.read, stock.lines, stock.close

-- io's own files ---------------------------------------------------------------

local readers = setmetatable({}, {__mode = "k"}) -- file -> its reader, or false

-- The reader of a pipe, a socket or a terminal; false for other files. What the
-- file itself has in its buffer comes first.
local function reader_of(f)
  local reader = readers[f]
  if reader == nil then
    reader = false
    if original.type(f) == "file" and core.stdio_waits(f) then
      local stream = core.file_borrow(f, tostring(f))
      reader = stream and new_reader(stream, core.stdio_drain(f)) or false
    end
    readers[f] = reader
  end
  return reader
end

local function read(f, ...)
  local reader = original.type(f) == "file" and reader_of(f)
  if not reader then return original_read(f, ...) end
  return reader:read(...)
end

local function next_values(f, formats, autoclose)
  local values = table.pack(f:read(table.unpack(formats, 1, formats.n)))
  if values[1] == nil and values[2] ~= nil then error(values[2], 3) end
  if values[1] == nil and autoclose then f:close() end
  return table.unpack(values, 1, values.n)
end

local function lines(f, ...)
  local reader = original.type(f) == "file" and reader_of(f)
  if not reader then return original_lines(f, ...) end
  local formats = table.pack(...)
  return function()
    if original.type(f) ~= "file" then error("file is already closed", 2) end
    return next_values(f, formats)
  end
end

local function close(f)
  local reader = readers[f]
  readers[f] = nil
  if reader then reader.stream:close() end
  return original_close(f)
end

-- default files ----------------------------------------------------------------

local default = {} -- "input" | "output" -> a file of ours, or nil: io's own

local function default_file(which)
  return default[which] or original[which]()
end

-- io.input and io.output
local function choose(which)
  return function(f)
    if f == nil then return default_file(which) end
    if file.type(f) then
      default[which] = f
      return f
    end
    default[which] = nil
    return original[which](f)
  end
end

local function io_read(...) return default_file("input"):read(...) end

local function io_write(...)
  local f = default.output
  if not f then return original.write(...) end
  return f:write(...)
end

local function io_close(f)
  if f == nil then f = default_file "output" end
  return f:close()
end

local function io_type(value)
  return file.type(value) or original.type(value)
end

-- opening ----------------------------------------------------------------------

local READ, WRITE = "^r", "[wa+]"

-- Opens through gevent: a FIFO, or any file where that is asked for.
local function open(path, mode)
  mode = mode or "r"
  local stream, message, code = fileobject.open(path, mode)
  if not stream then
    return nil, message, core.stdio_errno(code) or 0
  end
  local streams = {}
  if mode:find(READ) or mode:find("+", 1, true) then streams.input = stream end
  if mode:find(WRITE) then streams.output = stream end
  return file.new(streams)
end

-- io.open and io.lines of a name.
local function opener(allfiles)
  local function io_open(path, mode)
    if type(path) == "string" and (allfiles or core.file_isfifo(path)) then
      return open(path, mode)
    end
    return original.open(path, mode)
  end
  local function io_lines(path, ...)
    if path == nil then return default_file("input"):lines(...) end
    if type(path) ~= "string" or not (allfiles or core.file_isfifo(path)) then
      return original.lines(path, ...)
    end
    local f, message = open(path, "r")
    if not f then error(message, 2) end
    local formats = table.pack(...)
    return function() return next_values(f, formats, true) end, nil, nil, f
  end
  return io_open, io_lines
end

-- popen ------------------------------------------------------------------------

-- As io's files and os.execute say how a process has ended.
local function outcome(returncode)
  if returncode < 0 then return nil, "signal", -returncode end
  return returncode == 0 or nil, "exit", returncode
end

local function popen(command, mode)
  if type(command) ~= "string" and type(command) ~= "number" then
    error(("bad argument #1 to 'popen' (string expected, got %s)"):format(
      type(command)), 2)
  end
  mode = mode or "r"
  if mode ~= "r" and mode ~= "w" then
    error("bad argument #2 to 'popen' (invalid mode)", 2)
  end
  local subprocess = require "gevent.subprocess"
  io.stdout:flush()
  local pipe = mode == "r" and "stdout" or "stdin"
  local process, message, code = subprocess.Popen(tostring(command),
    {[pipe] = subprocess.PIPE})
  if not process then
    return nil, command .. ": " .. message, core.stdio_errno(code) or 0
  end
  local streams = {input = process.stdout, output = process.stdin}
  return file.new(streams, function() return outcome(process:wait()) end)
end

-- the patch --------------------------------------------------------------------

local function patch(opts)
  local io_open, io_lines = opener(opts and opts.files)
  saved.replace("io", io, {
    popen = popen, open = io_open, lines = io_lines, read = io_read,
    write = io_write, close = io_close, type = io_type,
    input = choose "input", output = choose "output",
  })
  saved.replace("FILE*", stock, {read = read, lines = lines, close = close})
end

return {patch = patch, outcome = outcome}
