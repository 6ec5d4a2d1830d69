---@meta gevent
-- Made by `make types` from lua/gevent/init.lua: change that.

---Cooperative concurrency: sequential code that scales.
---There is nothing to run: the first call that blocks starts the event loop.
---@class gevent
local M = {}

---The hub of this Lua state.
---@return gevent.Hub
function M.get_hub() end

---Starts a greenlet, which runs when the current one next blocks.
---@param fn function
---@param ... any its arguments
---@return gevent.Greenlet
function M.spawn(fn, ...) end

---Starts a greenlet later.
---@param seconds number
---@param fn function
---@param ... any its arguments
---@return gevent.Greenlet
function M.spawn_later(seconds, fn, ...) end

---Starts a greenlet that has no result, no links and no methods; it can be
---killed and waited for.
---@param fn function
---@param ... any its arguments
---@return any
function M.spawn_raw(fn, ...) end

---The greenlet that runs; in a callback of the hub, the hub.
---@return gevent.Greenlet
function M.getcurrent() end

---Raises an exception in a greenlet, in the call where it blocks. Returns at
---once.
---@param greenlet gevent.Greenlet not the main one
---@param exception? any class or value
function M.kill(greenlet, exception) end

---Calls a function so that kills, and Timeouts started outside, wait until it
---is done; they are raised by the first blocking call after it.
---@param fn function
---@param ... any its arguments
---@return any # its results
function M.shield(fn, ...) end

---Makes a nursery: a scope that ends when all its children have ended:
---`local n <close> = gevent.nursery()`.
---@return gevent.Nursery
function M.nursery() end

---Waits until the greenlets have ended.
---@param list gevent.Greenlet[]
---@param timeout? number seconds
---@param opts? table `raise_error` (boolean), `count` (how many to wait for)
---@return gevent.Greenlet[] # those that have ended, in the order they did
function M.joinall(list, timeout, opts) end

---Kills the greenlets and waits for their end. Raises `Timeout` at expiry.
---@param list gevent.Greenlet[]
---@param exception? any class or value
---@param block? boolean
---@param timeout? number seconds
function M.killall(list, exception, block, timeout) end

---Waits for greenlets, events, queues and whatever else can be waited for;
---without a list, in the main greenlet, until the loop has nothing left.
---@param objects? table
---@param timeout? number seconds
---@param count? integer
---@return any # list of those that are ready, in that order; without a list, true, or false at expiry
function M.wait(objects, timeout, count) end

---Iterates over objects as they become ready.
---@param objects table
---@param timeout? number seconds
---@param count? integer
---@return function
function M.iwait(objects, timeout, count) end

---Calls a function under a time-out.
---@param seconds number
---@param fn function
---@param ... any its arguments
---@return any # its results; nil, "timed out", "timeout" if this time-out ended it
function M.with_timeout(seconds, fn, ...) end

---Lets the others run: all that can, once, or for some time.
---@param seconds? number
function M.sleep(seconds) end

---Waits until the loop has nothing else to do.
function M.idle() end

---How long greenlets run before I/O is looked at.
---@return number # seconds
function M.getswitchinterval() end

---Sets how long greenlets run before I/O is looked at.
---@param seconds number 0.005 at first
function M.setswitchinterval(seconds) end

---Calls a function in a new greenlet whenever a signal comes. Several handlers
---of one signal are all called. It does not keep the loop alive.
---@param signal any number or name
---@param fn function
---@param ... any its arguments
---@return any # a handle with `cancel`, which is also what leaving a `<close>` scope does
function M.signal_handler(signal, fn, ...) end

---Makes a child process that goes on from here, without the other greenlets:
---see `gevent.os.fork`.
---@return integer? # 0 in the child, its number in the parent
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.fork() end

---What a child has to do that was made by another `fork` than ours.
function M.reinit() end

---Makes a class of exceptions. Called with a message, it makes an instance.
---@param name string
---@param parent? table class
function M.exception(name, parent) end

---Is a value an instance of a class, or of one below it?
---@param value any anything
---@param class table
---@return boolean
function M.isinstance(value, class) end

---`pcall` that lets `GreenletExit` and `Timeout` pass.
---@param fn function
---@param ... any its arguments
---@return boolean # true and its results, or false and the error
function M.pcall(fn, ...) end

---`xpcall` that lets `GreenletExit` and `Timeout` pass.
---@param fn function
---@param handler function
---@param ... any the arguments of fn
---@return boolean # true and its results, or false and what the handler returned
function M.xpcall(fn, handler, ...) end

---A function that runs beside others. `Greenlet(fn, ...)` makes one that is
---not started. Fields: `value exception traceback started dead name
---minimal_ident args spawning_greenlet spawn_tree_locals spawning_stack`.
---Leaving a `<close>` scope joins; by an error, kills with it.
---@class gevent.Greenlet
local Greenlet = {}

---Makes a class, whose instances run the method `_run`.
---@param name string
function Greenlet:subclass(name) end

---Starts it. Only the first start counts.
function Greenlet:start() end

---Starts it later.
---@param seconds number
function Greenlet:start_later(seconds) end

---Waits for its end.
---@param timeout? number seconds
---@return boolean # false at expiry
function Greenlet:join(timeout) end

---Waits for its results; raises its error, or `Timeout` at expiry.
---@param timeout? number seconds
---@return any # what the function returned; the `GreenletExit` of a kill
function Greenlet:get(timeout) end

---Raises an exception in it, and waits for its end.
---@param exception? any class or value
---@param block? boolean
---@param timeout? number seconds
---@return boolean # has it ended?
function Greenlet:kill(exception, block, timeout) end

---`kill` without waiting.
---@param exception? any class or value
function Greenlet:throw(exception) end

---Has it ended?
---@return boolean
function Greenlet:ready() end

---Has it ended without failure?
---@return boolean
function Greenlet:successful() end

---Calls `fn(greenlet)` in a greenlet of its own when this one has ended.
---@param fn function
function Greenlet:link(fn) end

---As `link`, if it succeeded.
---@param fn function
function Greenlet:link_value(fn) end

---As `link`, if it failed.
---@param fn function
function Greenlet:link_exception(fn) end

---As `link`, in the hub: `fn` may not block.
---@param fn function
function Greenlet:rawlink(fn) end

---Takes back the first link with that function.
---@param fn function
function Greenlet:unlink(fn) end

---A scope for greenlets that belong together. The first failure kills the others, and
---is raised in the owner.
---@class gevent.Nursery
local Nursery = {}

---Starts a child.
---@param fn function
---@param ... any its arguments
---@return gevent.Greenlet
function Nursery:spawn(fn, ...) end

---Kills the children; that is no failure.
function Nursery:cancel() end

---Waits for the children, and ends the nursery; raises the first failure.
function Nursery:join() end

---Raises itself in the greenlet that started it, when its time has come.
---`Timeout(seconds [, exception])` makes one. Fields: `pending seconds`.
---@class gevent.Timeout
local Timeout = {}

---Makes one and starts it; starts one that exists.
---@param seconds any number or nil for never; or a Timeout
---@param exception? any class or value to raise instead
---@return gevent.Timeout
function Timeout.start_new(seconds, exception) end

---Starts it, for the current greenlet.
function Timeout:start() end

---Takes it back. It may start again.
function Timeout:cancel() end

---Takes it back for good: what leaving a `<close>` scope does.
function Timeout:close() end

---The event loop of a Lua state. Fields to set: `exception_stream`,
---`handle_error`, `resolver`, `threadpool`.
---@class gevent.Hub
local Hub = {}

---Waits until nothing is left that could wake anybody; main greenlet only.
---@param timeout? number seconds
---@return boolean # false at expiry
function Hub:join(timeout) end

---One turn, for a foreign main loop.
---@param mode? string "nowait" or "once"
---@return boolean # is there more to come?
function Hub:run(mode) end

---What a foreign loop polls.
---@return integer
function Hub:backend_fd() end

---When a turn is due.
---@return number? # seconds
function Hub:backend_timeout() end

---Counts of what is alive: `greenlets`, `blocked` (by what they wait in), `ready`,
---`timers`, `handles`; of what was done: `switches`, `polls`; and `lag`, the
---seconds by which the last timer was late.
---@return table
function Hub:stats() end

---Ends all greenlets but the main one, and closes the loop.
function Hub:destroy() end

---@type any
M.BlockingSwitchOutError = nil

---@type any
M.ConcurrentObjectUseError = nil

---@type any
M.Error = nil

---@type gevent.Greenlet|fun(...): gevent.Greenlet
M.Greenlet = nil

---@type any
M.GreenletExit = nil

---@type any
M.InvalidSwitchError = nil

---@type any
M.LoopExit = nil

---@type gevent.Timeout|fun(...): gevent.Timeout
M.Timeout = nil

---@type any
M.config = nil

---@type string
M.version = nil

return M
