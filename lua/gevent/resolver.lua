--- Names to addresses, and back: who does the look-ups of `gevent.socket`.
-- `Thread` asks the C library, in threads of its own; `Ares` asks the name
-- servers itself, without any thread, and cannot be held up by one that is
-- slow. Both have the look-up functions of `gevent.socket` as methods, with the
-- same results. Which one is used: `GEVENT_RESOLVER`, `gevent.config.resolver`,
-- or an object assigned to `hub.resolver`. All is told in `docs/resolver.md`.
-- @module gevent.resolver
local core = require "gevent._core"
local misuse = require "gevent._misuse"
local ares = require "gevent._ares"
local idna = require "gevent._idna"
local lookups = require "gevent._lookups"

local THREADS = 10

local resolver = {}

-- Thread ---------------------------------------------------------------------

local Thread = lookups.newclass("resolver.Thread")
local OPTIONS = misuse.names "size"

--- A resolver that calls the C library in threads of its own: it does what
-- the system is configured to do.
-- @tparam[opt] table opts `size`: threads at most (10), and so look-ups at a
--   time; they are started when they are needed
-- @treturn Resolver
function resolver.Thread(opts)
  local size = misuse.options(1, "Thread", opts, OPTIONS).size or THREADS
  if math.type(size) ~= "integer" or size < 1 or size > 1024 then
    misuse.bad(1, "Thread", "size: integer from 1 to 1024 expected, got " .. tostring(size))
  end
  return setmetatable({size = size, pool = core.namepool(size), closed = false},
    Thread)
end

--- What both of them have.
-- @type Resolver

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
  host, service, family, kind, flags = lookups.checkaddrinfo(host, port, opts)
  if self.closed then return lookups.cancelled() end
  if host then
    host = idna.toascii(host)
    if not host then return lookups.notaname() end
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
  host, port, flags = lookups.checknameinfo(host, port, flags)
  if self.closed then return lookups.cancelled() end
  if not core.isnumeric(host) then return lookups.notnumeric() end
  return self.pool:getnameinfo(host, port, flags)
end

--- The first IPv4 address of a host.
-- @function Resolver:gethostbyname
-- @tparam string name
-- @return address; or nil, message, "EAI_..."

--- The name of a host and its IPv4 addresses.
-- @function Resolver:gethostbyname_ex
-- @tparam string name
-- @treturn[1] table `{name=, aliases={...}, addresses={...}}`
-- @return[2] nil, message, "EAI_..."

--- The name of a numeric address.
-- @function Resolver:gethostbyaddr
-- @tparam string ip
-- @return as `gethostbyname_ex`

--- The full name of a host: the canonical one, if there is one with a dot.
-- @function Resolver:getfqdn
-- @tparam[opt] string name this machine by default
-- @treturn string

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

-- Ares -----------------------------------------------------------------------

--- A resolver that asks the name servers itself, by c-ares.
-- @tparam[opt] table opts
--
-- - `servers`: list of `"ip"`, `"ip:port"`, `"[ipv6]:port"`; those of
--   `/etc/resolv.conf`, which is read again when it has changed
-- - `timeout`: seconds for a first try; each next one has twice as long
-- - `tries`: per server. Both as in resolv.conf, or 2 and 3
-- - `hosts`: path of a hosts file (`/etc/hosts`), a table of names to addresses
--   or lists of addresses, or false
-- - `cache`: true, or how many names are kept, each for its time to live (no)
-- - `domains`, `ndots`: the search list; else as in resolv.conf
-- - `resolvconf`: path of a file to use instead of that
-- @treturn Resolver
resolver.Ares = ares.new

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
  return (object[name] or lookups.methods[name])(object, ...)
end

return resolver
