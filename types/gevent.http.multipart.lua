---@meta gevent.http.multipart
-- Made by `make types` from lua/gevent/http/multipart.lua: change that.

---Forms with files: what `req:form` gives for each of them.
---The parser is the core's; here is where the content goes: values to strings,
---files to strings as long as they are small, else to temporary files, which
---have no name and are gone when they are closed or collected.
---@class gevent.http.multipart
local M = {}

---A file that came with a form.
---@class gevent.http.multipart.Upload
local Upload = {}

---Reads from where the last read ended, by the formats of `io`: a number, "a".
---@return any # data; nil at the end ("" for "a"), or nil, message, code
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function Upload:read() end

---Begins to read at its start again.
function Upload:rewind() end

---Copies the content to a file, which is made or replaced.
---@param path string
---@return boolean? # true; or nil, message, code
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function Upload:save(path) end

---Forgets the content.
function Upload:close() end

---Reads the form in the body of a request.
---@param req any
---@param kind string the value of Content-Type
---@param opts table
---@param files table gets each file at once: the caller has to close them
---@return any # name -> list of values; or nil, message, code
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.read(req, kind, opts, files) end

---@type number
M.MAX_FIELDS = nil

---@type gevent.http.multipart.Upload|fun(...): gevent.http.multipart.Upload
M.Upload = nil

return M
