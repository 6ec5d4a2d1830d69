-- gevent._hosts: names that are known without asking (private; see
-- gevent.resolver): a hosts file, read again when it has changed, or a table.
local core = require "gevent._core"

local DEFAULT_PATH = "/etc/hosts"

-- What it knows, from nothing: names -> {{family=, host=}, ..., canonname=,
-- [host] = true}, and addresses, as the system writes them, -> name.
local function empty() return {names = {}, addresses = {}} end

-- Adds a line: an address and its names, the first of which is canonical.
local function add(known, ip, names)
  local list = core.numericinfo(ip)
  if not list then return end
  local address = list[1].host
  known.addresses[address] = known.addresses[address] or names[1]
  for _, name in ipairs(names) do
    name = name:lower()
    local entry = known.names[name]
    if not entry then
      entry = {canonname = names[1]}
      known.names[name] = entry
    end
    if not entry[address] then
      entry[#entry + 1] = {family = list[1].family, host = address}
      entry[address] = true
    end
  end
end

local function readfile(path)
  local known = empty()
  local file <close> = io.open(path, "r")
  if not file then return known end
  for line in file:lines() do
    local ip, rest = line:gsub("#.*", ""):match("^%s*(%S+)%s+(.+)$")
    local names = {}
    for name in (rest or ""):gmatch("%S+") do names[#names + 1] = name end
    if names[1] then add(known, ip, names) end
  end
  return known
end

local function readtable(hosts)
  local known = empty()
  for name, addresses in pairs(hosts) do
    if type(addresses) == "string" then addresses = {addresses} end
    for _, ip in ipairs(addresses) do add(known, ip, {name}) end
  end
  return known
end

-- The order of addresses of both families: RFC 6724, rules 1 and 6. Avoid
-- what cannot be reached; prefer ::1, other IPv6, IPv4.
local function rank(address)
  local sock <close> = core.socket(address.family, "dgram")
  local reachable = sock and sock:connect(address.host, 9)
  local precedence = address.host == "::1" and 1
    or address.family == "inet6" and 2 or 3
  return reachable and precedence or precedence + 3
end

local function sorted(list)
  local ranks, order = {}, {}
  for i, address in ipairs(list) do
    ranks[address] = rank(address) * (#list + 1) + i -- stable
    order[i] = address
  end
  table.sort(order, function(a, b) return ranks[a] < ranks[b] end)
  order.canonname = list.canonname
  return order
end

-- Those of a family; all, in order, for none. nil where none is left.
local function choose(entry, family)
  local list, families = {canonname = entry.canonname}, {}
  for _, address in ipairs(entry) do
    if not family or address.family == family then
      list[#list + 1] = address
      families[address.family] = true
    end
  end
  if not list[1] then return nil end
  return families.inet and families.inet6 and sorted(list) or list
end

-- RFC 6761, section 6.3: never asked for in the network.
local function loopback(name)
  return {canonname = name, {family = "inet6", host = "::1"},
    {family = "inet", host = "127.0.0.1"}}
end

local function islocalhost(name)
  name = name:gsub("%.$", "")
  return name == "localhost" or name:find("%.localhost$") ~= nil
end

local methods = {}

-- Reads the file when its stamp is another than that of the last time.
function methods:refresh()
  if not self.path then return end
  local stamp = core.filestamp(self.path)
  if stamp == self.stamp then return end
  self.stamp = stamp
  self.known = stamp and readfile(self.path) or empty()
end

-- The addresses of a name in lower case, or nil.
function methods:addresses(name, family)
  self:refresh()
  local entry = self.known.names[name]
  local list = entry and choose(entry, family)
  if list then return list end
  return islocalhost(name) and choose(loopback(name), family) or nil
end

-- The name of an address as the system writes it, or nil.
function methods:nameof(address)
  self:refresh()
  return self.known.addresses[address]
end

-- source: nil for the system's file, a path, a table of names to addresses or
-- lists of them, false for nothing.
local function new(source)
  if source == nil then source = DEFAULT_PATH end
  return setmetatable({
    path = type(source) == "string" and source or nil,
    stamp = false, -- of the file when it was read; false: not yet
    known = type(source) == "table" and readtable(source) or empty(),
  }, {__index = methods})
end

return {new = new}
