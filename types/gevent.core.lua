---@meta gevent.core
-- Made by `make types` from lua/gevent/core.lua: change that.

---The loop's own watchers, for what the blocking calls do not offer.
---A watcher calls a function in the hub, between the greenlets, whenever something
---happens; the function may not block (it may spawn). While it is active a watcher
---keeps the loop alive, unless its `ref` is false.
---
---    local core = require "gevent.core"
---    local tick = core.timer(1, 1):start(function() print "tick" end)
---    ...
---    tick:close()
---
---@class gevent.core
local M = {}

---A descriptor that can be read or written: `fn("r"|"w"|"rw")`.
---@param fd any number, or anything with `:fileno()`
---@param events? string "r", "w" or "rw"
---@return gevent.core.Watcher?
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.io(fd, events) end

---Time: `fn()`. A time that passes while others run is not made up for.
---@param after number seconds until the first call
---@param every? number seconds between calls; 0: there is only one
---@return gevent.core.Watcher
function M.timer(after, every) end

---A signal: `fn(number)`. Does not keep the loop alive, unless told.
---@param name any "SIGTERM", "TERM" or a number
---@return gevent.core.Watcher
function M.signal(name) end

---A child process that ends: `fn(pid, returncode)`, once.
---@param pid integer
---@return gevent.core.Watcher
function M.child(pid) end

---A call from elsewhere: `watcher:send()`. Several that come before the function
---is called are one.
---@return gevent.core.Watcher
function M.async() end

---Each turn of the loop in which nothing else waits: `fn()`.
---@return gevent.core.Watcher
function M.idle() end

---Each turn, before the loop polls: `fn()`, after the poll.
---@return gevent.core.Watcher
function M.prepare() end

---Each turn, after the loop has polled: `fn()`.
---@return gevent.core.Watcher
function M.check() end

---The child of `gevent.fork`: `fn()`. All other watchers are stopped there. Does not
---keep the loop alive, unless told.
---@return gevent.core.Watcher
function M.fork() end

---What stat(2) says of a file: `fn(former, now)`, tables with `size mode ino mtime
---ctime`, nil for a file that is not there.
---@param path string
---@param interval? number seconds between two looks
---@return gevent.core.Watcher
function M.stat(path, interval) end

---What all of them have. Fields: `active`, `pending` (something has happened and the
---function is yet to be called), `ref` (does it keep the loop alive?), `closed`.
---@class gevent.core.Watcher
local Watcher = {}

---Begins to watch; the arguments of the function are told above.
---@param fn function it is called in the hub, and may not block
---@return gevent.core.Watcher
function Watcher:start(fn) end

---Watches no more; may start again.
---@return gevent.core.Watcher
function Watcher:stop() end

---Watches no more, for ever. Idempotent.
function Watcher:close() end

---Makes an `async` watcher happen.
function Watcher:send() end

return M
