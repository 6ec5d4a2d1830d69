--- LuaSocket's `socket.dns`, over gevent's resolver. Private to
-- `gevent.monkey`.
local core = require "gevent._core"
local socket = require "gevent.socket"
local inet = require "gevent.monkey._inet"
local ls = core.luasocket

local dns = {}

-- What the look-ups of a single host say, in the system's words.
local HOST_WORDS = {
  EAI_NONAME = "host not found", EAI_NODATA = "host not found",
  EAI_ADDRFAMILY = "host not found",
  EAI_AGAIN = "Host name lookup failure", EAI_FAIL = "Unknown server error",
}

-- -> {name=, alias=, ip=}; or nil, words
local function resolve(host)
  local look = core.isnumeric(host) == "inet" and socket.gethostbyaddr
    or socket.gethostbyname_ex
  local found, message, code = look(host)
  if not found then return nil, HOST_WORDS[code] or inet.words(message, code) end
  return {name = found.name, alias = found.aliases, ip = found.addresses}
end

dns.toip = ls.checked(nil, "s", function(host)
  local resolved, words = resolve(host)
  if not resolved then return nil, words end
  return resolved.ip[1], resolved
end)

dns.tohostname = ls.checked(nil, "s", function(host)
  local resolved, words = resolve(host)
  if not resolved then return nil, words end
  return resolved.name, resolved
end)

dns.getaddrinfo = ls.checked(nil, "s", function(host)
  local list, message, code = socket.getaddrinfo(host)
  if not list then return nil, inet.words(message, code) end
  local addresses = {}
  for i, address in ipairs(list) do
    addresses[i] = {family = address.family, addr = address.host}
  end
  return addresses
end)

dns.getnameinfo = ls.checked(nil, "SS", function(host, service)
  if not host and not service then error("host and serv cannot be both nil", 0) end
  local list, message, code = socket.getaddrinfo(host, service)
  if not list then return nil, inet.words(message, code) end
  local names, servicename = {}, nil
  for _, address in ipairs(list) do
    local name, found = socket.getnameinfo(address.host, address.port)
    if host then names[#names + 1] = name or address.host end
    servicename = name and found or servicename
  end
  if not service then return names end
  return names, servicename or service
end)

function dns.gethostname() return core.gethostname() end

-- Not as fields: the functions' names, in errors, would be looked for here.
return {dns = dns}
