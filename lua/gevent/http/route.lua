-- gevent.http.route: how to get to a server (private; see gevent.http.client). A
-- route is `{key=, proxy=, tunnel=, context=}`: connections of the same key can
-- stand for each other.
local core = require "gevent._core"
local socket = require "gevent.socket"
local ssl = require "gevent.ssl"
local waiting = require "gevent._wait"
local options = require "gevent.http.options"
local proxies = require "gevent.http.proxy"
local url = require "gevent.http.url"

local misuse, pick = options.misuse, options.pick

local ANSWER = 65536 -- bytes of a proxy's refusal that are read

local M = {}

-- The proxy that leads there, or nil.
local function findproxy(self, opts, at)
  local text = opts.proxy
  if text == nil then text = self.proxy end
  if text == false or at.unix then return nil end
  if text == nil then
    local env = self.env or proxies.fromenv()
    text = env[at.scheme]
    if not text or proxies.isexempt(env.no, at) then return nil end
  end
  local parsed, why = proxies.parse(text)
  if not parsed then misuse("bad proxy: %s", why) end
  return parsed
end

-- How to get there: what of it tells connections apart is the key.
local function newroute(self, opts, at)
  local proxy = findproxy(self, opts, at)
  local route = {proxy = proxy, tunnel = proxy and at.scheme == "https", context = nil}
  local key = at.scheme .. "|" .. at.host .. "|" .. at.port
  if at.scheme == "https" then
    route.context = pick(opts, self, "ssl_context") or ssl.default_client_context()
    key = ("%s|%s|%p"):format(key, at.unix, route.context)
  elseif at.unix then
    key = "unix|" .. at.unix
  end
  if proxy then
    if not route.tunnel then key = "" end
    key = ("%s|%s|%s|%s"):format(key, url.tostring(proxy), proxy.user, proxy.password)
  end
  route.key = key
  return route
end

--- The same; those that only the URL decides on are kept.
function M.find(self, opts, at)
  if opts.proxy ~= nil or opts.ssl_context or self.oneshot then
    return newroute(self, opts, at)
  end
  local route = self.routes[at]
  if not route then
    route = newroute(self, opts, at)
    self.routes[at] = route
  end
  return route
end

-- What is not to stay open if we do not get to the end.
local closing = {__close = function(guard)
  if guard.sock then guard.sock:close() end
end}

local function connectunix(path, timeout)
  local sock, message, code = socket.socket("unix")
  if not sock then return nil, message, code end
  local guard <close> = setmetatable({sock = sock}, closing)
  local ok
  ok, message, code = sock:connect(path, timeout)
  if not ok then return nil, message, code end
  guard.sock = nil
  return sock
end

-- TLS over a stream, which is closed where that fails.
local function secure(sock, at, route, timeout, session)
  local guard <close> = setmetatable({sock = sock}, closing)
  local wrapped, message, code = route.context:wrap_socket(sock,
    {server_hostname = at.host, timeout = timeout, session = session})
  if wrapped then guard.sock = nil end
  return wrapped, message, code
end

-- Asks the proxy for a tunnel; the socket stays the caller's.
local function asktunnel(self, sock, proxy, at)
  local where = at.host
  if where:find(":", 1, true) then where = "[" .. where .. "]" end
  where = where .. ":" .. at.port
  local ok, message, code = sock:sendall(("CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s%s\r\n"):format(
    where, where, "User-Agent: gevent-lua\r\n", proxies.authorization(proxy)))
  if not ok then return nil, message, code end
  local exchange = core.http_exchange(sock, "CONNECT", nil, self.read_timeout or nil,
    false, ANSWER, ANSWER, self.max_header_bytes, self.max_headers)
  local status, reason, failed = exchange:head()
  if not status then return nil, reason, failed end
  if status // 100 ~= 2 then
    return nil, ("the proxy refused: %d %s"):format(status, reason), "proxy"
  end
  exchange:release()
  if not core.http_is_quiet(sock) then
    return nil, "the proxy sent more than its answer", "malformed"
  end
  return true
end

-- The socket of a connection through or to a proxy.
local function connectproxy(self, at, route, timeout, session)
  local proxy = route.proxy
  local context = proxy.scheme == "https" and (self.ssl_context or true) or nil
  local sock, message, code = socket.create_connection(proxy.host, proxy.port,
    {timeout = timeout, ssl = context})
  if not sock or not route.tunnel then return sock, message, code end
  local guard <close> = setmetatable({sock = sock}, closing)
  local ok
  ok, message, code = asktunnel(self, sock, proxy, at)
  if not ok then return nil, message, code end
  guard.sock = nil
  return secure(sock, at, route, timeout, session)
end

--- The socket of a new connection.
-- @return socket; or nil, message, code
function M.connect(self, at, route, timeout, session)
  if at.unix then
    local sock, message, code = connectunix(at.unix, timeout)
    if not sock or not route.context then return sock, message, code end
    return secure(sock, at, route, timeout, session)
  end
  if route.proxy then
    if not timeout then return connectproxy(self, at, route, nil, session) end
    return waiting.with_timeout(timeout, connectproxy, self, at, route, timeout, session)
  end
  local opts = {timeout = timeout}
  if route.context then
    opts.ssl, opts.server_hostname, opts.session = route.context, at.host, session
  end
  return socket.create_connection(at.host, at.port, opts)
end

return M
