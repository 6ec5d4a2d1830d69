-- gevent.http.options: what the client's requests may be told (private).
local core = require "gevent._core"
local misuses = require "gevent._misuse"

local options = {}

--- What holds unless a client or a request is told otherwise.
options.DEFAULTS = {
  timeout = nil,            -- seconds for all of a request
  connect_timeout = 30,     -- for connecting, TLS and proxy included
  read_timeout = 60,        -- that the server may be silent, or not read
  redirects = 5,
  decompress = true,
  max_header_bytes = 65536, -- of an answer, with its status line
  max_headers = 200,
  max_connections = 100,    -- busy and idle
  max_per_host = 32,
  idle_timeout = 60,        -- seconds an idle connection is kept
}

-- Misuse ---------------------------------------------------------------------------

-- Raises: the caller did what is not allowed.
local function misuse(what, ...)
  misuses.raise(("bad argument to 'request' (" .. what .. ")"):format(...))
end

local function checkseconds(name, value)
  if value and (type(value) ~= "number" or not (value >= 0)) then
    misuse("%s must be a number of seconds >= 0", name)
  end
end

local function checkcount(name, value)
  if value and (type(value) ~= "number" or not math.tointeger(value) or value < 0) then
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
  ssl_context = function(name, value)
    if value and type(value) ~= "userdata" and type(value) ~= "table" then
      misuse("%s must be an SSLContext", name)
    end
  end,
  redirects = function(name, value) if value ~= true then checkcount(name, value) end end,
  unix = function(name, value)
    if value and type(value) ~= "string" then misuse("%s must be a path", name) end
  end,
}

local KNOWN = misuses.names([[
  url method headers body form multipart query timeout stream proxy decompress cookies
  allow_downgrade]], options.DEFAULTS, CHECKS)

--- Raises where an option is no good.
-- @tparam string fname the function that got it, as its n-th argument
function options.check(n, fname, opts)
  opts = misuses.ours(n, fname, opts, KNOWN)
  for name, value in pairs(opts) do
    local check = CHECKS[name]
    if check then check(name, value) end
  end
end

--- The value of an option: the request's, else the client's; nil for false.
function options.pick(opts, self, name)
  local value = opts[name]
  if value == nil then value = self[name] end
  return value or nil
end

--- Seconds until a deadline, but at most so many; nil is for ever.
function options.remaining(due, most)
  if not due then return most end
  local left = math.max(0, due - core.monotonic())
  return most and math.min(left, most) or left
end

options.misuse = misuse

return options
