--- A client's cookies (RFC 6265).
-- There is no list of public suffixes here: a server may set a cookie for the
-- domain above its own, but not for a name without a dot.
-- @module gevent.http.cookies
local misuse = require "gevent._misuse"

local MAX_SIZE = 4096    -- bytes of a cookie: name, value and attributes
local MAX_OF_DOMAIN = 50
local MAX_IN_ALL = 3000

local MONTHS = {jan = 1, feb = 2, mar = 3, apr = 4, may = 5, jun = 6, jul = 7, aug = 8,
  sep = 9, oct = 10, nov = 11, dec = 12}

-- Days from 1970-01-01 to a date; years begin in March here.
local function daysto(year, month, day)
  if month <= 2 then year, month = year - 1, month + 12 end
  local leap = year // 4 - year // 100 + year // 400
  return 365 * year + leap + (153 * (month - 3) + 2) // 5 + day - 719469
end

-- RFC 6265, 5.1.1: seconds since 1970, or nil.
local function parsedate(text)
  local hour, min, sec = text:match("(%d%d?):(%d%d?):(%d%d?)")
  local day, word, year = text:match("%f[%d](%d%d?)[%s%-](%a%a%a)%a*[%s%-](%d%d%d?%d?)")
  if not day then word, day, year = text:match("(%a%a%a)%a*%s+(%d%d?)%s.-(%d%d%d%d)") end
  local month = word and MONTHS[word:lower()]
  if not hour or not month then return nil end
  year, day = tonumber(year), tonumber(day)
  if year < 70 then year = year + 2000 elseif year < 100 then year = year + 1900 end
  if year < 1601 or day < 1 or day > 31 or tonumber(hour) > 23 or tonumber(min) > 59
    or tonumber(sec) > 59 then
    return nil
  end
  return daysto(year, month, day) * 86400 + hour * 3600 + min * 60 + sec
end

local function isaddress(host)
  return host:find("^[%d.]+$") ~= nil or host:find(":", 1, true) ~= nil
end

local function domainmatches(host, domain)
  return host == domain
    or not isaddress(host) and host:sub(-#domain - 1) == "." .. domain
end

local function pathof(target)
  return target:match("^[^?]*")
end

local function pathmatches(path, prefix)
  return path == prefix or path:sub(1, #prefix) == prefix
    and (prefix:sub(-1) == "/" or path:sub(#prefix + 1, #prefix + 1) == "/")
end

local function isexpired(cookie, now)
  return cookie.expires ~= nil and cookie.expires <= now
end

-- The attributes of a cookie, by name in lower case; the last one counts.
local function attributesof(text)
  local attributes = {}
  for part in text:gmatch("[^;]+") do
    local name, value = part:match("^%s*([^=]-)%s*=%s*(.-)%s*$")
    if not name then name, value = part:match("^%s*(.-)%s*$"), "" end
    attributes[name:lower()] = value
  end
  return attributes
end

local function setdomain(cookie, attributes, at)
  local domain = (attributes.domain or ""):gsub("^%.", ""):lower()
  cookie.domain, cookie.host_only = at.host, true
  if domain == "" or domain == at.host then
    cookie.host_only = domain == "" or isaddress(domain)
    return true
  end
  cookie.domain, cookie.host_only = domain, false
  return domain:find(".", 1, true) ~= nil and domainmatches(at.host, domain)
end

local function setexpiry(cookie, attributes, now)
  local age = attributes["max-age"]
  if age and age:find("^%-?%d+$") then
    cookie.expires = now + math.min(math.tointeger(tonumber(age)) or 2^53, 2^53)
  elseif attributes.expires then
    cookie.expires = parsedate(attributes.expires)
  end
end

-- What may not come over this connection, or not in this form.
local function isforged(cookie, attributes, at)
  if cookie.secure and at.scheme ~= "https" then return true end
  local prefix = cookie.name:sub(1, 9):lower()
  if prefix == "__secure-" then return not cookie.secure end
  if prefix:sub(1, 7) == "__host-" then
    return not cookie.secure or attributes.domain ~= nil or cookie.path ~= "/"
  end
  return false
end

-- A value of Set-Cookie, sent by the server of that URL -> cookie or nil.
local function parse(text, at, now)
  if #text > MAX_SIZE then return nil end
  local pair, rest = text:match("^([^;]*);?(.*)$")
  local name, value = pair:match("^%s*([^=]-)%s*=%s*(.-)%s*$")
  if not name or name == "" then return nil end
  local attributes = attributesof(rest)
  local cookie = {name = name, value = value, secure = attributes.secure ~= nil,
    http_only = attributes.httponly ~= nil, path = attributes.path, domain = nil,
    host_only = nil, expires = nil}
  if not cookie.path or cookie.path:sub(1, 1) ~= "/" then
    cookie.path = pathof(at.target):match("^(/.*)/") or "/"
  end
  if not setdomain(cookie, attributes, at) or isforged(cookie, attributes, at) then
    return nil
  end
  setexpiry(cookie, attributes, now)
  return cookie
end

--- Cookies of several servers.
-- @type CookieJar
local CookieJar = {}
CookieJar.__index = CookieJar
CookieJar.__name = "http.CookieJar"

-- Takes out those that are over, and the oldest of too many.
local function trim(self, now)
  local kept, count = {}, {}
  for i = #self.list, 1, -1 do -- the newest first
    local cookie = self.list[i]
    local n = (count[cookie.domain] or 0) + 1
    if not isexpired(cookie, now) and n <= MAX_OF_DOMAIN and #kept < MAX_IN_ALL then
      count[cookie.domain] = n
      kept[#kept + 1] = cookie
    end
  end
  local list = {}
  for i = #kept, 1, -1 do list[#list + 1] = kept[i] end
  self.list = list
end

local function put(self, cookie)
  for i, other in ipairs(self.list) do
    if other.name == cookie.name and other.domain == cookie.domain
      and other.path == cookie.path and other.host_only == cookie.host_only then
      self.list[i] = cookie
      return
    end
  end
  table.insert(self.list, cookie)
end

-- For the client: the values of Set-Cookie fields of an answer.
function CookieJar:_take(at, values)
  if not values[1] then return end
  local now = os.time()
  for _, text in ipairs(values) do
    local cookie = parse(text, at, now)
    if cookie then put(self, cookie) end
  end
  trim(self, now)
end

local function applies(cookie, at, now)
  if isexpired(cookie, now) or cookie.secure and at.scheme ~= "https" then return false end
  if cookie.host_only and cookie.domain ~= at.host then return false end
  return domainmatches(at.host, cookie.domain)
    and pathmatches(pathof(at.target), cookie.path)
end

-- For the client: the field of a request, as text.
function CookieJar:_field(at)
  if not self.list[1] then return "" end
  local now, found = os.time(), {}
  for i, cookie in ipairs(self.list) do
    if applies(cookie, at, now) then found[#found + 1] = {cookie, i} end
  end
  if not found[1] then return "" end
  table.sort(found, function(a, b) -- longer paths first, then the older ones
    if #a[1].path ~= #b[1].path then return #a[1].path > #b[1].path end
    return a[2] < b[2]
  end)
  for i, entry in ipairs(found) do found[i] = entry[1].name .. "=" .. entry[1].value end
  return "Cookie: " .. table.concat(found, "; ") .. "\r\n"
end

--- Goes through the cookies: tables with `name value domain path host_only
-- secure http_only expires` (seconds since 1970; nil: until the end).
-- @treturn function iterator
function CookieJar:each()
  trim(self, os.time())
  local list, i = self.list, 0
  return function()
    i = i + 1
    return list[i]
  end
end

--- Forgets all, or those of a domain.
-- @tparam[opt] string domain
function CookieJar:clear(domain)
  local list = {}
  for _, cookie in ipairs(self.list) do
    if domain and cookie.domain ~= domain then list[#list + 1] = cookie end
  end
  self.list = list
end

misuse.methods(CookieJar, "list", "http.CookieJar")

function CookieJar:__len()
  return #self.list
end

function CookieJar:__tostring()
  return ("<http.CookieJar: %d cookies>"):format(#self.list)
end

--- Is it one?
-- @function isjar
-- @param value anything
-- @treturn boolean

return {
  CookieJar = function() return setmetatable({list = {}}, CookieJar) end,
  isjar = function(value) return getmetatable(value) == CookieJar end,
}
