-- gevent.http.form: what comes as name=value: queries, forms, cookies
-- (private; see gevent.http.request). Owns nothing; knows strings only.
local form = {}

local function byte(digits)
  return string.char(tonumber(digits, 16))
end

--- Undoes %xx. A % that begins no escape stays what it is.
function form.unescape(text)
  if text:find("%", 1, true) then text = text:gsub("%%(%x%x)", byte) end
  return text
end

local function decode(text)
  if text:find("[+%%]") then
    text = text:gsub("+", " "):gsub("%%(%x%x)", byte)
  end
  return text
end

--- Adds a value under a name.
-- @tparam boolean all keep lists of all values instead of the last ones
function form.add(fields, name, value, all)
  if not all then
    fields[name] = value
  elseif fields[name] then
    table.insert(fields[name], value)
  else
    fields[name] = {value}
  end
end

--- Parses "a=1&b=2".
-- @tparam string text
-- @tparam[opt] boolean all lists of all values instead of the last ones
-- @tparam[opt] integer max how many there may be
-- @treturn[1] table name -> value, or name -> list
-- @return[2] nil, message
function form.parse(text, all, max)
  local fields, count = {}, 0
  for pair in text:gmatch("[^&]+") do
    count = count + 1
    if max and count > max then return nil, "the form has too many fields" end
    local name, value = pair:match("^([^=]*)=(.*)$")
    form.add(fields, decode(name or pair), decode(value or ""), all)
  end
  return fields
end

--- Parses the values of Cookie fields; of several with one name the first
-- counts, which is the one with the most specific path. A name that is no token
-- is none.
function form.cookies(values)
  local cookies = {}
  for _, line in ipairs(values) do
    for pair in line:gmatch("[^;]+") do
      local name, value = pair:match("^%s*([^=]-)%s*=%s*(.-)%s*$")
      if name and cookies[name] == nil and name:find("^[%w!#$%%&'*+%-.^_`|~]+$") then
        cookies[name] = value:match('^"(.*)"$') or value
      end
    end
  end
  return cookies
end

return form
