-- What every spec stands on: `it` with a leak check and a deadline, socket
-- pairs, waiting on conditions, fresh interpreters, the blocking-call battery.
-- Require it before anything of gevent's: busted may forget loaded modules
-- between files, and this one keeps gevent the same in all of them.
--
-- Environment: GEVENT_SPEC_MODE=asan|valgrind scales the deadlines,
-- GEVENT_SPEC_GC=incremental|generational chooses a hostile collector,
-- GEVENT_SPEC_DEADLINE is the seconds one test may take.

local KEEP = "gevent.spec.modules" -- registry key; survives busted's insulation
local registry = debug.getregistry()
local kept = registry[KEEP] or {}
registry[KEEP] = kept
for name, module in pairs(kept) do package.loaded[name] = module end

local busted = require "busted"
local lfs = require "lfs"
local gevent = require "gevent"
local process = require "helper_process"

local SCALES = {asan = 6, valgrind = 30}
local GC_SCALES = {incremental = 10, generational = 2}

local helper = {}

--- How much slower than usual things may be here.
helper.scale = (SCALES[os.getenv "GEVENT_SPEC_MODE"] or 1)
  * (GC_SCALES[os.getenv "GEVENT_SPEC_GC"] or 1)

local DEADLINE = (tonumber(os.getenv "GEVENT_SPEC_DEADLINE") or 10)
  * helper.scale
local COUNTS = {"greenlets", "handles", "timers", "ready", "refs"}
local TURNS = 60 -- rounds granted to what is still closing after a test

-- The collector -----------------------------------------------------------

--- The most hostile settings that Lua 5.4 takes: a new cycle at once after
-- the last one, a step at every allocation.
local function choose_collector(mode)
  if mode == "generational" then
    collectgarbage("generational", 1, 1)
  elseif mode == "incremental" then
    collectgarbage("incremental", 100, 1000, 1)
    collectgarbage("setpause", 0)
  elseif mode then
    error("GEVENT_SPEC_GC: incremental or generational, not " .. mode)
  end
end

choose_collector(os.getenv "GEVENT_SPEC_GC")
gevent.idle() -- the loop opens its own descriptors at its first use

-- The watchdog ------------------------------------------------------------

-- A shell that kills this process when no test has begun or ended for a long
-- time: the deadline below cannot interrupt C code, nor Lua that never blocks.
local WATCH = [[exec bash -c '
last="(before the first test)"
while :; do
  read -r -t %d line; rc=$?
  if [ $rc -eq 0 ]; then last=$line; continue; fi
  if [ $rc -gt 128 ]; then
    echo "spec watchdog: no progress for %d s in: $last" >&2
    kill -ABRT %d
  fi
  exit
done']]

local function own_pid()
  local f <close> = assert(io.open("/proc/self/stat"))
  return f:read("n")
end

local function start_watchdog()
  local patience = math.ceil(DEADLINE * 6)
  local pipe = assert(io.popen(
    WATCH:format(patience, patience, own_pid()), "w"))
  pipe:setvbuf("line")
  return pipe
end

local function beat(text)
  registry[KEEP .. ".watchdog"] = registry[KEEP .. ".watchdog"]
    or start_watchdog()
  registry[KEEP .. ".watchdog"]:write((text:gsub("%s+", " ")), "\n")
end

-- The leak check ----------------------------------------------------------

--- Open descriptors: number -> what it refers to.
function helper.open_fds()
  local fds = {}
  for name in lfs.dir("/proc/self/fd") do
    if tonumber(name) then
      local link = "/proc/self/fd/" .. name
      fds[name] = lfs.symlinkattributes(link, "target") or false
    end
  end
  for name, target in pairs(fds) do -- the directory that was just read
    if not target or target:find("^/proc/%d+/fd$") then fds[name] = nil end
  end
  return fds
end

local function measure()
  return {fds = helper.open_fds(), stats = gevent.get_hub():stats()}
end

--- What is there now and was not there before, as text, or nil.
local function difference(before, now)
  local lines = {}
  for fd, target in pairs(now.fds) do
    if before.fds[fd] ~= target then
      lines[#lines + 1] = ("fd %s -> %s"):format(fd, target)
    end
  end
  for _, what in ipairs(COUNTS) do
    local was, is = before.stats[what], now.stats[what]
    if is > was then
      lines[#lines + 1] = ("%s: %d, were %d"):format(what, is, was)
    end
  end
  table.sort(lines)
  return lines[1] and table.concat(lines, "; ")
end

-- Garbage is collected only where something seems to be left, and not in every
-- turn: what busted keeps of all tests makes that slow.
local function leaked(before)
  local what = difference(before, measure())
  for turn = 1, TURNS do
    if not what then return nil end
    if turn <= 3 or turn % 10 == 0 then
      collectgarbage()
      collectgarbage()
    end
    gevent.sleep(turn > 20 and 0.001 or 0)
    what = difference(before, measure())
  end
  return what
end

--- Runs `body` and returns what it left behind, as text, or nil.
function helper.leaks(body)
  local before = measure()
  body()
  return leaked(before)
end

-- Measurements --------------------------------------------------------------

--- The smallest of up to `n` measurements; stops at the first below `limit`. A
-- busy machine makes a single one too large now and then.
function helper.best_of(n, limit, measurement, ...)
  local best = math.huge
  for _ = 1, n do
    best = math.min(best, measurement(...))
    if best < limit then break end
  end
  return best
end

-- Tests -------------------------------------------------------------------

local function with_traceback(err)
  if type(err) == "string" then return debug.traceback(err, 2) end
  return err
end

local blocked = setmetatable({}, {__mode = "k"}) -- by spawn_blocked

--- What a failed test left behind shall not be in the way of the next.
local function kill_leftovers()
  for g in pairs(blocked) do
    if not g.dead then gevent.kill(g) end
  end
end

local function run(name, body, seconds)
  beat(name)
  local before = measure()
  local deadline = gevent.Timeout.start_new(seconds or nil)
  local ok, err = xpcall(body, with_traceback)
  deadline:close()
  for module, value in pairs(package.loaded) do
    if module:find("^gevent") then kept[module] = value end
  end
  if not ok and rawequal(err, deadline) then
    err = ("deadline: blocked after %g s"):format(seconds)
  end
  if not ok then kill_leftovers() end
  local what = leaked(before)
  beat("after " .. name)
  if not ok then error(err, 0) end
  if what then error("leaked: " .. what, 0) end
end

--- As busted's `it`: the body runs in the main greenlet, under a deadline,
-- and must leave no descriptor, handle, greenlet, timer or reference behind.
-- @param opts `{deadline = seconds}`, before scaling; `deadline = false` where
--   the timer would be in the way (LoopExit, a drained loop)
function helper.it(name, body, opts)
  local seconds = opts and opts.deadline
  if seconds then
    seconds = seconds * helper.scale
  elseif seconds == nil then
    seconds = DEADLINE
  end
  return busted.it(name, function() run(name, body, seconds) end)
end

-- Waiting on conditions ---------------------------------------------------

--- Lets the other greenlets run until none of them is ready.
function helper.wait_all_blocked()
  local hub = gevent.get_hub()
  for _ = 1, 10000 do
    gevent.idle()
    if hub:stats().ready == 0 then return end
  end
  error("some greenlet is always ready", 2)
end

--- Waits until `condition()` holds, and returns what it returned.
function helper.wait_until(condition, seconds)
  local _ <close> = gevent.Timeout.start_new((seconds or 5) * helper.scale)
  while true do
    local value = condition()
    if value then return value end
    gevent.sleep(0.001)
  end
end

--- A started greenlet that has got to where it blocks.
function helper.spawn_blocked(fn, ...)
  local g = gevent.spawn(fn, ...)
  blocked[g] = true
  helper.wait_all_blocked()
  if g:ready() then
    g:get()
    error("it returned at once; it was to block", 2)
  end
  return g
end

--- Seconds since some fixed point, never going back.
function helper.now()
  return busted.monotime()
end

-- Gates: something to block on that needs no module besides the core -------

local gate = {}
gate.__index = gate

--- `gate:wait([timeout]) -> bool` blocks until `gate:open()`.
function helper.gate()
  local greenlet = gevent.Greenlet(function() end)
  return setmetatable({greenlet = greenlet}, gate)
end

function gate:wait(timeout) return self.greenlet:join(timeout) end

function gate:open() self.greenlet:start() end

-- What the hub prints -----------------------------------------------------

local capture = {}
capture.__index = capture

--- Collects what the hub prints about failed greenlets until it is closed:
-- `local printed <close> = helper.capture_errors()`, then `printed:text()`.
function helper.capture_errors()
  local hub = gevent.get_hub()
  local self = setmetatable({hub = hub, parts = {}}, capture)
  self.former = hub.exception_stream
  hub.exception_stream = self
  return self
end

function capture:write(...)
  for _, part in ipairs {...} do self.parts[#self.parts + 1] = part end
  return self
end

function capture:text() return table.concat(self.parts) end

function capture:close() self.hub.exception_stream = self.former end

capture.__close = capture.close

-- Sockets -----------------------------------------------------------------

--- Two connected sockets of this process (Unix stream).
function helper.pair()
  local socket = require "gevent.socket"
  return assert(socket.socketpair())
end

--- The same over TCP on the loopback interface: client, server side.
function helper.tcp_pair()
  local socket = require "gevent.socket"
  local listener <close> = assert(socket.create_server("127.0.0.1:0"))
  local _, port = listener:getsockname()
  local client = assert(socket.create_connection("127.0.0.1", port))
  return client, (assert(listener:accept(5 * helper.scale)))
end

--- For `<close>`: closes all of these, without waiting. What is nil is passed over.
function helper.closing(...)
  local all = table.pack(...)
  return helper.defer(function()
    for i = 1, all.n do
      local each = all[i]
      if each and each.settimeout then each:settimeout(0) end
      if each then each:close() end
    end
  end)
end

-- Odds and ends -----------------------------------------------------------

--- A list, and a function that makes callbacks which add their text to it.
function helper.logger()
  local log = {}
  return log, function(text)
    return function() log[#log + 1] = text end
  end
end

--- Runs Lua code or a file in a fresh interpreter; see helper_process.
-- @return the exit code or "signal N", what it wrote to stdout, to stderr
function helper.run_lua(code_or_file, opts)
  local scaled = {timeout = (opts and opts.timeout or 20) * helper.scale}
  for key, value in pairs(opts or {}) do
    if key ~= "timeout" then scaled[key] = value end
  end
  return process.run_lua(code_or_file, scaled)
end

--- How many children of this process have ended and were not waited for.
function helper.zombies()
  local n, self = 0, own_pid()
  for name in lfs.dir("/proc") do
    local stat = tonumber(name) and helper.slurp("/proc/" .. name .. "/stat")
    local state, parent = (stat or ""):match("^.*%) (%S) (%d+)")
    if state == "Z" and tonumber(parent) == self then n = n + 1 end
  end
  return n
end

--- A value for `local x <close>` that calls `fn` with the error or nil.
function helper.defer(fn)
  return setmetatable({}, {__close = function(_, err) fn(err) end})
end

--- The text of a file, or nil, message.
function helper.slurp(path)
  local f <close> = io.open(path, "rb")
  if not f then return nil, "cannot open " .. path end
  return f:read("a")
end

--- Paths of the files below `directory` whose names end in `suffix`, sorted.
function helper.files(directory, suffix)
  local found = {}
  local function visit(path)
    for name in lfs.dir(path) do
      local full = path .. "/" .. name
      local mode = not name:find("^%.") and lfs.attributes(full, "mode")
      if mode == "directory" then
        visit(full)
      elseif mode == "file" and name:sub(-#suffix) == suffix then
        found[#found + 1] = full
      end
    end
  end
  if lfs.attributes(directory, "mode") == "directory" then visit(directory) end
  table.sort(found)
  return found
end

--- Generates the tests that every blocking call must pass; see there.
function helper.battery(name, make)
  return require "helper_battery"(helper, name, make)
end

return helper
