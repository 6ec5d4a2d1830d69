---@meta gevent.queue
-- Made by `make types` from lua/gevent/queue.lua: change that.

---Queues: items handed from greenlet to greenlet, in order. Any value but nil is an item.
---@class gevent.queue
local M = {}

---Makes a queue: first in, first out.
---@param maxsize? integer 0: no limit
---@param items? table to begin with
---@return gevent.queue.Queue
function M.Queue(maxsize, items) end

---Makes a queue: last in, first out.
---@param maxsize? integer
---@param items? table
---@return gevent.queue.Queue
function M.LifoQueue(maxsize, items) end

---Makes a queue: least first.
---@param maxsize? integer
---@param items? table
---@param less? function `less(a, b)`; `<` if none
---@return gevent.queue.Queue
function M.PriorityQueue(maxsize, items, less) end

---Makes a queue that knows when all of its items are done with.
---@param maxsize? integer
---@param items? table
---@return gevent.queue.JoinableQueue
function M.JoinableQueue(maxsize, items) end

---Makes a queue without room: `put` waits until somebody gets.
---@return gevent.queue.Queue
function M.Channel() end

---What all of them have; `#queue` is `queue:qsize()`.
---@class gevent.queue.Queue
local Queue = {}

---Puts an item, and waits for room.
---@param item any
---@param timeout? number seconds
---@return boolean? # true; or nil, message, code: "timeout", "closed"
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function Queue:put(item, timeout) end

---Takes an item, and waits until there is one.
---@param timeout? number seconds
---@return any # the item; or nil, message, code: "timeout", "closed"
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function Queue:get(timeout) end

---The item that `get` would take, which stays.
---@param timeout? number seconds
---@return any # the item; or nil, message, code: "timeout", "closed"
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function Queue:peek(timeout) end

---Puts an item if there is room.
---@param item any
---@return boolean? # true; or nil, message, code: "full", "closed"
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function Queue:put_nowait(item) end

---Takes an item if there is one.
---@return any # the item; or nil, message, code: "empty", "closed"
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function Queue:get_nowait() end

---The item that `get_nowait` would take, which stays.
---@return any # the item; or nil, message, code: "empty", "closed"
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function Queue:peek_nowait() end

---How many items are there.
---@return integer
function Queue:qsize() end

---Is there none?
---@return boolean
function Queue:empty() end

---Is there no room?
---@return boolean
function Queue:full() end

---Ends it: nothing more can be put; what is there can still be taken. Idempotent.
function Queue:close() end

---Iterates over the items, taking them, until the queue is closed and empty.
---@return function # iterator
function Queue:iter() end

---Has the methods of a Queue, too.
---@class gevent.queue.JoinableQueue
local JoinableQueue = {}

---Says that an item which was taken is done with. More often than `put` is misuse.
function JoinableQueue:task_done() end

---Waits until `task_done` was called for each item that was put.
---@param timeout? number seconds
---@return boolean # false at expiry
function JoinableQueue:join(timeout) end

return M
