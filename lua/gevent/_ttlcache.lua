-- gevent._ttlcache: what is known for some seconds (private; see
-- gevent.resolver). Bounded: when it is full, what is over goes first, else a
-- tenth of the rest.
local core = require "gevent._core"

local methods = {}

--- The value, or nil.
function methods:get(key)
  local entry = self.entries[key]
  if entry and entry.expires > core.monotonic() then return entry.value end
end

local function remove(cache, key)
  cache.entries[key] = nil
  cache.count = cache.count - 1
end

local function sweep(cache)
  local now, former = core.monotonic(), cache.count
  for key, entry in pairs(cache.entries) do
    if entry.expires <= now then remove(cache, key) end
  end
  if cache.count < former then return end
  for key in pairs(cache.entries) do
    remove(cache, key)
    if cache.count <= cache.max * 0.9 then return end
  end
end

--- Keeps a value for `ttl` seconds.
function methods:put(key, value, ttl)
  if ttl <= 0 then return end
  if self.entries[key] then remove(self, key) end
  if self.count >= self.max then sweep(self) end
  self.entries[key] = {value = value, expires = core.monotonic() + ttl}
  self.count = self.count + 1
end

--- A cache of at most `max` entries.
local function new(max)
  return setmetatable({entries = {}, count = 0, max = max}, {__index = methods})
end

return {new = new}
