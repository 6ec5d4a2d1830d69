--- Cooperative sockets.
-- The methods of a socket are documented in `docs/sockets.md`; in short, a
-- failure of the world is `nil, message, code`, misuse raises.
-- @module gevent.socket
local core = require "gevent._core"
local connection = require "gevent._connect"
local byname = require "gevent._byname"
local misuse = require "gevent._misuse"
require "gevent.config" -- which chooses the resolver
local resolver = require "gevent.resolver"

local bad, expected = misuse.bad, misuse.expected

local BACKLOG = 1024
local UNSENT = 262144 -- bytes of a connection that the system takes ahead of sending

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

-- connections and listeners -----------------------------------------------------

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
-- @function create_connection
socket.create_connection = connection(socket.getaddrinfo)

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
    error("bad listener (\"host:port\", \":port\", \"unix:/path\" or a port "
      .. "expected, got " .. type(listener) .. ")", 0)
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
    if kind == "stream" then
      sock:setsockopt("reuseaddr", true)
      -- Connections inherit it. A peer that does not read costs no megabytes of
      -- the system's memory, nor the time to copy them there.
      pcall(sock.setsockopt, sock, "notsent_lowat", UNSENT) -- if there is such
    end
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

local FAMILIES = {inet = true, inet6 = true, unix = true}

local LISTENING = misuse.names "backlog reuse_port family type"

local function checkserver(opts)
  local me = "create_server"
  opts = misuse.options(2, me, opts, LISTENING)
  if opts.backlog ~= nil and not math.tointeger(opts.backlog) then
    bad(2, me, "backlog: " .. expected("integer", opts.backlog))
  end
  if opts.family ~= nil and not FAMILIES[opts.family] then
    bad(2, me, ("family cannot be '%s'"):format(tostring(opts.family)))
  end
  return opts
end

--- A listening socket.
-- @param listener "host:port", ":port" or a port (all interfaces, both
-- families), "[ipv6]:port", "unix:/path"
-- @tparam[opt] table opts `backlog` (1024), `reuse_port` (boolean), `family`,
-- `type` ("stream"; a "dgram" socket is bound and does not listen)
-- @treturn[1] socket
-- @return[2] nil, message, code
function socket.create_server(listener, opts)
  opts = checkserver(opts)
  if opts.family == "unix" and type(listener) == "string" then
    listener = "unix:" .. listener:gsub("^unix:", "")
  end
  local ok, host, port = pcall(parselistener, listener)
  if not ok then bad(1, "create_server", host) end
  if host == "unix" then return listen("unix", port, nil, opts) end
  if host == nil then
    if opts.family ~= "inet" then
      local sock, message, code = listen("inet6", "::", port, opts)
      if sock then return sock end
      if opts.family or code ~= "EAFNOSUPPORT" and code ~= "EADDRNOTAVAIL" then
        return nil, message, code
      end
    end
    return listen("inet", "0.0.0.0", port, opts) -- a host without IPv6
  end
  local family = core.isnumeric(host)
  if not family or opts.family and opts.family ~= family then
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
