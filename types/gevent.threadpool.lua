---@meta gevent.threadpool
-- Made by `make types` from lua/gevent/threadpool.lua: change that.

---Lua functions in OS threads: real parallelism, for work that computes.
---Each thread has a Lua state of its own, so nothing is shared: a function
---travels as its bytecode, and may have no upvalues but its globals, which are
---those of the thread; or it is named, `"module", "function"`, and the thread
---requires the module. Arguments and results are copied: nil, booleans, numbers,
---strings, and tables of these (shared tables and circles stay so); anything
---else is an error that says where it stands.
---@class gevent.threadpool
local M = {}

---Runs a function in a thread. Waits for room where as many tasks as the pool
---has threads, and one more, are under way. An error is printed, as that of a
---greenlet is, and raised by the result's `get`; `result.traceback` is the
---thread's.
---@param fn any function, or module name followed by a function name
---@param ... any its arguments
---@return gevent.event.AsyncResult
function M.spawn(fn, ...) end

---Runs a function in a thread and waits for its results. A kill or Timeout
---ends the wait, not the work.
function M.apply() end

---The same without waiting, also not for room.
---@return gevent.Greenlet
function M.apply_async() end

---Calls a function for each item of a sequence, in the threads.
---@param fn any function, or module name followed by a function name
---@param seq any list, or iterator function
---@return table # the results in the order of the items; raises the first error
function M.map(fn, seq) end

---`map` without waiting.
---@return gevent.Greenlet # whose value is the list
function M.map_async() end

---The results one by one, in the order of the items.
---@param fn any function, or module name followed by a function name
---@param seq any list, or iterator function
---@param opts? table `maxsize`: how many results may wait to be taken
---@return function # iterator
function M.imap(fn, seq, opts) end

---The results one by one, in the order they come.
function M.imap_unordered() end

---Waits until nothing is under way.
---@param timeout? number seconds
---@return boolean # false at expiry
function M.join(timeout) end

---Gives the pool up. Results that are not there yet fail; threads end when
---they have done what they are in. Idempotent.
function M.kill() end

---How many tasks are under way.
function M.__len() end

---Makes a pool. Threads begin when they are needed, and end when they have had
---nothing to do for 5 seconds.
---@param maxsize? integer threads at most
function M.ThreadPool(maxsize) end

return M
