-- bind, connect and sendto of sockets take hosts by name: the C functions know
-- numbers only, what is a name is looked up here. And a connect to a Unix
-- listener that has no room waits for it.
local core = require "gevent._core"
local misuse = require "gevent._misuse"
local waiting = require "gevent._wait"

local bad, expected = misuse.bad, misuse.expected

local FIRST_DELAY, LONGEST_DELAY = 0.001, 0.05 -- seconds between attempts

local getaddrinfo -- gevent.socket's

-- The numeric address of `host` for a socket of that family.
local function numeric(host, port, family, kind)
  local list, message, code = getaddrinfo(host, port,
    {family = family, type = kind})
  if not list then return nil, message, code end
  return list[1].host, list[1].port
end

local function isnumeric(host)
  return type(host) ~= "string" or host == "" or host == "*"
    or core.isnumeric(host) ~= nil
end

-- Misuse is raised here, with the argument's number as the user counts: what the
-- C functions raise would name this file.

-- The host that is argument n, and the port after it; or the path.
local function checkaddress(self, host, port, n, fname)
  if type(host) ~= "string" and type(host) ~= "number" then
    bad(n, fname, expected("string", host))
  elseif self.family == "unix" then
    return
  end
  local kind = type(port)
  local number = (kind == "number" or kind == "string") and tonumber(port)
  if not number then
    bad(n + 1, fname, ("port expected, got %s"):format(kind))
  elseif not math.tointeger(number) or number < 0 or number > 65535 then
    bad(n + 1, fname, "a port is a number from 0 to 65535")
  end
end

local function checktimeout(timeout, n)
  if timeout ~= nil and (type(timeout) ~= "number" or not (timeout >= 0)) then
    bad(n, "connect", "seconds must be a number >= 0")
  end
end

-- A Unix socket whose listener has no room for it cannot be waited for: it is
-- tried again after a while, as a blocking connect would wait.
local function connectpath(connect, self, path, timeout)
  local ok, message, code = connect(self, path, timeout)
  if ok then return true end
  if code ~= "EAGAIN" then return nil, message, code end
  if timeout == nil then timeout = self:gettimeout() end
  local deadline = timeout and core.monotonic() + timeout
  local delay = FIRST_DELAY
  while code == "EAGAIN" do
    local left = deadline and deadline - core.monotonic() or delay
    if left <= 0 then return nil, "timed out", "timeout" end
    core.sleep(math.min(delay, left))
    delay = math.min(delay * 2, LONGEST_DELAY)
    ok, message, code = connect(self, path)
  end
  if ok then return true end
  return nil, message, code
end

-- connect(2) takes numbers; the time-out covers the look-up too.
local function byname(connect)
  return function(self, host, port, timeout)
    checkaddress(self, host, port, 1, "connect")
    if self.family == "unix" then
      checktimeout(port, 2)
      return connectpath(connect, self, host, port)
    end
    checktimeout(timeout, 3)
    if isnumeric(host) then return connect(self, host, port, timeout) end
    if timeout == nil then timeout = self:gettimeout() end
    local deadline = timeout and core.monotonic() + timeout
    local address, message, code = waiting.with_timeout(timeout, numeric,
      host, port, self.family, self.type)
    if not address then return nil, message, code end
    return connect(self, address, message, deadline
      and math.max(0, deadline - core.monotonic()))
  end
end

local function bindbyname(bind)
  return function(self, host, port)
    checkaddress(self, host, port, 1, "bind")
    if self.family == "unix" or isnumeric(host) then
      return bind(self, host, port)
    end
    local address, message, code = numeric(host, port, self.family, self.type)
    if not address then return nil, message, code end
    return bind(self, address, message)
  end
end

local function sendbyname(sendto)
  return function(self, data, host, port)
    if type(data) ~= "string" and type(data) ~= "number" then
      error(("bad argument #1 to 'sendto' (string expected, got %s)"):format(
        type(data)), 2)
    end
    checkaddress(self, host, port, 2, "sendto")
    if self.family == "unix" or isnumeric(host) then
      return sendto(self, data, host, port)
    end
    local address, message, code = numeric(host, port, self.family, self.type)
    if not address then return nil, message, code end
    return sendto(self, data, address, message)
  end
end

--- Changes the classes of open sockets.
-- @tparam function lookup gevent.socket's getaddrinfo
-- @treturn function the first numeric address of a host, and the port
return function(lookup)
  getaddrinfo = lookup
  -- Not those of closed sockets: they fail without a look-up.
  for _, class in pairs(core.socket_classes) do
    class.connect = byname(class.connect)
    class.bind = bindbyname(class.bind)
    class.sendto = sendbyname(class.sendto)
  end
  return numeric
end
