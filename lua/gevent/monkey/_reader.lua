--- Reading a stream by all formats of `io`, numbers too. Private to
-- `gevent.monkey`.
local new_buffer = require "gevent.monkey._buffer"

local Reader = {}
Reader.__index = Reader

local CHUNK = 65536 -- bytes asked for at once
local LONGEST_NUMBER = 200 -- characters, as in Lua's own

--- @param stream with `recv`
-- @tparam[opt] string ahead what was read already
local function new(stream, ahead)
  return setmetatable({stream = stream, buffer = new_buffer(ahead)}, Reader)
end

-- Adds what comes next; false at the end. nil, message, code where it fails.
function Reader:fill()
  local more, message, code = self.stream:recv(CHUNK)
  if not more then return nil, message, code end
  if more == "" then return false end
  self.buffer:add(more)
  return true
end

function Reader:line(keep)
  local buffer, from = self.buffer, 1
  while true do
    local at = buffer:newline(from)
    if at then
      local line = buffer:take(at)
      return keep and line or line:sub(1, -2)
    end
    local size = buffer:size()
    from = size + 1
    local more, message, code = self:fill()
    if more == nil then return nil, message, code end
    if not more then return size > 0 and buffer:take(size) or nil end
  end
end

function Reader:bytes(n)
  local buffer = self.buffer
  while buffer:size() < n or buffer:size() == 0 do
    local more, message, code = self:fill()
    if more == nil then return nil, message, code end
    if not more then break end
  end
  if buffer:size() == 0 then return nil end
  return buffer:take(n)
end

-- Pieces are joined at the end; what fails or is interrupted keeps them.
function Reader:all()
  local parts = {self.buffer:take(self.buffer:size())}
  local _ <close> = setmetatable({}, {__close = function()
    if parts then self.buffer:unread(table.concat(parts)) end
  end})
  while true do
    local more, message, code = self.stream:recv(CHUNK)
    if not more then return nil, message, code end
    parts[#parts + 1] = more
    if more == "" then
      local all = table.concat(parts)
      parts = nil
      return all
    end
  end
end

-- The character at a place, or "" at the end.
function Reader:peek(at)
  while self.buffer:size() < at do
    if not self:fill() then return "" end
  end
  return self.buffer:peek(at)
end

-- Takes what looks like the beginning of a number, as Lua's io does.
function Reader:number()
  while self:peek(1):find("^%s") do self.buffer:take(1) end
  local length, digits = 0, "%d"
  local function accept(set)
    if length < LONGEST_NUMBER and self:peek(length + 1):find("^[" .. set .. "]") then
      length = length + 1
      return true
    end
    return false
  end
  local function run() while accept(digits) do end end
  accept("+-")
  local ishex = accept("0") and accept("xX")
  if ishex then digits = "%x" end
  run()
  if accept(".") then run() end
  if accept(ishex and "pP" or "eE") then
    accept("+-")
    digits = "%d"
    run()
  end
  return tonumber(self.buffer:take(length))
end

local FORMATS = {
  l = function(self) return self:line(false) end,
  L = function(self) return self:line(true) end,
  a = Reader.all,
  n = Reader.number,
}

--- As `file:read(...)`: the results up to the first that there is none of.
function Reader:read(...)
  local count = select("#", ...)
  if count == 0 then return self:line(false) end
  local results = {}
  for i = 1, count do
    local format = select(i, ...)
    local value, message, code
    if type(format) == "number" then
      value, message, code = self:bytes(math.tointeger(format) or 0)
    else
      local read = type(format) == "string" and FORMATS[format:match("^%*?(.)")]
      if not read then
        error(("bad argument #%d to 'read' (invalid format)"):format(i), 3)
      end
      value, message, code = read(self)
    end
    if message then return nil, message, code end
    results[i] = value
    if value == nil then return table.unpack(results, 1, i) end
  end
  return table.unpack(results, 1, count)
end

return new
