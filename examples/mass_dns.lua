-- usage: lua5.4 examples/mass_dns.lua localhost www.localhost no-such-name.localhost 10.1.2.3
-- Mass DNS resolution: prints the addresses of many names, a thousand at a
-- time, in the order in which the answers come. Names come as arguments, or
-- one a line from the input. A first argument of @ADDRESS or @ADDRESS:PORT
-- says which name server to ask; else it is the system's.
local gevent = require "gevent"
local pool = require "gevent.pool"
local resolver = require "gevent.resolver"

local AT_A_TIME = 1000
local PATIENCE = 10 -- seconds for one name, however many tries

local server = arg[1] and arg[1]:match("^@(.+)$")

-- c-ares asks for all of them with one socket; the cache spares the server the
-- names that come twice.
local dns <close> = resolver.Ares {
  servers = server and {server} or nil, timeout = 1, cache = true,
}

-- The next name, or nil.
local function names()
  local from = server and 2 or 1
  if not arg[from] then return io.lines() end
  local i = from - 1
  return function()
    i = i + 1
    return arg[i]
  end
end

local counts = {found = 0, failed = 0}

local function resolve(name)
  -- nil, message, code: from the look-up, or "timed out" from with_timeout
  local list, message, code = gevent.with_timeout(PATIENCE, dns.getaddrinfo, dns,
    name)
  local text = {}
  for i, address in ipairs(list or {}) do text[i] = address.host end
  print(name, list and table.concat(text, " ") or ("%s (%s)"):format(message, code))
  local outcome = list and "found" or "failed"
  counts[outcome] = counts[outcome] + 1
end

local start = os.time()
local workers <close> = pool.Pool(AT_A_TIME)
for name in names() do
  workers:spawn(resolve, name) -- waits where a thousand are under way
end
workers:join()
print(("%d found, %d failed, %d seconds"):format(counts.found, counts.failed,
  os.time() - start))
