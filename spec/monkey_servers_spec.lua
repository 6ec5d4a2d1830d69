-- gevent.monkey: real servers, and clients that know nothing of gevent.

local helper = require "helper"
local monkey = require "helper_monkey"
local it = helper.it

local REDIS_PATH = ";/usr/share/lua/5.1/?.lua" -- where Debian has redis-lua

local function has_redis()
  local code = helper.run_lua(
    ("package.path = package.path .. %q require 'redis'"):format(REDIS_PATH))
  return code == 0 and monkey.program "redis-server"
end

-- redis-lua was written for a table.insert that took any position.
local REDIS = ([[
monkey.patch_all()
local insert = table.insert
table.insert = function(list, ...)
  local position, value = ...
  if select("#", ...) == 2 and position > #list then
    list[position] = value
  else
    insert(list, ...)
  end
end
package.path = package.path .. %q
local redis = require "redis"
local url = "unix://" .. arg[1]
local function connect()
  local client
  for _ = 1, 100 * SCALE do -- it may still be starting
    local ok, found = gevent.pcall(redis.connect, url)
    if ok and gevent.pcall(found.ping, found) then return found end
    gevent.sleep(0.05)
  end
  error "no answer from redis-server"
end
local client = connect()
client:flushall()
]]):format(REDIS_PATH)

describe("redis-lua", function()
  if not has_redis() then
    pending "is cooperative (redis-server, redis-lua or LuaSocket is not installed)"
    return
  end

  local directory, server, path
  setup(function()
    directory = monkey.directory()
    path = directory .. "/redis"
    server = monkey.start(("redis-server --port 0 --unixsocket %s --save '' --dir %s"):format(
      path, directory))
  end)
  teardown(function()
    server.stop()
    os.execute("rm -rf " .. directory)
  end)

  local function lua(code) return monkey.lua(REDIS .. code, {args = {path}}) end

  it("sends commands and pipelines", function()
    lua [[
      tick(function()
        assert(client:set("key", "value") and client:get "key" == "value")
        client:set("n", 0)
        parallel(20, function()
          local mine = connect()
          for _ = 1, 10 do mine:incr "n" end
          local replies = mine:pipeline(function(p)
            for _ = 1, 10 do p:incr "n" end
          end)
          assert(#replies == 10)
          mine:quit()
        end)
        assert(client:get "n" == "400")
        local big = ("x"):rep(1000000)
        client:set("big", big)
        assert(client:get "big" == big)
      end)
    ]]
  end)

  it("blocks 50 times at once", function()
    lua [[
      tick(function()
        local got = {}
        local poppers = {}
        for i = 1, 50 do
          poppers[i] = gevent.spawn(function()
            local mine = connect()
            got[tonumber(mine:blpop("jobs", 10)[2])] = true
            mine:quit()
          end)
        end
        gevent.sleep(0.1)
        for i = 1, 50 do client:rpush("jobs", i) end
        gevent.joinall(poppers, 10, {raise_error = true})
        for i = 1, 50 do assert(got[i], i) end
        local timed_out = client:blpop("nothing", 1)
        assert(timed_out == nil or #timed_out == 0)
      end)
    ]]
  end)

  it("publishes and subscribes, in generators", function()
    lua [[
      local heard, subscribed = {}, 0
      local listeners = {}
      for i = 1, 5 do
        listeners[i] = gevent.spawn(function()
          local mine = connect()
          heard[i] = {}
          for message, abort in mine:pubsub {subscribe = {"news"}, psubscribe = {"a*"}} do
            if message.kind:find "subscribe$" then
              subscribed = subscribed + 1
            elseif message.payload == "end" then
              abort()
              break
            else
              table.insert(heard[i], message.channel .. "=" .. message.payload)
            end
          end
        end)
      end
      tick(function()
        while subscribed < 10 do gevent.sleep(0.001) end
        client:publish("news", "one")
        client:publish("abc", "two")
      end)
      client:publish("news", "end")
      gevent.joinall(listeners, 10, {raise_error = true})
      for i = 1, 5 do assert(table.concat(heard[i], " "):find "^news=one abc=two", heard[i][1]) end
    ]]
  end)

  it("makes transactions, which block inside coroutines", function()
    lua [[
      client:set("n", 10)
      tick(function()
        local tries = 0
        local replies = client:transaction({watch = "n", cas = true, retry = 3}, function(t)
          tries = tries + 1
          local n = t:get "n"
          if tries == 1 then connect():incr "n" end -- somebody else
          t:multi()
          t:set("n", n * 2)
          t:get "n"
        end)
        assert(tries == 2 and #replies == 2)
      end)
      assert(tonumber(client:get "n") > 20)
    ]]
  end)

  for _, example in ipairs {
    {"redis_queue.lua", {"8", "2"}, "8 jobs, done by 2 processes\n$"},
    {"redis_chat.lua", {"demo"}, "2 hears: hello from the second\n$"},
  } do
    -- It starts itself again, as the checkers' interpreters cannot.
    local plain = os.getenv "GEVENT_SPEC_MODE" == "plain" and it or pending
    plain("example " .. example[1], function()
      lua "" -- it has started
      local code, out, err = helper.run_lua("examples/" .. example[1],
        {args = {"unix://" .. path, table.unpack(example[2])}})
      assert.equal(0, code, err)
      assert.matches(example[3], out)
    end)
  end
end)

-- PostgreSQL: start-up and simple queries of its protocol, over LuaSocket.
local POSTGRES = [[
monkey.patch_all()
local unix = require "socket.unix"
local function message(kind, body) return kind .. (">I4"):pack(#body + 4) .. body end
local function read(connection)
  local kind = assert(connection:receive(1))
  return kind, connection:receive((">I4"):unpack(assert(connection:receive(4))) - 4)
end
local function ready(connection)
  local rows = {}
  while true do
    local kind, body = read(connection)
    if kind == "Z" then return rows end
    if kind == "E" then error(body) end
    if kind == "D" then
      local row, at, n = {}, 3, (">I2"):unpack(body)
      for i = 1, n do row[i], at = (">s4"):unpack(body, at) end
      rows[#rows + 1] = row
    end
  end
end
local function try_connect()
  local connection = unix.stream()
  assert(connection:connect(arg[1] .. "/.s.PGSQL.5432"))
  connection:send(message("", (">I4"):pack(196608) .. "user\0spec\0database\0postgres\0\0"))
  ready(connection)
  return connection
end
local function connect()
  for _ = 1, 200 * SCALE do -- it may still be starting
    local ok, connection = gevent.pcall(try_connect)
    if ok then return connection end
    gevent.sleep(0.05)
  end
  error "no answer from PostgreSQL"
end
local function query(connection, sql)
  connection:send(message("Q", sql .. "\0"))
  return ready(connection)
end
]]

describe("PostgreSQL", function()
  local directories = monkey.output "ls -d /usr/lib/postgresql/*/bin 2>/dev/null"
  local postgres = monkey.program("postgres", ((directories or ""):gsub("\n", ":")))
  local isroot = monkey.output "id -u" == "0"
  local as = isroot and "setpriv --reuid=postgres --regid=postgres --clear-groups " or ""
  if not postgres or not monkey.has "socket.unix"
    or not os.execute(as .. "true 2>/dev/null") then
    pending "is talked to cooperatively (no server is installed)"
    return
  end

  local directory, server
  setup(function()
    directory = monkey.directory()
    if isroot then assert(os.execute("chown postgres " .. directory)) end
    assert(os.execute(("cd / && %s %s/initdb -A trust -U spec -N -D %s/data >/dev/null 2>&1")
      :format(as, postgres:match "^(.*)/", directory)))
    server = monkey.start(("%s %s -D %s/data -k %s -c listen_addresses= -c fsync=off")
      :format(as, postgres, directory, directory))
  end)
  teardown(function()
    server.stop()
    os.execute("rm -rf " .. directory)
  end)

  it("answers queries side by side", function()
    monkey.lua(POSTGRES .. [[
      local first = connect()
      local rows = query(first, "select 1 + 1, 'text' union all select 4, 'more' order by 1")
      assert(rows[1][1] == "2" and rows[1][2] == "text" and rows[2][2] == "more")
      assert(not pcall(query, first, "nonsense"))
      local connections = {}
      parallel(5, function(i) connections[i] = connect() end)
      local now = require("gevent.time").monotonic
      tick(function()
        local start = now()
        parallel(5, function(i)
          local sql = ("select pg_sleep(0.3), %d"):format(i)
          assert(query(connections[i], sql)[1][2] == tostring(i))
        end)
        assert(now() - start < 1.2 * SCALE)
      end)
      for _, connection in ipairs(connections) do connection:close() end
    ]], {args = {directory}})
  end, {deadline = 60})
end)
