-- gevent.http.form: what comes as name=value: queries, forms, cookies
-- (private; see gevent.http.request). Owns nothing; knows strings only.
local form = {}

local function byte(digits)
  return string.char(tonumber(digits, 16))
end

--- Undoes %xx and "+". A % that begins no escape stays what it is.
local function unescape(text)
  if text:find("[+%%]") then
    text = text:gsub("+", " "):gsub("%%(%x%x)", byte)
  end
  return text
end

--- Parses "a=1&b=2".
-- @tparam string text
-- @tparam[opt] boolean all lists of all values instead of the last ones
-- @treturn table name -> value, or name -> list
function form.parse(text, all)
  local fields = {}
  for pair in text:gmatch("[^&]+") do
    local name, value = pair:match("^([^=]*)=(.*)$")
    name, value = unescape(name or pair), unescape(value or "")
    if not all then
      fields[name] = value
    elseif fields[name] then
      table.insert(fields[name], value)
    else
      fields[name] = {value}
    end
  end
  return fields
end

--- Parses the values of Cookie fields; of several with one name the first
-- counts, which is the one with the most specific path.
function form.cookies(values)
  local cookies = {}
  for _, line in ipairs(values) do
    for pair in line:gmatch("[^;]+") do
      local name, value = pair:match("^%s*([^=]-)%s*=%s*(.-)%s*$")
      if name and name ~= "" and cookies[name] == nil then
        cookies[name] = value:match('^"(.*)"$') or value
      end
    end
  end
  return cookies
end

return form
