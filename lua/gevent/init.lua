--- Cooperative concurrency: sequential code that scales.
-- There is nothing to run: the first call that blocks starts the event loop.
-- @module gevent
local core = require "gevent._core"
local waiting = require "gevent._wait"
local nursery = require "gevent.nursery"
local os = require "gevent.os"
local signal = require "gevent.signal"

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

  -- the system
  signal_handler = signal._handler,
  fork = os.fork,
  reinit = os.reinit,

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

-- Fields of the hub that are made when somebody asks for them.
setmetatable(core.hubfields, {__index = function(fields, name)
  if name ~= "threadpool" then return nil end
  local pool = require("gevent.threadpool").ThreadPool()
  fields.threadpool = pool
  return pool
end})

-- What is written in C, for LDoc ------------------------------------------------

--- The classes of what is raised: see `docs/errors.md`. Each is called for an
-- instance, with a message, and tested by `isinstance`.
-- @field Error the class above all others
-- @field GreenletExit a kill
-- @field LoopExit the main greenlet would block for ever
-- @field ConcurrentObjectUseError a second reader or writer of one socket
-- @field BlockingSwitchOutError a call that blocks, in a callback of the hub
-- @field InvalidSwitchError a wake-up that nobody waited for
-- @table exceptions

--- Other fields.
-- @field version of the library, "major.minor.patch"
-- @field config the settings: `gevent.config`
-- @table fields

--- Starts a greenlet, which runs when the current one next blocks.
-- @function spawn
-- @tparam function fn
-- @param ... its arguments
-- @treturn Greenlet

--- Starts a greenlet later.
-- @function spawn_later
-- @tparam number seconds
-- @tparam function fn
-- @param ... its arguments
-- @treturn Greenlet

--- Starts a greenlet that has no result, no links and no methods; it can be
-- killed and waited for.
-- @function spawn_raw
-- @tparam function fn
-- @param ... its arguments
-- @treturn RawGreenlet

--- The greenlet that runs; in a callback of the hub, the hub.
-- @function getcurrent
-- @treturn Greenlet

--- Raises an exception in a greenlet, in the call where it blocks. Returns at
-- once.
-- @function kill
-- @tparam Greenlet greenlet not the main one
-- @param[opt=GreenletExit] exception class or value

--- Calls a function so that kills, and Timeouts started outside, wait until it
-- is done; they are raised by the first blocking call after it.
-- @function shield
-- @tparam function fn
-- @param ... its arguments
-- @return its results

--- Makes a nursery: a scope that ends when all its children have ended:
-- `local n <close> = gevent.nursery()`.
-- @function nursery
-- @treturn Nursery

--- Waits until the greenlets have ended.
-- @function joinall
-- @tparam {Greenlet,...} list
-- @tparam[opt] number timeout seconds
-- @tparam[opt] table opts `raise_error` (boolean), `count` (how many to wait for)
-- @treturn {Greenlet,...} those that have ended, in the order they did

--- Kills the greenlets and waits for their end. Raises `Timeout` at expiry.
-- @function killall
-- @tparam {Greenlet,...} list
-- @param[opt=GreenletExit] exception class or value
-- @tparam[opt=true] boolean block
-- @tparam[opt] number timeout seconds

--- Waits for greenlets, events, queues and whatever else can be waited for;
-- without a list, in the main greenlet, until the loop has nothing left.
-- @function wait
-- @tparam[opt] table objects
-- @tparam[opt] number timeout seconds
-- @tparam[opt] integer count
-- @return list of those that are ready, in that order; without a list, true, or
-- false at expiry

--- Iterates over objects as they become ready.
-- @function iwait
-- @tparam table objects
-- @tparam[opt] number timeout seconds
-- @tparam[opt] integer count
-- @treturn function

--- Calls a function under a time-out.
-- @function with_timeout
-- @tparam number seconds
-- @tparam function fn
-- @param ... its arguments
-- @return its results; nil, "timed out", "timeout" if this time-out ended it

--- Lets the others run: all that can, once, or for some time.
-- @function sleep
-- @tparam[opt=0] number seconds

--- Waits until the loop has nothing else to do.
-- @function idle

--- How long greenlets run before I/O is looked at.
-- @function getswitchinterval
-- @treturn number seconds

--- Sets how long greenlets run before I/O is looked at.
-- @function setswitchinterval
-- @tparam number seconds 0.005 at first

--- Calls a function in a new greenlet whenever a signal comes. Several handlers
-- of one signal are all called. It does not keep the loop alive.
-- @function signal_handler
-- @param signal number or name
-- @tparam function fn
-- @param ... its arguments
-- @return a handle with `cancel`, which is also what leaving a `<close>` scope does

--- Makes a child process that goes on from here, without the other greenlets:
-- see `gevent.os.fork`.
-- @function fork
-- @treturn[1] integer 0 in the child, its number in the parent
-- @return[2] nil, message, code

--- What a child has to do that was made by another `fork` than ours.
-- @function reinit

--- Makes a class of exceptions. Called with a message, it makes an instance.
-- @function exception
-- @tparam string name
-- @tparam[opt=Error] table parent class

--- Is a value an instance of a class, or of one below it?
-- @function isinstance
-- @param value anything
-- @tparam table class
-- @treturn boolean

--- `pcall` that lets `GreenletExit` and `Timeout` pass.
-- @function pcall
-- @tparam function fn
-- @param ... its arguments
-- @return true and its results, or false and the error

--- `xpcall` that lets `GreenletExit` and `Timeout` pass.
-- @function xpcall
-- @tparam function fn
-- @tparam function handler
-- @param ... the arguments of fn
-- @return true and its results, or false and what the handler returned

--- A function that runs beside others. `Greenlet(fn, ...)` makes one that is
-- not started. Fields: `value exception traceback started dead name
-- minimal_ident args spawning_greenlet spawn_tree_locals spawning_stack`.
-- Leaving a `<close>` scope joins; by an error, kills with it.
-- @type Greenlet

--- Makes a class, whose instances run the method `_run`.
-- @function Greenlet:subclass
-- @tparam string name

--- Starts it. Only the first start counts.
-- @function Greenlet:start

--- Starts it later.
-- @function Greenlet:start_later
-- @tparam number seconds

--- Waits for its end.
-- @function Greenlet:join
-- @tparam[opt] number timeout seconds
-- @treturn boolean false at expiry

--- Waits for its results; raises its error, or `Timeout` at expiry.
-- @function Greenlet:get
-- @tparam[opt] number timeout seconds
-- @return what the function returned; the `GreenletExit` of a kill

--- Raises an exception in it, and waits for its end.
-- @function Greenlet:kill
-- @param[opt=GreenletExit] exception class or value
-- @tparam[opt=true] boolean block
-- @tparam[opt] number timeout seconds
-- @treturn boolean has it ended?

--- `kill` without waiting.
-- @function Greenlet:throw
-- @param[opt=GreenletExit] exception class or value

--- Has it ended?
-- @function Greenlet:ready
-- @treturn boolean

--- Has it ended without failure?
-- @function Greenlet:successful
-- @treturn boolean

--- Calls `fn(greenlet)` in a greenlet of its own when this one has ended.
-- @function Greenlet:link
-- @tparam function fn

--- As `link`, if it succeeded.
-- @function Greenlet:link_value
-- @tparam function fn

--- As `link`, if it failed.
-- @function Greenlet:link_exception
-- @tparam function fn

--- As `link`, in the hub: `fn` may not block.
-- @function Greenlet:rawlink
-- @tparam function fn

--- Takes back the first link with that function.
-- @function Greenlet:unlink
-- @tparam function fn

--- A scope for greenlets that belong together. The first failure kills the others, and
-- is raised in the owner.
-- @type Nursery

--- Starts a child.
-- @function Nursery:spawn
-- @tparam function fn
-- @param ... its arguments
-- @treturn Greenlet

--- Kills the children; that is no failure.
-- @function Nursery:cancel

--- Waits for the children, and ends the nursery; raises the first failure.
-- @function Nursery:join

--- Raises itself in the greenlet that started it, when its time has come.
-- `Timeout(seconds [, exception])` makes one. Fields: `pending seconds`.
-- @type Timeout

--- Makes one and starts it; starts one that exists.
-- @function Timeout.start_new
-- @param seconds number or nil for never; or a Timeout
-- @param[opt] exception class or value to raise instead
-- @treturn Timeout

--- Starts it, for the current greenlet.
-- @function Timeout:start

--- Takes it back. It may start again.
-- @function Timeout:cancel

--- Takes it back for good: what leaving a `<close>` scope does.
-- @function Timeout:close

--- The event loop of a Lua state. Fields to set: `exception_stream`,
-- `handle_error`, `resolver`, `threadpool`.
-- @type Hub

--- Waits until nothing is left that could wake anybody; main greenlet only.
-- @function Hub:join
-- @tparam[opt] number timeout seconds
-- @treturn boolean false at expiry

--- One turn, for a foreign main loop.
-- @function Hub:run
-- @tparam[opt="once"] string mode "nowait" or "once"
-- @treturn boolean is there more to come?

--- What a foreign loop polls.
-- @function Hub:backend_fd
-- @treturn integer

--- When a turn is due.
-- @function Hub:backend_timeout
-- @treturn ?number seconds

--- Counts of what is alive: `greenlets`, `blocked` (by what they wait in), `ready`,
-- `timers`, `handles`; of what was done: `switches`, `polls`; and `lag`, the
-- seconds by which the last timer was late.
-- @function Hub:stats
-- @treturn table

--- Ends all greenlets but the main one, and closes the loop.
-- @function Hub:destroy

return gevent
