-- gevent.http.conditional: what a request asks for of something that has a tag,
-- a time and a size: conditions and ranges, RFC 9110, 13 and 14 (private; see
-- gevent.http.file). Owns nothing; knows headers only.
local core = require "gevent._core"

local MAX_RANGES = 16 -- more of them in one request are not worth the answer

local conditional = {}

--- Is the tag in the list of a field? Weakly: "W/" does not matter.
local function listed(list, tag, weakly)
  if list:match("^%s*%*%s*$") then return true end
  local wanted = tag:gsub("^W/", "")
  if not weakly and wanted ~= tag then return false end
  for weak, found in list:gmatch('(W?/?)("[^"]*")') do
    if found == wanted and (weakly or weak == "") then return true end
  end
  return false
end

local function date(text)
  return text and core.http_parse_date(text)
end

--- Looks at the conditions of a request, in the order of RFC 9110, 13.2.2.
-- @param req
-- @tparam string tag the entity tag, with its quotes
-- @tparam integer time of the last change
-- @treturn integer|nil 304 or 412 where that is the answer
function conditional.status(req, tag, time)
  local headers, method = req.headers, req.method
  local safe = method == "GET" or method == "HEAD"
  local match, since = headers["if-match"], headers["if-unmodified-since"]
  if match then
    if not listed(match, tag, false) then return 412 end
  elseif since then
    local limit = date(since)
    if limit and time > limit then return 412 end
  end
  match, since = headers["if-none-match"], headers["if-modified-since"]
  if match then
    if listed(match, tag, true) then return safe and 304 or 412 end
  elseif since and safe then
    local limit = date(since)
    if limit and time <= limit then return 304 end
  end
  return nil
end

-- If-Range: is what the client has a part of still the same?
local function isfresh(text, tag, time)
  if text == nil then return true end
  if text:sub(1, 1) == '"' then return text == tag end
  local limit = date(text)
  return limit ~= nil and limit == time
end

local function number(digits)
  return #digits < 16 and math.tointeger(tonumber(digits)) or math.maxinteger
end

-- One "first-last", "first-" or "-count": nil where it is none, false where there
-- is nothing of it.
local function range(text, size)
  local first, last = text:match("^%s*(%d*)%-(%d*)%s*$")
  if not first or first == "" and last == "" then return nil end
  if first == "" then
    local count = math.min(number(last), size)
    return count > 0 and {size - count, size - 1}
  end
  first = number(first)
  last = last == "" and math.maxinteger or number(last)
  if last < first then return nil end
  return first < size and {first, math.min(last, size - 1)}
end

--- The ranges that a request asks for.
-- @param req
-- @tparam string tag
-- @tparam integer time
-- @tparam integer size bytes
-- @treturn table|nil|boolean list of {first, last}; nil: the whole is to be sent;
-- false: none of them can be satisfied
function conditional.ranges(req, tag, time, size)
  local field = req.method == "GET" and size > 0 and req.headers["range"]
  if not field or not isfresh(req.headers["if-range"], tag, time) then return nil end
  local set = field:match("^%s*[Bb][Yy][Tt][Ee][Ss]=(.*)$")
  if not set then return nil end
  local ranges, total, count = {}, 0, 0
  for text in set:gmatch("[^,]+") do
    if text:find("%S") then
      count = count + 1
      local one = range(text, size)
      if one == nil or count > MAX_RANGES then return nil end
      if one then
        ranges[#ranges + 1] = one
        total = total + one[2] - one[1] + 1
      end
    end
  end
  if count == 0 then return nil end
  if #ranges == 0 then return false end
  if #ranges > 1 and total > size then return nil end -- they overlap
  return ranges
end

return conditional
