-- What the scripts of memerr.c share: run first in each state, before memory
-- fails.
local PATIENCE = tonumber(os.getenv "MEMERR_PATIENCE") or 10 -- seconds
local COUNTS = {"greenlets", "handles", "timers", "ready", "refs"}
local heard = false -- whether a report told of lacking memory

-- Lua 5.4 spoils the metatable of its large buffers, for the life of the state,
-- if memory fails in making it: it is made now.
local _ = ("x"):rep(100000)

-- Where the hub reports what greenlets died of; needs no memory.
local stream = {}
function stream:write(...)
  for i = 1, select("#", ...) do
    local part = select(i, ...)
    if type(part) == "string" and part:find("not enough memory", 1, true) then
      heard = true
    end
  end
  return self
end

--- The function of a script that uses gevent: `fn` must not take for ever,
-- whatever fails in it.
function _G.guarded(fn)
  local gevent = require "gevent"
  gevent.get_hub().exception_stream = stream
  return function()
    local _late <close> = gevent.Timeout.start_new(PATIENCE, "blocked for ever")
    fn()
  end
end

--- A greenlet whose lack of memory is the script's: it is raised in the main one.
function _G.task(fn, ...)
  local gevent, core = package.loaded["gevent"], package.loaded["gevent._core"]
  local g = gevent.spawn(fn, ...)
  local main = gevent.getcurrent()
  g:rawlink(function(dead)
    if tostring(dead.exception):find("not enough memory", 1, true) then
      core.interrupt(main, dead.exception)
    end
  end)
  return g
end

--- Is a lack of memory the cause of this error?
function _G.lacked(err)
  err = tostring(err)
  if err:find("^blocked for ever") then return false end
  return heard or err:find("not enough memory", 1, true) ~= nil
end

--- Where it is not Lua that lacks memory, any error will do.
function _G.ended(err)
  return not tostring(err):find("^blocked for ever")
end

local function count(hub)
  local stats, text = hub:stats(), nil
  for _, name in ipairs(COUNTS) do
    if stats[name] > 0 then
      text = ("%s%d %s "):format(text or "", stats[name], name)
    end
  end
  return text
end

--- Ends the greenlets that are left and lets the loop close what is closing;
-- returns what is in the hub then, as text, or nil.
function _G.settle()
  local gevent, core = package.loaded["gevent"], package.loaded["gevent._core"]
  if not gevent then return end
  local left
  for turn = 1, 200 do
    for _, greenlet in ipairs(core.greenlets()) do
      if greenlet ~= gevent.getcurrent() then gevent.kill(greenlet) end
    end
    collectgarbage()
    pcall(gevent.sleep, turn < 50 and 0.001 or 0.02) -- the failure of a task may be pending
    left = count(core.hub)
    if not left then break end
  end
  return left
end
