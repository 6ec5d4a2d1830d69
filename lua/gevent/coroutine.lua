--- The standard library's `coroutine`, for use inside greenlets.
-- A blocking call in a coroutine that was resumed through this module blocks
-- the whole greenlet, not just the coroutine. While it does, the coroutine's
-- status is "normal": it can be neither resumed nor closed by another.
-- @module gevent.coroutine
local core = require "gevent._core"

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
