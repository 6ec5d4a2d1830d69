--- Reading a stream by all formats of `io`, numbers too. Private to
-- `gevent.monkey`.
local Reader = {}
Reader.__index = Reader

local CHUNK = 65536 -- bytes asked for at once
local LONGEST_NUMBER = 200 -- characters, as in Lua's own

--- @param stream with `recv`
-- @tparam string ahead what was read already
local function new(stream, ahead)
  return setmetatable({
    stream = stream,
    data = ahead or "", -- read, not asked for
  }, Reader)
end

-- Adds what comes next; false at the end. nil, message, code where it fails.
function Reader:fill()
  local more, message, code = self.stream:recv(CHUNK)
  if not more then return nil, message, code end
  if more == "" then return false end
  self.data = self.data .. more
  return true
end

function Reader:take(n)
  local taken = self.data:sub(1, n)
  self.data = self.data:sub(n + 1)
  return taken
end

function Reader:line(keep)
  local from = 1
  while true do
    local at = self.data:find("\n", from, true)
    if at then
      local line = self:take(at)
      return keep and line or line:sub(1, -2)
    end
    from = #self.data + 1
    local more, message, code = self:fill()
    if more == nil then return nil, message, code end
    if not more then return self.data ~= "" and self:take(#self.data) or nil end
  end
end

function Reader:bytes(n)
  while #self.data < n or n == 0 and self.data == "" do
    local more, message, code = self:fill()
    if more == nil then return nil, message, code end
    if not more then break end
  end
  if self.data == "" then return nil end
  return self:take(n)
end

-- Pieces are joined at the end; what is interrupted keeps them.
function Reader:all()
  local parts = {self.data}
  self.data = ""
  local _ <close> = setmetatable({}, {__close = function(_, err)
    if err ~= nil then self.data = table.concat(parts) end
  end})
  while true do
    local more, message, code = self.stream:recv(CHUNK)
    if not more then
      self.data = table.concat(parts)
      return nil, message, code
    end
    if more == "" then return table.concat(parts) end
    parts[#parts + 1] = more
  end
end

-- The character at a place, or "" at the end.
function Reader:peek(at)
  while #self.data < at do
    if not self:fill() then return "" end
  end
  return self.data:sub(at, at)
end

-- Takes what looks like the beginning of a number, as Lua's io does.
function Reader:number()
  while self:peek(1):find("^%s") do self:take(1) end
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
  return tonumber(self:take(length))
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
