---@meta gevent.workers
-- Made by `make types` from lua/gevent/workers.lua: change that.

---Several processes, one for each core, and one that looks after them.
---The supervisor forks the workers, starts again what ends, and stops all of them
---in good order. It does nothing else: what it has loaded, each worker has a copy of.
---
---    local workers = require "gevent.workers"
---    assert(workers.run(function(worker)
---      worker:serve(http.Server(listener, require "app"))
---    end, {workers = 4}))
---
---Servers have it as an option: `http.Server(":8080", handler, {workers = 4})`.
---See `docs/deployment.md`.
---@class gevent.workers
local M = {}

---What the function of a worker gets. Fields: `number`, 1 to the number of
---workers; `pid`; `stopping`, a boolean.
---@class gevent.workers.Worker
local Worker = {}

---Tells the supervisor that the work has begun. Until then it is starting, and
---nobody that it is to replace is stopped. Does nothing when called again.
function Worker:ready() end

---Waits until this worker is to end; says that it is ready.
---@param timeout? number seconds
---@return boolean
function Worker:wait(timeout) end

---Runs servers until the worker is to end, and then stops them: no new
---connections, and those that are there get the time of `grace`. It also returns
---when all of them were stopped.
---@param ... any servers
function Worker:serve(...) end

---@class gevent.workers.Supervisor
local Supervisor = {}

---Starts the workers and looks after them until they are to stop: by `stop`, or by
---SIGTERM or SIGINT (a second SIGINT waits for nobody). SIGHUP is `reload`; SIGUSR1
---and SIGUSR2 are handed on. A worker that ends otherwise is started again, at once if it had
---lived for 5 s, else after a while that becomes longer each time.
---Only the main greenlet may call it: a worker is a copy of the one that forks.
---@return boolean? # true; or nil, message, "worker" where one of the first workers has ended before it was ready
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function Supervisor:run() end

---Stops the workers; those that have not ended by then are killed. Waits for
---their end, unless the greenlet that calls is the one that runs the supervisor.
---@param timeout? number seconds; `grace` of the options unless told
function Supervisor:stop(timeout) end

---Replaces each worker by a new one: first that begins, then the old one is
---stopped. Where the new one ends before it is ready, the old one stays. Does not wait.
function Supervisor:reload() end

---Sends a signal to all workers.
---@param signal any name or number
function Supervisor:signal(signal) end

---The processes that there are.
---@return integer[]
function Supervisor:pids() end

---Listening sockets for so many workers: the same one for all, or, with
---`reuse_port`, one for each, among which the system spreads the connections. They
---are to be opened by the supervisor, who keeps them open: what waits in the queue of
---a worker that dies then waits for the one that takes its place.
---@param listener any as `socket.create_server`'s
---@param n integer
---@param opts? table `create_server`'s
---@return gevent.socket.socket[]?
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.listen(listener, n, opts) end

---Makes a supervisor.
---@param body function `body(worker)` runs in each worker, and its end is the worker's
---@param opts? table `workers` (1); `grace` (30): seconds that a worker may take to stop; `start_timeout` (30): seconds until it has to be ready; `log`: a stream or a function for lines about what went wrong (stderr), or false; `notify`: a function that is called with "ready" (all are; if a reload could not replace some of them, their number comes second), "reloading", "stopping"
---@return gevent.workers.Supervisor
function M.Supervisor(body, opts) end

---Makes a supervisor and runs it: `Supervisor(body, opts):run()`.
---@param body function
---@param opts? table
---@return boolean? # true; or nil, message, "worker"
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.run(body, opts) end

return M
