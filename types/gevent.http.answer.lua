---@meta gevent.http.answer
-- Made by `make types` from lua/gevent/http/answer.lua: change that.

---What a server answered.
---Fields: `status`, `reason`, `headers`, `version` ("1.1"), `url` (where it came
---from in the end), `body` unless it is streamed, `encoding` ("gzip", "deflate")
---of what was undone. One that is streamed holds its connection until its body
---has been read to the end or it is closed; when it is collected at the latest.
---@class gevent.http.answer
local M = {}

---What a server answered.
---Fields: `status`, `reason`, `headers`, `version` ("1.1"), `url` (where it came
---from in the end), `body` unless it is streamed, `encoding` ("gzip", "deflate")
---of what was undone. One that is streamed holds its connection until its body
---has been read to the end or it is closed; when it is collected at the latest.
---@class gevent.http.answer.Response
local Response = {}

---The body of a streamed one, by the formats of `io`.
---@param format? string|integer number of bytes, "l", "L", "a"
---@return any # data; or nil, message, code: "closed" at the end, "truncated", "malformed", "toolarge", "timeout" ...
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function Response:read(format) end

---What has come of the body.
---@param n integer at most so many bytes
---@return any # data, "" at the end; or nil, message, code
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function Response:recv(n) end

---The lines of the body.
---@param format? string|integer as in `read`
---@return function # iterator; as in `io`, a failure raises
function Response:lines(format) end

---The body in pieces as they come; an iterator that may be the body of
---another request, or of a handler's answer.
---@return function # as in `io`, a failure raises
function Response:chunks() end

---Ends it: what was not read is not wanted. Idempotent.
function Response:close() end

---The connection itself, after 101 (Switching Protocols): a socket, which is
---the caller's from now on; what came behind the answer is still in it.
---@return gevent.socket.socket
function Response:takeover() end

---@type function
M.stream = nil

---@type function
M.whole = nil

return M
