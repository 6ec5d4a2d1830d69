--- Files that do not block the loop.
-- Regular files go through the thread pool; pipes, FIFOs and terminals through
-- the loop. They are read and written like sockets, with the methods of `io`'s
-- files: see `docs/files.md`.
-- @module gevent.fileobject
local core = require "gevent._core"
local misuse = require "gevent._misuse"

local fileobject = {}

local PAUSE, LONGEST_PAUSE = 0.005, 0.1 -- seconds between looks for a FIFO's reader

local function checkmode(n, fname, mode)
  if mode ~= nil and (type(mode) ~= "string" or not mode:find("^[rwa]%+?b*$")) then
    misuse.bad(n, fname, type(mode) == "string" and ("invalid mode '%s'"):format(mode)
      or misuse.expected("mode as of io.open", mode))
  end
end

--- Opens a file. A FIFO that is opened for writing waits for its reader.
-- @tparam string path
-- @tparam[opt="r"] string mode as of `io.open`
-- @treturn[1] File
-- @return[2] nil, message, code
function fileobject.open(path, mode)
  if type(path) ~= "string" and type(path) ~= "number" then
    misuse.bad(1, "open", misuse.expected("path", path))
  end
  checkmode(2, "open", mode)
  local pause = PAUSE
  while true do
    local file, message, code = core.open(path, mode)
    if file or code ~= "ENXIO" or not core.file_isfifo(path) then
      return file, message, code
    end
    core.sleep(pause)
    pause = math.min(2 * pause, LONGEST_PAUSE)
  end
end

--- Makes a file of a descriptor, which it takes over and will close; or of
-- another file, `io`'s or one of these, of whose descriptor it makes a copy.
-- @param fd descriptor or file
-- @tparam[opt] string mode what it is to be used for; may not ask for more than
-- the descriptor gives ("EINVAL")
-- @treturn[1] File
-- @return[2] nil, message, code
function fileobject.FileObject(fd, mode)
  if (math.type(fd) ~= "integer" or fd < 0) and type(fd) ~= "userdata" then
    misuse.bad(1, "FileObject", misuse.expected("descriptor or file", fd))
  end
  checkmode(2, "FileObject", mode)
  return core.FileObject(fd, mode)
end

--- A file. Its methods are those of a socket that read and write
-- (see `gevent.socket`), and these.
-- @type File

--- Moves in a regular file, as in `io`.
-- @function File:seek
-- @tparam[opt="cur"] string whence "set", "cur", "end"
-- @tparam[opt=0] integer offset
-- @return the position; or nil, message, code

--- Reads by the formats of `io`: a number, "l", "L", "a", "n".
-- @function File:read
-- @param ... formats; "l" if none

--- Iterates over `read(...)`; a failure raises.
-- @function File:lines
-- @param ... formats
-- @treturn function iterator

--- Writes strings and numbers, as `setvbuf` says.
-- @function File:write
-- @param ... strings and numbers
-- @return the file; or nil, message, code, bytes written

--- Writes what is held back.
-- @function File:flush
-- @return the file; or nil, message, code

--- Says what is to be held back: nothing ("no"), all ("full"), parts of lines ("line").
-- @function File:setvbuf
-- @tparam string mode
-- @tparam[opt] integer size bytes
-- @return true

--- Writes what is held back, and closes it. Idempotent.
-- @function File:close
-- @return true; or nil, message, code

local STANDARD = {stdin = 0, stdout = 1, stderr = 2}

--- The standard streams, made when first asked for. They leave the descriptors
-- of the process open, and blocking for whoever shares them.
-- @field stdin
-- @field stdout
-- @field stderr
-- @table standard

return setmetatable(fileobject, {__index = function(_, name)
  local fd = STANDARD[name]
  if not fd then return nil end
  local file = assert(core.file_borrow(fd, name))
  rawset(fileobject, name, file)
  return file
end})
