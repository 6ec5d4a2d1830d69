-- usage: lua5.4 examples/concurrent_fetch.lua 5
-- Several TCP clients at once: five requests to a server that takes 0.2
-- seconds for each are answered in 0.2 seconds altogether, because the
-- greenlets wait at the same time. Server and clients share one process.
-- The argument is the number of requests (5).
local gevent = require "gevent"
local socket = require "gevent.socket"
local StreamServer = require "gevent.server".StreamServer

local DELAY = 0.2 -- seconds that the server needs for an answer

-- The server: one line comes, one line goes back, after a while.
local function answer(sock)
  local name = sock:read("l")
  if not name then return end
  gevent.sleep(DELAY) -- the other connections are served meanwhile
  sock:sendall(("the answer to %s\n"):format(name))
end

-- A client: connects, asks, reads. Everything here may block.
local function fetch(port, name)
  local sock <close>, message = socket.create_connection("127.0.0.1", port, {timeout = 2})
  if not sock then return nil, message end
  sock:settimeout(2)
  local ok
  ok, message = sock:sendall(name .. "\n")
  if not ok then return nil, message end
  return sock:read("l")
end

local function main(count)
  local server <close> = StreamServer("127.0.0.1:0", answer) -- any free port
  assert(server:start())
  local fetchers = {}
  for i = 1, count do
    fetchers[i] = gevent.spawn(fetch, server.port, "question " .. i)
  end
  local done = gevent.joinall(fetchers, 2 * DELAY)
  print(("%d of %d answers within %.1f seconds"):format(#done, count, 2 * DELAY))
  for i, fetcher in ipairs(fetchers) do
    local line, message = fetcher:get() -- would raise what fetch had raised
    print(i, line or message)
  end
end

main(math.tointeger(tonumber(arg[1] or 5)))
