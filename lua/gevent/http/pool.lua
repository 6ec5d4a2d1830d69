-- gevent.http.pool: the connections of a client (private). One is either busy,
-- with its user, or idle, here; of each host and in all there are only so many.
-- Who is refused waits in the order of arrival.
--
-- A connection is a table {sock=, uses=, last=, writer=, exchange=, ...}; `last`
-- is true once it is not to be used again, `writer` (a greenlet) and `exchange`
-- end with its use. Its user holds it in a <close> variable: unless it was
-- released or lent on before, leaving the scope closes it, so that an error or a
-- kill never leaves one behind.
local core = require "gevent._core"
local Semaphore = core.Semaphore

local CLOSED = "the client is closed"

local methods = {}
local mt = {__name = "http.Pool", __index = methods}

local function keep(self, conn)
  local last = self.last
  conn.since = core.monotonic()
  conn.before, conn.after = last, nil
  if last then last.after = conn else self.first = conn end
  self.last = conn
  self.idle = self.idle + 1
  local list = conn.host.idle
  list[#list + 1] = conn
end

-- Takes it out of the list of all that are idle.
local function unlink(self, conn)
  local before, after = conn.before, conn.after
  if before then before.after = after else self.first = after end
  if after then after.before = before else self.last = before end
  conn.before, conn.after = nil, nil
  self.idle = self.idle - 1
end

local function forget(self, host)
  if host.users == 0 and #host.idle == 0 then self.hosts[host.key] = nil end
end

-- Closes one that is idle.
local function drop(self, conn)
  local list = conn.host.idle
  for i = 1, #list do
    if list[i] == conn then
      table.remove(list, i)
      break
    end
  end
  unlink(self, conn)
  forget(self, conn.host)
  conn.sock:close()
end

-- Closes those that have been idle for too long.
local function expire(self)
  local latest = core.monotonic() - self.idle_timeout
  while self.first and self.first.since <= latest do drop(self, self.first) end
end

local function leave(self, host)
  host.users = host.users - 1
  forget(self, host)
end

-- What was taken so far, for one who does not get to the end of `wait`.
local ticket = {__close = function(held)
  if held.done then return end
  for _, slots in ipairs(held) do slots:release() end
  leave(held.pool, held.host)
end}

local connection = {__close = function(conn)
  if conn.busy and not conn.lent then conn.pool:release(conn, false) end
end}

local function hostof(self, key)
  local host = self.hosts[key]
  if not host then
    host = {key = key, idle = {}, users = 0, slots = Semaphore(self.max_per_host)}
    self.hosts[key] = host
  end
  return host
end

-- One that is idle and still good.
local function takeidle(self, host)
  while #host.idle > 0 do
    local conn = host.idle[#host.idle]
    if core.http_is_quiet(conn.sock) then
      host.idle[#host.idle] = nil
      unlink(self, conn)
      return conn
    end
    drop(self, conn)
  end
end

-- Two slots, of the host's and of all, where they are free at once.
local function enter(self, host)
  if not host.slots:acquire(0) then return false end
  if self.slots:acquire(0) then return true end
  host.slots:release()
  return false
end

local function wait(self, host, timeout)
  local due = timeout and core.monotonic() + timeout
  local held <close> = setmetatable({pool = self, host = host}, ticket)
  for i, slots in ipairs {host.slots, self.slots} do
    if not slots:acquire(due and math.max(0, due - core.monotonic())) then
      return nil, "timed out", "timeout"
    end
    held[i] = slots
  end
  if self.closed then return nil, CLOSED, "closed" end
  held.done = true
  return true
end

--- A connection to the host of that key: an idle one, or an empty one, whose
-- `sock` the caller has to set.
-- @tparam string key
-- @tparam ?number timeout seconds to wait for one
-- @tparam boolean fresh no idle one
-- @return connection; or nil, message, code
function methods:acquire(key, timeout, fresh)
  if self.closed then return nil, CLOSED, "closed" end
  local host = hostof(self, key)
  host.users = host.users + 1
  if not enter(self, host) then
    local ok, message, code = wait(self, host, timeout)
    if not ok then return nil, message, code end
  end
  if self.first then expire(self) end
  local conn = not fresh and takeidle(self, host)
  if not conn then
    while self.first and self.busy + self.idle >= self.max_connections do
      drop(self, self.first)
    end
    conn = setmetatable({pool = self, host = host, uses = 0}, connection)
  end
  self.busy = self.busy + 1
  conn.busy, conn.lent = true, false
  conn.uses = conn.uses + 1
  return conn
end

--- Gives a connection back.
-- @tparam table conn
-- @tparam boolean reusable else it is closed
function methods:release(conn, reusable)
  if not conn.busy then return end
  local host = conn.host
  conn.busy = false
  self.busy = self.busy - 1
  if conn.writer then
    if not conn.writer:ready() then conn.writer:kill(nil, false) end
    conn.writer = nil
  end
  if conn.exchange then
    conn.exchange:close()
    conn.exchange = nil
  end
  if reusable and not conn.last and not self.closed and self.idle_timeout > 0 then
    keep(self, conn)
  elseif conn.sock then
    conn.sock:close()
  end
  self.slots:release()
  host.slots:release()
  leave(self, host)
end

--- Closes those that are idle; the others when they are given back.
function methods:close()
  self.closed = true
  while self.first do drop(self, self.first) end
end

mt.__gc = methods.close

function mt:__tostring()
  return ("<http.Pool: %d busy, %d idle>"):format(self.busy, self.idle)
end

--- Makes a pool.
-- @tparam table opts `max_connections`, `max_per_host`, `idle_timeout` (seconds;
-- 0: keep none)
return function(opts)
  return setmetatable({
    max_connections = opts.max_connections,
    max_per_host = opts.max_per_host,
    idle_timeout = opts.idle_timeout or math.huge,
    slots = Semaphore(opts.max_connections),
    hosts = {},              -- key -> {key=, idle={...}, users=, slots=}
    first = nil, last = nil, -- of those that are idle: the oldest, the newest
    busy = 0, idle = 0,      -- how many
    closed = false,
  }, mt)
end
