-- gevent.http.plan: what a request sends (private; see gevent.http.client). A
-- plan is a table that redirections change: `method`, `url` (parsed), `fields`
-- (list of {name in lower case, line}; nil: none were given), `has` (their values
-- by name), `body`, `length` (of an iterator), `kind` (its content type),
-- `consumed` (it cannot be had again), `followed` (redirections, of `limit`),
-- `jar`.
local core = require "gevent._core"
local options = require "gevent.http.options"
local proxies = require "gevent.http.proxy"
local upload = require "gevent.http.upload"
local url = require "gevent.http.url"

local misuse, pick = options.misuse, options.pick

local AGENT = "User-Agent: gevent-lua\r\n"
local ACCEPT = "Accept: */*\r\n"
local CODINGS = "Accept-Encoding: gzip, deflate\r\n"
local USUAL = AGENT .. ACCEPT .. CODINGS
local CLOSE = "Connection: close\r\n"

-- Without a body these say so.
local WITH_BODY = {POST = true, PUT = true, PATCH = true}
-- Fields that are for one server only, and those that describe a body.
local SECRETS = {authorization = true, cookie = true, ["proxy-authorization"] = true,
  host = true}
local OF_BODY = {["content-type"] = true, ["content-length"] = true,
  ["content-encoding"] = true, ["content-language"] = true, ["content-location"] = true}

local NONE = setmetatable({}, {__newindex = false})

local M = {}

-- The fields in `headers` but those named in `given`: adds them to `list` as {name
-- in lower case, line}, and their values to `has`.
local function addfields(list, has, headers, given)
  if type(headers) == "table" then headers = core.http_headers(headers) end
  if type(headers) ~= "userdata" then
    misuse("headers must be a table, got %s", type(headers))
  end
  for name, value in headers:each() do
    local key = name:lower()
    if given[key] then goto continue end
    has[key] = value
    if key == "transfer-encoding" then
      if value:lower() ~= "chunked" then misuse("Transfer-Encoding is not the caller's") end
    elseif key ~= "content-length" and key ~= "host" then
      list[#list + 1] = {key, name .. ": " .. value .. "\r\n"}
    end
    ::continue::
  end
end

-- The fields the caller gave, and what the client adds of its own; sets what they
-- decide on.
local function takefields(plan, headers, defaults)
  local list, has = {}, {}
  if headers then addfields(list, has, headers, NONE) end
  if defaults then
    local more = {}
    addfields(list, more, defaults, has)
    for key, value in pairs(more) do has[key] = value end
  end
  plan.has, plan.fields = has, list
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
  if not parsed then misuse("bad url '%s': %s", text, why) end
  if opts.query or opts.unix then
    parsed = url.with(parsed, opts.unix,
      opts.query and url.addquery(parsed.target, opts.query))
  end
  plan.url = parsed
end

--- Makes one of what the caller gave; `defaults`: fields that are sent unless it
-- gave others of their names.
function M.new(opts, defaults)
  local method = opts.method
  if method == nil then
    method = (opts.body ~= nil or opts.form or opts.multipart) and "POST" or "GET"
  elseif type(method) ~= "string" or not method:find("^[%w!#$%%&'*+%-.^_`|~]+$") then
    misuse("method must be a token")
  elseif method == "CONNECT" then
    misuse("CONNECT is for proxies")
  end
  local plan = {method = method, has = NONE, followed = 0} -- the rest is rare
  takeurl(plan, opts)
  if opts.headers or defaults then takefields(plan, opts.headers, defaults) end
  if opts.body ~= nil or opts.form or opts.multipart then takebody(plan, opts) end
  return plan
end

--- Does it ask for the connection to be closed?
function M.islast(plan)
  local connection = plan.has.connection
  return connection ~= nil and connection:lower():find("close", 1, true) ~= nil
end

--- Does it ask for a compressed answer by itself? A part of one (Range) could not
-- be undone.
function M.asks(plan)
  return not plan.has["accept-encoding"] and not plan.has.range
end

local function fieldtext(plan)
  local fields, has = plan.fields, plan.has
  if not fields then return USUAL end
  local parts = {}
  if not has["user-agent"] then parts[1] = AGENT end
  if not has.accept then parts[#parts + 1] = ACCEPT end
  if M.asks(plan) then parts[#parts + 1] = CODINGS end
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

--- The head of the request, as text.
function M.head(plan, route, oneshot)
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
  if oneshot and not plan.has.connection then text = text .. CLOSE end
  return text .. "\r\n"
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

--- Makes of it what a redirection says.
-- @return true; or nil, message, code
function M.follow(plan, self, opts, status, location)
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
  elseif not target.user then
    target = url.withuser(target, plan.url)
  end
  plan.url = target
  plan.followed = plan.followed + 1
  return true
end

return M
