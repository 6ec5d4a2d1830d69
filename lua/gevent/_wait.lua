-- gevent._wait: waiting for several objects at once (private; see gevent).
-- A list may name an object twice; it then counts twice, as in gevent.
local core = require "gevent._core"
local misuse = require "gevent._misuse"

local bad = misuse.bad

-- The deadline of a time-out in seconds; nil is for ever.
local function checktimeout(timeout, fname, index)
  if timeout == nil then return nil end
  if type(timeout) ~= "number" then
    bad(index, fname, "number expected, got " .. type(timeout))
  elseif not (timeout >= 0) then
    bad(index, fname, "seconds must not be negative")
  end
  return core.monotonic() + timeout
end

local function checklist(list, fname)
  if type(list) ~= "table" then bad(1, fname, misuse.expected("list", list)) end
end

local function checkgreenlets(list, fname)
  checklist(list, fname)
  local i, kind = core.notgreenlet(list)
  if i then bad(1, fname, ("item %d is no greenlet but a %s"):format(i, kind)) end
end

-- What is left of a deadline, for the next take; nil is for ever.
local function remaining(deadline)
  return deadline and math.max(0, deadline - core.monotonic())
end

-- Takes up to `count` objects; stops early at the deadline.
local function collect(waiter, count, deadline)
  return waiter:collect(count, remaining(deadline))
end

-- The same, one by one, each for `visit`, which may raise.
local function visiteach(waiter, count, deadline, visit)
  local ready = {}
  while #ready < count do
    local object = waiter:take(remaining(deadline))
    if object == nil then break end
    ready[#ready + 1] = object
    visit(object)
  end
  return ready
end

local function atmost(count, list, fname)
  if count == nil then return #list end
  if math.type(count) ~= "integer" or count < 0 then
    bad(3, fname, "count: integer >= 0 expected, got " .. tostring(count))
  end
  return math.min(count, #list)
end

local function raisefailure(greenlet)
  local err = greenlet.exception
  if err ~= nil then error(err, 0) end
end

local OPTIONS = misuse.names "raise_error count"

--- Waits until the greenlets are done.
-- With `raise_error` the failure of the one that finished first is raised;
-- the others run on.
-- @tparam {Greenlet,...} list
-- @tparam[opt] number timeout seconds
-- @tparam[opt] table opts `raise_error` (boolean), `count` (how many to wait for)
-- @treturn {Greenlet,...} those that have finished, in the order they did
local function joinall(list, timeout, opts)
  checkgreenlets(list, "joinall")
  opts = misuse.options(3, "joinall", opts, OPTIONS)
  local deadline = checktimeout(timeout, "joinall", 2)
  local count = atmost(opts.count, list, "joinall")
  local waiter <close> = core.multiwait(list, "joinall")
  if opts.raise_error then
    return visiteach(waiter, count, deadline, raisefailure)
  end
  return collect(waiter, count, deadline)
end

--- Kills the greenlets, and waits until they are dead.
-- Those that never ran do not run. Raises `Timeout` at expiry.
-- @tparam {Greenlet,...} list
-- @param[opt=GreenletExit] exception class or value to raise in them
-- @tparam[opt=true] boolean block wait for their end
-- @tparam[opt] number timeout seconds
local function killall(list, exception, block, timeout)
  checkgreenlets(list, "killall")
  local deadline = checktimeout(timeout, "killall", 4)
  local current, myself = core.getcurrent(), false
  local targets = {}
  for i, greenlet in ipairs(list) do targets[i] = greenlet end
  for _, greenlet in ipairs(targets) do
    if greenlet == current then
      myself = true
    else
      core.kill(greenlet, exception)
    end
  end
  if myself then core.kill(current, exception) end
  if block == false then return end
  local waiter <close> = core.multiwait(targets, "killall")
  if #collect(waiter, #targets, deadline) < #targets then
    error(core.Timeout(timeout), 0)
  end
end

--- Waits for objects: greenlets and whatever else can be waited for.
-- With no list (main greenlet only): runs until the loop has nothing left.
-- @tparam[opt] table objects
-- @tparam[opt] number timeout seconds
-- @tparam[opt] integer count stop after so many
-- @treturn table|boolean the ready ones, in ready order; without a list whether
-- the loop came to its end
local function wait(objects, timeout, count)
  if objects == nil then return core.hub:join(timeout) end
  checklist(objects, "wait")
  local deadline = checktimeout(timeout, "wait", 2)
  count = atmost(count, objects, "wait")
  local waiter <close> = core.multiwait(objects)
  return collect(waiter, count, deadline)
end

--- Iterates over objects as they become ready.
-- @tparam table objects
-- @tparam[opt] number timeout seconds, for the whole iteration
-- @tparam[opt] integer count stop after so many
-- @treturn function iterator
local function iwait(objects, timeout, count)
  checklist(objects, "iwait")
  local deadline = checktimeout(timeout, "iwait", 2)
  local left = atmost(count, objects, "iwait")
  local waiter = core.multiwait(objects, "iwait")
  local function take()
    if left == 0 then
      waiter:close()
      return nil
    end
    left = left - 1
    local object = waiter:take(remaining(deadline))
    if object == nil then waiter:close() end
    return object
  end
  return take, nil, nil, waiter -- the loop closes it when it is left
end

local function finish(timeout, ok, ...)
  timeout:close()
  if ok then return ... end
  if (...) == timeout then return nil, "timed out", "timeout" end
  error((...), 0)
end

--- Calls a function under a time-out.
-- @tparam number seconds
-- @tparam function fn
-- @param ... its arguments
-- @return its results; `nil, "timed out", "timeout"` if this time-out ended it
local function with_timeout(seconds, fn, ...)
  if type(fn) ~= "function" and not (getmetatable(fn) or {}).__call then
    bad(2, "with_timeout", misuse.expected("function", fn))
  end
  checktimeout(seconds, "with_timeout", 1)
  local timeout = core.Timeout.start_new(seconds)
  return finish(timeout, pcall(fn, ...))
end

return {
  joinall = joinall, killall = killall, wait = wait, iwait = iwait,
  with_timeout = with_timeout,
}
