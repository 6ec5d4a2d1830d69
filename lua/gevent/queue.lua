--- Queues: items handed from greenlet to greenlet, in order.
-- All have `:put(item [, timeout]) :get([timeout]) :peek([timeout])`,
-- `:put_nowait(item) :get_nowait() :peek_nowait()`, `:qsize() :empty() :full()`,
-- `:close() :iter()` and `#queue`. Any value but nil is an item.
-- @module gevent.queue
local core = require "gevent._core"

return {
  --- First in, first out.
  -- @function Queue
  -- @tparam[opt=0] integer maxsize 0: no limit
  -- @tparam[opt] table items to begin with
  Queue = core.Queue,
  --- Last in, first out.
  -- @function LifoQueue
  LifoQueue = core.LifoQueue,
  --- Least first.
  -- @function PriorityQueue
  -- @tparam[opt=0] integer maxsize
  -- @tparam[opt] table items
  -- @tparam[opt] function less `less(a, b)`; `<` if none
  PriorityQueue = core.PriorityQueue,
  --- A queue whose `:join([timeout]) -> bool` waits until `:task_done()` was
  -- called for each item that was put.
  -- @function JoinableQueue
  JoinableQueue = core.JoinableQueue,
  --- A rendezvous: `put` waits until somebody gets.
  -- @function Channel
  Channel = core.Channel,
}
