-- For the specs with a hundred thousand greenlets: programs that measure themselves, each
-- in a fresh interpreter. Hostile modes take smaller numbers.

local helper = require "helper"
local assert = require "luassert"

local scale = {}

function scale.scaled(n) return math.max(1000, math.floor(n / helper.scale)) end

-- Runs before each program: `used()` is the memory of the Lua state in KB,
-- `rss()` that of the process.
local PRELUDE = [[
  local gevent = require "gevent"
  local N = tonumber(arg[1])
  local function used()
    for _ = 1, 3 do
      gevent.spawn(gevent.sleep):join()
      collectgarbage()
    end
    return collectgarbage "count"
  end
  local function rss()
    local f <close> = io.open("/proc/self/statm")
    if not f then return 0 end
    f:read "n"
    return f:read "n" * 4
  end
  local function stats_are_zero()
    local stats = gevent.get_hub():stats()
    for _, what in ipairs {"greenlets", "timers", "ready", "refs"} do
      assert(stats[what] == 0, what .. " " .. stats[what])
    end
  end
  -- Finished greenlets leave some coroutines, a fixed number, to new ones.
  local first = {}
  for i = 1, 300 do first[i] = gevent.spawn(gevent.sleep, 0) end
  gevent.joinall(first)
  first = nil
]]

--- Runs the program; it prints "before after" in KB, and more if it likes.
function scale.measure(n, program)
  local code, out, err = helper.run_lua(PRELUDE .. program,
    {args = {tostring(n)}, timeout = 60})
  assert.equal(0, code, err)
  assert.equal("", err)
  local numbers = {}
  for word in out:gmatch "%S+" do numbers[#numbers + 1] = tonumber(word) end
  return table.unpack(numbers)
end

-- With smaller numbers, tables stay below the size at which they are trimmed.
local SLACK = helper.scale > 1 and 64 or 0

function scale.expect_back(before, after)
  assert.is_true(after <= before * 1.1 + SLACK,
    ("%.0f KB, were %.0f"):format(after, before))
end

scale.NO_DEADLINE = {deadline = 100}

return scale
