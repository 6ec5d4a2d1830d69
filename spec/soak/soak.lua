-- A mixed service under load and abuse: HTTP with its client, WebSocket, TLS,
-- queues, names, timers, threads, files, child processes; greenlets killed at
-- random, time-outs, connections closed and reset, no descriptors left. It must
-- take all that, and give everything back.
-- usage: lua soak.lua SECONDS [SEED]     (make soak MINUTES=n)
-- Works in rounds; after each everything is still, and is counted: descriptors,
-- greenlets, handles as at the start; memory no more than after the first ones,
-- and over many rounds no slope.
-- TLS has a part in it where SOAK_CERT and SOAK_KEY name its files.
local gevent = require "gevent"
local time = require "gevent.time"

local SECONDS = tonumber(arg[1]) or 60
local SEED = tonumber(arg[2]) or os.time()
local WORKERS = 24
local ROUND = math.min(10, math.max(0.3, SECONDS / 8)) -- seconds
local WARM_UP = 1 / 3 -- of the rounds: not looked at for a slope
local MANY = 9 -- rounds, at least, for a slope to mean something

-- What abuse may lead to. Anything else is a failure.
local EXPECTED = {closed = true, timeout = true, EBADF = true, EPIPE = true,
  ECONNRESET = true, EMFILE = true, ESSL = true, EAI_SYSTEM = true, EAI_AGAIN = true,
  EAI_NONAME = true, EAI_MEMORY = true, ENOTCONN = true, ECONNREFUSED = true,
  ECONNABORTED = true, truncated = true, handshake = true, EAI_CANCELED = true,
  EAGAIN = true}

local random = math.random
local done, killed, starved, failed, unexpected = {}, 0, 0, {}, {}

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

local service = dofile "spec/soak/service.lua" (try, complain)
local jobs, open = service.jobs, service.open

-- The load ------------------------------------------------------------------------

local names = {}
for name in pairs(jobs) do
  names[#names + 1] = name
  done[name] = 0
end
table.sort(names)

-- Runs jobs until it is killed; each under a time-out, often too short.
local function work(running)
  while true do
    local name = names[random(#names)]
    local ok, err = gevent.pcall(gevent.with_timeout, random() * 0.2, jobs[name], running)
    if not ok and not (type(err) == "table" and err.expected) then
      complain(name .. ": " .. tostring(err))
    end
    done[name] = done[name] + 1
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
  starved = starved + 1
  local files = {}
  repeat
    local file = io.open "/dev/null"
    files[#files + 1] = file
  until not file
  gevent.sleep(0.005)
  for _, file in ipairs(files) do file:close() end
end

local function abuse(running, workers)
  while true do
    gevent.sleep(random() * 0.005)
    local dice = random(40)
    if dice <= 20 then
      local i = random(#workers)
      gevent.kill(workers[i])
      workers[i] = gevent.spawn(work, running)
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
  local running, workers = service.start(), {}
  for i = 1, WORKERS do workers[i] = gevent.spawn(work, running) end
  local abuser = gevent.spawn(abuse, running, workers)
  gevent.sleep(ROUND)
  abuser:kill()
  gevent.killall(workers)
  service.stop(running)
end

local function sum(counts)
  local n = 0
  for _, value in pairs(counts) do n = n + value end
  return n
end

local function list(counts)
  local text = {}
  for what, n in pairs(counts) do text[#text + 1] = ("%s %d"):format(what, n) end
  table.sort(text)
  return table.concat(text, ", ")
end

-- By how much the values rise from one to the next (least squares), after the
-- first ones.
local function slope(values)
  local from = math.ceil(#values * WARM_UP) + 1
  local n, x, y, xx, xy = 0, 0, 0, 0, 0
  for i = from, #values do
    n, x, y, xx, xy = n + 1, x + i, y + values[i], xx + i * i, xy + i * values[i]
  end
  return (n * xy - x * y) / (n * xx - x * x), n
end

-- What may be after so many rounds: noise, but no line that goes up.
local function checkslope(what, values, noise)
  if #values < MANY then return end
  local rise, n = slope(values)
  print(("%s: %.1f KiB, %+.2f KiB a round"):format(what, values[#values], rise))
  if rise * n > noise + 0.03 * values[1] then complain(what .. " has a slope: " .. rise) end
end

math.randomseed(SEED)
print(("seed %d, %g s in rounds of %g s%s"):format(SEED, SECONDS, ROUND,
  jobs.tls and "" or ", without TLS"))
gevent.get_hub().handle_error = function(_, context, err)
  if type(err) == "table" and err.expected then return end
  complain(("%s failed with %s"):format(context, err))
end

local deadline = time.monotonic() + SECONDS
round() -- what is made once is made
local first = settle()
local luas, sizes, rounds = {}, {}, 0
repeat
  round()
  rounds = rounds + 1
  local now = settle(first)
  for what, n in pairs(first) do
    if now[what] > n then complain(("%s: %d, were %d"):format(what, now[what], n)) end
  end
  local lua, rss = collectgarbage "count", resident()
  luas[rounds], sizes[rounds] = lua, rss
  print(("round %d: %d jobs, %d kills, %d times no descriptors, Lua %.0f KiB, resident %d KiB")
    :format(rounds, sum(done), killed, starved, lua, rss))
  local second = math.min(rounds, 2)
  if lua > luas[second] * 1.2 + 256 then complain("Lua's memory grows: " .. lua) end
  if rss > sizes[second] * 1.3 + 8192 then complain("memory grows: " .. rss) end
until time.monotonic() >= deadline and rounds >= 3 or #unexpected > 0
checkslope("Lua's memory", luas, 160) -- URLs of each round's ports, up to 256, are cached
checkslope("resident memory", sizes, 4096)

print("jobs: " .. list(done))
print("expected failures: " .. list(failed))
for _, what in ipairs(unexpected) do print("NOT EXPECTED: " .. what) end
print(("%d passed, %d failed"):format(rounds, #unexpected))
os.exit(#unexpected == 0, true)
