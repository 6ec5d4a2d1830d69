-- gevent.http.upload: forms as bodies of requests (private; see
-- gevent.http.client). Files are read as they are sent, and closed after it.
local core = require "gevent._core"
local misuse = require "gevent.http.options".misuse
local url = require "gevent.http.url"

local PIECE = 65536 -- bytes of a file in memory at a time

local upload = {}

--- An urlencoded form.
-- @tparam table fields name -> value or list of values
-- @return body, content type
function upload.form(fields)
  if type(fields) ~= "table" then misuse("form must be a table, got %s", type(fields)) end
  local text = url.addquery("", fields)
  return text:sub(2), "application/x-www-form-urlencoded"
end

local ESCAPES = {['"'] = "%22", ["\r"] = "%0D", ["\n"] = "%0A"}

local function quoted(text)
  return '"' .. tostring(text):gsub('["\r\n]', ESCAPES) .. '"'
end

local function newboundary()
  return ("----gevent%08x%08x%08x"):format(math.random(0, 0xffffffff),
    math.random(0, 0xffffffff), math.random(0, 0xffffffff))
end

-- The parts as a list of {name=, ...}: `{name = value}` is one each, in order
-- of their names.
local function listof(parts)
  if type(parts) ~= "table" then misuse("multipart must be a table, got %s", type(parts)) end
  local list, names = {}, {}
  for _, part in ipairs(parts) do list[#list + 1] = part end
  for name in pairs(parts) do
    if type(name) == "string" then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    list[#list + 1] = {name = name, value = parts[name]}
  end
  return list
end

local function headof(part, boundary)
  local text = ("--%s\r\nContent-Disposition: form-data; name=%s"):format(boundary,
    quoted(part.name))
  local filename = part.filename
  if filename == nil and part.path then filename = part.path:match("[^/]*$") end
  if filename then text = text .. "; filename=" .. quoted(filename) end
  local kind = part.type or filename and "application/octet-stream"
  if kind then
    if kind:find("%c") then misuse("bad type of a part: %q", kind) end
    text = text .. "\r\nContent-Type: " .. kind
  end
  return text .. "\r\n\r\n"
end

-- Something of a part's content: a string, an iterator, or a file.
local function contentof(part)
  if part.path then
    local file, size = core.http_file(part.path)
    if not file then misuse("cannot read '%s': %s", part.path, size) end
    local at = 0
    return function()
      if at == size then return file:close() end
      local piece, message, code = file:read(at, math.min(size - at, PIECE))
      if not piece then return nil, message, code end
      if piece == "" then return nil, "the file has become shorter", "truncated" end
      at = at + #piece
      return piece
    end, size
  end
  local value = part.value
  if type(value) == "string" or type(value) == "number" then
    value = tostring(value)
    return value, #value
  elseif type(value) == "function" then
    return value, part.length
  end
  misuse("part '%s' has no value", tostring(part.name))
end

-- Gives the items, strings and iterators, one after the other.
local function sequence(items)
  local i = 1
  return function()
    while items[i] do
      local item = items[i]
      if type(item) == "string" then
        i = i + 1
        return item
      end
      local piece, message, code = item()
      if piece ~= nil then return piece end
      if message ~= nil and code ~= "closed" then return nil, message, code end
      i = i + 1
    end
  end
end

--- A multipart form.
-- @tparam table parts list of `{name=, value=string|iterator | path=,
-- filename=, type=, length=}`, and name -> string
-- @return body (a string if it can be one, else an iterator), content type,
-- its length if that is known
function upload.multipart(parts)
  local boundary = newboundary()
  local items, total, plain = {}, 0, true
  for _, part in ipairs(listof(parts)) do
    if type(part) ~= "table" or part.name == nil then misuse("a part has no name") end
    local head = headof(part, boundary)
    local content, length = contentof(part)
    plain = plain and type(content) == "string"
    total = total and length and total + #head + length + 2
    items[#items + 1] = head
    items[#items + 1] = content
    items[#items + 1] = "\r\n"
  end
  items[#items + 1] = "--" .. boundary .. "--\r\n"
  total = total and total + #items[#items]
  local kind = "multipart/form-data; boundary=" .. boundary
  if plain then return table.concat(items), kind end
  return sequence(items), kind, total
end

return upload
