-- gevent.http.client: requests, and the class Client (see gevent.http). An
-- answer is read by an exchange of the core; here is what leads to it:
-- connections, proxies, redirections, retries, cookies.
local core = require "gevent._core"
local socket = require "gevent.socket"
local waiting = require "gevent._wait"
local cookies = require "gevent.http.cookies"
local newpool = require "gevent.http.pool"
local proxies = require "gevent.http.proxy"
local Response = require "gevent.http.answer"
local upload = require "gevent.http.upload"
local url = require "gevent.http.url"

local AGENT = "User-Agent: gevent-lua\r\n"
local ACCEPT = "Accept: */*\r\n"
local CODINGS = "Accept-Encoding: gzip, deflate\r\n"
local USUAL = AGENT .. ACCEPT .. CODINGS
local CLOSE = "Connection: close\r\n"
local INLINE = 65536  -- bytes of a body that are written before reading begins
local DRAIN = 65536   -- of the body of a redirection that are read for nothing
local MAX_BUFFER = 67108864 -- bytes of a body in memory, unless told otherwise

local DEFAULTS = {
  timeout = nil,            -- seconds for all of a request
  connect_timeout = 30,     -- for connecting, TLS and proxy included
  read_timeout = 60,        -- that the server may be silent, or not read
  redirects = 5,
  max_header_bytes = 65536, -- of an answer, with its status line
  max_headers = 200,
  max_connections = 100,    -- busy and idle
  max_per_host = 32,
  idle_timeout = 60,        -- seconds an idle connection is kept
}

-- RFC 9110, 9.2.2: repeating them does no harm.
local IDEMPOTENT = {GET = true, HEAD = true, OPTIONS = true, TRACE = true, PUT = true,
  DELETE = true}
-- Without a body these say so.
local WITH_BODY = {POST = true, PUT = true, PATCH = true}
-- What the failure of a connection looks like that was closed under us.
local STALE = {closed = true, ECONNRESET = true, EPIPE = true, ECONNABORTED = true,
  ESSL = true}
local REDIRECTS = {[301] = true, [302] = true, [303] = true, [307] = true, [308] = true}
-- Fields that are for one server only, and those that describe a body.
local SECRETS = {authorization = true, cookie = true, ["proxy-authorization"] = true,
  host = true}
local OF_BODY = {["content-type"] = true, ["content-length"] = true,
  ["content-encoding"] = true, ["content-language"] = true, ["content-location"] = true}

-- Misuse ---------------------------------------------------------------------------

local function misuse(what, ...)
  error(("bad argument to 'request' (" .. what .. ")"):format(...), 0)
end

local function checkseconds(name, value)
  if value and (type(value) ~= "number" or not (value >= 0)) then
    misuse("%s must be a number of seconds >= 0", name)
  end
end

local function checkcount(name, value)
  if value and (math.type(value) ~= "integer" or value < 0) then
    misuse("%s must be an integer >= 0", name)
  end
end

local function checklimit(name, value)
  checkcount(name, value)
  if not value or value == 0 or value > 1 << 28 then
    misuse("%s must be from 1 to %d", name, 1 << 28)
  end
end

local CHECKS = {
  timeout = checkseconds, connect_timeout = checkseconds, read_timeout = checkseconds,
  idle_timeout = checkseconds, max_body_bytes = checkcount,
  max_header_bytes = checklimit, max_headers = checklimit, max_connections = checklimit,
  max_per_host = checklimit,
  redirects = function(name, value) if value ~= true then checkcount(name, value) end end,
  unix = function(name, value)
    if value and type(value) ~= "string" then misuse("%s must be a path", name) end
  end,
}

local function checkoptions(opts)
  for name, value in pairs(opts) do
    local check = CHECKS[name]
    if check then check(name, value) end
  end
end

local NONE = setmetatable({}, {__newindex = false})

-- The request -----------------------------------------------------------------------

-- The fields the caller gave, as a list of {lower-case name, line}; sets what
-- they decide on.
local function takefields(plan, headers)
  local list, has = {}, {}
  plan.has = has
  if type(headers) == "table" then headers = core.http_headers(headers) end
  if type(headers) ~= "userdata" then
    misuse("headers must be a table, got %s", type(headers))
  end
  for name, value in headers:each() do
    local key = name:lower()
    has[key] = value
    if key == "transfer-encoding" then
      if value:lower() ~= "chunked" then misuse("Transfer-Encoding is not the caller's") end
    elseif key ~= "content-length" and key ~= "host" then
      list[#list + 1] = {key, name .. ": " .. value .. "\r\n"}
    end
  end
  return list
end

local function isiterator(body)
  return type(body) == "function" or (getmetatable(body) or {}).__call ~= nil
end

-- The body: a string, or an iterator with its length, if that was told.
local function takebody(plan, opts)
  local body = opts.body
  if opts.form or opts.multipart then
    local kind
    if body ~= nil then misuse("body together with form or multipart") end
    if opts.form then
      body, kind = upload.form(opts.form)
    else
      body, kind, plan.length = upload.multipart(opts.multipart)
    end
    if not plan.has["content-type"] then plan.kind = kind end
  end
  if type(body) == "number" then body = tostring(body) end
  if type(body) == "table" and not isiterator(body) then body = table.concat(body) end
  if body == nil or type(body) == "string" then
    plan.body = body
    return
  end
  if not isiterator(body) then
    misuse("body must be a string or an iterator, got %s", type(body))
  end
  local told = plan.has["content-length"]
  if told and not told:find("^%d+$") then misuse("bad Content-Length '%s'", told) end
  plan.body = body
  plan.length = plan.length or math.tointeger(tonumber(told))
end

local function takeurl(plan, opts)
  local text = opts.url
  if type(text) ~= "string" then misuse("url must be a string, got %s", type(text)) end
  local parsed, why = url.parse(text)
  if not parsed then misuse("bad url: %s", why) end
  if opts.query or opts.unix then
    parsed = url.with(parsed, opts.unix,
      opts.query and url.addquery(parsed.target, opts.query))
  end
  plan.url = parsed
end

-- What is to be sent, in a form that a redirection can change.
local function newplan(self, opts)
  local method = opts.method
  if method == nil then
    method = (opts.body ~= nil or opts.form or opts.multipart) and "POST" or "GET"
  elseif type(method) ~= "string" or not method:find("^[%w!#$%%&'*+%-.^_`|~]+$") then
    misuse("method must be a token")
  elseif method == "CONNECT" then
    misuse("CONNECT is for proxies")
  end
  local plan = {method = method, has = NONE, fields = nil, url = nil, body = nil,
    length = nil, kind = nil, followed = 0, jar = nil, consumed = false}
  takeurl(plan, opts)
  if opts.headers then plan.fields = takefields(plan, opts.headers) end
  if opts.body ~= nil or opts.form or opts.multipart then takebody(plan, opts) end
  return plan
end

local function fieldtext(plan)
  local fields, has = plan.fields, plan.has
  if not fields then return USUAL end
  local parts = {}
  if not has["user-agent"] then parts[1] = AGENT end
  if not has.accept then parts[#parts + 1] = ACCEPT end
  if not has["accept-encoding"] then parts[#parts + 1] = CODINGS end
  for _, field in ipairs(fields) do parts[#parts + 1] = field[2] end
  return table.concat(parts)
end

local function bodytext(plan)
  local body = plan.body
  if body == nil then
    return WITH_BODY[plan.method] and "Content-Length: 0\r\n" or ""
  end
  local text = plan.kind and "Content-Type: " .. plan.kind .. "\r\n" or ""
  local length = type(body) == "string" and #body or plan.length
  if length then return ("%sContent-Length: %d\r\n"):format(text, length) end
  return text .. "Transfer-Encoding: chunked\r\n"
end

local function composehead(self, plan, route)
  local target, at = plan.url.target, plan.url
  if route.proxy and not route.tunnel then target = url.tostring(at) end
  local text = plan.method .. " " .. target .. " HTTP/1.1\r\nHost: "
    .. (plan.has.host or at.authority) .. "\r\n" .. fieldtext(plan) .. bodytext(plan)
  if at.user and not plan.has.authorization then
    text = text .. "Authorization: Basic "
      .. url.base64(at.user .. ":" .. at.password) .. "\r\n"
  end
  if plan.jar and not plan.has.cookie then text = text .. plan.jar:_field(at) end
  if route.proxy and not route.tunnel then
    text = text .. proxies.authorization(route.proxy)
  end
  if self.oneshot and not plan.has.connection then text = text .. CLOSE end
  return text .. "\r\n"
end

-- Connections -----------------------------------------------------------------------

local function remaining(due, most)
  if not due then return most end
  local left = math.max(0, due - core.monotonic())
  return most and math.min(left, most) or left
end

local function pick(opts, self, name)
  local value = opts[name]
  if value == nil then value = self[name] end
  return value or nil
end

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

local default_context

local function contextof(self, opts)
  local context = pick(opts, self, "ssl_context")
  if context then return context end
  if not default_context then
    local ssl = require "gevent.ssl"
    local made, message, code = ssl.create_default_context()
    if not made then return nil, message, code end
    made:set_alpn_protocols {"http/1.1"}
    default_context = made
  end
  return default_context
end

-- How to get there: what of it tells connections apart is the key.
local function newroute(self, opts, at)
  local proxy = findproxy(self, opts, at)
  local route = {proxy = proxy, tunnel = proxy and at.scheme == "https", context = nil}
  local key = at.unix or at.scheme .. "|" .. at.host .. "|" .. at.port
  if at.scheme == "https" then
    local context, message, code = contextof(self, opts)
    if not context then return nil, message, code end
    route.context = context
    key = ("%s|%p"):format(key, context)
  end
  if proxy then
    if not route.tunnel then key = "" end
    key = ("%s|%s|%s|%s"):format(key, url.tostring(proxy), proxy.user, proxy.password)
  end
  route.key = key
  return route
end

-- The same; those that only the URL decides on are kept.
local function findroute(self, opts, at)
  if opts.proxy ~= nil or opts.ssl_context or self.oneshot then
    return newroute(self, opts, at)
  end
  local route = self.routes[at]
  if route then return route end
  local message, code
  route, message, code = newroute(self, opts, at)
  self.routes[at] = route
  return route, message, code
end

local function connectunix(path, timeout)
  local sock, message, code = socket.socket("unix")
  if not sock then return nil, message, code end
  local ok
  ok, message, code = sock:connect(path, timeout)
  if ok then return sock end
  sock:close()
  return nil, message, code
end

-- Asks the proxy for a tunnel; the socket stays the caller's.
local function asktunnel(self, sock, proxy, at)
  local where = at.host
  if where:find(":", 1, true) then where = "[" .. where .. "]" end
  where = where .. ":" .. at.port
  local ok, message, code = sock:sendall(("CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s%s\r\n"):format(
    where, where, AGENT, proxies.authorization(proxy)))
  if not ok then return nil, message, code end
  local exchange = core.http_exchange(sock, "CONNECT", nil, self.read_timeout or nil,
    false, DRAIN, DRAIN, self.max_header_bytes, self.max_headers)
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
local function connectproxy(self, proxy, at, route, timeout)
  local ssl = proxy.scheme == "https" and contextof(self, {})
  local sock, message, code = socket.create_connection(proxy.host, proxy.port,
    {timeout = timeout, ssl = ssl or nil, server_hostname = ssl and proxy.host})
  if not sock or not route.tunnel then return sock, message, code end
  local _guard <close> = setmetatable({}, {__close = function()
    if sock then sock:close() end
  end})
  local ok
  ok, message, code = asktunnel(self, sock, proxy, at)
  if not ok then return nil, message, code end
  local wrapped
  wrapped, message, code = route.context:wrap_socket(sock, {server_hostname = at.host})
  if wrapped then sock = nil end -- the wrapper's from now on
  return wrapped, message, code
end

local function connect(self, at, route, timeout, session)
  if at.unix then return connectunix(at.unix, timeout) end
  if route.proxy then
    if not timeout then return connectproxy(self, route.proxy, at, route) end
    return waiting.with_timeout(timeout, connectproxy, self, route.proxy, at, route, timeout)
  end
  local opts = {timeout = timeout}
  if route.context then
    opts.ssl, opts.server_hostname, opts.session = route.context, at.host, session
  end
  return socket.create_connection(at.host, at.port, opts)
end

-- Sending ---------------------------------------------------------------------------

local function sendpiece(sock, piece, chunked, timeout)
  if chunked then piece = ("%x\r\n%s\r\n"):format(#piece, piece) end
  return sock:sendall(piece, timeout)
end

-- Sends what the iterator gives. True, or nil, message, code, "iterator" where
-- it was that which failed.
local function sendparts(sock, body, length, timeout)
  local left = length
  while true do
    local part, message, code = body()
    if part == nil then
      if message ~= nil and code ~= "closed" then return nil, message, code, true end
      break
    end
    if type(part) == "number" then part = tostring(part) end
    if type(part) ~= "string" then
      error(("part of the body is a %s, not a string"):format(type(part)), 0)
    end
    if left then
      left = left - #part
      if left < 0 then error("the body is longer than its Content-Length", 0) end
    end
    if part ~= "" then
      local ok
      ok, message, code = sendpiece(sock, part, not left, timeout)
      if not ok then return nil, message, code end
    end
  end
  if left and left > 0 then error("the body is shorter than its Content-Length", 0) end
  if left then return true end
  return sock:sendall("0\r\n\r\n", timeout)
end

-- The pieces of a string, so that each has its own time-out.
local function pieces(text)
  local at = 1
  return function()
    if at > #text then return nil end
    local piece = text:sub(at, at + INLINE - 1)
    at = at + #piece
    return piece
  end
end

-- Writes a body while its answer is being read: a server may answer before it
-- has read all, or while it reads. `state` tells how it went.
local function writebody(state, sock, plan, timeout)
  local body, length = plan.body, plan.length
  if type(body) == "string" then body, length = pieces(body), #body end
  local ok, sent, message, code, ours = pcall(sendparts, sock, body, length, timeout)
  if ok and sent then
    state.done = true
    return
  end
  if not ok then
    state.raised = sent
  else
    state.message, state.code, state.ours = message, code, ours
  end
  if not ok or ours then sock:close() end -- wakes the reader: there is no answer
end

local SENT = {done = true}

-- Writes the request, or begins to. The state of the writer.
local function send(self, plan, conn, route, timeout)
  local head = composehead(self, plan, route)
  local body = plan.body
  local sock = conn.sock
  if type(body) == "string" and #body <= INLINE then
    head, body = head .. body, nil
  end
  local ok, message, code = sock:sendall(head, timeout)
  if ok and body == nil then return SENT end
  local state = {done = false, message = message, code = code}
  if ok then
    plan.consumed = type(body) ~= "string"
    state.greenlet = core.spawn(writebody, state, sock, plan, self.read_timeout or nil)
    conn.writer = state.greenlet
  end
  return state
end

-- Exchanges --------------------------------------------------------------------------

-- Why there is no answer: what the writer met with goes first.
local function failure(state, message, code)
  if state.raised ~= nil then error(state.raised, 0) end
  if state.ours or (state.code and STALE[code]) then return state.message, state.code end
  return message, code
end

-- One request and its answer on one connection. A response that still holds
-- it; or nil, message, code, retry.
local function exchangeonce(self, plan, opts, due, fresh)
  local at = plan.url
  local route, message, code = findroute(self, opts, at)
  if not route then return nil, message, code end
  local repeatable = IDEMPOTENT[plan.method] and not plan.consumed
  local conn <close>, why, name = self.pool:acquire(route.key, remaining(due), fresh)
  if not conn then return nil, why, name end
  if not conn.sock then
    conn.sock, message, code = connect(self, at, route,
      remaining(due, pick(opts, self, "connect_timeout")), conn.host.session)
    if not conn.sock then return nil, message, code end
  end
  local read_timeout = pick(opts, self, "read_timeout")
  local state = send(self, plan, conn, route, remaining(due, read_timeout))
  if state.code and not STALE[state.code] then return nil, state.message, state.code end
  local max_body = pick(opts, self, "max_body_bytes")
  local max_buffer = max_body or MAX_BUFFER
  if opts.max_body_bytes == false then max_buffer = nil end
  local exchange = core.http_exchange(conn.sock, plan.method, remaining(due), read_timeout,
    not plan.has["accept-encoding"] and opts.decompress ~= false, max_body, max_buffer,
    pick(opts, self, "max_header_bytes"), pick(opts, self, "max_headers"))
  local status, reason, headers, version, coding = exchange:head()
  if not status then
    local stale = conn.uses > 1 and repeatable and not plan.consumed
      and not exchange:heard() and STALE[headers]
    message, code = failure(state, reason, headers)
    return nil, message, code, stale
  end
  if status == 101 and not plan.has.upgrade then
    return nil, "the server switched protocols unasked", "malformed"
  end
  conn.lent = true
  return Response.new({status = status, reason = reason, headers = headers,
    version = version, _conn = conn, _exchange = exchange, _state = state}, coding, at)
end

-- The same, with one more try where a connection was closed under us.
local function exchange(self, plan, opts, due)
  local res, message, code, stale = exchangeonce(self, plan, opts, due, false)
  if stale then res, message, code = exchangeonce(self, plan, opts, due, true) end
  return res, message, code
end

-- Redirections -----------------------------------------------------------------------

local function dropfields(plan, names)
  if not plan.fields then return end
  for name in pairs(names) do plan.has[name] = nil end
  local kept = {}
  for _, field in ipairs(plan.fields) do
    if not names[field[1]] then kept[#kept + 1] = field end
  end
  plan.fields = kept
end

-- RFC 9110, 15.4: what the next request is.
local function changemethod(plan, status)
  local method = plan.method
  if method == "GET" and plan.body == nil then return end
  if status == 303 and method ~= "HEAD" or (status == 301 or status == 302)
    and method == "POST" then
    plan.method = "GET"
    plan.body, plan.length, plan.kind, plan.consumed = nil, nil, nil, nil
    dropfields(plan, OF_BODY)
  end
end

local function follow(self, plan, opts, status, location)
  local target, why = url.resolve(plan.url, location)
  if not target then return nil, "bad redirection: " .. why, "redirect" end
  if opts.unix then target = url.with(target, opts.unix) end
  if plan.url.scheme == "https" and target.scheme == "http"
    and not pick(opts, self, "allow_downgrade") then
    return nil, "redirection from https to http", "redirect"
  end
  changemethod(plan, status)
  if plan.consumed then
    return nil, "redirection of a body that cannot be sent again", "redirect"
  end
  if not url.issameorigin(plan.url, target) then
    dropfields(plan, SECRETS)
  end
  plan.url = target
  plan.followed = plan.followed + 1
  return true
end

local function limitof(self, opts)
  local limit = opts.redirects
  if limit == nil then limit = self.redirects end
  if limit == true then return DEFAULTS.redirects end
  return limit or 0
end

local holder = {__close = function(held)
  if held.res then held.res:close() end
end}

-- Requests until one is answered for good.
local function run(self, plan, opts, due)
  local limit = limitof(self, opts)
  while true do
    local res, message, code = exchange(self, plan, opts, due)
    if not res then return nil, message, code end
    local held <close> = setmetatable({res = res}, holder)
    if plan.jar then plan.jar:_take(plan.url, res.headers:get_all("set-cookie")) end
    local location = REDIRECTS[res.status] and res.headers:get_all("location")[1]
    if not location or limit == 0 then
      if not opts.stream then return res:_readall() end
      held.res = nil
      return res:_stream()
    end
    if plan.followed >= limit then
      return nil, ("more than %d redirections"):format(limit), "redirect"
    end
    res:_drain(DRAIN)
    local ok
    ok, message, code = follow(self, plan, opts, res.status, location)
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
  checkoptions(opts)
  local plan = newplan(self, opts)
  plan.jar = jarof(opts, self)
  local timeout = pick(opts, self, "timeout")
  return run(self, plan, opts, timeout and core.monotonic() + timeout)
end

local function copy(opts, more)
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
  if opts == nil then return request(self, {url = url_, method = "GET"}) end
  return request(self, copy(opts, {url = url_, method = "GET"}))
end

--- The same by POST.
-- @tparam string url
-- @param body string or iterator
-- @tparam[opt] table opts
function Client:post(url_, body, opts)
  return request(self, copy(opts, {url = url_, method = "POST", body = body}))
end

--- Closes the connections that are idle; those in use when they are done.
-- What is asked for later is `nil, message, "closed"`.
function Client:close()
  self.pool:close()
end

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
  opts = opts or {}
  if type(opts) ~= "table" then misuse("table expected, got %s", type(opts)) end
  checkoptions(opts)
  local self = copy(DEFAULTS, opts)
  if self.cookies == true then self.cookies = cookies.CookieJar() end
  self.env = self.proxy == nil and proxies.fromenv() or nil
  self.pool = newpool(self)
  self.routes = setmetatable({}, {__mode = "k"}) -- parsed URL -> route
  return setmetatable(self, mt)
end

-- What the functions of the module use: it keeps no connections.
local oneshot = setmetatable(copy(DEFAULTS, {oneshot = true}), mt)
oneshot.pool = newpool {max_connections = 1 << 30, max_per_host = 1 << 30, idle_timeout = 0}

return {
  Client = new,
  request = function(opts) return oneshot:request(opts) end,
  get = function(...) return oneshot:get(...) end,
  post = function(...) return oneshot:post(...) end,
}
