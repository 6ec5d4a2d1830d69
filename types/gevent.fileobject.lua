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
---@return any
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.open(path, mode) end

---Makes a file of a descriptor, which it takes over and will close; or of
---another file, `io`'s or one of these, of whose descriptor it makes a copy.
---@param fd any descriptor or file
---@param mode? string what it is to be used for; may not ask for more than the descriptor gives ("EINVAL")
---@return any
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.FileObject(fd, mode) end

return M
