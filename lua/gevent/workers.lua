--- Several processes, one for each core, and one that looks after them.
-- The supervisor forks the workers, starts again what ends, and stops all of them
-- in good order. It does nothing else: what it has loaded, each worker has a copy of.
--
--     local workers = require "gevent.workers"
--     assert(workers.run(function(worker)
--       worker:serve(http.Server(listener, require "app"))
--     end, {workers = 4}))
--
-- Servers have it as an option: `http.Server(":8080", handler, {workers = 4})`.
-- See `docs/deployment.md`.
-- @module gevent.workers
local core = require "gevent._core"
local misuse = require "gevent._misuse"
local event = require "gevent.event"
local gos = require "gevent.os"
local gsignal = require "gevent.signal"
local socket = require "gevent.socket"

local GRACE = 30           -- seconds that a worker may take to end
local START_TIMEOUT = 30   -- seconds that a worker may take until it is ready
local HEALTHY = 5          -- seconds: who lived as long is started again at once
local FIRST_DELAY, LONGEST_DELAY = 0.1, 10 -- seconds between starts otherwise
local HANDED_ON = {"SIGUSR1", "SIGUSR2"}
local READY = "r"

-- In the worker ------------------------------------------------------------------------

--- What the function of a worker gets. Fields: `number`, 1 to the number of
-- workers; `pid`; `stopping`, a boolean.
-- @type Worker
local Worker = {__name = "worker"}
Worker.__index = Worker

function Worker:__tostring()
  return ("<worker %d pid %d%s>"):format(self.number, self.pid or 0,
    self.stopping and " stopping" or "")
end

local function stopworker(self)
  self.stopping = true
  self._stop:set()
end

--- Tells the supervisor that the work has begun. Until then it is starting, and
-- nobody that it is to replace is stopped. Does nothing when called again.
function Worker:ready()
  if self._told then return end
  self._told = true
  self._link:send(READY)
end

--- Waits until this worker is to end; says that it is ready.
-- @tparam[opt] number timeout seconds
-- @treturn boolean
function Worker:wait(timeout)
  self:ready()
  return self._stop:wait(timeout)
end

--- Runs servers until the worker is to end, and then stops them: no new
-- connections, and those that are there get the time of `grace`. It also returns
-- when all of them were stopped.
-- @param ... servers
function Worker:serve(...)
  local servers = {...}
  for _, server in ipairs(servers) do
    local ok, message = server:start()
    if not ok then error(("%s: %s"):format(server, message), 0) end
  end
  core.spawn(function()
    self:wait()
    for _, server in ipairs(servers) do core.spawn(server.stop, server, self.grace) end
  end)
  local running = {}
  for i, server in ipairs(servers) do running[i] = core.spawn(server.serve_forever, server) end
  for _, greenlet in ipairs(running) do greenlet:join() end
end

-- The end of the supervisor, whichever, is the end of the link.
local function followlink(self)
  self._link:recv(1)
  stopworker(self)
end

-- A signal's default is to end the process, which is not what handing it on means:
-- without a handler of the program's own, nothing happens.
local function setsignals(self)
  for _, name in ipairs {"SIGINT", "SIGHUP", table.unpack(HANDED_ON)} do
    gsignal.signal(name, gsignal.SIG_IGN)
  end
  gsignal.signal("SIGTERM", function() stopworker(self) end)
end

-- The traceback ends where the supervisor begins. No string: no bug of the program's.
local function traced(err)
  if type(err) ~= "string" then return tostring(err) end
  local text = debug.traceback(err, 2)
  return (text:gsub("\n\t%[C%]: in function 'xpcall'\n\t[^\n]*gevent/workers%.lua:.*$", ""))
end

local function runworker(self, body)
  setsignals(self)
  core.spawn(followlink, self).name = "supervisor's link"
  local ok, err = xpcall(body, traced, self)
  if not ok then io.stderr:write(("%s failed: %s\n"):format(self, err)) end
  io.stdout:flush()
  os.exit(ok and 0 or 1) -- not closing: the variables of the parent are the parent's
end

-- In the supervisor -----------------------------------------------------------------------

--- @type Supervisor
local Supervisor = {__name = "Supervisor"}
Supervisor.__index = Supervisor

function Supervisor:__tostring()
  local n = 0
  for _ in pairs(self._alive) do n = n + 1 end
  return ("<Supervisor at %p: %d of %d workers%s>"):format(self, n, self.workers,
    self.stopping and ", stopping" or "")
end

local function say(self, text, ...)
  local log = self.log
  text = text:format(...)
  if type(log) == "function" then log(text) elseif log then log:write(text .. "\n") end
end

-- Everything that happens comes through one queue, to one greenlet: the one that
-- may fork.
local function post(self, what, ...)
  self._inbox:put({what, ...})
end

local function ending(code)
  return code < 0 and "signal " .. -code or "exit code " .. code
end

-- Two greenlets of the supervisor for each worker.
local function watch(self, worker)
  core.spawn(function()
    if worker._link:recv(1) == READY then post(self, "ready", worker) end
  end)
  core.spawn(function()
    local _, code = gos.waitpid(worker.pid)
    worker._gone = true
    post(self, "ended", worker, math.tointeger(code) or 0)
  end)
end

-- The number of one that is gone may be another process by now.
local function send(worker, signal)
  if not worker._gone then gos.kill(worker.pid, signal) end
end

-- In the child: nothing of what the supervisor holds is a worker's.
local function forget(self, mine)
  for _, handler in ipairs(self._handlers) do handler:cancel() end
  for other in pairs(self._alive) do
    if other ~= mine then other._link:close() end
  end
end

local function forkworker(self, number)
  local link, mine = socket.socketpair()
  if not link then return nil, mine end
  local worker = setmetatable({number = number, grace = self.grace, stopping = false,
    _stop = event.Event(), _link = mine, _told = false}, Worker)
  local pid, message = gos.fork()
  if pid == 0 then
    link:close()
    forget(self)
    worker.pid = gos.getpid()
    runworker(worker, self._body)
  end
  mine:close()
  if not pid then
    link:close()
    return nil, message
  end
  worker.pid, worker._link, worker._born = pid, link, core.monotonic()
  self._alive[worker] = true
  watch(self, worker)
  return worker
end

-- Not started again when it ends.
local function stopone(self, worker, grace)
  if worker.stopping then return end
  worker.stopping = true
  worker._link:shutdown("w")
  send(worker, "SIGTERM")
  worker._killer = core.spawn_later(grace or self.grace, function()
    say(self, "worker %d (pid %d) has not stopped in time: killed", worker.number, worker.pid)
    send(worker, "SIGKILL")
  end)
end

-- Slots ---------------------------------------------------------------------------------
-- A slot is a number and up to two workers: `current`, which is to serve, and
-- `next`, which is to take its place once it is ready.

local function startlater(self, slot, why)
  local delay = slot.delay
  slot.delay = math.min(delay * 2, LONGEST_DELAY)
  say(self, "worker %d %s; again in %g s", slot.number, why, delay)
  slot.timer = core.spawn_later(delay, post, self, "start", slot)
end

local function start(self, slot)
  if self.stopping or slot.next then return end
  local worker, message = forkworker(self, slot.number)
  if not worker then return startlater(self, slot, "cannot be forked: " .. message) end
  slot.next = worker
  worker._starting = core.spawn_later(self.start_timeout, function()
    say(self, "worker %d (pid %d) is not ready after %g s: killed", worker.number,
      worker.pid, self.start_timeout)
    send(worker, "SIGKILL")
  end)
end

local function cancel(timer)
  if timer then timer:kill(nil, false) end
end

-- Are all there, for the first time or again?
local function isready(self)
  for _, slot in ipairs(self._slots) do
    if not slot.current or slot.next then return false end
  end
  return true
end

local function settle(self)
  if self._settled or not isready(self) then return end
  self._settled = true
  self._begun = true
  if not self.notify then return end
  if self._kept > 0 then self.notify("ready", self._kept) else self.notify "ready" end
end

local on = {} -- what has happened: function(self, ...)

on.start = start

function on.ready(self, worker)
  local slot = self._slots[worker.number]
  cancel(worker._starting)
  if slot.next ~= worker then return end -- stopped meanwhile
  local before = slot.current
  slot.current, slot.next = worker, nil
  if before then stopone(self, before) end
  settle(self)
end

-- The first ones have to begin: what is wrong with them is wrong with the program.
local function failtostart(self, worker, code)
  self._failure = ("worker %d ended before it was ready (%s)"):format(worker.number,
    ending(code))
  on.stop(self)
end

function on.ended(self, worker, code)
  local slot = self._slots[worker.number]
  self._alive[worker] = nil
  cancel(worker._starting)
  cancel(worker._killer)
  worker._link:close()
  local was_next, was_current = slot.next == worker, slot.current == worker
  if was_next then slot.next = nil end
  if was_current then slot.current = nil end
  if self.stopping or worker.stopping then return end
  local why = ("(pid %d) ended: %s"):format(worker.pid, ending(code))
  if was_next and not self._begun then
    failtostart(self, worker, code)
  elseif was_next and slot.current then
    self._kept = self._kept + 1
    say(self, "worker %d %s; the former one stays", slot.number, why)
    settle(self)
  elseif was_current and slot.next then
    say(self, "worker %d %s; the next one is starting", slot.number, why)
  else
    if core.monotonic() - worker._born >= HEALTHY then slot.delay = FIRST_DELAY end
    startlater(self, slot, why)
  end
end

function on.reload(self)
  self._settled, self._kept = false, 0
  if self.notify then self.notify("reloading") end
  for _, slot in ipairs(self._slots) do
    slot.delay = FIRST_DELAY
    cancel(slot.timer)
    if slot.next then stopone(self, slot.next) end
    slot.next = nil
    start(self, slot)
  end
end

function on.stop(self, grace)
  if self.stopping then
    if grace ~= 0 then return end -- 0: the second Ctrl-C
  else
    self.stopping = true
    if self.notify then self.notify("stopping") end
  end
  for _, slot in ipairs(self._slots) do cancel(slot.timer) end
  for worker in pairs(self._alive) do
    cancel(worker._starting)
    stopone(self, worker, grace)
    if grace == 0 then send(worker, "SIGKILL") end
  end
end

function on.signal(self, name)
  self:signal(name)
end

-- Running ---------------------------------------------------------------------------------

local function handle(self, name, what, ...)
  local args = table.pack(...)
  self._handlers[#self._handlers + 1] = gsignal._handler(name, function()
    post(self, what, table.unpack(args, 1, args.n))
  end)
end

local function sethandlers(self)
  handle(self, "SIGTERM", "stop")
  handle(self, "SIGHUP", "reload")
  for _, name in ipairs(HANDED_ON) do handle(self, name, "signal", name) end
  local interrupts = 0
  self._handlers[#self._handlers + 1] = gsignal._handler("SIGINT", function()
    interrupts = interrupts + 1
    post(self, "stop", interrupts > 1 and 0 or nil)
  end)
end

-- However the supervision ends, by an error, too.
local function cleanup(self)
  for _, handler in ipairs(self._handlers) do handler:cancel() end
  for worker in pairs(self._alive) do
    worker._link:close()
    send(worker, "SIGTERM")
  end
  self.running = false
  self._ended:set()
end

--- Starts the workers and looks after them until they are to stop: by `stop`, or by
-- SIGTERM or SIGINT (a second SIGINT waits for nobody). SIGHUP is `reload`; SIGUSR1
-- and SIGUSR2 are handed on. A worker that ends otherwise is started again, at once if it had
-- lived for 5 s, else after a while that becomes longer each time.
-- Only the main greenlet may call it: a worker is a copy of the one that forks.
-- @return true; or nil, message, "worker" where one of the first workers has ended
-- before it was ready
function Supervisor:run()
  local _, main = coroutine.running()
  if not main then error("run: only the main greenlet can run workers", 2) end
  if self.running or self.stopping then error("run: the supervisor has run already", 2) end
  self.running, self._greenlet = true, core.getcurrent()
  local _cleanup <close> = setmetatable({}, {__close = function() cleanup(self) end})
  sethandlers(self)
  for _, slot in ipairs(self._slots) do start(self, slot) end
  while not (self.stopping and next(self._alive) == nil) do
    local happened = self._inbox:get()
    on[happened[1]](self, table.unpack(happened, 2))
  end
  if self._failure then return nil, self._failure, "worker" end
  return true
end

--- Stops the workers; those that have not ended by then are killed. Waits for
-- their end, unless the greenlet that calls is the one that runs the supervisor.
-- @tparam[opt] number timeout seconds; `grace` of the options unless told
function Supervisor:stop(timeout)
  if timeout ~= nil and (type(timeout) ~= "number" or not (timeout >= 0)) then
    error("bad argument #1 to 'stop' (seconds must be a number >= 0)", 2)
  end
  if not self.running then return end
  post(self, "stop", timeout)
  if core.getcurrent() ~= self._greenlet then self._ended:wait() end
end

Supervisor.close = Supervisor.stop
function Supervisor:__close(err) core.unwind(err, self.stop, self) end

--- Replaces each worker by a new one: first that begins, then the old one is
-- stopped. Where the new one ends before it is ready, the old one stays. Does not wait.
function Supervisor:reload()
  if self.running and not self.stopping then post(self, "reload") end
end

--- Sends a signal to all workers.
-- @param signal name or number
function Supervisor:signal(signal)
  for worker in pairs(self._alive) do send(worker, signal) end
end

--- The processes that there are.
-- @treturn {integer,...}
function Supervisor:pids()
  local list = {}
  for worker in pairs(self._alive) do list[#list + 1] = worker.pid end
  table.sort(list)
  return list
end

-- Making ------------------------------------------------------------------------------------

local function number(opts, name, default, least)
  local value = opts[name]
  if value == nil then return default end
  if type(value) ~= "number" or not (value >= least)
    or name == "workers" and math.type(value) ~= "integer" then
    misuse.bad(2, "Supervisor", ("%s: %s >= %d expected, got %s"):format(name,
      name == "workers" and "integer" or "number of seconds", least, tostring(value)))
  end
  return value
end

local OPTIONS = misuse.names "workers grace start_timeout log notify"

local function new(body, opts)
  if type(body) ~= "function" then
    misuse.bad(1, "Supervisor", misuse.expected("function", body))
  end
  opts = misuse.options(2, "Supervisor", opts, OPTIONS)
  local self = setmetatable({
    workers = number(opts, "workers", 1, 1),
    grace = number(opts, "grace", GRACE, 0),
    start_timeout = number(opts, "start_timeout", START_TIMEOUT, 0),
    log = opts.log == nil and io.stderr or opts.log,
    notify = opts.notify, -- function(what)
    running = false, stopping = false,
    _body = body,
    _inbox = core.Queue(), _ended = event.Event(), -- set when run() is over
    _handlers = {}, _slots = {}, -- by number
    _alive = {},      -- worker -> true: forked, and the end has not been heard of
    _begun = false,   -- all of them were ready once
    _settled = false, -- and are again, since the last reload
    _kept = 0,        -- how many of them that reload could not replace
  }, Supervisor)
  for i = 1, self.workers do
    self._slots[i] = {number = i, delay = FIRST_DELAY}
  end
  return self
end

--- Listening sockets for so many workers: the same one for all, or, with
-- `reuse_port`, one for each, among which the system spreads the connections. They
-- are to be opened by the supervisor, who keeps them open: what waits in the queue of
-- a worker that dies then waits for the one that takes its place.
-- @param listener as `socket.create_server`'s
-- @tparam integer n
-- @tparam[opt] table opts `create_server`'s
-- @treturn[1] {socket,...}
-- @return[2] nil, message, code
local function listen(listener, n, opts)
  if math.type(n) ~= "integer" or n < 1 then
    misuse.bad(2, "listen", ("integer > 0 expected, got %s"):format(tostring(n)))
  end
  opts = opts or {}
  local first, message, code = socket.create_server(listener, opts)
  if not first then return nil, message, code end
  local host, port = first:getsockname()
  local list = {first}
  for i = 2, n do list[i] = first end
  if not opts.reuse_port or not port then return list end -- a path is one socket's
  local address = (host:find(":", 1, true) and "[%s]:%d" or "%s:%d"):format(host, port)
  for i = 2, n do
    list[i], message, code = socket.create_server(address, opts)
    if not list[i] then
      for j = 1, i - 1 do list[j]:close() end
      return nil, message, code
    end
  end
  return list
end

--- Makes a supervisor.
-- @function Supervisor
-- @tparam function body `body(worker)` runs in each worker, and its end is the worker's
-- @tparam[opt] table opts `workers` (1); `grace` (30): seconds that a worker may
-- take to stop; `start_timeout` (30): seconds until it has to be ready; `log`:
-- a stream or a function for lines about what went wrong (stderr), or false;
-- `notify`: a function that is called with "ready" (all are; if a reload could not replace
-- some of them, their number comes second), "reloading", "stopping"
-- @treturn Supervisor
local function supervisor(body, opts)
  return new(body, opts)
end

--- Makes a supervisor and runs it: `Supervisor(body, opts):run()`.
-- @function run
-- @tparam function body
-- @tparam[opt] table opts
-- @return true; or nil, message, "worker"
local function run(body, opts)
  return new(body, opts):run()
end

return {Supervisor = supervisor, run = run, listen = listen}
