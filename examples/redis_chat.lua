-- usage: lua5.4 examples/redis_chat.lua redis://127.0.0.1:6379 demo
-- A chat that is spread over several processes: whoever is connected to one of
-- them hears what is said in all, by Redis pub/sub. The client is redis-lua,
-- which knows nothing of gevent: its generators block only their greenlet.
-- Arguments: the server (redis://host:port or unix://path), and the port of
-- this process, or "demo", which starts two processes and talks to both.
-- needs: redis-server, redis-lua
local gevent = require "gevent"
require("gevent.monkey").patch_all()
local Event = require("gevent.event").Event
local Queue = require("gevent.queue").Queue
local socket = require "gevent.socket"
local subprocess = require "gevent.subprocess"
local StreamServer = require "gevent.server".StreamServer

package.path = package.path .. ";/usr/share/lua/5.1/?.lua" -- Debian's lua-redis
local redis = require "redis"

local CHANNEL = "example:chat"
local url, what = arg[1], arg[2]
if not what then error("usage: redis_chat.lua SERVER PORT|demo", 0) end

local function serve(port)
  local people = {} -- socket -> true: those connected to this process
  local said, subscribed = Queue(100), Event()

  -- A connection to Redis is for one greenlet at a time: this one speaks ...
  gevent.spawn(function()
    local publisher = redis.connect(url)
    for line in said:iter() do publisher:publish(CHANNEL, line) end
  end)

  -- ... and this one listens: what is said anywhere goes to everybody here.
  gevent.spawn(function()
    for message in redis.connect(url):pubsub {subscribe = {CHANNEL}} do
      if message.kind == "subscribe" then
        subscribed:set()
      else
        for person in pairs(people) do
          gevent.spawn(person.sendall, person, message.payload .. "\n", 5)
        end
      end
    end
  end)

  local server <close> = StreamServer("127.0.0.1:" .. port, function(person)
    people[person] = true
    local _ <close> = setmetatable({}, {__close = function() people[person] = nil end})
    person:sendall "welcome\n"
    for line in person:lines() do said:put(line) end
  end)
  subscribed:wait()
  assert(server:start())
  print(server.port)
  io.stdout:flush()
  server:serve_forever()
end

local function demo()
  local processes, people = {}, {}
  for i = 1, 2 do
    local process = assert(subprocess.Popen({arg[-1], arg[0], url, "0"},
      {stdout = subprocess.PIPE}))
    local port = tonumber(process.stdout:read())
    processes[i] = process
    people[i] = assert(socket.create_connection("127.0.0.1", port))
    assert(people[i]:read() == "welcome")
  end
  people[1]:sendall "hello from the first process\n"
  for i, person in ipairs(people) do print(i .. " hears: " .. person:read()) end
  people[2]:sendall "hello from the second\n"
  for i, person in ipairs(people) do print(i .. " hears: " .. person:read()) end
  for i, process in ipairs(processes) do
    people[i]:close()
    process:terminate()
    process:wait()
  end
end

if what == "demo" then demo() else serve(what) end
