---@meta gevent.resolver
-- Made by `make types` from lua/gevent/resolver.lua: change that.

---Names to addresses, and back: who does the look-ups of `gevent.socket`.
---`Thread` asks the C library, in threads of its own; `Ares` asks the name
---servers itself, without any thread, and cannot be held up by one that is
---slow. Both have the look-up functions of `gevent.socket` as methods, with the
---same results. Which one is used: `GEVENT_RESOLVER`, `gevent.config.resolver`,
---or an object assigned to `hub.resolver`. All is told in `docs/resolver.md`.
---@class gevent.resolver
local M = {}

---A resolver that calls the C library in threads of its own: it does what
---the system is configured to do.
---@param opts? table `size`: threads at most (10), and so look-ups at a   time; they are started when they are needed
---@return gevent.resolver.Resolver
function M.Thread(opts) end

---What both of them have.
---@class gevent.resolver.Resolver
local Resolver = {}

---Looks up the addresses of a host, and the port of a service.
---@param host? string
---@param port? string|integer number or service name
---@param opts? table `family` ("inet", "inet6"), `type` ("stream", "dgram"), `flags` (string with any of passive, canonname, numerichost, numericserv, addrconfig)
---@return table[]? # list of `{family=, type=, host=, port=, canonname=}`
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function Resolver:getaddrinfo(host, port, opts) end

---The name and service of a numeric address.
---@param host string
---@param port? integer
---@param flags? string any of numerichost, numericserv, dgram, namereqd
---@return any # host, service; or nil, message, "EAI_..."
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function Resolver:getnameinfo(host, port, flags) end

---The first IPv4 address of a host.
---@param name string
---@return any # address; or nil, message, "EAI_..."
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function Resolver:gethostbyname(name) end

---The name of a host and its IPv4 addresses.
---@param name string
---@return table? # `{name=, aliases={...}, addresses={...}}`
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function Resolver:gethostbyname_ex(name) end

---The name of a numeric address.
---@param ip string
---@return any # as `gethostbyname_ex`
function Resolver:gethostbyaddr(ip) end

---The full name of a host: the canonical one, if there is one with a dot.
---@param name? string this machine by default
---@return string
function Resolver:getfqdn(name) end

---Ends it: look-ups under way, and all that come, are "EAI_CANCELED".
function Resolver:close() end

---Makes the resolver that is meant by "thread", "ares" or an object the one
---of the hub. (Private: assign to `gevent.config.resolver`.)
function M.choose() end

---Calls a look-up function of the resolver that is in use: `hub.resolver`, or
---the configured one where that is nil. An object of the user's needs
---`getaddrinfo` and `getnameinfo` only. (Private: for gevent.socket.)
function M.lookup() end

---@type function
M.Ares = nil

return M
