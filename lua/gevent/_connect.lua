-- gevent._connect: create_connection of gevent.socket (private): which addresses
-- are tried when, and TLS on top.
local core = require "gevent._core"
local misuse = require "gevent._misuse"
local ssl = require "gevent.ssl"
local waiting = require "gevent._wait"

local ATTEMPT_DELAY = 0.25 -- seconds between attempts: RFC 8305 section 5

local bad, expected = misuse.bad, misuse.expected
local getaddrinfo -- gevent.socket's

-- One attempt; `running` is the race it is part of, if any.
local function attempt(address, source, running)
  local sock, message, code = core.socket(address.family)
  if not sock then return nil, message, code end
  local _guard <close> = setmetatable({}, {__close = function()
    if sock then sock:close() end
  end})
  local ok
  if source then
    ok, message, code = sock:bind(source, 0)
    if not ok then return nil, message, code end
  end
  ok, message, code = sock:connect(address.host, address.port)
  if not ok then return nil, message, code end
  if running and running.over then return nil end -- another has won
  local connected = sock
  sock = nil -- the caller's from now on
  return connected
end

-- Families in turn, the first one's first: RFC 8305 section 4.
local function interlace(list)
  local first, second = {}, {}
  for _, address in ipairs(list) do
    local same = address.family == list[1].family
    table.insert(same and first or second, address)
  end
  local mixed = {}
  for i = 1, math.max(#first, #second) do
    mixed[#mixed + 1] = first[i]
    mixed[#mixed + 1] = second[i]
  end
  return mixed
end

local racers = {__close = function(running)
  running.over = true
  for _, racer in ipairs(running) do
    if racer:ready() then
      if racer.value then racer.value:close() end
    else
      racer:kill(nil, false) -- its guard closes the socket
    end
  end
end}

local function remove(list, item)
  for i, other in ipairs(list) do
    if other == item then return table.remove(list, i) end
  end
end

-- Starts an attempt every ATTEMPT_DELAY, or as soon as one has failed.
local function race(addresses, source)
  local running <close> = setmetatable({}, racers)
  local started, message, code = 0, nil, nil
  while started < #addresses or #running > 0 do
    if started < #addresses then
      started = started + 1
      running[#running + 1] = core.spawn(attempt, addresses[started], source, running)
    end
    local waiter <close> = core.multiwait(running)
    local racer = waiter:take(started < #addresses and ATTEMPT_DELAY or nil)
    if racer then
      remove(running, racer)
      local sock
      sock, message, code = racer:get()
      if sock then return sock end
    end
  end
  return nil, message, code
end

local function connectany(host, port, source)
  if core.isnumeric(host) then
    return attempt({family = core.isnumeric(host), host = host, port = port}, source)
  end
  local list, message, code = getaddrinfo(host, port)
  if not list then return nil, message, code end
  if #list == 1 then return attempt(list[1], source) end
  return race(interlace(list), source)
end

local function wrap(sock, host, context, opts)
  return context:wrap_socket(sock, {
    server_hostname = opts.server_hostname or host,
    session = opts.session,
  })
end

-- The same with TLS on top.
local function connecttls(host, port, source, context, opts)
  local sock, message, code = connectany(host, port, source)
  if not sock then return nil, message, code end
  local ok, tls
  ok, tls, message, code = pcall(wrap, sock, host, context, opts)
  if ok then return tls, message, code end
  sock:close()
  error(tls, 0)
end

local OPTIONS = misuse.names "timeout source_address ssl server_hostname session"

local function checkconnection(host, port, opts)
  local me = "create_connection"
  local number = type(port) ~= "table" and tonumber(port)
  if type(host) ~= "string" then bad(1, me, expected("host", host)) end
  if not number then bad(2, me, expected("port", port)) end
  if not math.tointeger(number) or number < 0 or number > 65535 then
    bad(2, me, "a port is a number from 0 to 65535")
  end
  if type(opts) == "number" then
    bad(3, me, expected("table", opts) .. "; a time-out is {timeout = seconds}")
  end
  opts = misuse.options(3, me, opts, OPTIONS)
  local timeout = opts.timeout
  if timeout ~= nil and (type(timeout) ~= "number" or not (timeout >= 0)) then
    bad(3, me, "timeout must be a number of seconds >= 0")
  end
  if opts.source_address ~= nil and type(opts.source_address) ~= "string" then
    bad(3, me, "source_address: " .. expected("host", opts.source_address))
  end
  if opts.ssl and opts.ssl ~= true and not ssl.iscontext(opts.ssl) then
    bad(3, me, "ssl must be true or an SSLContext")
  end
  local name, session = opts.server_hostname, opts.session
  if name ~= nil and type(name) ~= "string" then
    bad(3, me, "server_hostname: " .. expected("string", name))
  end
  if session ~= nil and not ssl.issession(session) then
    bad(3, me, "session: " .. expected("SSLSession", session))
  end
  return opts
end

local function create_connection(host, port, opts)
  opts = checkconnection(host, port, opts)
  local connect, context = connectany, opts.ssl
  if context then
    connect = connecttls
    if context == true then context = ssl.default_client_context() end
  end
  local source = opts.source_address
  if opts.timeout == nil then return connect(host, port, source, context, opts) end
  return waiting.with_timeout(opts.timeout, connect, host, port, source, context, opts)
end

return function(lookup)
  getaddrinfo = lookup
  return create_connection
end
