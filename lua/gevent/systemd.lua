--- What systemd gives a service, and wants to hear of it: sockets that it has
-- opened, and the state of the service. Elsewhere all of this does nothing.
--
--     local listeners = systemd.listeners()
--     http.Server(listeners[1] or ":8080", handler):start()
--     systemd.notify("READY=1")
--
-- See `docs/deployment.md`.
-- @module gevent.systemd
local core = require "gevent._core"
local gos = require "gevent.os"
local socket = require "gevent.socket"

local FIRST_FD = 3 -- SD_LISTEN_FDS_START

local systemd = {}

local taken -- what listeners() has made, as each descriptor can be taken over once

--- The sockets of the unit's `.socket` files, in their order; they listen already.
-- None where the process was not started so, or where they were meant for another
-- process (`LISTEN_PID`).
-- @treturn {socket,...} the same list at each call
function systemd.listeners()
  if taken then return taken end
  taken = {}
  if tonumber(os.getenv "LISTEN_PID") ~= gos.getpid() then return taken end
  for i = 1, math.tointeger(tonumber(os.getenv "LISTEN_FDS")) or 0 do
    taken[i] = assert(socket.fromfd(FIRST_FD + i - 1))
  end
  return taken
end

--- Tells systemd something, as `sd_notify` does: "READY=1", "STOPPING=1",
-- "STATUS=text"; several are lines of one text. The unit needs `Type=notify`.
-- @tparam string state
-- @treturn[1] boolean was there somebody to tell?
-- @return[2] nil, message, code
function systemd.notify(state)
  local path = os.getenv "NOTIFY_SOCKET"
  if not path or path == "" then return false end
  local sock <close>, message, code = socket.socket("unix", "dgram")
  if not sock then return nil, message, code end
  local sent
  sent, message, code = sock:sendto(state, path)
  if not sent then return nil, message, code end
  return true
end

--- How often systemd wants to hear "WATCHDOG=1", if the unit has `WatchdogSec`.
-- @return seconds: half of what it waits for; nil where it does not
function systemd.watchdog()
  local limit = tonumber(os.getenv "WATCHDOG_USEC")
  local pid = tonumber(os.getenv "WATCHDOG_PID")
  if not limit or pid and pid ~= gos.getpid() then return nil end
  return limit / 2e6
end

--- Says "WATCHDOG=1" as often as it is wanted, in a greenlet of its own, which
-- stops doing so where the loop does not run. Does nothing where it is not wanted.
-- @return the greenlet, or nil
function systemd.start_watchdog()
  local period = systemd.watchdog()
  if not period then return nil end
  return core.spawn(function()
    while true do
      systemd.notify("WATCHDOG=1")
      core.sleep(period)
    end
  end)
end

return systemd
