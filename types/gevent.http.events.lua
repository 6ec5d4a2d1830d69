---@meta gevent.http.events
-- Made by `make types` from lua/gevent/http/events.lua: change that.

---Server-sent events: what `res:events` gives. An object holds the response
---and nothing else.
---@class gevent.http.events
local M = {}

---@class gevent.http.events.Events
local Events = {}

---Sends an event.
---@param data string any number of lines
---@param opts? table `event` (its type), `id`, `retry` (seconds that the client waits before it connects again)
---@return any # the events; or nil, message, code where the client is gone
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function Events:send(data, opts) end

---Sends a comment, which clients ignore: it keeps proxies from closing a silent
---connection, and tells whether the client is still there.
---@param text? string
---@return any # the events; or nil, message, code
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function Events:comment(text) end

return M
