-- gevent.http.url: URLs as clients need them (private). Knows strings only.
-- A parsed URL is a table: `scheme` ("http", "https"), `host` (without
-- brackets, lower case), `port`, `authority` (host and port as the field Host
-- says them), `target` (path and query, never empty), `user` and `password`
-- (decoded; nil if none), `unix` (path of a socket, for http+unix).
local url = {}

local PORTS = {http = 80, https = 443}

local function byte(digits)
  return string.char(tonumber(digits, 16))
end

local function unescape(text)
  return (text:gsub("%%(%x%x)", byte))
end

local function escapebyte(c)
  return ("%%%02X"):format(c:byte())
end

--- Writes what may not stand in a query's names and values as %xx.
function url.escape(text)
  return (tostring(text):gsub("[^%w%-._~]", escapebyte))
end

--- Bytes as base64 (RFC 4648).
function url.base64(text)
  local digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
  local parts = {}
  for i = 1, #text, 3 do
    local a, b, c = text:byte(i, i + 2)
    local n = a << 16 | (b or 0) << 8 | (c or 0)
    local word = ""
    for shift = 18, 0, -6 do
      local at = (n >> shift & 63) + 1
      word = word .. digits:sub(at, at)
    end
    if not c then word = word:sub(1, b and 3 or 2) .. (b and "=" or "==") end
    parts[#parts + 1] = word
  end
  return table.concat(parts)
end

-- "host", "host:port", "[ipv6]:port" -> host, port or nil; nil: bad.
local function splithost(text)
  local host, port = text:match("^%[([%x:.]+)%](.*)$")
  if not host then
    host, port = text:match("^([%w%-._~]+)(.*)$")
    if not host then return nil end
  end
  if port == "" or port == ":" then return host:lower() end
  port = math.tointeger(tonumber(port:match("^:(%d+)$")))
  if not port or port < 1 or port > 65535 then return nil end
  return host:lower(), port
end

-- Path and query, with all encoded that cannot go into a request line.
local function cleantarget(text)
  text = text:match("^[^#]*")
  if text:find("[^\33-\126]") then text = text:gsub("[^\33-\126]", escapebyte) end
  return text:sub(1, 1) == "/" and text or "/" .. text
end

local function parseunix(text)
  local path, tail = text:match("^http%+unix://([^/?#]*)(.*)$")
  path = path and unescape(path)
  if not path or path == "" or path:find("\0", 1, true) then
    return nil, "no path of a socket"
  end
  return {scheme = "http", host = "localhost", port = 80, authority = "localhost",
    target = cleantarget(tail), unix = path}
end

local function setauthority(parsed)
  local host = parsed.host
  if host:find(":", 1, true) then host = "[" .. host .. "]" end
  if parsed.port ~= PORTS[parsed.scheme] then host = host .. ":" .. parsed.port end
  parsed.authority = host
  return parsed
end

local function parse(text)
  if text:find("%c") then return nil, "control characters are not allowed" end
  if text:find("^http%+unix:") then return parseunix(text) end
  local scheme, authority, tail = text:match("^(%a[%w+.-]*)://([^/?#]*)(.*)$")
  if not scheme then return nil, "no scheme and host" end
  scheme = scheme:lower()
  if not PORTS[scheme] then return nil, "unknown scheme '" .. scheme .. "'" end
  local userinfo, hostport = authority:match("^(.*)@(.*)$")
  if authority:find("\\", 1, true) then return nil, "backslash in the host" end
  local host, port = splithost(hostport or authority)
  if not host then return nil, "bad host or port" end
  local parsed = {scheme = scheme, host = host, port = port or PORTS[scheme],
    target = cleantarget(tail)}
  if userinfo and userinfo ~= "" then
    local user, password = userinfo:match("^([^:]*):?(.*)$")
    parsed.user, parsed.password = unescape(user), unescape(password)
  end
  return setauthority(parsed)
end

-- The last ones that were parsed: programs ask for the same again and again.
local CACHED = 256
local cache, cached = {}, 0

--- Takes a URL apart. The result may be shared: it is not to be changed.
-- @tparam string text
-- @treturn[1] table
-- @return[2] nil, what is wrong with it
function url.parse(text)
  local parsed = cache[text]
  if parsed then return parsed end
  local why
  parsed, why = parse(text)
  if not parsed then return nil, why end
  if cached >= CACHED then cache, cached = {}, 0 end
  cache[text], cached = parsed, cached + 1
  return parsed
end

--- A copy with another socket's path or target.
function url.with(parsed, unix, target)
  local copy = {}
  for key, value in pairs(parsed) do copy[key] = value end
  copy.unix, copy.target, copy.text = unix or parsed.unix, target or parsed.target, nil
  return copy
end

--- A copy with the user and password of another URL.
function url.withuser(parsed, other)
  local copy = url.with(parsed)
  copy.user, copy.password = other.user, other.password
  return copy
end

--- The URL as text, without user and password.
function url.tostring(parsed)
  local text = parsed.text
  if text then return text end
  if parsed.unix then
    text = "http+unix://" .. url.escape(parsed.unix) .. parsed.target
  else
    text = parsed.scheme .. "://" .. parsed.authority .. parsed.target
  end
  parsed.text = text
  return text
end

--- Have both the same scheme, host and port?
function url.issameorigin(a, b)
  return a.scheme == b.scheme and a.host == b.host and a.port == b.port
    and a.unix == b.unix
end

-- RFC 3986, 5.2.4, for a path that begins with "/".
local function removedots(path)
  local out = {}
  local last
  for segment in path:gmatch("/([^/]*)") do
    last = segment
    if segment == ".." then
      out[#out] = nil
    elseif segment ~= "." then
      out[#out + 1] = segment
    end
  end
  local ends = last == "." or last == ".."
  return "/" .. table.concat(out, "/") .. (ends and #out > 0 and "/" or "")
end

-- The target that a reference without authority leads to.
local function merge(target, reference)
  if reference == "" then return target end
  local path = target:match("^[^?]*")
  if reference:sub(1, 1) == "?" then return path .. reference end
  if reference:sub(1, 1) ~= "/" then
    reference = path:match("^(.*/)") .. reference
  end
  local query
  path, query = reference:match("^([^?]*)(.*)$")
  return removedots(path) .. query
end

--- What a reference (of the field Location) means (RFC 3986, 5.2).
-- @tparam table base a parsed URL
-- @tparam string reference
-- @treturn[1] table parsed URL
-- @return[2] nil, what is wrong with it
function url.resolve(base, reference)
  reference = reference:match("^[^#]*")
  if reference:find("^%a[%w+.-]*:") then
    if reference:find("^http%+unix:") then return nil, "unknown scheme 'http+unix'" end
    return url.parse(reference)
  end
  if reference:sub(1, 2) == "//" then return url.parse(base.scheme .. ":" .. reference) end
  if reference:find("%c") then return nil, "control characters are not allowed" end
  return url.with(base, nil, cleantarget(merge(base.target, reference)))
end

--- The target with more in its query.
-- @tparam string target
-- @tparam table query name -> value or list of values
function url.addquery(target, query)
  local pairs_ = {}
  for name, value in pairs(query) do
    for _, one in ipairs(type(value) == "table" and value or {value}) do
      pairs_[#pairs_ + 1] = url.escape(name) .. "=" .. url.escape(one)
    end
  end
  if not pairs_[1] then return target end
  table.sort(pairs_)
  local text = table.concat(pairs_, "&")
  return target .. (target:find("?", 1, true) and "&" or "?") .. text
end

return url
