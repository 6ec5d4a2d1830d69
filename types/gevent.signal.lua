---@meta gevent.signal
-- Made by `make types` from lua/gevent/signal.lua: change that.

---Signals of the operating system.
---A handler is an ordinary function, in a greenlet of its own: it may block, and
---do all else that a greenlet may. The numbers are fields: `signal.SIGTERM`. A
---signal is named by its number or its name, `"SIGTERM"` or `"TERM"`; one that
---there is not is misuse. See `docs/signals.md`.
---@class gevent.signal
local M = {}

---What is done about a signal.
---@param sig any number or name
---@return any # the function that `signal` has set; `SIG_DFL`, `SIG_IGN`, or nil for what others have set
function M.getsignal(sig) end

---Sets what is done about a signal, in place of what was set so before.
---@param sig any number or name
---@param handler any function, which is called with the signal's number in a greenlet of its own; `SIG_DFL` or `SIG_IGN`
---@return any # what `getsignal` gave before
function M.signal(sig, handler) end

---A handler that `gevent.signal_handler` has set. Field: `signum`.
---@class gevent.signal.Handler
local Handler = {}

---The function is called no more. Idempotent.
function Handler:cancel() end

---@type number
M.SIGABRT = nil

---@type number
M.SIGALRM = nil

---@type number
M.SIGBUS = nil

---@type number
M.SIGCHLD = nil

---@type number
M.SIGCONT = nil

---@type number
M.SIGFPE = nil

---@type number
M.SIGHUP = nil

---@type number
M.SIGILL = nil

---@type number
M.SIGINT = nil

---@type number
M.SIGIO = nil

---@type number
M.SIGIOT = nil

---@type number
M.SIGKILL = nil

---@type number
M.SIGPIPE = nil

---@type number
M.SIGPROF = nil

---@type number
M.SIGPWR = nil

---@type number
M.SIGQUIT = nil

---@type number
M.SIGSEGV = nil

---@type number
M.SIGSTKFLT = nil

---@type number
M.SIGSTOP = nil

---@type number
M.SIGSYS = nil

---@type number
M.SIGTERM = nil

---@type number
M.SIGTRAP = nil

---@type number
M.SIGTSTP = nil

---@type number
M.SIGTTIN = nil

---@type number
M.SIGTTOU = nil

---@type number
M.SIGURG = nil

---@type number
M.SIGUSR1 = nil

---@type number
M.SIGUSR2 = nil

---@type number
M.SIGVTALRM = nil

---@type number
M.SIGWINCH = nil

---@type number
M.SIGXCPU = nil

---@type number
M.SIGXFSZ = nil

---@type string
M.SIG_DFL = nil

---@type string
M.SIG_IGN = nil

return M
