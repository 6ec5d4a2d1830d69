--- A table whose fields each greenlet has for itself.
-- `local mine = require("gevent.local")()`: what one greenlet writes no other
-- sees; it goes when the greenlet does.
-- @module gevent.local
local core = require "gevent._core"

local mt = {__name = "local"}
local stores = setmetatable({}, {__mode = "k"}) -- local -> greenlet -> fields

local function fields(self, make)
  local store = stores[self]
  local current = core.getcurrent()
  local mine = store[current]
  if not mine and make then
    mine = {}
    store[current] = mine
  end
  return mine
end

function mt:__index(key)
  local mine = fields(self)
  return mine and mine[key]
end

function mt:__newindex(key, value)
  fields(self, true)[key] = value
end

function mt:__pairs()
  return next, fields(self) or {}
end

return function()
  local object = setmetatable({}, mt)
  stores[object] = setmetatable({}, {__mode = "k"})
  return object
end
