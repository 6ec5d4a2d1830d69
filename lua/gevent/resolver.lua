--- Names to addresses, and back: who does the look-ups of `gevent.socket`.
-- `Thread` asks the C library, in threads of its own; `Ares` asks the name
-- servers itself, without any thread, and cannot be held up by one that is
-- slow. Both have the look-up functions of `gevent.socket` as methods, with the
-- same results. Which one is used: `GEVENT_RESOLVER`, `gevent.config.resolver`,
-- or an object assigned to `hub.resolver`. All is told in `docs/resolver.md`.
-- @module gevent.resolver
local core = require "gevent._core"
local hosts = require "gevent._hosts"
local idna = require "gevent._idna"
local ttlcache = require "gevent._ttlcache"

local THREADS = 10
local TIMEOUT = 2 -- seconds for a first try; each next one has twice as long
local TRIES = 3
local CACHE = 10000 -- names, for cache = true
local PORT = 53

local FAMILIES = {inet = true, inet6 = true}
local TYPES = {stream = true, dgram = true}

local resolver = {}

-- arguments ------------------------------------------------------------------

-- For error: a function here is called by the method, and that by the user.
local function bad(n, fname, text)
  return ("bad argument #%d to '%s' (%s)"):format(n, fname, text)
end

local function expected(what, value)
  return ("%s expected, got %s"):format(what, type(value))
end

-- A string or a number as a string; nil stays nil.
local function totext(value, n, fname)
  if type(value) == "number" then
    value = tostring(math.tointeger(value) or value)
  elseif value ~= nil and type(value) ~= "string" then
    error(bad(n, fname, expected("string", value)), 4)
  end
  return value
end

local function checkname(name, fname)
  if type(name) ~= "string" then
    error(bad(1, fname, expected("string", name)), 3)
  end
end

local function checkoption(opts, name, allowed)
  local value = opts[name]
  if value == nil then return end
  if type(value) ~= "string" then
    error(bad(3, "getaddrinfo", ("option '%s' must be a string"):format(name)), 4)
  elseif allowed and not allowed[value] then
    error(bad(3, "getaddrinfo", ("option '%s' cannot be \"%s\""):format(name,
      value)), 4)
  end
end

-- host, service, family, type, flags
local function checkaddrinfo(host, port, opts)
  host = totext(host, 1, "getaddrinfo")
  port = totext(port, 2, "getaddrinfo")
  if not host and not port then
    error(bad(1, "getaddrinfo", "neither a host nor a service"), 3)
  end
  if opts == nil then return host, port, nil, "stream", "" end
  if type(opts) ~= "table" then
    error(bad(3, "getaddrinfo", expected("table", opts)), 3)
  end
  checkoption(opts, "family", FAMILIES)
  checkoption(opts, "type", TYPES)
  checkoption(opts, "flags")
  return host, port, opts.family, opts.type or "stream", opts.flags or ""
end

-- host, port, flags
local function checknameinfo(host, port, flags)
  host = totext(host, 1, "getnameinfo")
  local number = math.tointeger(port or 0)
  if not host then
    error(bad(1, "getnameinfo", expected("string", host)), 3)
  elseif not number then
    error(bad(2, "getnameinfo", expected("integer", port)), 3)
  elseif number < 0 or number > 65535 then
    error(bad(2, "getnameinfo", "a port is 0 to 65535"), 3)
  elseif flags ~= nil and type(flags) ~= "string" then
    error(bad(3, "getnameinfo", expected("string", flags)), 3)
  end
  return host, number, flags or ""
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

local methods = {}

--- The first IPv4 address of a host.
-- @function Resolver:gethostbyname
-- @tparam string name
-- @return address; or nil, message, "EAI_..."
function methods:gethostbyname(name)
  checkname(name, "gethostbyname")
  if core.isnumeric(name) == "inet" then return name end
  local list, message, code = self:getaddrinfo(name, nil, {family = "inet"})
  if not list then return nil, message, code end
  return list[1].host
end

--- The name of a host and its IPv4 addresses.
-- @function Resolver:gethostbyname_ex
-- @tparam string name
-- @treturn[1] table `{name=, aliases={...}, addresses={...}}`
-- @return[2] nil, message, "EAI_..."
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

--- The name of a numeric address.
-- @function Resolver:gethostbyaddr
-- @tparam string ip
-- @return as `gethostbyname_ex`
function methods:gethostbyaddr(ip)
  checkname(ip, "gethostbyaddr")
  local name, message, code = self:getnameinfo(ip, 0, "namereqd")
  if not name then return nil, message, code end
  return {name = name, aliases = {}, addresses = {ip}}
end

--- The full name of a host: the canonical one, if there is one with a dot.
-- @function Resolver:getfqdn
-- @tparam[opt] string name this machine by default
-- @treturn string
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

-- Thread ---------------------------------------------------------------------

local Thread = newclass("resolver.Thread")

local function badoption(class, name, what)
  error(("bad option '%s' for resolver.%s (%s expected)"):format(name, class,
    what), 3)
end

local function ispositive(value)
  return math.type(value) == "integer" and value >= 1 and value <= 1024
end

--- A resolver that calls the C library in threads of its own: it does what
-- the system is configured to do.
-- @tparam[opt] table opts `size`: threads at most (10), and so look-ups at a
--   time; they are started when they are needed
-- @treturn Resolver
function resolver.Thread(opts)
  if opts ~= nil and type(opts) ~= "table" then
    error("bad argument #1 to 'Thread' (" .. expected("table", opts) .. ")", 2)
  end
  local size = opts and opts.size or THREADS
  if not ispositive(size) then
    badoption("Thread", "size", "integer from 1 to 1024")
  end
  return setmetatable({size = size, pool = core.namepool(size), closed = false},
    Thread)
end

--- Looks up the addresses of a host, and the port of a service.
-- @function Resolver:getaddrinfo
-- @tparam ?string host
-- @tparam ?string|integer port number or service name
-- @tparam[opt] table opts `family` ("inet", "inet6"), `type` ("stream",
-- "dgram"), `flags` (string with any of passive, canonname, numerichost,
-- numericserv, addrconfig)
-- @treturn[1] {table,...} list of `{family=, type=, host=, port=, canonname=}`
-- @return[2] nil, message, "EAI_..."
function Thread:getaddrinfo(host, port, opts)
  local service, family, kind, flags
  host, service, family, kind, flags = checkaddrinfo(host, port, opts)
  if self.closed then return cancelled() end
  if host then
    host = idna.toascii(host)
    if not host then return notaname() end
  end
  return self.pool:getaddrinfo(host, service, family, kind, flags)
end

--- The name and service of a numeric address.
-- @function Resolver:getnameinfo
-- @tparam string host
-- @tparam[opt=0] integer port
-- @tparam[opt] string flags any of numerichost, numericserv, dgram, namereqd
-- @return host, service; or nil, message, "EAI_..."
function Thread:getnameinfo(host, port, flags)
  host, port, flags = checknameinfo(host, port, flags)
  if self.closed then return cancelled() end
  if not core.isnumeric(host) then return notnumeric() end
  return self.pool:getnameinfo(host, port, flags)
end

--- Ends it: look-ups under way, and all that come, are "EAI_CANCELED".
-- @function Resolver:close
function Thread:close()
  self.closed = true
  self.pool:close()
end

Thread.__close = Thread.close

function Thread:__tostring()
  return ("<resolver.Thread at %p: %s>"):format(self,
    self.closed and "closed" or "at most " .. self.size .. " threads")
end

-- Ares: options --------------------------------------------------------------

-- "ip", "ip:port", "[ipv6]:port" -> {ip, port}, or nil
local function parseserver(text)
  local host, port = text, nil
  if core.isnumeric(text) == nil then
    host, port = text:match("^%[(.+)%]:(%d+)$")
    host = host or text:match("^%[(.+)%]$")
    if not host then host, port = text:match("^([^:]+):(%d+)$") end
  end
  port = math.tointeger(tonumber(port or PORT))
  if not host or not core.isnumeric(host) then return nil end
  return port >= 1 and port <= 65535 and {host, port} or nil
end

local function parseservers(list)
  if list == nil then return nil end
  local servers = {}
  if type(list) == "table" then
    for i, text in ipairs(list) do
      servers[i] = type(text) == "string" and parseserver(text) or nil
      if not servers[i] then return false end
    end
  end
  return servers[1] ~= nil and servers
end

local function isstrings(list)
  if type(list) ~= "table" then return false end
  for _, item in ipairs(list) do
    if type(item) ~= "string" then return false end
  end
  return true
end

local function ishosts(value)
  if type(value) ~= "table" then
    return value == nil or value == false or type(value) == "string"
  end
  for name, list in pairs(value) do
    if type(list) == "string" then list = {list} end
    if type(name) ~= "string" or not isstrings(list) then return false end
    for _, ip in ipairs(list) do
      if not core.isnumeric(ip) then return false end
    end
  end
  return true
end

local function cachesize(value)
  if value == true then return CACHE end
  return value or 0
end

local function isseconds(value)
  return type(value) == "number" and value >= 0.001 and value <= 3600
end

local function check(name, ok, what)
  if ok then return end
  error(("bad option '%s' for resolver.Ares (%s expected)"):format(name, what), 4)
end

-- Raises in the caller of Ares.
local function checkares(opts)
  check("servers", parseservers(opts.servers) ~= false,
    "list of \"address\", \"address:port\" or \"[ipv6]:port\"")
  check("timeout", opts.timeout == nil or isseconds(opts.timeout),
    "seconds from 0.001 to 3600")
  check("tries", opts.tries == nil or ispositive(opts.tries),
    "integer from 1 to 1024")
  check("hosts", ishosts(opts.hosts),
    "path, table of names to addresses or false")
  local cache = opts.cache
  check("cache", cache == nil or type(cache) == "boolean"
    or math.type(cache) == "integer" and cache >= 0, "boolean or entries at most")
  check("ndots", opts.ndots == nil or math.type(opts.ndots) == "integer"
    and opts.ndots >= 0 and opts.ndots <= 15, "integer from 0 to 15")
  check("domains", opts.domains == nil or isstrings(opts.domains),
    "list of strings")
  check("resolvconf", opts.resolvconf == nil
    or type(opts.resolvconf) == "string", "path")
end

-- Ares -----------------------------------------------------------------------

local Ares = newclass("resolver.Ares")

--- A resolver that asks the name servers itself, by c-ares.
-- @tparam[opt] table opts
--
-- - `servers`: list of `"ip"`, `"ip:port"`, `"[ipv6]:port"`; those of
--   `/etc/resolv.conf`, which is read again when it has changed
-- - `timeout`: seconds for a first try (2); each next one has twice as long
-- - `tries`: per server (3)
-- - `hosts`: path of a hosts file (`/etc/hosts`), a table of names to addresses
--   or lists of addresses, or false
-- - `cache`: true, or how many names are kept, each for its time to live (no)
-- - `domains`, `ndots`: the search list; else as in resolv.conf
-- - `resolvconf`: path of a file to use instead of that
-- @treturn Resolver
function resolver.Ares(opts)
  opts = opts or {}
  if type(opts) ~= "table" then
    error("bad argument #1 to 'Ares' (" .. expected("table", opts) .. ")", 2)
  end
  checkares(opts)
  local entries = cachesize(opts.cache)
  return setmetatable({
    servers = parseservers(opts.servers) or nil,
    timeout = opts.timeout or TIMEOUT, -- seconds
    tries = opts.tries or TRIES,
    ndots = opts.ndots,
    domains = opts.domains,
    resolvconf = opts.resolvconf,
    hosts = hosts.new(opts.hosts),
    cache = entries > 0 and ttlcache.new(entries) or nil,
    channel = nil, -- made when first needed
    channels = setmetatable({}, {__mode = "k"}), -- those in use
    stamp = nil, -- of resolv.conf when the channel was made
    closed = false,
  }, Ares)
end

-- A new one where resolv.conf has changed; who waits for the old one keeps it.
local function channelof(self)
  local stamp = core.filestamp(self.resolvconf or "/etc/resolv.conf")
  if self.channel and stamp == self.stamp then return self.channel end
  local channel, message, code = core.ares(self.servers,
    math.ceil(self.timeout * 1000), self.tries, self.ndots, self.domains,
    self.resolvconf)
  if not channel then return nil, message, code end
  self.channel, self.stamp = channel, stamp
  self.channels[channel] = true
  return channel
end

-- Addresses without port and type, from the nearest place that knows them.
local function addressesof(self, name, family)
  local known = self.hosts:addresses(name, family)
  if known then return known end
  local key = (family or "any") .. " " .. name
  known = self.cache and self.cache:get(key)
  if known then return known end
  local channel, message, code = channelof(self)
  if not channel then return nil, message, code end
  known, message, code = channel:addresses(name, family)
  if not known then return nil, message, code end
  if self.cache then self.cache:put(key, known, known.ttl) end
  return known
end

-- The families of "addrconfig": those that an interface has an address of.
-- nil, false: none that was asked for.
local function configured(family)
  local inet, inet6 = core.configured()
  if not family then
    return inet ~= inet6 and (inet and "inet" or "inet6") or nil
  end
  if family == "inet" and inet or family == "inet6" and inet6 then return family end
  return nil, false
end

-- The port of a service; or nil, message, "EAI_..."
local function portof(service, kind, flags)
  if not service then return 0 end
  local list, message, code = core.numericinfo(nil, service, nil, kind,
    has(flags, "numericserv") and "numericserv" or "")
  if not list then return nil, message, code end
  return list[1].port
end

function Ares:getaddrinfo(host, port, opts)
  local service, family, kind, flags
  host, service, family, kind, flags = checkaddrinfo(host, port, opts)
  if self.closed then return cancelled() end
  local name = host and idna.toascii(host)
  if host and not name then return notaname() end
  local list, message, code = core.numericinfo(name, service, family, kind, flags)
  if list or code ~= "EAI_NONAME" or not name or has(flags, "numerichost") then
    core.giveway()
    if list then return list end
    return nil, message, code
  end
  port, message, code = portof(service, kind, flags)
  if not port then return nil, message, code end
  if has(flags, "addrconfig") then
    local some
    family, some = configured(family)
    if some == false then return notaname() end
  end
  list, message, code = addressesof(self, name:lower(), family)
  if not list then return nil, message, code end
  core.giveway()
  local results = {}
  for i, address in ipairs(list) do
    results[i] = {family = address.family, type = kind, host = address.host,
      port = port}
  end
  if has(flags, "canonname") then results[1].canonname = list.canonname end
  return results
end

function Ares:getnameinfo(host, port, flags)
  host, port, flags = checknameinfo(host, port, flags)
  if self.closed then return cancelled() end
  if not core.isnumeric(host) then return notnumeric() end
  local forced = has(flags, "numerichost")
  local text, service, code = core.numericname(host, port,
    forced and flags or flags:gsub("namereqd", ""))
  if not text then return nil, service, code end
  if forced then return text, service end
  local name = self.hosts:nameof(text)
  if not name then
    local channel, message
    channel, message, code = channelof(self)
    if not channel then return nil, message, code end
    name, message, code = channel:nameof(text)
    if not name and (code == "EAI_AGAIN" or code == "EAI_CANCELED"
      or code == "EAI_MEMORY") then
      return nil, message, code
    end
  end
  core.giveway()
  if not name and has(flags, "namereqd") then
    return nil, "the address has no name", "EAI_NONAME"
  end
  return name or text, service
end

function Ares:close()
  self.closed = true
  for channel in pairs(self.channels) do channel:close() end
end

Ares.__close = Ares.close

function Ares:__tostring()
  local state = "those of resolv.conf"
  if self.servers then
    local names = {}
    for i, server in ipairs(self.servers) do
      names[i] = (server[1]:find(":") and "[%s]:%d" or "%s:%d"):format(server[1],
        server[2])
    end
    state = table.concat(names, " ")
  end
  return ("<resolver.Ares at %p: %s>"):format(self,
    self.closed and "closed" or "servers " .. state)
end

-- which one ------------------------------------------------------------------

local chosen -- by gevent.config

--- Makes the resolver that is meant by "thread", "ares" or an object the one
-- of the hub. (Private: assign to `gevent.config.resolver`.)
function resolver.choose(value)
  if value == "thread" then
    chosen = resolver.Thread()
  elseif value == "ares" then
    chosen = resolver.Ares()
  else
    chosen = value
  end
  core.hub.resolver = chosen
end

--- Calls a look-up function of the resolver that is in use: `hub.resolver`, or
-- the configured one where that is nil. An object of the user's needs
-- `getaddrinfo` and `getnameinfo` only. (Private: for gevent.socket.)
function resolver.lookup(name, ...)
  local object = core.hub.resolver or chosen
  return (object[name] or methods[name])(object, ...)
end

return resolver
