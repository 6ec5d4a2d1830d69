--- Cooperative concurrency: sequential code that scales.
-- There is nothing to run: the first call that blocks starts the event loop.
-- @module gevent
local core = require "gevent._core"
local waiting = require "gevent._wait"
local nursery = require "gevent.nursery"

local gevent = {
  version = "0.1.0",
  config = require "gevent.config",

  -- greenlets
  Greenlet = core.Greenlet,
  spawn = core.spawn,
  spawn_later = core.spawn_later,
  spawn_raw = core.spawn_raw,
  getcurrent = core.getcurrent,
  kill = core.kill,
  joinall = waiting.joinall,
  killall = waiting.killall,
  wait = waiting.wait,
  iwait = waiting.iwait,
  nursery = nursery,
  shield = core.shield,

  -- time
  sleep = core.sleep,
  idle = core.idle,
  Timeout = core.Timeout,
  with_timeout = waiting.with_timeout,
  getswitchinterval = core.getswitchinterval,
  setswitchinterval = core.setswitchinterval,

  -- errors
  exception = core.exception,
  isinstance = core.isinstance,
  pcall = core.pcall,
  xpcall = core.xpcall,
  Error = core.Error,
  GreenletExit = core.GreenletExit,
  LoopExit = core.LoopExit,
  ConcurrentObjectUseError = core.ConcurrentObjectUseError,
  BlockingSwitchOutError = core.BlockingSwitchOutError,
  InvalidSwitchError = core.InvalidSwitchError,
}

--- The hub of this Lua state.
-- @treturn Hub
function gevent.get_hub()
  return core.hub
end

return gevent
