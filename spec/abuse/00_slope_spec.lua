-- What is abused again and again leaves nothing behind: each of these is done a
-- few hundred times (GEVENT_SPEC_REPEAT of them), and memory stays where it was
-- after the first ones. The numbers are the rows of docs/robustness.md.
local helper = require "helper"
local gevent = require "gevent"
local event = require "gevent.event"
local queue = require "gevent.queue"
local server = require "gevent.server"
local socket = require "gevent.socket"
local it = helper.it

local REPEAT = tonumber(os.getenv "GEVENT_SPEC_REPEAT") or 200
local ALLOWED = 16 -- bytes for each repetition

local silent = {write = function() end}

local function closing(...)
  local all = {...}
  return helper.defer(function()
    for _, sock in ipairs(all) do sock:close() end
  end)
end

-- Each gives a function that is called again and again, and one for the end.
local rows = {}

rows["1: kill in a wait"] = function()
  local flag, q = event.Event(), queue.Queue()
  local a, b = helper.pair()
  return function()
    local victims = {gevent.spawn(flag.wait, flag), gevent.spawn(q.get, q),
      gevent.spawn(a.recv, a, 1), gevent.spawn(gevent.sleep, 60)}
    gevent.sleep(0)
    gevent.killall(victims)
  end, function()
    a:close()
    b:close()
  end
end

rows["2: close while another waits"] = function()
  return function()
    local a, b = helper.pair()
    local _ <close> = closing(a, b)
    local reader = gevent.spawn(a.recv, a, 1)
    gevent.sleep(0)
    a:close()
    assert(select(3, reader:get()) == "EBADF")
  end
end

rows["4: two readers"] = function()
  local a, b = helper.pair()
  local reader = gevent.spawn(a.recv, a, 1)
  gevent.sleep(0)
  return function()
    assert(not pcall(a.recv, a, 1))
  end, function()
    reader:kill()
    a:close()
    b:close()
  end
end

rows["7: sockets that nobody refers to"] = function()
  return function()
    helper.pair()
    collectgarbage()
  end
end

rows["8: LoopExit, again and again"] = function()
  local main = event.Event()
  return function()
    local ok, err = pcall(main.wait, main)
    assert(not ok and gevent.isinstance(err, gevent.LoopExit))
  end
end

rows["9: errors in handlers"] = function()
  local stream = gevent.get_hub().exception_stream
  gevent.get_hub().exception_stream = false
  local srv = server.StreamServer("127.0.0.1:0", function() error({}) end,
    {error_log = silent})
  assert(srv:start())
  return function()
    local sock <close> = assert(socket.create_connection("127.0.0.1", srv.port))
    assert(sock:recv(1) == "")
  end, function()
    srv:stop(1)
    gevent.get_hub().exception_stream = stream
  end
end

rows["19: time-outs in one another, and in __close"] = function()
  return function()
    assert(select(3, gevent.with_timeout(0.0005, function()
      local _ <close> = helper.defer(function()
        gevent.with_timeout(0.0005, gevent.sleep, 60)
      end)
      gevent.with_timeout(60, gevent.sleep, 60)
    end)) == "timeout")
  end
end

rows["20: a kill and data in one turn"] = function()
  return function()
    local a, b = helper.pair()
    local _ <close> = closing(a, b)
    local reader = gevent.spawn(a.recv, a, 1)
    gevent.sleep(0)
    b:sendall("x")
    reader:kill(nil, false)
    reader:join()
  end
end

rows["21: errors in __gc and __close"] = function()
  return function()
    setmetatable({}, {__gc = function() error("ignored", 0) end})
    local ok = pcall(function()
      local _ <close> = helper.defer(function() error({}) end)
      gevent.sleep(0)
    end)
    assert(not ok)
  end
end

rows["23: a peer that is gone"] = function()
  return function()
    local a, b = helper.tcp_pair()
    local _ <close> = closing(a, b)
    b:setsockopt("linger", 0)
    b:close()
    a:sendall(("x"):rep(100000))
    assert(not a:sendall("more"))
  end
end

rows["34: greenlets that join each other"] = function()
  return function()
    local one, other
    one = gevent.spawn(function() other:join() end)
    other = gevent.spawn(function() one:join() end)
    gevent.sleep(0)
    gevent.killall{one, other}
  end
end

rows["35: servers that come and go"] = function()
  return function()
    local srv = server.StreamServer("127.0.0.1:0", function(sock) sock:recv(1) end)
    assert(srv:start())
    local sock <close> = assert(socket.create_connection("127.0.0.1", srv.port))
    gevent.sleep(0)
    srv:stop(0)
    assert(sock:recv(1) == "")
  end
end

local function memory()
  for _ = 1, 3 do collectgarbage() end
  return collectgarbage("count") * 1024
end

describe("hundreds of times over", function()
  local names = {}
  for name in pairs(rows) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    -- LoopExit comes only where no timer runs
    local opts = {deadline = not name:find("LoopExit") and 10 + REPEAT / 10}
    it(name, function()
      local act, finish = rows[name]()
      local _ <close> = helper.defer(finish or function() end)
      for _ = 1, 50 do act() end
      local before = memory()
      for _ = 1, REPEAT do act() end
      local more = memory() - before
      assert.is_true(more < ALLOWED * REPEAT + 4096, ("%d bytes more"):format(more))
    end, opts)
  end
end)
