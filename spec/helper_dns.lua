-- A name server whose every answer is scripted, over our own sockets: UDP and,
-- on the same port, TCP.
--
--   local server <close> = dns.serve(script [, {tcp = false}])
--
-- `script(query, server)` runs in a greenlet for each query and may block. A
-- query has `name` (lower case), `type` ("A", "AAAA", "PTR" or a number), `id`,
-- `over` ("udp", "tcp"), `question` (its bytes). What it returns is sent: bytes,
-- a list of bytes, or nil for silence. `dns.reply(query, {...})` makes such
-- bytes; `dns.zone{...}` makes a script. `server.queries` lists what has come.

local helper = require "helper"
local gevent = require "gevent"
local pool = require "gevent.pool"
local resolver = require "gevent.resolver"
local socket = require "gevent.socket"

local dns = {}

local TYPES = {A = 1, CNAME = 5, PTR = 12, AAAA = 28}
local NAMES = {}
for name, number in pairs(TYPES) do NAMES[number] = name end

dns.RCODES = {FORMERR = 1, SERVFAIL = 2, NXDOMAIN = 3, NOTIMP = 4, REFUSED = 5}

-- Bytes ---------------------------------------------------------------------

--- A name as labels.
function dns.name(text)
  return text:gsub("%.?$", ""):gsub("[^.]+%.?", function(label)
    return string.pack("s1", (label:gsub("%.$", "")))
  end) .. "\0"
end

local function ipv4(text)
  local bytes = {}
  for n in text:gmatch("%d+") do bytes[#bytes + 1] = math.tointeger(n) end
  return string.char(table.unpack(bytes))
end

local function words(text)
  return text:gsub("%x+:?", function(word)
    return string.pack(">I2", tonumber(word:gsub(":", ""), 16))
  end)
end

local function ipv6(text)
  local head, tail = text:match("^(.-)::(.*)$")
  if not head then return words(text) end
  head, tail = words(head), words(tail)
  return head .. ("\0"):rep(16 - #head - #tail) .. tail
end

local ENCODE = {A = ipv4, AAAA = ipv6, CNAME = dns.name, PTR = dns.name}

--- A record: owner (a name, or bytes where `raw`), type, data, ttl.
function dns.record(owner, kind, data, ttl)
  return dns.name(owner) .. string.pack(">I2I2I4s2", TYPES[kind], 1, ttl or 60,
    ENCODE[kind](data))
end

--- The bytes of an answer. Of `reply` all is optional: `rcode` (number or
-- name), `answers` (list of records), `truncated`, `id`, `question`.
function dns.reply(query, reply)
  reply = reply or {}
  local answers = reply.answers or {}
  local rcode = dns.RCODES[reply.rcode] or reply.rcode or 0
  local flags = 0x8180 | rcode | (reply.truncated and 0x0200 or 0)
  return string.pack(">I2I2I2I2I2I2", reply.id or query.id, flags, 1, #answers,
    0, 0) .. (reply.question or query.question) .. table.concat(answers)
end

local function parse(bytes, over)
  if #bytes < 17 then return nil end
  local labels, at = {}, 13
  while bytes:byte(at) ~= 0 do
    local label
    label, at = string.unpack("s1", bytes, at)
    labels[#labels + 1] = label
  end
  local kind = string.unpack(">I2", bytes, at + 1)
  return {
    id = string.unpack(">I2", bytes),
    name = table.concat(labels, "."):lower(),
    type = NAMES[kind] or kind,
    question = bytes:sub(13, at + 4),
    over = over,
  }
end

-- Scripts -------------------------------------------------------------------

--- A script that answers from a table: name -> {A = {...}, AAAA = {...}, PTR =
-- {...}, CNAME = name, ttl =}. Another name is NXDOMAIN.
function dns.zone(zone)
  return function(query)
    local answers, owner = {}, query.name
    local entry = zone[owner]
    if not entry then return dns.reply(query, {rcode = "NXDOMAIN"}) end
    while entry and entry.CNAME do
      answers[#answers + 1] = dns.record(owner, "CNAME", entry.CNAME, entry.ttl)
      owner = entry.CNAME
      entry = zone[owner]
    end
    for _, data in ipairs(entry and entry[query.type] or {}) do
      answers[#answers + 1] = dns.record(owner, query.type, data, entry.ttl)
    end
    return dns.reply(query, {answers = answers})
  end
end

-- The server ----------------------------------------------------------------

local methods = {}

--- How many queries have come for a name, and of a type.
function methods:count(name, kind, over)
  local n = 0
  for _, query in ipairs(self.queries) do
    if (not name or query.name == name) and (not kind or query.type == kind)
      and (not over or query.over == over) then
      n = n + 1
    end
  end
  return n
end

function methods:close()
  self.greenlets:kill()
  self.udp:close()
  if self.tcp then self.tcp:close() end
end

local function answer(server, query, send)
  server.queries[#server.queries + 1] = query
  local reply = server.script(query, server)
  if type(reply) == "string" then reply = {reply} end
  for _, bytes in ipairs(reply or {}) do send(bytes) end
end

local function serve_udp(server)
  while true do
    local bytes, host, port = server.udp:recvfrom(65535)
    if not bytes then return end
    local query = parse(bytes, "udp")
    if query then
      query.host, query.port = host, port
      server.greenlets:spawn(answer, server, query, function(reply)
        server.udp:sendto(reply, host, port)
      end)
    end
  end
end

local function serve_connection(server, sock)
  local _ <close> = sock
  while true do
    local length = sock:readexactly(2)
    local bytes = length and sock:readexactly((string.unpack(">I2", length)))
    local query = bytes and parse(bytes, "tcp")
    if not query then return end
    answer(server, query, function(reply)
      sock:sendall(string.pack(">s2", reply))
    end)
  end
end

local function serve_tcp(server)
  while true do
    local sock = server.tcp:accept()
    if not sock then return end
    server.greenlets:spawn(serve_connection, server, sock)
  end
end

-- A port that is free for both.
local function listen(host, with_tcp)
  local family = host:find(":") and "inet6" or "inet"
  for _ = 1, 100 do
    local udp = assert(socket.socket(family, "dgram"))
    assert(udp:bind(host, 0))
    local _, port = udp:getsockname()
    if not with_tcp then return udp, nil, port end
    local address = family == "inet6" and "[%s]:%d" or "%s:%d"
    local tcp = socket.create_server(address:format(host, port))
    if tcp then return udp, tcp, port end
    udp:close()
  end
  error("no port is free for both UDP and TCP")
end

--- Starts a server. opts: `tcp` (true), `host` ("127.0.0.1").
function dns.serve(script, opts)
  opts = opts or {}
  local host = opts.host or "127.0.0.1"
  local udp, tcp, port = listen(host, opts.tcp ~= false)
  local server = setmetatable({
    script = script, queries = {}, greenlets = pool.Group(),
    udp = udp, tcp = tcp, host = host, port = port,
    address = (host:find(":") and "[%s]:%d" or "%s:%d"):format(host, port),
  }, {__index = methods, __close = methods.close})
  server.greenlets:spawn(serve_udp, server)
  if tcp then server.greenlets:spawn(serve_tcp, server) end
  return server
end

-- The client ----------------------------------------------------------------

--- A resolver that asks these servers and knows nothing else. It is patient:
-- a spec that wants a query to be lost says `timeout` and `tries` itself.
-- `tries = false` leaves them to resolv.conf.
function dns.ares(servers, opts)
  if servers.address then servers = {servers} end
  local all = {servers = {}, timeout = 5 * helper.scale, tries = 2, hosts = false,
    domains = {}, ndots = 1}
  for i, server in ipairs(servers) do all.servers[i] = server.address or server end
  for key, value in pairs(opts or {}) do all[key] = value end
  if not all.tries then all.tries = nil end
  return resolver.Ares(all)
end

--- The addresses in an answer, in a row; or the code of the failure.
function dns.hosts(list, _, code)
  if not list then return code end
  local hosts = {}
  for i, address in ipairs(list) do hosts[i] = address.host end
  table.sort(hosts)
  return table.concat(hosts, " ")
end

--- Waits until the server has got `n` queries.
function dns.wait_queries(server, n)
  helper.wait_until(function() return #server.queries >= n end)
  gevent.sleep(0)
end

return dns
