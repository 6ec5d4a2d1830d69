--- Signals of the operating system.
-- A handler is an ordinary function, in a greenlet of its own: it may block, and
-- do all else that a greenlet may. The numbers are fields: `signal.SIGTERM`. A
-- signal is named by its number or its name, `"SIGTERM"` or `"TERM"`; one that
-- there is not is misuse. See `docs/signals.md`.
-- @module gevent.signal
local core = require "gevent._core"

local SIG_DFL, SIG_IGN = "default", "ignore"

local signal = {SIG_DFL = SIG_DFL, SIG_IGN = SIG_IGN}
for name, number in pairs(core.signals) do signal[name] = number end

local function callable(value)
  local metatable = getmetatable(value)
  return type(value) == "function" or type(metatable) == "table" and metatable.__call ~= nil
end

-- The number of a signal.
local function check(sig, fname)
  local number = core.signum(sig)
  if not number then
    error(("bad argument #1 to '%s' (%s is no signal)"):format(fname,
      type(sig) == "string" and ("'%s'"):format(sig) or tostring(sig)), 3)
  elseif number == signal.SIGKILL or number == signal.SIGSTOP then
    error(("bad argument #1 to '%s' (this signal cannot be caught)"):format(fname), 3)
  end
  return number
end

-- What `signal.signal` has set: number -> {fn, watcher}.
local set = {}

--- What is done about a signal.
-- @param sig number or name
-- @return the function that `signal` has set; `SIG_DFL`, `SIG_IGN`, or nil for
-- what others have set
function signal.getsignal(sig)
  local number = check(sig, "getsignal")
  if set[number] then return set[number].fn end
  return core.get_disposition(number)
end

--- Sets what is done about a signal, in place of what was set so before.
-- @param sig number or name
-- @param handler function, which is called with the signal's number in a greenlet
-- of its own; `SIG_DFL` or `SIG_IGN`
-- @return what `getsignal` gave before
function signal.signal(sig, handler)
  local number = check(sig, "signal")
  local before = signal.getsignal(number)
  local watcher
  if callable(handler) then
    watcher = core.signal_watcher(number, function() core.spawn(handler, number) end)
  elseif handler ~= SIG_DFL and handler ~= SIG_IGN then
    error("bad argument #2 to 'signal' (function, SIG_DFL or SIG_IGN expected)", 2)
  elseif handler == SIG_IGN and number == signal.SIGCHLD then
    error("bad argument #1 to 'signal' (SIGCHLD is needed to wait for children)", 2)
  end
  if set[number] then set[number].watcher:cancel() end
  set[number] = watcher and {fn = handler, watcher = watcher}
  if not watcher then core.set_disposition(number, handler) end
  return before
end

--- A handler that `gevent.signal_handler` has set. Field: `signum`.
-- @type Handler
local Handler = {__name = "signal handler"}
Handler.__index = Handler

--- The function is called no more. Idempotent.
function Handler:cancel()
  self._watcher:cancel()
end
Handler.close = Handler.cancel
Handler.__close = Handler.cancel

function Handler:__tostring()
  return ("<signal handler at %p: signal %d%s>"):format(self, self.signum,
    self._watcher:active() and "" or " cancelled")
end

-- gevent.signal_handler: see there.
function signal._handler(sig, fn, ...)
  local number = check(sig, "signal_handler")
  if not callable(fn) then
    error("bad argument #2 to 'signal_handler' (function expected, got " .. type(fn) .. ")", 2)
  end
  local args = table.pack(...)
  local watcher = core.signal_watcher(number, function()
    core.spawn(fn, table.unpack(args, 1, args.n))
  end)
  return setmetatable({signum = number, _watcher = watcher}, Handler)
end

return signal
