-- Forms: queries, and the parts of a multipart body, as a server reads them.
local form = require "gevent.http.form"
local multipart = require "gevent.http.multipart"
local url = require "gevent.http.url"

local KIND = "multipart/form-data; boundary=bnd"
local CODES = {malformed = true, toolarge = true}
local LIMITS = {max_fields = 20, max_memory = 2000, max_file_memory = 50,
  max_file_bytes = 500}

-- A request whose body comes in pieces of that many bytes.
local function request(body, step)
  local at = 1
  return {read = function(_, n)
    local piece = body:sub(at, at + math.min(n, step) - 1)
    if piece == "" then return nil, "closed", "closed" end
    at = at + #piece
    return piece
  end}
end

-- All that came, as text.
local function read(body, step)
  local files = {}
  local fields, message, code = multipart.read(request(body, step), KIND, LIMITS, files)
  if not fields then assert(type(message) == "string" and CODES[code], code) end
  local lines = {code or "whole"}
  for name, values in pairs(fields or {}) do
    for i, value in ipairs(values) do
      if type(value) == "table" then
        assert(not value.filename:find("[/\\]"))
        local content = value:read("a")
        assert(#content == value.size and value.size <= LIMITS.max_file_bytes)
        value = value.filename .. "|" .. value.type .. "|" .. content
      end
      lines[#lines + 1] = ("%s %d %s"):format(name, i, value)
    end
  end
  for _, file in ipairs(files) do file:close() end
  table.sort(lines)
  return table.concat(lines, "\n")
end

local function query(bytes)
  local fields = form.parse(bytes, true, 50)
  if not fields then return end
  local parts = {}
  for name, values in pairs(fields) do
    for _, value in ipairs(values) do
      parts[#parts + 1] = url.escape(name) .. "=" .. url.escape(value)
    end
  end
  local again = form.parse(table.concat(parts, "&"), true)
  for name, values in pairs(fields) do
    for i, value in ipairs(values) do assert(again[name][i] == value) end
  end
end

return function(bytes)
  if bytes == "" then return end
  query(bytes)
  local body = bytes:sub(2)
  local whole = read(body, #body + 1)
  assert(read(body, 1) == whole and read(body, bytes:byte() % 61 + 2) == whole)
end
