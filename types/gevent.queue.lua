---@meta gevent.queue
-- Made by `make types` from lua/gevent/queue.lua: change that.

---Queues: items handed from greenlet to greenlet, in order.
---All have `:put(item [, timeout]) :get([timeout]) :peek([timeout])`,
---`:put_nowait(item) :get_nowait() :peek_nowait()`, `:qsize() :empty() :full()`,
---`:close() :iter()` and `#queue`. Any value but nil is an item.
---@class gevent.queue
local M = {}

---First in, first out.
---@param maxsize? integer 0: no limit
---@param items? table to begin with
function M.Queue(maxsize, items) end

---Last in, first out.
function M.LifoQueue() end

---Least first.
---@param maxsize? integer
---@param items? table
---@param less? function `less(a, b)`; `<` if none
function M.PriorityQueue(maxsize, items, less) end

---A queue whose `:join([timeout]) -> bool` waits until `:task_done()` was
---called for each item that was put.
function M.JoinableQueue() end

---A rendezvous: `put` waits until somebody gets.
function M.Channel() end

return M
