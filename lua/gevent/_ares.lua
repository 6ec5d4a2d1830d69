-- gevent._ares: the resolver that asks name servers itself, by c-ares (private;
-- see gevent.resolver). The channel, in C, has the queries, their time-outs and
-- the sharing; here is what can be known without asking: numbers, hosts, cache.
local core = require "gevent._core"
local misuse = require "gevent._misuse"
local hosts = require "gevent._hosts"
local idna = require "gevent._idna"
local lookups = require "gevent._lookups"
local ttlcache = require "gevent._ttlcache"

local cancelled, has, notaname = lookups.cancelled, lookups.has, lookups.notaname

local TIMEOUT = 2 -- seconds for a first try; each next one has twice as long
local TRIES = 3
local CACHE = 10000 -- names, for cache = true
local PORT = 53
local RESOLVCONF = "/etc/resolv.conf"

-- options --------------------------------------------------------------------

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

local function ispositive(value)
  return math.type(value) == "integer" and value >= 1 and value <= 1024
end

local function check(name, ok, what)
  if ok then return end
  misuse.bad(1, "Ares", ("%s: %s expected"):format(name, what))
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

-- the resolver ---------------------------------------------------------------

local Ares = lookups.newclass("resolver.Ares")

local OPTIONS = misuse.names "servers timeout tries hosts cache ndots domains resolvconf"

-- See resolver.Ares.
local function new(opts)
  opts = misuse.options(1, "Ares", opts, OPTIONS)
  checkares(opts)
  local entries = cachesize(opts.cache)
  return setmetatable({
    servers = parseservers(opts.servers) or nil,
    timeout = opts.timeout, -- seconds; nil: by resolv.conf, or TIMEOUT
    tries = opts.tries,
    ndots = opts.ndots,
    domains = opts.domains,
    resolvconf = opts.resolvconf,
    hosts = hosts.new(opts.hosts),
    cache = entries > 0 and ttlcache.new(entries) or nil,
    channel = nil, -- made when first needed
    channels = setmetatable({}, {__mode = "k"}), -- those in use
    stamp = nil, -- of resolv.conf when the channel was made
    pid = core.getpid(), -- whose channels they are
    closed = false,
  }, Ares)
end

-- What c-ares does not read itself: "options timeout:n attempts:n".
local function patience(path)
  local file <close> = io.open(path, "r")
  local timeout, attempts
  for line in file and file:lines() or function() end do
    local options = line:match("^options(%s.*)")
    if options then
      timeout = options:match("%stimeout:(%d+)") or timeout
      attempts = options:match("%sattempts:(%d+)") or attempts
    end
  end
  local function within(text, max)
    local n = math.tointeger(tonumber(text))
    return n and n > 0 and math.min(n, max) or nil
  end
  return within(timeout, 30), within(attempts, 5) -- as the C library has it
end

-- The child of a fork has sockets of its own, lest it takes the parent's answers.
local function leaveparent(self)
  local pid = core.getpid()
  if self.pid == pid then return end
  for channel in pairs(self.channels) do channel:close() end
  self.channel, self.pid = nil, pid
end

-- A new one where resolv.conf has changed; who waits for the old one keeps it.
local function channelof(self)
  leaveparent(self)
  local path = self.resolvconf or RESOLVCONF
  local stamp = core.filestamp(path)
  if self.channel and stamp == self.stamp then return self.channel end
  local timeout, tries = patience(path)
  timeout = self.timeout or timeout or TIMEOUT
  local channel, message, code = core.ares(self.servers,
    math.ceil(timeout * 1000), self.tries or tries or TRIES, self.ndots,
    self.domains, self.resolvconf)
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
  host, service, family, kind, flags = lookups.checkaddrinfo(host, port, opts)
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
  host, port, flags = lookups.checknameinfo(host, port, flags)
  if self.closed then return cancelled() end
  if not core.isnumeric(host) then return lookups.notnumeric() end
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

return {new = new}
