-- What the specs of the primitives share: small asserts and makers.

local assert = require "luassert"
local gevent = require "gevent"
local helper = require "helper"

local sync = {}

local TIMED_OUT = {nil, "timed out", "timeout", n = 3}
local CLOSED = {nil, "closed", "closed", n = 3}

--- An empty log, and the function that appends to it.
function sync.letters()
  local log = {}
  return log, function(text) log[#log + 1] = text end
end

function sync.is_exit(value)
  return gevent.isinstance(value, gevent.GreenletExit)
end

function sync.is_timeout(value)
  return gevent.isinstance(value, gevent.Timeout)
end

function sync.expect_timed_out(...) assert.same(TIMED_OUT, table.pack(...)) end

function sync.expect_closed(...) assert.same(CLOSED, table.pack(...)) end

--- Asserts that `fn(...)` raises, and that its message matches `pattern`.
function sync.expect_misuse(pattern, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok, "it was not refused")
  assert.matches(pattern, tostring(err))
end

--- Keeps the processor until `seconds` are over: timers fall due meanwhile.
function sync.spin(seconds)
  local stop = helper.now() + seconds
  while helper.now() < stop do assert(true) end
end

--- The items of an iterator, as a list.
function sync.collect(...)
  local list = {}
  for item in ... do list[#list + 1] = item end
  return list
end

--- A list of `n` things made by `make(i)`.
function sync.times(n, make)
  local list = {}
  for i = 1, n do list[i] = make(i) end
  return list
end

return sync
