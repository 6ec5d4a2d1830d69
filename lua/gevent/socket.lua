--- Cooperative sockets.
-- The methods of a socket are documented in `docs/sockets.md`; in short, a
-- failure of the world is `nil, message, code`, misuse raises.
-- @module gevent.socket
local core = require "gevent._core"
local ssl = require "gevent.ssl"
local byname = require "gevent._byname"
local waiting = require "gevent._wait"
require "gevent.config" -- which chooses the resolver
local resolver = require "gevent.resolver"

local ATTEMPT_DELAY = 0.25 -- seconds between attempts: RFC 8305 section 5
local BACKLOG = 1024

local socket = {
  socket = core.socket,
  socketpair = core.socketpair,
  fromfd = core.fromfd,
  wait_read = core.wait_read,
  wait_write = core.wait_write,
}

-- AF_INET, SO_REUSEADDR, SHUT_WR, ECONNREFUSED, EAI_NONAME ...: the words that
-- stand for them here, "inet", "SO_REUSEADDR", "w", "ECONNREFUSED".
for name, word in pairs(core.socket_constants) do socket[name] = word end

-- names ----------------------------------------------------------------------

local lookup = resolver.lookup

--- Looks up the addresses of a host, and the port of a service.
-- @tparam ?string host
-- @tparam ?string|integer port number or service name
-- @tparam[opt] table opts `family` ("inet", "inet6"), `type` ("stream",
-- "dgram"), `flags` (string with any of passive, canonname, numerichost,
-- numericserv, addrconfig)
-- @treturn[1] {table,...} list of `{family=, type=, host=, port=, canonname=}`
-- @return[2] nil, message, "EAI_..."
function socket.getaddrinfo(host, port, opts)
  return lookup("getaddrinfo", host, port, opts)
end

--- The name and service of a numeric address.
-- @tparam string host
-- @tparam integer port
-- @tparam[opt] string flags any of numerichost, numericserv, dgram, namereqd
-- @return host, service; or nil, message, "EAI_..."
function socket.getnameinfo(host, port, flags)
  return lookup("getnameinfo", host, port, flags)
end

--- The first IPv4 address of a host.
-- @tparam string name
-- @return address; or nil, message, "EAI_..."
function socket.gethostbyname(name) return lookup("gethostbyname", name) end

--- The name of a host and its IPv4 addresses.
-- @tparam string name
-- @treturn[1] table `{name=, aliases={...}, addresses={...}}`
-- @return[2] nil, message, "EAI_..."
function socket.gethostbyname_ex(name) return lookup("gethostbyname_ex", name) end

--- The name of a numeric address.
-- @tparam string ip
-- @return as `gethostbyname_ex`
function socket.gethostbyaddr(ip) return lookup("gethostbyaddr", ip) end

--- The name of this machine.
-- @function gethostname
-- @treturn string
socket.gethostname = core.gethostname

--- The full name of a host: the canonical one, if there is one with a dot.
-- @tparam[opt] string name this machine by default
-- @treturn string
function socket.getfqdn(name) return lookup("getfqdn", name) end

local numeric = byname(socket.getaddrinfo)

-- create_connection -------------------------------------------------------------

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
  local list, message, code = socket.getaddrinfo(host, port)
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

-- The context that the option `ssl` stands for.
local function contextof(option)
  if option == true then return ssl.default_client_context() end
  if ssl.iscontext(option) then return option end
  error("bad argument #3 to 'create_connection' (ssl must be true or an "
    .. "SSLContext)", 3)
end

--- Connects to a host by name or address: the addresses of a name are raced,
-- IPv6 and IPv4 in turn (RFC 8305), and the losers closed.
-- @tparam string host
-- @tparam integer port
-- @tparam[opt] table opts `timeout` (seconds, for all of it),
-- `source_address` (host to bind to), `ssl` (true, or an SSLContext),
-- `server_hostname` (whose certificate is expected, `host` by default),
-- `session` (of an earlier TLS connection)
-- @treturn[1] socket a TLS socket with `ssl`
-- @return[2] nil, message, code
function socket.create_connection(host, port, opts)
  if type(host) ~= "string" then
    error("bad argument #1 to 'create_connection' (host expected, got "
      .. type(host) .. ")", 2)
  end
  local timeout = opts and opts.timeout
  local source = opts and opts.source_address
  if timeout ~= nil and (type(timeout) ~= "number" or not (timeout >= 0)) then
    error("bad argument #3 to 'create_connection' (timeout must be a number "
      .. "of seconds >= 0)", 2)
  end
  local connect, context = connectany, opts and opts.ssl or nil
  if context then
    connect, context = connecttls, contextof(context)
  end
  if timeout == nil then return connect(host, port, source, context, opts) end
  return waiting.with_timeout(timeout, connect, host, port, source, context, opts)
end

-- create_server -------------------------------------------------------------------

--- Takes a listener apart: "host:port", ":port", "[ipv6]:port", a port,
-- "unix:/path".
-- @return host (nil: all interfaces), port; or "unix", path
local function parselistener(listener)
  if math.type(listener) == "integer" and listener >= 0 and listener <= 65535 then
    return nil, listener
  end
  if math.type(listener) == "integer" then
    error(("bad listener %d (a port is 0 to 65535)"):format(listener), 0)
  end
  if type(listener) ~= "string" then
    error("bad listener (address, port or listening socket expected, got "
      .. type(listener) .. ")", 0)
  end
  local path = listener:match("^unix:(.+)$")
  if path then return "unix", path end
  local host, port = listener:match("^%[(.-)%]:(%d+)$")
  if not host then host, port = listener:match("^([^:]*):(%d+)$") end
  if not host then port = listener:match("^%d+$") end
  port = math.tointeger(tonumber(port))
  if not port or port > 65535 then
    error(("bad listener '%s' (\"host:port\", \":port\", \"unix:/path\" or a "
      .. "port expected)"):format(listener), 0)
  end
  if host == "" or host == "*" then host = nil end
  return host, port
end

socket.parselistener = parselistener

local function listen(family, host, port, opts)
  local kind = opts.type or "stream"
  local sock, message, code = core.socket(family, kind)
  if not sock then return nil, message, code end
  local ok = true
  if family ~= "unix" then
    if kind == "stream" then sock:setsockopt("reuseaddr", true) end
    if opts.reuse_port then
      ok, message, code = sock:setsockopt("reuseport", true)
    end
    if family == "inet6" then
      sock:setsockopt("v6only", host ~= "::" or opts.family == "inet6")
    end
  end
  if ok then ok, message, code = sock:bind(host, port) end
  if ok and kind == "stream" then
    ok, message, code = sock:listen(opts.backlog or BACKLOG)
  end
  if ok then return sock end
  sock:close()
  return nil, message, code
end

--- A listening socket.
-- @param listener "host:port", ":port" or a port (all interfaces, both
-- families), "[ipv6]:port", "unix:/path"
-- @tparam[opt] table opts `backlog` (1024), `reuse_port` (boolean), `family`,
-- `type` ("stream"; a "dgram" socket is bound and does not listen)
-- @treturn[1] socket
-- @return[2] nil, message, code
function socket.create_server(listener, opts)
  opts = opts or {}
  if opts.family == "unix" and type(listener) == "string" then
    listener = "unix:" .. listener:gsub("^unix:", "")
  end
  local ok, host, port = pcall(parselistener, listener)
  if not ok then error(host, 2) end
  if host == "unix" then return listen("unix", port, nil, opts) end
  if host == nil then
    if opts.family ~= "inet" then
      local sock, message, code = listen("inet6", "::", port, opts)
      if sock or opts.family or code ~= "EAFNOSUPPORT" and code ~= "EADDRNOTAVAIL" then
        return sock, message, code
      end
    end
    return listen("inet", "0.0.0.0", port, opts) -- a host without IPv6
  end
  local family = core.isnumeric(host)
  if not family then
    local message, code
    host, message, code = numeric(host, port, opts.family or "inet",
      opts.type or "stream")
    if not host then return nil, message, code end
    family = core.isnumeric(host)
  end
  return listen(family, host, port, opts)
end

-- What is written in C, for LDoc ----------------------------------------------------

--- Makes a socket.
-- @function socket
-- @tparam[opt="inet"] string family "inet", "inet6", "unix"
-- @tparam[opt="stream"] string type "stream", "dgram"
-- @treturn[1] socket
-- @return[2] nil, message, code

--- Makes two sockets that are connected.
-- @function socketpair
-- @tparam[opt="unix"] string family
-- @tparam[opt="stream"] string type
-- @return socket, socket; or nil, message, code

--- Makes a socket that takes a descriptor over.
-- @function fromfd
-- @tparam integer fd
-- @treturn[1] socket
-- @return[2] nil, message, code

--- Waits until a descriptor of somebody else's can be read.
-- @function wait_read
-- @tparam integer fd
-- @tparam[opt] number timeout seconds
-- @return true, or false at expiry; or nil, message, code

--- Waits until a descriptor of somebody else's can be written to.
-- @function wait_write
-- @tparam integer fd
-- @tparam[opt] number timeout seconds
-- @return true, or false at expiry; or nil, message, code

--- A socket. Fields: `family type closed`. What fails returns nil, message,
-- code; all is told in `docs/sockets.md`.
-- @type socket

--- Gives it an address.
-- @function socket:bind
-- @tparam string host or path
-- @tparam integer port

--- Lets clients connect.
-- @function socket:listen
-- @tparam[opt=1024] integer backlog

--- Waits for a client.
-- @function socket:accept
-- @tparam[opt] number timeout seconds
-- @return socket, host, port

--- Connects.
-- @function socket:connect
-- @tparam string host or path, and then no port
-- @tparam integer port
-- @tparam[opt] number timeout seconds
-- @return true

--- What is there, up to n bytes.
-- @function socket:recv
-- @tparam integer n
-- @tparam[opt] number timeout seconds
-- @treturn string "" at the end

--- Reads by the formats of `io`: a number, "l", "L", "a".
-- @function socket:read
-- @param ... formats; "l" if none

--- Iterates over `read(...)`; a failure raises.
-- @function socket:lines
-- @param ... formats; "l" if none
-- @treturn function

--- Reads up to a delimiter, and with it.
-- @function socket:readuntil
-- @tparam string delimiter
-- @tparam[opt] integer max bytes; more is "toolong"
-- @tparam[opt] number timeout seconds

--- Reads n bytes.
-- @function socket:readexactly
-- @tparam integer n
-- @tparam[opt] number timeout seconds

--- Sends what the system takes at once, at least one byte.
-- @function socket:send
-- @tparam string data
-- @treturn integer bytes

--- Sends all.
-- @function socket:sendall
-- @tparam string data
-- @tparam[opt] number timeout seconds
-- @return true; or nil, message, code, bytes sent

--- Sends all parts, without joining them.
-- @function socket:sendv
-- @tparam {string,...} parts
-- @return true; or nil, message, code, bytes sent

--- Sends a file from its descriptor.
-- @function socket:sendfile
-- @param file of `io`'s, a descriptor, or what has a method `fileno`
-- @tparam[opt=0] integer offset bytes
-- @tparam[opt] integer count bytes; to the end if none
-- @return bytes; or nil, message, code, bytes sent

--- Receives a message, with where it comes from.
-- @function socket:recvfrom
-- @tparam integer n bytes; what does not fit is lost
-- @tparam[opt] number timeout seconds
-- @return data, host, port; or data, path

--- Sends a message to an address.
-- @function socket:sendto
-- @tparam string data
-- @tparam string host or path, and then no port
-- @tparam integer port
-- @treturn integer bytes

--- Sends descriptors with some bytes, over a Unix socket.
-- @function socket:sendfds
-- @tparam string data one byte at least
-- @tparam table fds list of descriptors, files, sockets
-- @treturn integer bytes

--- Receives bytes and the descriptors that came with them.
-- @function socket:recvfds
-- @tparam integer n bytes
-- @tparam[opt=1] integer most descriptors; what is more is closed
-- @tparam[opt] number timeout seconds
-- @return data, list of descriptors [, true where some were lost]

--- Writes as `io` does.
-- @function socket:write
-- @param ... strings and numbers
-- @treturn socket

--- Sends what `setvbuf` has collected.
-- @function socket:flush
-- @treturn socket

--- Says when `write` sends.
-- @function socket:setvbuf
-- @tparam string mode "no", "full", "line"
-- @tparam[opt=8192] integer size

--- Ends a direction; what `setvbuf` has collected goes out before.
-- @function socket:shutdown
-- @tparam[opt="rw"] string how "r", "w", "rw"

--- Closes it. Whoever waits on it gets "EBADF".
-- @function socket:close

--- Limits the time of each call.
-- @function socket:settimeout
-- @tparam ?number seconds nil: no limit; 0: do not wait

--- The limit.
-- @function socket:gettimeout
-- @treturn ?number

--- Its own address.
-- @function socket:getsockname
-- @return host, port; or path

--- The other end's address.
-- @function socket:getpeername
-- @return host, port; or path

--- Sets an option by its C name, with or without prefix.
-- @function socket:setsockopt
-- @tparam string name
-- @param value

--- The value of an option.
-- @function socket:getsockopt
-- @tparam string name

--- Its descriptor; -1 when closed.
-- @function socket:fileno
-- @treturn integer

--- Gives up its descriptor, which is the caller's then.
-- @function socket:detach
-- @treturn integer

--- Another socket on a copy of the descriptor.
-- @function socket:dup
-- @treturn socket

return socket
