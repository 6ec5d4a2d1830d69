---@meta gevent.http.file
-- Made by `make types` from lua/gevent/http/file.lua: change that.

---Answers for a file that could not be opened; nil, message, code.
---@class gevent.http.file
local M = {}

---Answers for a file that could not be opened; nil, message, code.
function M.missing() end

---Sends what was opened; see res:sendfile.
function M.send() end

---Makes a handler that serves the files below a directory, by the path of the
---request; see `docs/http.md`.
---@param root string
---@param opts? table `index` ("index.html"; false: none), `hidden` (true: names that begin with a dot, too), `max_age` (seconds)
---@return function # handler
function M.files(root, opts) end

return M
