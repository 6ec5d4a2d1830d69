-- The thread pool, and coroutines of the user's.
local gevent = require "gevent"
local coroutine = require "gevent.coroutine"
local threadpool = require "gevent.threadpool"

return _G.guarded(function()
  local pool = threadpool.ThreadPool(2)
  local _ <close> = setmetatable({}, {__close = function() pool:kill() end})
  assert(pool:apply(function(t) return t.x + 1 end, {x = 1}) == 2)
  assert(pool:map(function(x) return {x, {x}} end, {1, 2, 3})[3][1] == 3)
  local result = pool:spawn(function() error({"an error", {1}}) end)
  local ok, err = gevent.pcall(result.get, result)
  assert(not ok)
  if type(err) ~= "table" then error(err, 0) end
  local n = 0
  for x in pool:imap_unordered(function(x) return x * x end, {1, 2, 3}) do n = n + x end
  assert(n == 14)

  local next_one = coroutine.wrap(function()
    for i = 1, 3 do
      gevent.sleep(0)
      coroutine.yield(i)
    end
  end)
  assert(next_one() + next_one() + next_one() == 6)
  local co = coroutine.create(function()
    local _ <close> = setmetatable({}, {__close = function() end})
    gevent.sleep(60)
  end)
  local victim = gevent.spawn(coroutine.resume, co)
  gevent.sleep(0)
  assert(coroutine.status(co) == "normal" or victim:ready())
  victim:kill()
  coroutine.close(co)
end)
