--- Queues: items handed from greenlet to greenlet, in order. Any value but nil is an item.
-- @module gevent.queue
local core = require "gevent._core"

--- Makes a queue: first in, first out.
-- @function Queue
-- @tparam[opt=0] integer maxsize 0: no limit
-- @tparam[opt] table items to begin with
-- @treturn Queue

--- Makes a queue: last in, first out.
-- @function LifoQueue
-- @tparam[opt=0] integer maxsize
-- @tparam[opt] table items
-- @treturn Queue

--- Makes a queue: least first.
-- @function PriorityQueue
-- @tparam[opt=0] integer maxsize
-- @tparam[opt] table items
-- @tparam[opt] function less `less(a, b)`; `<` if none
-- @treturn Queue

--- Makes a queue that knows when all of its items are done with.
-- @function JoinableQueue
-- @tparam[opt=0] integer maxsize
-- @tparam[opt] table items
-- @treturn JoinableQueue

--- Makes a queue without room: `put` waits until somebody gets.
-- @function Channel
-- @treturn Queue

--- What all of them have; `#queue` is `queue:qsize()`.
-- @type Queue

--- Puts an item, and waits for room.
-- @function Queue:put
-- @param item
-- @tparam[opt] number timeout seconds
-- @return true; or nil, message, code: "timeout", "closed"

--- Takes an item, and waits until there is one.
-- @function Queue:get
-- @tparam[opt] number timeout seconds
-- @return the item; or nil, message, code: "timeout", "closed"

--- The item that `get` would take, which stays.
-- @function Queue:peek
-- @tparam[opt] number timeout seconds
-- @return the item; or nil, message, code: "timeout", "closed"

--- Puts an item if there is room.
-- @function Queue:put_nowait
-- @param item
-- @return true; or nil, message, code: "full", "closed"

--- Takes an item if there is one.
-- @function Queue:get_nowait
-- @return the item; or nil, message, code: "empty", "closed"

--- The item that `get_nowait` would take, which stays.
-- @function Queue:peek_nowait
-- @return the item; or nil, message, code: "empty", "closed"

--- How many items are there.
-- @function Queue:qsize
-- @treturn integer

--- Is there none?
-- @function Queue:empty
-- @treturn boolean

--- Is there no room?
-- @function Queue:full
-- @treturn boolean

--- Ends it: nothing more can be put; what is there can still be taken. Idempotent.
-- @function Queue:close

--- Iterates over the items, taking them, until the queue is closed and empty.
-- @function Queue:iter
-- @treturn function iterator

--- Has the methods of a Queue, too.
-- @type JoinableQueue

--- Says that an item which was taken is done with. More often than `put` is misuse.
-- @function JoinableQueue:task_done

--- Waits until `task_done` was called for each item that was put.
-- @function JoinableQueue:join
-- @tparam[opt] number timeout seconds
-- @treturn boolean false at expiry

return {
  Queue = core.Queue,
  LifoQueue = core.LifoQueue,
  PriorityQueue = core.PriorityQueue,
  JoinableQueue = core.JoinableQueue,
  Channel = core.Channel,
}
