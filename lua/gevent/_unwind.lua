-- gevent._unwind: for `__close` methods that may block (private).
local core = require "gevent._core"

--- Cleans up in a scope that is left by `err`, or by its end. An error of `clean`
-- replaces that one, as ever in Lua; but not a kill: that a time-out cuts the
-- cleaning up short must not undo it.
-- @param err as `__close` gets it
-- @tparam function clean
-- @param ... its arguments
return function(err, clean, ...)
  if core.isinstance(err, core.GreenletExit) then
    pcall(clean, ...)
  else
    clean(...)
  end
end
