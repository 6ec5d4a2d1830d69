--- The loop's own watchers, for what the blocking calls do not offer.
-- A watcher calls a function in the hub, between the greenlets, whenever something
-- happens; the function may not block (it may spawn). While it is active a watcher
-- keeps the loop alive, unless its `ref` is false.
--
--     local core = require "gevent.core"
--     local tick = core.timer(1, 1):start(function() print "tick" end)
--     ...
--     tick:close()
--
-- @module gevent.core
local core = require "gevent._core"
local gos = require "gevent.os"

local newwatcher = core.newwatcher

local loop = {}

local function got(value)
  local kind = type(value)
  return (kind == "number" or kind == "string") and tostring(value) or kind
end

local function bad(n, name, expected, value)
  error(("bad argument #%d to '%s' (%s expected, got %s)"):format(n, name, expected,
    got(value)), 3)
end

local function isseconds(value)
  return type(value) == "number" and value >= 0 and value < 1e9
end

-- Watchers that something else feeds ------------------------------------------------

-- `watcher` in C; `begin(watcher)` makes the source, and gives what ends it.
local Fed = {__name = "watcher"}
core.watchers = {} -- set of those that are active: nobody has to hold them

function Fed.__index(self, key)
  local method = Fed[key]
  if method ~= nil then return method end
  return rawget(self, "watcher")[key]
end

function Fed.__newindex(self, key, value) rawget(self, "watcher")[key] = value end

local function finish(self)
  local source = rawget(self, "source")
  rawset(self, "source", nil)
  core.watchers[self] = nil
  if source then source() end
end

function Fed:start(fn)
  self:stop()
  rawget(self, "watcher"):start(fn)
  rawset(self, "source", rawget(self, "begin")(rawget(self, "watcher")))
  core.watchers[self] = true
  return self
end

function Fed:stop()
  finish(self)
  rawget(self, "watcher"):stop()
end

function Fed:close()
  finish(self)
  rawget(self, "watcher"):close()
end

Fed.__close = Fed.close
Fed.__gc = Fed.close

function Fed:__tostring()
  return (tostring(rawget(self, "watcher")):gsub("fed", rawget(self, "kind"), 1))
end

local function fed(kind, begin)
  return setmetatable({kind = kind, begin = begin, watcher = newwatcher "fed"}, Fed)
end

-- What there is -----------------------------------------------------------------------

local EVENTS = {r = 1, w = 2, rw = 3}

--- A descriptor that can be read or written: `fn("r"|"w"|"rw")`.
-- @param fd number, or anything with `:fileno()`
-- @tparam[opt="r"] string events "r", "w" or "rw"
-- @treturn[1] Watcher
-- @return[2] nil, message, code
function loop.io(fd, events)
  local number = fd
  if type(fd) ~= "number" then
    local fileno = (type(fd) == "userdata" or type(fd) == "table") and fd.fileno
    if not fileno then bad(1, "io", "descriptor", fd) end
    local message, code
    number, message, code = fileno(fd)
    if not number then return nil, message, code end
  end
  if math.type(number) ~= "integer" or number < 0 then bad(1, "io", "descriptor", fd) end
  local mask = EVENTS[events == nil and "r" or events]
  if not mask then bad(2, "io", '"r", "w" or "rw"', events) end
  return newwatcher("io", number, mask)
end

--- Time: `fn()`. A time that passes while others run is not made up for.
-- @tparam number after seconds until the first call
-- @tparam[opt=0] number every seconds between calls; 0: there is only one
-- @treturn Watcher
function loop.timer(after, every)
  if not isseconds(after) then bad(1, "timer", "number of seconds", after) end
  if every ~= nil and not isseconds(every) then bad(2, "timer", "number of seconds", every) end
  return newwatcher("timer", after, every or 0)
end

--- A signal: `fn(number)`. Does not keep the loop alive, unless told.
-- @param name "SIGTERM", "TERM" or a number
-- @treturn Watcher
function loop.signal(name)
  local number = core.signum(name)
  if not number or number == core.signals.SIGKILL or number == core.signals.SIGSTOP then
    bad(1, "signal", "signal that can be caught", name)
  end
  local self = fed("signal", function(watcher)
    local source = core.signal_watcher(number, function() watcher:feed(number) end)
    return function() source:cancel() end
  end)
  self.ref = false
  return self
end

--- A child process that ends: `fn(pid, returncode)`, once.
-- @tparam integer pid
-- @treturn Watcher
function loop.child(pid)
  if math.type(pid) ~= "integer" or pid <= 0 then bad(1, "child", "process number", pid) end
  local self
  self = fed("child", function(watcher)
    local waiter = core.spawn_raw(function()
      local _, returncode = gos.waitpid(pid)
      watcher:feed(returncode)
    end)
    return function() core.kill(waiter) end
  end)
  local start = Fed.start
  rawset(self, "start", function(_, fn)
    if type(fn) ~= "function" and not (getmetatable(fn) or {}).__call then
      bad(1, "start", "function", fn)
    end
    return start(self, function(returncode)
      rawset(self, "source", nil) -- the source has ended by itself
      self:stop()
      fn(pid, returncode)
    end)
  end)
  return self
end

--- A call from elsewhere: `watcher:send()`. Several that come before the function
-- is called are one.
-- @treturn Watcher
function loop.async() return newwatcher "async" end

--- Each turn of the loop in which nothing else waits: `fn()`.
-- @treturn Watcher
function loop.idle() return newwatcher "idle" end

--- Each turn, before the loop polls: `fn()`, after the poll.
-- @treturn Watcher
function loop.prepare() return newwatcher "prepare" end

--- Each turn, after the loop has polled: `fn()`.
-- @treturn Watcher
function loop.check() return newwatcher "check" end

-- Those of fork() that are active: they are called in the child.
local forks = {}

core.fork_hooks[#core.fork_hooks + 1] = function()
  for watcher, fn in pairs(forks) do
    watcher:start(fn) -- the loop is another one, and knows nothing of it
    watcher:feed()
  end
end

--- The child of `gevent.fork`: `fn()`. All other watchers are stopped there. Does not
-- keep the loop alive, unless told.
-- @treturn Watcher
function loop.fork()
  local self = fed("fork", function(watcher)
    return function() forks[watcher] = nil end
  end)
  local start = Fed.start
  rawset(self, "start", function(_, fn)
    start(self, fn)
    forks[rawget(self, "watcher")] = fn
    return self
  end)
  self.ref = false
  return self
end

--- What stat(2) says of a file: `fn(former, now)`, tables with `size mode ino mtime
-- ctime`, nil for a file that is not there.
-- @tparam string path
-- @tparam[opt=5] number interval seconds between two looks
-- @treturn Watcher
function loop.stat(path, interval)
  if type(path) ~= "string" then bad(1, "stat", "path", path) end
  if interval ~= nil and (not isseconds(interval) or interval == 0) then
    bad(2, "stat", "number of seconds", interval)
  end
  return newwatcher("stat", path, interval or 5)
end

--- What all of them have. Fields: `active`, `pending` (something has happened and the
-- function is yet to be called), `ref` (does it keep the loop alive?), `closed`.
-- @type Watcher

--- Begins to watch; the arguments of the function are told above.
-- @function Watcher:start
-- @tparam function fn it is called in the hub, and may not block
-- @treturn Watcher

--- Watches no more; may start again.
-- @function Watcher:stop
-- @treturn Watcher

--- Watches no more, for ever. Idempotent.
-- @function Watcher:close

--- Makes an `async` watcher happen.
-- @function Watcher:send

return loop
