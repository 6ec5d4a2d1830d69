--- The standard library's `coroutine`, for use inside greenlets.
-- A blocking call in a coroutine that was resumed through this module blocks
-- the whole greenlet, not just the coroutine. While it does, the coroutine's
-- status is "normal": it can be neither resumed nor closed by another.
-- @module gevent.coroutine
local core = require "gevent._core"

--- As the standard library's.
-- @function create
-- @tparam function fn
-- @treturn thread

--- As the standard library's; what blocks inside blocks the greenlet.
-- @function resume
-- @tparam thread co
-- @param ... what `yield` gives there, or the function's arguments
-- @return[1] true, and what it yields or returns
-- @return[2] false, the error

--- As the standard library's; what blocks inside blocks the greenlet.
-- @function wrap
-- @tparam function fn
-- @treturn function each call resumes it

--- As the standard library's.
-- @function yield
-- @param ... what `resume` gives
-- @return what the next `resume` was given

--- As the standard library's; "normal" also while a call blocks inside.
-- @function status
-- @tparam thread co
-- @treturn string

--- As the standard library's.
-- @function running
-- @treturn thread
-- @treturn boolean is it the main one?

--- As the standard library's.
-- @function isyieldable
-- @tparam[opt] thread co
-- @treturn boolean

--- As the standard library's; raises where a call blocks inside.
-- @function close
-- @tparam thread co
-- @return true; or false and the error that ended it

return {
  create = coroutine.create,
  running = core.coroutine.running,
  isyieldable = coroutine.isyieldable,
  yield = coroutine.yield,
  resume = core.coroutine.resume,
  wrap = core.coroutine.wrap,
  status = core.coroutine.status,
  close = core.coroutine.close,
}
