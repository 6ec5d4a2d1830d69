---@meta gevent.socket
-- Made by `make types` from lua/gevent/socket.lua: change that.

---Cooperative sockets.
---The methods of a socket are documented in `docs/sockets.md`; in short, a
---failure of the world is `nil, message, code`, misuse raises.
---@class gevent.socket
local M = {}

---Looks up the addresses of a host, and the port of a service.
---@param host? string
---@param port? string|integer number or service name
---@param opts? table `family` ("inet", "inet6"), `type` ("stream", "dgram"), `flags` (string with any of passive, canonname, numerichost, numericserv, addrconfig)
---@return table[]? # list of `{family=, type=, host=, port=, canonname=}`
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.getaddrinfo(host, port, opts) end

---The name and service of a numeric address.
---@param host string
---@param port integer
---@param flags? string any of numerichost, numericserv, dgram, namereqd
---@return any # host, service; or nil, message, "EAI_..."
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.getnameinfo(host, port, flags) end

---The first IPv4 address of a host.
---@param name string
---@return any # address; or nil, message, "EAI_..."
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.gethostbyname(name) end

---The name of a host and its IPv4 addresses.
---@param name string
---@return table? # `{name=, aliases={...}, addresses={...}}`
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.gethostbyname_ex(name) end

---The name of a numeric address.
---@param ip string
---@return any # as `gethostbyname_ex`
function M.gethostbyaddr(ip) end

---The name of this machine.
---@return string
function M.gethostname() end

---The full name of a host: the canonical one, if there is one with a dot.
---@param name? string this machine by default
---@return string
function M.getfqdn(name) end

---Connects to a host by name or address: the addresses of a name are raced,
---IPv6 and IPv4 in turn (RFC 8305), and the losers closed.
---@param host string
---@param port integer
---@param opts? table `timeout` (seconds, for all of it), `source_address` (host to bind to), `ssl` (true, or an SSLContext), `server_hostname` (whose certificate is expected, `host` by default), `session` (of an earlier TLS connection)
---@return gevent.socket.socket? # a TLS socket with `ssl`
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.create_connection(host, port, opts) end

---Takes a listener apart: "host:port", ":port", "[ipv6]:port", a port,
---"unix:/path".
---@return any # host (nil: all interfaces), port; or "unix", path
function M.parselistener() end

---A listening socket.
---@param listener any "host:port", ":port" or a port (all interfaces, both families), "[ipv6]:port", "unix:/path"
---@param opts? table `backlog` (1024), `reuse_port` (boolean), `family`, `type` ("stream"; a "dgram" socket is bound and does not listen)
---@return gevent.socket.socket?
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.create_server(listener, opts) end

---Makes a socket.
---@param family? string "inet", "inet6", "unix"
---@param type? string "stream", "dgram"
---@return gevent.socket.socket?
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.socket(family, type) end

---Makes two sockets that are connected.
---@param family? string
---@param type? string
---@return any # socket, socket; or nil, message, code
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.socketpair(family, type) end

---Makes a socket that takes a descriptor over.
---@param fd integer
---@return gevent.socket.socket?
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.fromfd(fd) end

---Waits until a descriptor of somebody else's can be read.
---@param fd integer
---@param timeout? number seconds
---@return boolean? # true, or false at expiry; or nil, message, code
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.wait_read(fd, timeout) end

---Waits until a descriptor of somebody else's can be written to.
---@param fd integer
---@param timeout? number seconds
---@return boolean? # true, or false at expiry; or nil, message, code
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.wait_write(fd, timeout) end

---A socket. Fields: `family type closed`. What fails returns nil, message,
---code; all is told in `docs/sockets.md`.
---@class gevent.socket.socket
local socket = {}

---Gives it an address.
---@param host string or path
---@param port integer
function socket:bind(host, port) end

---Lets clients connect.
---@param backlog? integer
function socket:listen(backlog) end

---Waits for a client.
---@param timeout? number seconds
---@return any # socket, host, port
function socket:accept(timeout) end

---Connects.
---@param host string or path, and then no port
---@param port integer
---@param timeout? number seconds
---@return boolean # true
function socket:connect(host, port, timeout) end

---What is there, up to n bytes.
---@param n integer
---@param timeout? number seconds
---@return string # "" at the end
function socket:recv(n, timeout) end

---Reads by the formats of `io`: a number, "l", "L", "a".
---@param ... any formats; "l" if none
function socket:read(...) end

---Iterates over `read(...)`; a failure raises.
---@param ... any formats; "l" if none
---@return function
function socket:lines(...) end

---Reads up to a delimiter, and with it.
---@param delimiter string
---@param max? integer bytes; more is "toolong"
---@param timeout? number seconds
function socket:readuntil(delimiter, max, timeout) end

---Reads n bytes.
---@param n integer
---@param timeout? number seconds
function socket:readexactly(n, timeout) end

---Sends what the system takes at once, at least one byte.
---@param data string
---@return integer # bytes
function socket:send(data) end

---Sends all.
---@param data string
---@param timeout? number seconds
---@return boolean? # true; or nil, message, code, bytes sent
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function socket:sendall(data, timeout) end

---Sends all parts, without joining them.
---@param parts string[]
---@return boolean? # true; or nil, message, code, bytes sent
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function socket:sendv(parts) end

---Sends a file from its descriptor.
---@param file any of `io`'s, a descriptor, or what has a method `fileno`
---@param offset? integer bytes
---@param count? integer bytes; to the end if none
---@return any # bytes; or nil, message, code, bytes sent
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function socket:sendfile(file, offset, count) end

---Receives a message, with where it comes from.
---@param n integer bytes; what does not fit is lost
---@param timeout? number seconds
---@return any # data, host, port; or data, path
function socket:recvfrom(n, timeout) end

---Sends a message to an address.
---@param data string
---@param host string or path, and then no port
---@param port integer
---@return integer # bytes
function socket:sendto(data, host, port) end

---Sends descriptors with some bytes, over a Unix socket.
---@param data string one byte at least
---@param fds table list of descriptors, files, sockets
---@return integer # bytes
function socket:sendfds(data, fds) end

---Receives bytes and the descriptors that came with them.
---@param n integer bytes
---@param most? integer descriptors; what is more is closed
---@param timeout? number seconds
---@return any # data, list of descriptors [, true where some were lost]
function socket:recvfds(n, most, timeout) end

---Writes as `io` does.
---@param ... any strings and numbers
---@return gevent.socket.socket
function socket:write(...) end

---Sends what `setvbuf` has collected.
---@return gevent.socket.socket
function socket:flush() end

---Says when `write` sends.
---@param mode string "no", "full", "line"
---@param size? integer
function socket:setvbuf(mode, size) end

---Ends a direction; what `setvbuf` has collected goes out before.
---@param how? string "r", "w", "rw"
function socket:shutdown(how) end

---Closes it. Whoever waits on it gets "EBADF".
function socket:close() end

---Limits the time of each call.
---@param seconds? number nil: no limit; 0: do not wait
function socket:settimeout(seconds) end

---The limit.
---@return number?
function socket:gettimeout() end

---Its own address.
---@return any # host, port; or path
function socket:getsockname() end

---The other end's address.
---@return any # host, port; or path
function socket:getpeername() end

---Sets an option by its C name, with or without prefix.
---@param name string
---@param value any
function socket:setsockopt(name, value) end

---The value of an option.
---@param name string
function socket:getsockopt(name) end

---Its descriptor; -1 when closed.
---@return integer
function socket:fileno() end

---Gives up its descriptor, which is the caller's then.
---@return integer
function socket:detach() end

---Another socket on a copy of the descriptor.
---@return gevent.socket.socket
function socket:dup() end

---@type string
M.AF_INET = nil

---@type string
M.AF_INET6 = nil

---@type string
M.AF_UNIX = nil

---@type string
M.AI_ADDRCONFIG = nil

---@type string
M.AI_CANONNAME = nil

---@type string
M.AI_NUMERICHOST = nil

---@type string
M.AI_NUMERICSERV = nil

---@type string
M.AI_PASSIVE = nil

---@type string
M.E2BIG = nil

---@type string
M.EACCES = nil

---@type string
M.EADDRINUSE = nil

---@type string
M.EADDRNOTAVAIL = nil

---@type string
M.EAFNOSUPPORT = nil

---@type string
M.EAGAIN = nil

---@type string
M.EAI_ADDRFAMILY = nil

---@type string
M.EAI_AGAIN = nil

---@type string
M.EAI_BADFLAGS = nil

---@type string
M.EAI_BADHINTS = nil

---@type string
M.EAI_CANCELED = nil

---@type string
M.EAI_FAIL = nil

---@type string
M.EAI_FAMILY = nil

---@type string
M.EAI_MEMORY = nil

---@type string
M.EAI_NODATA = nil

---@type string
M.EAI_NONAME = nil

---@type string
M.EAI_OVERFLOW = nil

---@type string
M.EAI_PROTOCOL = nil

---@type string
M.EAI_SERVICE = nil

---@type string
M.EAI_SOCKTYPE = nil

---@type string
M.EALREADY = nil

---@type string
M.EBADF = nil

---@type string
M.EBUSY = nil

---@type string
M.ECANCELED = nil

---@type string
M.ECONNABORTED = nil

---@type string
M.ECONNREFUSED = nil

---@type string
M.ECONNRESET = nil

---@type string
M.EDESTADDRREQ = nil

---@type string
M.EEXIST = nil

---@type string
M.EFAULT = nil

---@type string
M.EFBIG = nil

---@type string
M.EFTYPE = nil

---@type string
M.EHOSTDOWN = nil

---@type string
M.EHOSTUNREACH = nil

---@type string
M.EILSEQ = nil

---@type string
M.EINTR = nil

---@type string
M.EINVAL = nil

---@type string
M.EIO = nil

---@type string
M.EISCONN = nil

---@type string
M.EISDIR = nil

---@type string
M.ELOOP = nil

---@type string
M.EMFILE = nil

---@type string
M.EMLINK = nil

---@type string
M.EMSGSIZE = nil

---@type string
M.ENAMETOOLONG = nil

---@type string
M.ENETDOWN = nil

---@type string
M.ENETUNREACH = nil

---@type string
M.ENFILE = nil

---@type string
M.ENOBUFS = nil

---@type string
M.ENODEV = nil

---@type string
M.ENOENT = nil

---@type string
M.ENOMEM = nil

---@type string
M.ENONET = nil

---@type string
M.ENOPROTOOPT = nil

---@type string
M.ENOSPC = nil

---@type string
M.ENOSYS = nil

---@type string
M.ENOTCONN = nil

---@type string
M.ENOTDIR = nil

---@type string
M.ENOTEMPTY = nil

---@type string
M.ENOTSOCK = nil

---@type string
M.ENOTSUP = nil

---@type string
M.ENOTTY = nil

---@type string
M.ENXIO = nil

---@type string
M.EOPNOTSUPP = nil

---@type string
M.EOVERFLOW = nil

---@type string
M.EPERM = nil

---@type string
M.EPIPE = nil

---@type string
M.EPROTO = nil

---@type string
M.EPROTONOSUPPORT = nil

---@type string
M.EPROTOTYPE = nil

---@type string
M.ERANGE = nil

---@type string
M.EREMOTEIO = nil

---@type string
M.EROFS = nil

---@type string
M.ESHUTDOWN = nil

---@type string
M.ESOCKTNOSUPPORT = nil

---@type string
M.ESPIPE = nil

---@type string
M.ESRCH = nil

---@type string
M.ETIMEDOUT = nil

---@type string
M.ETXTBSY = nil

---@type string
M.EWOULDBLOCK = nil

---@type string
M.EXDEV = nil

---@type string
M.IN6ADDR_ANY = nil

---@type string
M.IN6ADDR_LOOPBACK = nil

---@type string
M.INADDR_ANY = nil

---@type string
M.INADDR_BROADCAST = nil

---@type string
M.INADDR_LOOPBACK = nil

---@type string
M.IPV6_ADD_MEMBERSHIP = nil

---@type string
M.IPV6_DROP_MEMBERSHIP = nil

---@type string
M.IPV6_FREEBIND = nil

---@type string
M.IPV6_JOIN_GROUP = nil

---@type string
M.IPV6_LEAVE_GROUP = nil

---@type string
M.IPV6_MTU_DISCOVER = nil

---@type string
M.IPV6_MULTICAST_HOPS = nil

---@type string
M.IPV6_MULTICAST_IF = nil

---@type string
M.IPV6_MULTICAST_LOOP = nil

---@type string
M.IPV6_RECVPKTINFO = nil

---@type string
M.IPV6_TCLASS = nil

---@type string
M.IPV6_TRANSPARENT = nil

---@type string
M.IPV6_UNICAST_HOPS = nil

---@type string
M.IPV6_V6ONLY = nil

---@type string
M.IP_ADD_MEMBERSHIP = nil

---@type string
M.IP_DROP_MEMBERSHIP = nil

---@type string
M.IP_FREEBIND = nil

---@type string
M.IP_MTU_DISCOVER = nil

---@type string
M.IP_MULTICAST_IF = nil

---@type string
M.IP_MULTICAST_LOOP = nil

---@type string
M.IP_MULTICAST_TTL = nil

---@type string
M.IP_PKTINFO = nil

---@type string
M.IP_RECVTTL = nil

---@type string
M.IP_TOS = nil

---@type string
M.IP_TRANSPARENT = nil

---@type string
M.IP_TTL = nil

---@type string
M.NI_DGRAM = nil

---@type string
M.NI_NAMEREQD = nil

---@type string
M.NI_NUMERICHOST = nil

---@type string
M.NI_NUMERICSERV = nil

---@type string
M.SHUT_RD = nil

---@type string
M.SHUT_RDWR = nil

---@type string
M.SHUT_WR = nil

---@type string
M.SOCK_DGRAM = nil

---@type string
M.SOCK_STREAM = nil

---@type number
M.SOMAXCONN = nil

---@type string
M.SO_ACCEPTCONN = nil

---@type string
M.SO_BINDTODEVICE = nil

---@type string
M.SO_BROADCAST = nil

---@type string
M.SO_BUSY_POLL = nil

---@type string
M.SO_DOMAIN = nil

---@type string
M.SO_DONTROUTE = nil

---@type string
M.SO_ERROR = nil

---@type string
M.SO_FAMILY = nil

---@type string
M.SO_INCOMING_CPU = nil

---@type string
M.SO_KEEPALIVE = nil

---@type string
M.SO_LINGER = nil

---@type string
M.SO_MARK = nil

---@type string
M.SO_OOBINLINE = nil

---@type string
M.SO_PASSCRED = nil

---@type string
M.SO_PEERCRED = nil

---@type string
M.SO_PRIORITY = nil

---@type string
M.SO_PROTOCOL = nil

---@type string
M.SO_RCVBUF = nil

---@type string
M.SO_RCVLOWAT = nil

---@type string
M.SO_RCVTIMEO = nil

---@type string
M.SO_REUSEADDR = nil

---@type string
M.SO_REUSEPORT = nil

---@type string
M.SO_SNDBUF = nil

---@type string
M.SO_SNDTIMEO = nil

---@type string
M.SO_TYPE = nil

---@type string
M.TCP_CONGESTION = nil

---@type string
M.TCP_CORK = nil

---@type string
M.TCP_DEFER_ACCEPT = nil

---@type string
M.TCP_FASTOPEN = nil

---@type string
M.TCP_FASTOPEN_CONNECT = nil

---@type string
M.TCP_KEEPCNT = nil

---@type string
M.TCP_KEEPIDLE = nil

---@type string
M.TCP_KEEPINTVL = nil

---@type string
M.TCP_MAXSEG = nil

---@type string
M.TCP_NODELAY = nil

---@type string
M.TCP_NOTSENT_LOWAT = nil

---@type string
M.TCP_QUICKACK = nil

---@type string
M.TCP_SYNCNT = nil

---@type string
M.TCP_USER_TIMEOUT = nil

return M
