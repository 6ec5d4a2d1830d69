--- Bytes that have come and were not asked for. Private to `gevent.monkey`.
local Buffer = {}
Buffer.__index = Buffer

--- @tparam[opt] string data what it holds at first
local function new(data)
  return setmetatable({
    data = data or "",
    at = 1, -- the first byte of `data` that was not taken
  }, Buffer)
end

function Buffer:size() return #self.data - self.at + 1 end

--- Adds what comes after.
function Buffer:add(more)
  self.data = self.data:sub(self.at) .. more
  self.at = 1
end

--- Puts back what came before.
function Buffer:unread(before)
  self.data = before .. self.data:sub(self.at)
  self.at = 1
end

--- Takes up to n bytes.
function Buffer:take(n)
  local piece = self.data:sub(self.at, self.at + n - 1)
  self.at = self.at + #piece
  if self.at > #self.data then self.data, self.at = "", 1 end
  return piece
end

--- Where the next newline is, from byte `from` on; or nil.
function Buffer:newline(from)
  local found = self.data:find("\n", self.at + from - 1, true)
  return found and found - self.at + 1
end

--- The n-th byte, as a string; "" where there is none.
function Buffer:peek(n)
  return self.data:sub(self.at + n - 1, self.at + n - 1)
end

return new
