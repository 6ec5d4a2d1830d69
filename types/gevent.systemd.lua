---@meta gevent.systemd
-- Made by `make types` from lua/gevent/systemd.lua: change that.

---What systemd gives a service, and wants to hear of it: sockets that it has
---opened, and the state of the service. Elsewhere all of this does nothing.
---
---    local listeners = systemd.listeners()
---    http.Server(listeners[1] or ":8080", handler):start()
---    systemd.notify("READY=1")
---
---See `docs/deployment.md`.
---@class gevent.systemd
local M = {}

---The sockets of the unit's `.socket` files, in their order; they listen already.
---None where the process was not started so, or where they were meant for another
---process (`LISTEN_PID`).
---@return gevent.socket.socket[] # the same list at each call
function M.listeners() end

---Tells systemd something, as `sd_notify` does: "READY=1", "STOPPING=1",
---"STATUS=text"; several are lines of one text. The unit needs `Type=notify`.
---@param state string
---@return boolean? # was there somebody to tell?
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.notify(state) end

---How often systemd wants to hear "WATCHDOG=1", if the unit has `WatchdogSec`.
---@return any # seconds: half of what it waits for; nil where it does not
function M.watchdog() end

---Says "WATCHDOG=1" as often as it is wanted, in a greenlet of its own, which
---stops doing so where the loop does not run. Does nothing where it is not wanted.
---@return any # the greenlet, or nil
function M.start_watchdog() end

return M
