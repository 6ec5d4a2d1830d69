-- gevent._wshandshake: the opening handshake of WebSocket, RFC 6455 section 4
-- (private; see gevent.websocket): reading and writing its two messages.
local core = require "gevent._core"
local misuse = require "gevent._misuse"

local VERSION = "13"
local MAX_HEAD = 16384 -- bytes of a server's answer
local MAX_FIELDS = 100
local TOKEN = "^[%w!#$%%&'*+%-.^_`|~]+$"

local handshake = {}

-- Does the list of words in a header have this one, in any case?
local function hasword(value, word)
  for item in (value or ""):gmatch("[^,]+") do
    if item:match("^%s*(.-)%s*$"):lower() == word then return true end
  end
  return false
end

local function words(values)
  local list = {}
  for _, value in ipairs(values) do
    for item in value:gmatch("[^,]+") do list[#list + 1] = item:match("^%s*(.-)%s*$") end
  end
  return list
end

-- Options -----------------------------------------------------------------------------

--- The subprotocols of an option; raises on what are none.
function handshake.protocols(list)
  if list == nil then return {} end
  if type(list) ~= "table" then
    misuse.raise("bad option 'protocols' (list of names expected, got " .. type(list) .. ")")
  end
  for _, name in ipairs(list) do
    if type(name) ~= "string" or not name:find(TOKEN) then
      misuse.raise("bad option 'protocols' (not a name: " .. tostring(name) .. ")")
    end
  end
  return list
end

-- The host that an origin names, as a Host field does; nil: it names none.
local function hostof(origin)
  local scheme, host = origin:lower():match("^(https?)://([^/]+)$")
  if not host then return nil end
  return (host:gsub(scheme == "https" and ":443$" or ":80$", ""))
end

local function issame(origin, req)
  local host = (req.host or ""):lower()
  return hostof(origin) == host:gsub(req.scheme == "https" and ":443$" or ":80$", "")
end

--- A function of (origin, request) from the option; raises on what is none.
function handshake.origins(origins)
  if origins == nil then return issame end
  if origins == "*" then return function() return true end end
  if type(origins) == "function" then return origins end
  if type(origins) ~= "table" then
    misuse.raise("bad option 'origins' (list, function or \"*\" expected, got "
      .. type(origins) .. ")")
  end
  local known = {}
  for _, origin in ipairs(origins) do known[tostring(origin):lower()] = true end
  return function(origin) return known[origin:lower()] or known["*"] or false end
end

local OWN = {
  host = true, upgrade = true, connection = true, ["sec-websocket-key"] = true,
  ["sec-websocket-version"] = true, ["sec-websocket-protocol"] = true,
  ["sec-websocket-extensions"] = true, ["content-length"] = true,
  ["transfer-encoding"] = true,
}

--- The lines of a client's own headers; raises on what is no header, and on those
-- of the handshake itself. `Host` may be given.
function handshake.headers(headers)
  if headers == nil then return {} end
  if type(headers) ~= "table" then
    misuse.raise("bad option 'headers' (table expected, got " .. type(headers) .. ")")
  end
  local lines = {}
  for name, values in pairs(headers) do
    if type(values) ~= "table" then values = {values} end
    for _, value in ipairs(values) do
      value = tostring(value)
      if type(name) ~= "string" or not name:find(TOKEN) or value:find("[%z\1-\8\10-\31\127]")
      then
        misuse.raise("bad option 'headers' (not a header: " .. tostring(name) .. ")")
      end
      if name:lower() == "host" then
        lines.host = value
      elseif OWN[name:lower()] then
        misuse.raise(("bad option 'headers' (%s is the handshake's own)"):format(name))
      else
        lines[#lines + 1] = name .. ": " .. value .. "\r\n"
      end
    end
  end
  return lines
end

-- The server's side -----------------------------------------------------------------------

--- Checks a request.
-- @treturn[1] table `{key=, protocols=, extensions=}`
-- @return[2] nil, status, message
function handshake.read(req, allows)
  local headers = req.headers
  if req.method ~= "GET" then return nil, 405, "a WebSocket handshake is a GET" end
  if not hasword(headers["upgrade"], "websocket") then
    return nil, 426, "this is a WebSocket"
  end
  if req.version ~= "1.1" then return nil, 400, "a WebSocket needs HTTP/1.1" end
  if not hasword(headers["connection"], "upgrade") then
    return nil, 400, "Connection does not say Upgrade"
  end
  if headers["sec-websocket-version"] ~= VERSION then
    return nil, headers["sec-websocket-version"] and 426 or 400,
      "this is version 13 of WebSocket"
  end
  local key = headers["sec-websocket-key"] or ""
  if #key ~= 24 or not key:find("^[%w+/]+==$") then
    return nil, 400, "Sec-WebSocket-Key is not one"
  end
  local origin = headers["origin"]
  if origin and not allows(origin, req) then
    return nil, 403, "not from this origin"
  end
  local extensions = headers:get_all("sec-websocket-extensions")
  return {
    key = key,
    protocols = words(headers:get_all("sec-websocket-protocol")),
    extensions = extensions[1] and table.concat(extensions, ", "),
  }
end

--- Answers what is no handshake.
-- @return nil, message, "handshake", status
function handshake.refuse(res, status, message)
  local headers = {}
  if status == 405 then headers["Allow"] = "GET" end
  if status == 426 then
    headers["Upgrade"] = "websocket"
    headers["Sec-WebSocket-Version"] = VERSION
  end
  local ok, why, code = res:send(status, headers, message .. "\n")
  if not ok then return nil, why, code end
  return nil, message, "handshake", status
end

--- The first of the server's subprotocols that the client has offered.
function handshake.choose(own, offered)
  local known = {}
  for _, name in ipairs(offered) do known[name] = true end
  for _, name in ipairs(own) do
    if known[name] then return name end
  end
  return nil
end

--- The head of the answer, as text.
function handshake.answer(res, key, protocol, extension)
  local lines = {
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
    "Sec-WebSocket-Accept: ", core.websocket_accept(key), "\r\n",
  }
  local function add(name, value)
    lines[#lines + 1] = name .. ": " .. value .. "\r\n"
  end
  if protocol then add("Sec-WebSocket-Protocol", protocol) end
  if extension then add("Sec-WebSocket-Extensions", extension) end
  for name, value in res.headers:each() do
    local lower = name:lower()
    if not OWN[lower] and lower ~= "sec-websocket-accept" and lower ~= "content-type" then
      add(name, value)
    end
  end
  lines[#lines + 1] = "\r\n"
  return table.concat(lines)
end

-- The client's side -----------------------------------------------------------------------

--- Takes a URL apart.
-- @treturn[1] table `{secure=, host=, port=, authority=, target=, auth=}`
-- @return[2] nil, what is wrong with it
function handshake.url(url)
  if type(url) ~= "string" then return nil, "URL expected, got " .. type(url) end
  local scheme, authority, target = url:match("^(%a+)://([^/?#]*)([^#]*)$")
  scheme = scheme and scheme:lower()
  if scheme ~= "ws" and scheme ~= "wss" then
    return nil, "not a ws:// or wss:// URL without a fragment: " .. url
  end
  if url:find("[%c%s\128-\255]") then return nil, "characters that no URL has" end
  local user, rest = authority:match("^(.*)@([^@]*)$")
  if user then authority = rest end
  local host, port = authority:match("^%[([%x:.]+)%]:?(%d*)$")
  if not host then host, port = authority:match("^([^:%[%]]+):?(%d*)$") end
  local default = scheme == "wss" and 443 or 80
  port = port == "" and default or math.tointeger(tonumber(port))
  if not host or not port or port < 1 or port > 65535 then
    return nil, "no host and port in " .. url
  end
  if target:sub(1, 1) ~= "/" then target = "/" .. target end
  return {
    secure = scheme == "wss", host = host, port = port, target = target, user = user,
    authority = port == default and authority:gsub(":%d*$", "", 1) or authority,
  }
end

local function unescape(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

--- The request, as text.
function handshake.request(url, key, protocols, extension, headers)
  local lines = {
    "GET ", url.target, " HTTP/1.1\r\nHost: ", headers.host or url.authority,
    "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ", key,
    "\r\nSec-WebSocket-Version: 13\r\n",
  }
  local function add(name, value)
    lines[#lines + 1] = name .. ": " .. value .. "\r\n"
  end
  if protocols[1] then add("Sec-WebSocket-Protocol", table.concat(protocols, ", ")) end
  if extension then add("Sec-WebSocket-Extensions", extension) end
  if url.user then add("Authorization", "Basic " .. core.websocket_base64(unescape(url.user))) end
  for _, line in ipairs(headers) do lines[#lines + 1] = line end
  lines[#lines + 1] = "\r\n"
  return table.concat(lines)
end

local function fail(message, status)
  return nil, message, "handshake", status
end

-- The fields of a head: lower-case name -> list of values; nil: it is malformed.
local function parsefields(text)
  local fields, count = {}, 0
  for line in text:gmatch("(.-)\r\n") do
    local name, value = line:match("^([^:]+):[ \t]*(.-)[ \t]*$")
    count = count + 1
    if not name or not name:find(TOKEN) or value:find("[%z\r\n]") or count > MAX_FIELDS then
      return nil
    end
    name = name:lower()
    fields[name] = fields[name] or {}
    table.insert(fields[name], value)
  end
  return fields
end

-- The one value of a field that must not be there twice.
local function single(fields, name)
  local list = fields[name]
  return list and not list[2] and list[1] or nil
end

local function checkfields(fields, key, offered)
  local accept = single(fields, "sec-websocket-accept")
  if accept ~= core.websocket_accept(key) then
    return fail("the server did not accept the key", 101)
  end
  if (single(fields, "upgrade") or ""):lower() ~= "websocket"
    or not hasword(table.concat(fields["connection"] or {}, ","), "upgrade") then
    return fail("the server did not upgrade the connection", 101)
  end
  local protocol = single(fields, "sec-websocket-protocol")
  if fields["sec-websocket-protocol"] and not handshake.choose({protocol}, offered) then
    return fail("the server chose a subprotocol that was not offered", 101)
  end
  local extensions = fields["sec-websocket-extensions"]
  return {protocol = protocol, extensions = extensions and table.concat(extensions, ", ")}
end

--- Reads the answer of a server.
-- @treturn[1] table `{protocol=, extensions=}`
-- @return[2] nil, message, code, status
function handshake.response(stream, key, offered)
  local head, message, code = stream:readuntil("\r\n\r\n", MAX_HEAD)
  if code == "toolong" then return fail("the server's answer is too long") end
  if not head then return nil, message, code end
  local status, reason, rest = head:match("^HTTP/1%.1 (%d%d%d) ?([^\r\n]*)\r\n(.*)\r\n$")
  if not status then return fail("the server's answer is not HTTP/1.1") end
  status = math.tointeger(status)
  if status ~= 101 then
    return fail(("the server refused: %d %s"):format(status, reason), status)
  end
  local fields = parsefields(rest)
  if not fields then return fail("the server's answer is malformed", status) end
  return checkfields(fields, key, offered)
end

return handshake
