-- gevent._lookups: what the resolvers have in common (private; see
-- gevent.resolver): checks of arguments, failures, and the look-ups that follow
-- from getaddrinfo and getnameinfo.
local core = require "gevent._core"
local misuse = require "gevent._misuse"

local expected = misuse.expected

local FAMILIES = {inet = true, inet6 = true}
local TYPES = {stream = true, dgram = true}

-- arguments ------------------------------------------------------------------

-- A string or a number as a string; nil stays nil.
local function totext(value, n, fname)
  if type(value) == "number" then
    value = tostring(math.tointeger(value) or value)
  elseif value ~= nil and type(value) ~= "string" then
    misuse.bad(n, fname, expected("string", value))
  end
  return value
end

local function checkname(name, fname)
  if type(name) ~= "string" then
    misuse.bad(1, fname, expected("string", name))
  end
end

local function checkoption(opts, name, allowed)
  local value = opts[name]
  if value == nil then return end
  if type(value) ~= "string" then
    misuse.bad(3, "getaddrinfo", ("option '%s' must be a string"):format(name))
  elseif allowed and not allowed[value] then
    misuse.bad(3, "getaddrinfo", ("option '%s' cannot be \"%s\""):format(name, value))
  end
end

local AI = {passive = true, canonname = true, numerichost = true, numericserv = true,
  addrconfig = true}
local NI = {numerichost = true, numericserv = true, dgram = true, namereqd = true}

-- Flags as one string of words: given so, or as a list; with C's prefix and in
-- any case, as the options of sockets are.
local function checkflags(flags, known, fname)
  if type(flags) == "table" then flags = table.concat(flags, " ") end
  local words = {}
  for word in (flags or ""):gmatch "[^%s,|]+" do
    local plain = word:lower():gsub("^[an]i_", "")
    if not known[plain] then
      misuse.bad(3, fname, ("unknown flag \"%s\""):format(word))
    end
    words[#words + 1] = plain
  end
  return table.concat(words, " ")
end

local OPTIONS = misuse.names "family type flags"

-- host, service, family, type, flags
local function checkaddrinfo(host, port, opts)
  local number = type(port) == "number" and port -- the system wraps it round
  host = totext(host, 1, "getaddrinfo")
  port = totext(port, 2, "getaddrinfo")
  if not host and not port then
    misuse.bad(1, "getaddrinfo", "neither a host nor a service")
  elseif number and not (math.tointeger(number) and number >= 0 and number <= 65535) then
    misuse.bad(2, "getaddrinfo", "a port is 0 to 65535")
  end
  if opts == nil then return host, port, nil, "stream", "" end
  misuse.options(3, "getaddrinfo", opts, OPTIONS)
  checkoption(opts, "family", FAMILIES)
  checkoption(opts, "type", TYPES)
  if type(opts.flags) ~= "table" then checkoption(opts, "flags") end
  local flags = checkflags(opts.flags, AI, "getaddrinfo")
  return host, port, opts.family, opts.type or "stream", flags
end

-- host, port, flags
local function checknameinfo(host, port, flags)
  host = totext(host, 1, "getnameinfo")
  local number = math.tointeger(port or 0)
  if not host then
    misuse.bad(1, "getnameinfo", expected("string", host))
  elseif not number then
    misuse.bad(2, "getnameinfo", expected("integer", port))
  elseif number < 0 or number > 65535 then
    misuse.bad(2, "getnameinfo", "a port is 0 to 65535")
  elseif flags ~= nil and type(flags) ~= "string" and type(flags) ~= "table" then
    misuse.bad(3, "getnameinfo", expected("string", flags))
  end
  return host, number, checkflags(flags, NI, "getnameinfo")
end

local function has(flags, flag) return flags:find(flag, 1, true) ~= nil end

local function notaname()
  return nil, "not a valid host name", "EAI_NONAME"
end

local function notnumeric()
  return nil, "not a numeric address", "EAI_NONAME"
end

local function cancelled()
  return nil, "the resolver is closed", "EAI_CANCELED"
end

-- what follows from getaddrinfo and getnameinfo ------------------------------

-- Documented in gevent.resolver.
local methods = {}

function methods:gethostbyname(name)
  checkname(name, "gethostbyname")
  if core.isnumeric(name) == "inet" then return name end
  local list, message, code = self:getaddrinfo(name, nil, {family = "inet"})
  if not list then return nil, message, code end
  return list[1].host
end

function methods:gethostbyname_ex(name)
  checkname(name, "gethostbyname_ex")
  local list, message, code = self:getaddrinfo(name, nil,
    {family = "inet", flags = "canonname"})
  if not list then return nil, message, code end
  local addresses = {}
  for i, address in ipairs(list) do addresses[i] = address.host end
  local canonical = list[1].canonname or name
  local aliases = canonical ~= name and {name} or {}
  return {name = canonical, aliases = aliases, addresses = addresses}
end

function methods:gethostbyaddr(ip)
  checkname(ip, "gethostbyaddr")
  local name, message, code = self:getnameinfo(ip, 0, "namereqd")
  if not name then return nil, message, code end
  return {name = name, aliases = {}, addresses = {ip}}
end

function methods:getfqdn(name)
  if name ~= nil then checkname(name, "getfqdn") end
  if name == nil or name == "" or name == "0.0.0.0" then name = core.gethostname() end
  if core.isnumeric(name) then
    return (self:getnameinfo(name, 0, "namereqd")) or name
  end
  local list = self:getaddrinfo(name, nil, {flags = "canonname"})
  local canonical = list and list[1].canonname
  return canonical and canonical:find(".", 1, true) and canonical or name
end

local function newclass(name)
  local class = {__name = name}
  class.__index = class
  for key, method in pairs(methods) do class[key] = method end
  return class
end

return {
  methods = methods,
  newclass = newclass,
  checkaddrinfo = checkaddrinfo,
  checknameinfo = checknameinfo,
  expected = expected,
  has = has,
  notaname = notaname,
  notnumeric = notnumeric,
  cancelled = cancelled,
}
