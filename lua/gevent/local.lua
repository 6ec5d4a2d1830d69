--- A table whose fields each greenlet has for itself.
-- `local mine = require("gevent.local")()`: what one greenlet writes no other
-- sees; it goes when the greenlet ends, or when nobody has the table any more.
-- @module gevent.local
local core = require "gevent._core"

local WEAK = {__mode = "k"}
local mt = {__name = "local"}
local owned = setmetatable({}, WEAK) -- greenlet -> local -> its fields there

-- A link of each greenlet that has fields.
local function forget(greenlet)
  owned[greenlet] = nil
end

local function adopt(greenlet)
  local mine = setmetatable({}, WEAK)
  owned[greenlet] = mine
  -- The main greenlet and raw ones have no links; theirs go with them.
  if greenlet.rawlink then greenlet:rawlink(forget) end
  return mine
end

local function fields(self)
  local mine = owned[core.getcurrent()]
  return mine and mine[self]
end

function mt:__index(key)
  local mine = fields(self)
  return mine and mine[key]
end

function mt:__newindex(key, value)
  local current = core.getcurrent()
  local mine = owned[current] or adopt(current)
  local own = mine[self]
  if not own then
    own = {}
    mine[self] = own
  end
  own[key] = value
end

function mt:__pairs()
  return next, fields(self) or {}
end

return function()
  return setmetatable({}, mt)
end
