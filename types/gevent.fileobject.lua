---@meta gevent.fileobject
-- Made by `make types` from lua/gevent/fileobject.lua: change that.

---Files that do not block the loop.
---Regular files go through the thread pool; pipes, FIFOs and terminals through
---the loop. They are read and written like sockets, with the methods of `io`'s
---files: see `docs/files.md`.
---@class gevent.fileobject
local M = {}

---Opens a file. A FIFO that is opened for writing waits for its reader.
---@param path string
---@param mode? string as of `io.open`
---@return gevent.fileobject.File?
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.open(path, mode) end

---Makes a file of a descriptor, which it takes over and will close; or of
---another file, `io`'s or one of these, of whose descriptor it makes a copy.
---@param fd any descriptor or file
---@param mode? string what it is to be used for; may not ask for more than the descriptor gives ("EINVAL")
---@return gevent.fileobject.File?
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.FileObject(fd, mode) end

---A file. Its methods are those of a socket that read and write
---(see `gevent.socket`), and these.
---@class gevent.fileobject.File
local File = {}

---Moves in a regular file, as in `io`.
---@param whence? string "set", "cur", "end"
---@param offset? integer
---@return any # the position; or nil, message, code
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function File:seek(whence, offset) end

---Reads by the formats of `io`: a number, "l", "L", "a", "n".
---@param ... any formats; "l" if none
function File:read(...) end

---Iterates over `read(...)`; a failure raises.
---@param ... any formats
---@return function # iterator
function File:lines(...) end

---Writes strings and numbers, as `setvbuf` says.
---@param ... any strings and numbers
---@return any # the file; or nil, message, code, bytes written
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function File:write(...) end

---Writes what is held back.
---@return any # the file; or nil, message, code
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function File:flush() end

---Says what is to be held back: nothing ("no"), all ("full"), parts of lines ("line").
---@param mode string
---@param size? integer bytes
---@return boolean # true
function File:setvbuf(mode, size) end

---Writes what is held back, and closes it. Idempotent.
---@return boolean? # true; or nil, message, code
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function File:close() end

return M
