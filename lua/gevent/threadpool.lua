--- Lua functions in OS threads: real parallelism, for work that computes.
-- Each thread has a Lua state of its own, so nothing is shared: a function
-- travels as its bytecode, and may have no upvalues but its globals, which are
-- those of the thread; or it is named, `"module", "function"`, and the thread
-- requires the module. Arguments and results are copied: nil, booleans, numbers,
-- strings, and tables of these (shared tables and circles stay so); anything
-- else is an error that says where it stands.
-- @module gevent.threadpool
local core = require "gevent._core"
local misuse = require "gevent._misuse"
local event = require "gevent.event"
local sequences = require "gevent._imap"

local DEFAULT_SIZE = 10

-- What is sent -----------------------------------------------------------------------

-- A function as it is sent: its bytecode, or the module and name.
local Code = {__name = "Code", __call = true}

-- Raises for a function that needs more than its globals.
local function dump(fn, caller, level)
  local i = 1
  while true do
    local name, value = debug.getupvalue(fn, i)
    if not name then break end
    if name ~= "_ENV" and value ~= _G then
      error(("bad argument #1 to '%s' (the function has the upvalue '%s', which "
        .. "another thread has not: pass it as an argument)"):format(caller, name),
        level + 1)
    end
    i = i + 1
  end
  if debug.getinfo(fn, "S").what == "C" then
    error(("bad argument #1 to '%s' (a C function: name it, as in \"string\", "
      .. "\"rep\")"):format(caller), level + 1)
  end
  return string.dump(fn)
end

-- The code that the first arguments name, and the other arguments.
local function codeof(caller, level, first, ...)
  if type(first) == "function" then
    return setmetatable({dump(first, caller, level + 1)}, Code), ...
  end
  local name = ...
  if type(first) ~= "string" or type(name) ~= "string" then
    error(("bad argument #1 to '%s' (a function, or the names of a module and a "
      .. "function, expected, got %s)"):format(caller, type(first)), level + 1)
  end
  return setmetatable({first, name}, Code), select(2, ...)
end

-- ThreadPool ---------------------------------------------------------------------------

local ThreadPool = {__name = "ThreadPool"}

local readable = {
  size = function(self) return self._threads:threads() end,
  maxsize = function(self) return self._maxsize end,
}

function ThreadPool:__index(key)
  local read = readable[key]
  if read then return read(self) end
  return ThreadPool[key]
end

local function checksize(size)
  if math.type(size) ~= "integer" or size < 1 or size > 1024 then
    misuse.bad(1, "ThreadPool", ("a size is an integer from 1 to 1024, got %s"):format(
      type(size) == "number" and size or type(size)))
  end
end

function ThreadPool:__newindex(key, value)
  if key == "size" then error("field 'size' of a ThreadPool is read-only", 2) end
  if key ~= "maxsize" then return rawset(self, key, value) end
  checksize(value)
  local more = value - self._maxsize
  self._maxsize = value
  self._threads:resize(value)
  for _ = 1, more do self._slots:release() end
  self._surplus = self._surplus + math.max(0, -more)
end

-- A task is over: makes room, unless the pool has become smaller.
local function leave(self)
  if self._surplus > 0 then
    self._surplus = self._surplus - 1
  else
    self._slots:release()
  end
  self._count = self._count - 1
  if self._count == 0 then self._empty:set() end
end

-- Gives a result what its task has come to.
local function setresult(result, quiet, ok, bytes)
  if ok then
    result:set(core.thaw(bytes))
  elseif not bytes then
    result:set_exception("not enough memory in a thread")
  else
    local err
    err, result.traceback = core.thaw(bytes)
    if err == nil then err = "nil" end
    result:set_exception(err)
    if not quiet then core.report(result, err, result.traceback) end
  end
end

-- The task in hand is done with; unless kill has seen to it.
local function settled(self)
  local id = self._inhand
  if self._results[id] then
    self._results[id], self._quiet[id] = nil, nil
    leave(self)
  end
  self._inhand = false
end

-- Takes what the threads have done, as long as they do something.
local function take(self)
  for id, ok, bytes in self._threads.next, self._threads do
    self._inhand = id
    local result, quiet = self._results[id], self._quiet[id]
    local fine, err = pcall(setresult, result, quiet, ok, bytes)
    if not fine and result then
      result:set_exception(err)
      if not quiet then core.report(result, err) end
    end
    settled(self)
  end
end

-- Nobody will hear of what is under way.
local function lose(self, message)
  self._threads:forget()
  take(self)
  for id, result in pairs(self._results) do
    self._results[id], self._quiet[id] = nil, nil
    leave(self)
    result:set_exception(message)
  end
end

-- It does not end before its tasks, unless hub:destroy unwinds it.
local Dispatcher = {__close = function(job, err)
  if err == nil and job.pool._count > 0 then lose(job.pool, "the hub was destroyed") end
end}

local function dispatch(self)
  local _ <close> = setmetatable({pool = self}, Dispatcher)
  take(self)
  self._dispatcher = nil
end

-- Sees to it that somebody takes what the threads have done.
local function watch(self)
  local dispatcher = self._dispatcher -- hub:destroy ends it
  if dispatcher and not dispatcher.dead then return end
  dispatcher = core.spawn(dispatch, self)
  dispatcher:rawlink(self._failed)
  self._dispatcher = dispatcher
end

-- The dispatcher lacked memory: so did the task that it had in hand, and the
-- others go to a new one. Runs in the hub.
local function failed(self, dispatcher)
  if dispatcher.exception == nil then return end
  if self._inhand then
    local result = self._results[self._inhand]
    if result then result:set_exception(dispatcher.exception) end
    settled(self)
  end
  watch(self)
end

-- The child of a fork has the pools, without the parent's tasks.
local pools = setmetatable({}, {__mode = "k"})
core.fork_hooks = core.fork_hooks or {}
table.insert(core.fork_hooks, function()
  for pool in pairs(pools) do
    pool._dispatcher = nil
    lose(pool, "left in the parent by fork")
  end
end)

local function submit(self, id, quiet, code, ...)
  if self._closed then error("the thread pool is closed", 0) end
  local result = event.AsyncResult()
  self._results[id], self._quiet[id] = result, quiet
  watch(self)
  local ok, message, errcode = self._threads:submit(id, code[1], code[2], ...)
  if ok then return result end
  if errcode then error(message, 0) end
  error(("%s, which cannot be copied to a thread"):format(message), 0)
end

-- Waits for room, then sends a task. An error of a quiet one is not printed: it
-- is raised in somebody who waits.
local function send(self, level, quiet, code, ...)
  if self._closed then error("the thread pool is closed", level + 1) end
  self._slots:acquire()
  local id = self._next
  self._next = id + 1
  local ok, result = pcall(submit, self, id, quiet, code, ...)
  if not ok then
    self._results[id], self._quiet[id] = nil, nil
    self._slots:release()
    error(result, level + 1)
  end
  self._count = self._count + 1
  self._empty:clear()
  return result
end

--- Runs a function in a thread. Waits for room where as many tasks as the pool
-- has threads, and one more, are under way. An error is printed, as that of a
-- greenlet is, and raised by the result's `get`; `result.traceback` is the
-- thread's.
-- @param fn function, or module name followed by a function name
-- @param ... its arguments
-- @treturn AsyncResult
function ThreadPool:spawn(fn, ...)
  return send(self, 2, false, codeof("spawn", 2, fn, ...))
end

--- Runs a function in a thread and waits for its results. A kill or Timeout
-- ends the wait, not the work.
function ThreadPool:apply(fn, ...)
  return send(self, 2, true, codeof("apply", 2, fn, ...)):get()
end

--- The same without waiting, also not for room.
-- @treturn Greenlet
function ThreadPool:apply_async(fn, ...)
  local packed = table.pack(codeof("apply_async", 2, fn, ...))
  return core.spawn(function()
    return send(self, 2, true, table.unpack(packed, 1, packed.n)):get()
  end)
end

-- What _imap takes for a pool.
local function spawner(self)
  return {spawn = function(_, code, ...) return send(self, 0, true, code, ...) end}
end

--- Calls a function for each item of a sequence, in the threads.
-- @param fn function, or module name followed by a function name
-- @param seq list, or iterator function
-- @treturn table the results in the order of the items; raises the first error
function ThreadPool:map(fn, ...)
  local code, seq = codeof("map", 2, fn, ...)
  return sequences.map(spawner(self), code, {seq})
end

--- `map` without waiting.
-- @treturn Greenlet whose value is the list
function ThreadPool:map_async(fn, ...)
  local code, seq = codeof("map_async", 2, fn, ...)
  return core.spawn(sequences.map, spawner(self), code, {seq})
end

--- The results one by one, in the order of the items.
-- @param fn function, or module name followed by a function name
-- @param seq list, or iterator function
-- @tparam[opt] table opts `maxsize`: how many results may wait to be taken
-- @treturn function iterator
function ThreadPool:imap(fn, ...)
  local code, seq, opts = codeof("imap", 2, fn, ...)
  return sequences.imap(spawner(self), code, {seq}, opts, true)
end

--- The results one by one, in the order they come.
function ThreadPool:imap_unordered(fn, ...)
  local code, seq, opts = codeof("imap_unordered", 2, fn, ...)
  return sequences.imap(spawner(self), code, {seq}, opts, false)
end

--- Waits until nothing is under way.
-- @tparam[opt] number timeout seconds
-- @treturn boolean false at expiry
function ThreadPool:join(timeout)
  misuse.seconds(1, "join", timeout)
  return core.eventwait(self._empty, timeout, "ThreadPool:join")
end

--- Gives the pool up. Results that are not there yet fail; threads end when
-- they have done what they are in. Idempotent.
function ThreadPool:kill()
  if self._closed then return end
  self._closed = true
  lose(self, "the thread pool was closed")
  self._threads:close()
end

misuse.methods(ThreadPool, "_threads")
ThreadPool.close = ThreadPool.kill

function ThreadPool:__close(err)
  if err == nil then self:join() end
  self:kill()
end

--- How many tasks are under way.
function ThreadPool:__len() return self._count end

function ThreadPool:__tostring()
  return ("<ThreadPool at %p size %d of %d, %d tasks>"):format(self, self.size,
    self.maxsize, self._count)
end

--- Makes a pool. Threads begin when they are needed, and end when they have had
-- nothing to do for 5 seconds.
-- @function ThreadPool
-- @tparam[opt=10] integer maxsize threads at most
local function new(maxsize)
  if maxsize == nil then maxsize = DEFAULT_SIZE end
  checksize(maxsize)
  local empty = core.Event()
  empty:set()
  local self
  self = setmetatable({
    _threads = core.newthreadpool(maxsize), _maxsize = maxsize,
    _slots = core.Semaphore(maxsize + 1),
    _surplus = 0, -- slots to be taken back, after the pool was made smaller
    _results = {}, _quiet = {}, _next = 1, -- AsyncResults by the number of the task
    _count = 0, _empty = empty, _closed = false, _dispatcher = nil,
    _failed = function(dispatcher) failed(self, dispatcher) end,
    _inhand = false, -- the number of the task whose result is being set
  }, ThreadPool)
  pools[self] = true
  return self
end

return {ThreadPool = new}
