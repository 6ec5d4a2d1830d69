--- The clock, and `sleep`.
-- @module gevent.time
local core = require "gevent._core"

return {
  --- Lets others run for so long; see `gevent.sleep`.
  -- @function sleep
  sleep = core.sleep,
  --- Seconds of a clock that never goes back, from no particular moment.
  -- @function monotonic
  monotonic = core.monotonic,
  --- Seconds since 1970, with fractions; the system may set it back.
  -- @function time
  time = core.time,
}
