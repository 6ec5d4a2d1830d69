-- usage: lua5.4 examples/hash_pool.lua README.md LICENSE Makefile
-- Prints a checksum (Adler-32, in pure Lua) of each file that is named. The
-- files are read by greenlets, the sums computed in threads, one for each
-- processor, while the main thread stays free for others.
local gevent = require "gevent"
local fileobject = require "gevent.fileobject"
local pool = require "gevent.pool"
local threadpool = require "gevent.threadpool"

local PROCESSORS, READERS = 2, 8

-- Runs in a thread: it has no upvalues, and what it is given is copied.
local function adler32(text)
  local a, b = 1, 0
  for i = 1, #text do
    a = (a + text:byte(i)) % 65521
    b = (b + a) % 65521
  end
  return ("%08x"):format(b << 16 | a)
end

local threads <close> = threadpool.ThreadPool(PROCESSORS)

local function sum(path)
  local file <close>, message = fileobject.open(path, "rb")
  if not file then return message end
  local text, err = file:read("a")
  return text and threads:apply(adler32, text) or err
end

local turns = 0
gevent.spawn_raw(function() -- what else there is to do
  while true do
    gevent.sleep(0.001)
    turns = turns + 1
  end
end)

local sums = pool.Pool(READERS):map(sum, arg)
for i, path in ipairs(arg) do print(sums[i], path) end
io.stderr:write(("the main thread had %d turns meanwhile\n"):format(turns))
