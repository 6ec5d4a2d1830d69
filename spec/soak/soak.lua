-- A mixed service under load and abuse: HTTP, TLS, queues, names, timers, a
-- thread pool; greenlets killed at random, time-outs, connections closed and
-- reset, no descriptors left. It must take all that, and give everything back.
-- usage: lua soak.lua SECONDS [SEED]     (make soak MINUTES=n)
-- Works in rounds; after each everything is still, and is counted: descriptors,
-- greenlets, handles as at the start; memory no more than after the first ones.
-- TLS has a part in it where SOAK_CERT and SOAK_KEY name its files.
local gevent = require "gevent"
local http = require "gevent.http"
local queue = require "gevent.queue"
local server = require "gevent.server"
local socket = require "gevent.socket"
local ssl = require "gevent.ssl"
local threadpool = require "gevent.threadpool"
local time = require "gevent.time"

local SECONDS = tonumber(arg[1]) or 60
local SEED = tonumber(arg[2]) or os.time()
local WORKERS = 24
local ROUND = math.min(10, math.max(0.3, SECONDS / 8)) -- seconds
local CERT, KEY = os.getenv "SOAK_CERT", os.getenv "SOAK_KEY"
local CA = os.getenv "SOAK_CA" or CERT

-- What abuse may lead to. Anything else is a failure.
local EXPECTED = {closed = true, timeout = true, EBADF = true, EPIPE = true,
  ECONNRESET = true, EMFILE = true, ESSL = true, EAI_SYSTEM = true, EAI_AGAIN = true,
  EAI_NONAME = true, EAI_MEMORY = true, ENOTCONN = true, ECONNREFUSED = true,
  ECONNABORTED = true}

local random = math.random
local done, killed, failed, unexpected = 0, 0, {}, {}

local function complain(what)
  if #unexpected < 20 then unexpected[#unexpected + 1] = what end
end

-- The results of a call: raises a table for a failure that is expected.
local function try(ok, message, code, ...)
  if ok then return ok, message, code, ... end
  if not EXPECTED[code] then
    complain(("%s (%s)\n%s"):format(message, code, debug.traceback()))
  end
  failed[code or "?"] = (failed[code or "?"] or 0) + 1
  error({expected = true}, 0)
end

-- The service --------------------------------------------------------------------

local function answer(req, res)
  local kind = req.path
  if kind == "/slow" then gevent.sleep(0.005) end
  if kind == "/chunks" then
    for i = 1, 5 do try(res:write(("%d"):format(i):rep(random(2000)))) end
    return res:finish()
  end
  local body = req:body()
  return (body or "") .. kind
end

local function echo(sock)
  while true do
    local data = sock:recv(8192)
    if not data or data == "" then return end
    if not sock:sendall(data) then return end
  end
end

local silent = {write = function() end}

local function start()
  local service = {}
  service.http = http.Server("127.0.0.1:0", answer, {log = silent, error_log = silent,
    header_timeout = 1, body_timeout = 1, keepalive_timeout = 1, write_timeout = 1})
  assert(service.http:start())
  service.echo = server.StreamServer("127.0.0.1:0", echo, {error_log = silent})
  assert(service.echo:start())
  if CERT then
    service.context = assert(ssl.create_default_context{cafile = CA})
    service.tls = server.StreamServer("127.0.0.1:0", echo, {error_log = silent,
      ssl_context = assert(ssl.create_default_context{role = "server", cert = CERT, key = KEY})})
    assert(service.tls:start())
  end
  service.items = queue.Queue(10)
  service.threads = threadpool.ThreadPool(2)
  service.names = gevent.get_hub().resolver
  return service
end

local function stop(service)
  service.http:stop(0.1)
  service.echo:stop(0.1)
  if service.tls then service.tls:stop(0.1) end
  service.items:close()
  service.threads:kill()
end

-- The load ------------------------------------------------------------------------

local open = {} -- sockets of the clients, for whoever closes others' sockets

local function connect(port, opts)
  local sock = try(socket.create_connection("127.0.0.1", port, opts))
  open[sock] = true
  sock:settimeout(1)
  return sock
end

local guard = {__close = function(self)
  open[self[1]] = nil
  self[1]:close()
end}

local jobs = {}

function jobs.request(service)
  local sock = connect(service.http.port)
  local _ <close> = setmetatable({sock}, guard)
  for _ = 1, random(5) do
    local kind = ({"/", "/slow", "/chunks"})[random(3)]
    local body = ("x"):rep(random(0, 3000))
    try(sock:sendall(("POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s")
      :format(kind, #body, body)))
    local status = try(sock:read("l"))
    if not status:find("^HTTP/1.1 200") and not status:find("^HTTP/1.1 408") then
      complain("an answer: " .. status)
    end
    local length
    repeat
      local line = try(sock:read("l"))
      length = tonumber(line:lower():match("^content%-length: (%d+)")) or length
    until line == "" or line == "\r"
    if not length then return end -- chunks: leaves them unread
    if length > 0 then try(sock:readexactly(length)) end
  end
end

local function talk(sock)
  for _ = 1, random(4) do
    local text = ("y"):rep(random(20000))
    try(sock:sendall(text))
    if try(sock:readexactly(#text)) ~= text then complain("an echo is wrong") end
  end
end

function jobs.echo(service)
  local sock = connect(service.echo.port)
  local _ <close> = setmetatable({sock}, guard)
  talk(sock)
  if random(3) == 1 then sock:setsockopt("linger", 0) end -- closed by a RST
end

if CERT then
  function jobs.tls(service)
    local sock = connect(service.tls.port, {ssl = service.context,
      server_hostname = "localhost"})
    local _ <close> = setmetatable({sock}, guard)
    talk(sock)
  end
end

function jobs.half(service) -- a request that never ends
  local sock = connect(service.http.port)
  local _ <close> = setmetatable({sock}, guard)
  try(sock:sendall("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc"))
  gevent.sleep(random() * 0.02)
end

function jobs.put(service) service.items:put(random(100), 0.01) end
function jobs.get(service) service.items:get(0.01) end
function jobs.timers()
  for _ = 1, 20 do gevent.with_timeout(random() * 0.002, gevent.sleep, random() * 0.002) end
end
function jobs.name() try(socket.getaddrinfo("localhost", 80)) end
function jobs.compute(service)
  local n = service.threads:apply(function(n)
    local sum = 0
    for i = 1, n do sum = sum + i end
    return sum
  end, 1000)
  if n ~= 500500 then complain("a thread's result is wrong") end
end

local names = {}
for name in pairs(jobs) do names[#names + 1] = name end
table.sort(names)

-- Runs jobs until it is killed; each under a time-out, often too short.
local function work(service)
  while true do
    local name = names[random(#names)]
    local ok, err = gevent.pcall(gevent.with_timeout, random() * 0.2, jobs[name], service)
    if not ok and not (type(err) == "table" and err.expected) then
      complain(name .. ": " .. tostring(err))
    end
    done = done + 1
    gevent.sleep(0)
  end
end

-- The abuse -----------------------------------------------------------------------

local function anyof(set)
  local n = 0
  for _ in pairs(set) do n = n + 1 end
  if n == 0 then return end
  n = random(n)
  for key in pairs(set) do
    n = n - 1
    if n == 0 then return key end
  end
end

-- Takes all descriptors for a moment.
local function starve()
  local files = {}
  repeat
    local file = io.open "/dev/null"
    files[#files + 1] = file
  until not file
  gevent.sleep(0.005)
  for _, file in ipairs(files) do file:close() end
end

local function abuse(service, workers)
  while true do
    gevent.sleep(random() * 0.005)
    local dice = random(40)
    if dice <= 20 then
      local i = random(#workers)
      gevent.kill(workers[i])
      workers[i] = gevent.spawn(work, service)
      killed = killed + 1
    elseif dice <= 30 then
      local sock = anyof(open)
      if sock then sock:close() end
    elseif dice <= 36 then
      collectgarbage()
    elseif dice == 37 then
      starve()
    end
  end
end

-- The rounds ----------------------------------------------------------------------

local function descriptors()
  local n = 0
  for fd = 0, 1023 do
    local target <close> = io.open("/proc/self/fdinfo/" .. fd)
    if target then n = n + 1 end
  end
  return n
end

local function resident() -- KiB
  for line in io.lines "/proc/self/status" do
    local kib = line:match("^VmRSS:%s*(%d+)")
    if kib then return math.tointeger(kib) end
  end
end

local function count()
  local stats = gevent.get_hub():stats()
  return {fds = descriptors(), greenlets = stats.greenlets, handles = stats.handles,
    timers = stats.timers, refs = stats.refs}
end

-- What is there when all is still, once it is what it was, or has had time.
local function settle(before)
  local now
  for _ = 1, 200 do
    collectgarbage()
    collectgarbage()
    gevent.sleep(0.01)
    now = count()
    local same = true
    for what, n in pairs(before or {}) do same = same and now[what] <= n end
    if before and same then break end
  end
  return now
end

local function round()
  local service, workers = start(), {}
  for i = 1, WORKERS do workers[i] = gevent.spawn(work, service) end
  local abuser = gevent.spawn(abuse, service, workers)
  gevent.sleep(ROUND)
  abuser:kill()
  gevent.killall(workers)
  stop(service)
end

math.randomseed(SEED)
print(("seed %d, %g s in rounds of %g s%s"):format(SEED, SECONDS, ROUND,
  CERT and "" or ", without TLS"))
gevent.get_hub().handle_error = function(_, context, err)
  if type(err) == "table" and err.expected then return end
  complain(("%s failed with %s"):format(context, err))
end

local deadline = time.monotonic() + SECONDS
round() -- what is made once is made
local first = settle()
local lua_first, rss_first, rounds = math.huge, nil, 0
repeat
  round()
  rounds = rounds + 1
  local now = settle(first)
  for what, n in pairs(first) do
    if now[what] > n then complain(("%s: %d, were %d"):format(what, now[what], n)) end
  end
  local lua, rss = collectgarbage "count", resident()
  if rounds <= 2 then lua_first, rss_first = lua, rss end
  print(("round %d: %d jobs, %d kills, Lua %.0f KiB, resident %d KiB"):format(rounds,
    done, killed, lua, rss))
  if lua > lua_first * 1.2 + 256 then complain("Lua's memory grows: " .. lua) end
  if rss > rss_first * 1.3 + 8192 then complain("memory grows: " .. rss) end
until time.monotonic() >= deadline and rounds >= 3 or #unexpected > 0

local text = {}
for code, n in pairs(failed) do text[#text + 1] = ("%s %d"):format(code, n) end
table.sort(text)
print("expected failures: " .. table.concat(text, ", "))
for _, what in ipairs(unexpected) do print("NOT EXPECTED: " .. what) end
print(#unexpected == 0 and "ok" or "not ok")
os.exit(#unexpected == 0, true)
