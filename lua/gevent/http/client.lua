-- gevent.http.client: requests, and the class Client (see gevent.http). An
-- answer is read by an exchange of the core; here is what leads to it:
-- connections, proxies, redirections, retries, cookies.
local core = require "gevent._core"
local misuses = require "gevent._misuse"
local cookies = require "gevent.http.cookies"
local newpool = require "gevent.http.pool"
local options = require "gevent.http.options"
local plans = require "gevent.http.plan"
local proxies = require "gevent.http.proxy"
local Response = require "gevent.http.answer"
local routes = require "gevent.http.route"
local send = require "gevent.http.send"

local misuse, pick, remaining = options.misuse, options.pick, options.remaining

local DRAIN = 65536 -- bytes of the body of a redirection that are read for nothing
local MAX_BUFFER = 67108864 -- bytes of a body in memory, unless told otherwise
local MAX_SESSIONS = 200 -- of TLS, kept for each context

-- RFC 9110, 9.2.2: repeating them does no harm.
local IDEMPOTENT = {GET = true, HEAD = true, OPTIONS = true, TRACE = true, PUT = true,
  DELETE = true}
-- What the failure of a connection looks like that was closed under us.
local STALE = {closed = true, ECONNRESET = true, EPIPE = true, ECONNABORTED = true,
  ESSL = true}
local REDIRECTS = {[301] = true, [302] = true, [303] = true, [307] = true, [308] = true}

-- Exchanges --------------------------------------------------------------------------

-- Why there is no answer: what the writer met with goes first.
local function failure(state, message, code)
  if state.raised ~= nil then error(state.raised, 0) end
  if state.ours or (state.code and STALE[code]) then return state.message, state.code end
  return message, code
end

-- Of the whole body, and of what is in memory; nil for none.
local function bodylimits(self, opts)
  local limit = opts.max_body_bytes
  if limit == nil then limit = self.max_body_bytes end
  if limit == nil then return nil, MAX_BUFFER end
  return limit or nil, limit or nil
end

-- The TLS session to be resumed: of a connection that was verified by the same
-- context.
local function sessionof(self, route)
  local kept = route.context and self.sessions[route.context]
  return kept and kept[route.key]
end

-- The connection for a request, and how it was come by; or nil, message, code.
local function connection(self, plan, opts, due, fresh)
  local at = plan.url
  local route = routes.find(self, opts, at)
  local conn <close>, why, name = self.pool:acquire(route.key, remaining(due), fresh)
  if not conn then return nil, why, name end
  if not conn.sock then
    local message, code
    conn.sock, message, code = routes.connect(self, at, route,
      remaining(due, pick(opts, self, "connect_timeout")), sessionof(self, route))
    if not conn.sock then return nil, message, code end
    conn.context = route.context -- its address is in the key: it has to stay
  end
  conn.last = plans.islast(plan)
  conn.lent = true -- to our caller
  return conn, route
end

-- Reads what is left of a body if it is not much: the connection can be used
-- again then.
local function drain(exchange, headers)
  local length = tonumber(headers["content-length"])
  if length and length > DRAIN then return end
  local got = 0
  while not exchange:complete() and got < DRAIN do
    local data = exchange:recv(DRAIN)
    if not data then return end
    got = got + #data
  end
end

-- Keeps the TLS session of a new connection for the next one. Its tickets have
-- come by now, before the answer.
local function remember(self, route, sock)
  if self.oneshot or not sock.session then return end
  local kept = self.sessions[route.context]
  if not kept or not kept[route.key] and kept.count >= MAX_SESSIONS then
    kept = {count = 0}
    self.sessions[route.context] = kept
  end
  if not kept[route.key] then kept.count = kept.count + 1 end
  kept[route.key] = sock:session()
end

-- One request and its answer on one connection. A response; or nil, message,
-- code, may it be tried again; or false, status, location.
local function once(self, plan, opts, due, fresh)
  local borrowed, route, failed = connection(self, plan, opts, due, fresh)
  if not borrowed then return nil, route, failed end
  local conn <close> = borrowed
  conn.lent = false
  local idle = pick(opts, self, "read_timeout")
  local state = send(self, plan, conn, route, remaining(due, idle), idle)
  if state.code and not STALE[state.code] then return nil, state.message, state.code end
  local max_body, max_buffer = bodylimits(self, opts)
  local exchange = core.http_exchange(conn.sock, plan.method, remaining(due), idle,
    plans.asks(plan) and pick(opts, self, "decompress"), max_body, max_buffer,
    pick(opts, self, "max_header_bytes"), pick(opts, self, "max_headers"))
  conn.exchange = exchange
  local status, reason, headers, version, coding = exchange:head()
  if not status then
    local stale = conn.uses > 1 and IDEMPOTENT[plan.method] and not plan.consumed
      and not exchange:heard() and STALE[headers]
    local message, code = failure(state, reason, headers)
    return nil, message, code, stale
  end
  if status == 101 and not plan.has.upgrade then
    return nil, "the server switched protocols unasked", "malformed"
  end
  if route.context and conn.uses == 1 then remember(self, route, conn.sock) end
  if plan.jar then plan.jar:_take(plan.url, headers:get_all("set-cookie")) end
  local location = plan.limit > 0 and REDIRECTS[status] and headers:get_all("location")[1]
  if location then
    drain(exchange, headers)
  elseif opts.stream or status == 101 then
    conn.lent, conn.exchange = true, nil -- to the response
    return Response.stream(plan.url, status, reason, headers, version, coding, conn,
      exchange, state)
  end
  local body, message, code
  if not location then
    body, message, code = exchange:read("a")
    if not body then return nil, failure(state, message, code) end
  end
  conn.pool:release(conn, exchange:release() and state.done)
  if location then return false, status, location end
  return Response.whole(plan.url, status, reason, headers, version, coding, body)
end

local function limitof(self, opts)
  local limit = opts.redirects
  if limit == nil then limit = self.redirects end
  if limit == true then return options.DEFAULTS.redirects end
  return limit or 0
end

-- Requests until one is answered for good.
local function run(self, plan, opts, due)
  while true do
    local res, message, code, stale = once(self, plan, opts, due, false)
    if stale then -- a connection was closed under us
      res, message, code = once(self, plan, opts, due, true)
    end
    if res then return res end
    if res == nil then return nil, message, code end
    if plan.followed >= plan.limit then
      return nil, ("more than %d redirections"):format(plan.limit), "redirect"
    end
    local ok
    ok, message, code = plans.follow(plan, self, opts, message, code)
    if not ok then return nil, message, code end
  end
end

-- The interface ----------------------------------------------------------------------

--- Requests with connections that are kept.
-- @type Client
local Client = {}
local mt = {__name = "http.Client", __index = Client}

local function jarof(opts, self)
  local jar = opts.cookies
  if jar == nil then jar = self.cookies end
  if jar and not cookies.isjar(jar) then
    misuse("cookies must be a CookieJar, got %s", type(jar))
  end
  return jar or nil
end

local function request(self, opts)
  if type(opts) == "string" then opts = {url = opts} end
  if type(opts) ~= "table" then misuse("table expected, got %s", type(opts)) end
  options.check(1, "request", opts)
  local plan = plans.new(opts, self.headers)
  plan.jar = jarof(opts, self)
  plan.limit = limitof(self, opts)
  local timeout = pick(opts, self, "timeout")
  return run(self, plan, opts, timeout and core.monotonic() + timeout)
end

local function copy(opts, more)
  if opts ~= nil and type(opts) ~= "table" then
    misuse("table expected, got %s", type(opts))
  end
  local all = {}
  for name, value in pairs(opts or {}) do all[name] = value end
  for name, value in pairs(more) do all[name] = value end
  return all
end

--- Sends a request and reads its answer.
-- @tparam table opts see `request` of the module
-- @treturn[1] Response
-- @return[2] nil, message, code
function Client:request(opts)
  return request(self, opts)
end

--- The same by GET.
-- @tparam string url
-- @tparam[opt] table opts
function Client:get(url_, opts)
  options.check(2, "get", opts)
  if opts == nil then return request(self, {url = url_, method = "GET"}) end
  return request(self, copy(opts, {url = url_, method = "GET"}))
end

--- The same by POST.
-- @tparam string url
-- @param body string or iterator
-- @tparam[opt] table opts
function Client:post(url_, body, opts)
  options.check(3, "post", opts)
  return request(self, copy(opts, {url = url_, method = "POST", body = body}))
end

--- Closes the connections that are idle; those in use when they are done.
-- What is asked for later is `nil, message, "closed"`.
function Client:close()
  self.pool:close()
end

misuses.methods(Client, "pool", "http.Client")
mt.__close = Client.close

function mt:__tostring()
  return ("<http.Client at %p: %d connections busy, %d idle>"):format(self,
    self.pool.busy, self.pool.idle)
end

--- Makes a client.
-- @tparam[opt] table opts defaults for its requests, and `max_connections`
-- (100), `max_per_host` (32), `idle_timeout` (60 seconds), `cookies` (a
-- CookieJar, or true for a new one)
-- @treturn Client
local function new(opts)
  options.check(1, "Client", opts)
  local self = copy(options.DEFAULTS, opts or {})
  if self.cookies == true then self.cookies = cookies.CookieJar() end
  self.env = self.proxy == nil and proxies.fromenv() or nil
  self.pool = newpool(self)
  self.sessions = setmetatable({}, {__mode = "k"}) -- context -> key of route -> session
  self.routes = setmetatable({}, {__mode = "k"}) -- parsed URL -> route
  return setmetatable(self, mt)
end

-- What the functions of the module use: it keeps no connections.
local oneshot = setmetatable(copy(options.DEFAULTS, {oneshot = true, sessions = {}}), mt)
oneshot.pool = newpool {max_connections = 1 << 30, max_per_host = 1 << 30, idle_timeout = 0}

return {
  Client = new,
  request = function(opts) return oneshot:request(opts) end,
  get = function(...) return oneshot:get(...) end,
  post = function(...) return oneshot:post(...) end,
}
