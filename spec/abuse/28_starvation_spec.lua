-- Greenlets that never wait for long, sockets that are always ready: the others have
-- their turn, timers and connections too. One that computes is told of.

local helper = require "helper"
local event = require "gevent.event"
local fileobject = require "gevent.fileobject"
local gevent = require "gevent"
local gos = require "gevent.os"
local lock = require "gevent.lock"
local queue = require "gevent.queue"
local select = require "gevent.select"
local server = require "gevent.server"
local socket = require "gevent.socket"
local it, closing = helper.it, helper.closing

local over -- whether the hogs are to end

-- Each starts greenlets that are busy until `over`, and returns what closes the rest.
local hogs = {}

local function busy(fn, ...)
  gevent.spawn(function(...)
    while not over do fn(...) end
  end, ...)
end

hogs["sleep(0)"] = function()
  for _ = 1, 20 do busy(gevent.sleep, 0) end
end

hogs["spawns of spawns"] = function()
  local function again()
    if not over then gevent.spawn(again) end
  end
  for _ = 1, 5 do again() end
end

hogs["links of links"] = function()
  local function again()
    if not over then gevent.spawn(function() end):rawlink(again) end
  end
  for _ = 1, 5 do again() end
end

hogs["two queues, to and fro"] = function()
  local a, b = queue.Queue(1), queue.Queue(1)
  busy(function()
    a:put(1)
    b:get(1)
  end)
  busy(function()
    if a:get(0.001) then b:put(1, 0.001) end
  end)
end

hogs["a channel"] = function()
  local c = queue.Channel()
  busy(c.put, c, 1, 0.001)
  busy(c.get, c, 0.001)
end

hogs["a lock that is handed round"] = function()
  local s = lock.Semaphore(1)
  for _ = 1, 5 do
    busy(function()
      local _held <close> = s:hold()
      gevent.sleep(0)
    end)
  end
end

hogs["waits that are over"] = function()
  local e = event.Event()
  e:set()
  busy(function()
    e:wait()
    gevent.wait({e})
    gevent.sleep(0)
  end)
end

hogs["short time-outs"] = function()
  for _ = 1, 5 do busy(gevent.with_timeout, 0, gevent.sleep, 1) end
end

--- A function that closes these.
local function closes(...)
  local all = {...}
  return function()
    for _, each in ipairs(all) do each:close() end
  end
end

local function always_ready(a, b, use)
  busy(function()
    if not b:sendall(("x"):rep(65536), 0.01) then gevent.sleep(0) end
  end)
  busy(function() use(a) end)
  return closes(a, b)
end

hogs["a socket that is always readable"] = function()
  local a, b = helper.pair()
  return always_ready(a, b, function(sock) sock:recv(100, 0.01) end)
end

hogs["lines that are there already"] = function()
  local a, b = helper.pair()
  busy(function() b:sendall(("line\n"):rep(10000), 0.01) end)
  a:settimeout(0.01)
  busy(function() a:read("l") end)
  return closes(a, b)
end

-- These once never gave way: whoever sent datagrams and found them there at once kept all
-- others from their turn, timers and Ctrl-C included.
hogs["datagrams to oneself"] = function()
  local sock = assert(socket.socket("inet", "dgram"))
  assert(sock:bind("127.0.0.1", 0))
  local _, port = sock:getsockname()
  sock:settimeout(0.01)
  busy(function()
    sock:sendto("x", "127.0.0.1", port)
    sock:recvfrom(10)
  end)
  return closes(sock)
end

hogs["datagrams of a pair"] = function()
  local a, b = assert(socket.socketpair("unix", "dgram"))
  busy(function()
    a:send("x")
    b:recv(1)
  end)
  return closes(a, b)
end

hogs["descriptors that are handed over"] = function()
  local a, b = helper.pair()
  busy(function()
    a:sendfds("x", {})
    b:recvfds(1, 1)
  end)
  return closes(a, b)
end

hogs["a pipe, as a file"] = function()
  local r, w = assert(gos.pipe())
  r, w = assert(fileobject.FileObject(r)), assert(fileobject.FileObject(w))
  busy(function()
    w:write("x\n")
    r:read("l")
  end)
  return closes(r, w)
end

hogs["a pipe, as two numbers"] = function()
  local r, w = assert(gos.pipe())
  busy(function()
    gos.nb_write(w, "x")
    gos.nb_read(r, 1)
  end)
  return function()
    gos.close(r)
    gos.close(w)
  end
end

hogs["a descriptor that is always ready"] = function()
  local a, b = helper.pair()
  b:sendall("x")
  busy(socket.wait_read, a:fileno())
  return closes(a, b)
end

hogs["select of what is always ready"] = function()
  local a, b = helper.pair()
  busy(select.select, {a}, {a, b})
  return closes(a, b)
end

hogs["poll of what is always ready"] = function()
  local a, b = helper.pair()
  local set = select.poll()
  set:register(a, "rw")
  busy(set.poll, set)
  return closes(a, b)
end

hogs["a listener that always has a connection"] = function()
  local path = "@gevent spec of starvation " .. gos.getpid()
  local listener = assert(socket.create_server("unix:" .. path))
  busy(function()
    local a <close> = assert(socket.socket("unix"))
    assert(a:connect(path))
    local b <close> = assert(listener:accept())
    assert(b.fileno)
  end)
  return closes(listener)
end

hogs["regular files"] = function()
  local f = assert(fileobject.open("/dev/zero"))
  busy(f.read, f, 10)
  return closes(f)
end

hogs["look-ups of what is no name"] = function()
  busy(socket.getaddrinfo, "127.0.0.1", 80)
end

hogs["a flood of connections"] = function()
  local srv = server.StreamServer("127.0.0.1:0", function(sock) sock:recv(1) end)
  assert(srv:start())
  for _ = 1, 10 do
    busy(function()
      local sock = socket.create_connection("127.0.0.1", srv.port)
      if sock then sock:close() end
    end)
  end
  return function() srv:stop(0) end
end

describe("nobody is starved by", function()
  for name, start in pairs(hogs) do
    it(name, function()
      over = false
      local a, b = helper.pair()
      local echo = gevent.spawn(function()
        while true do
          local data = b:recv(10)
          if data == "" then return true end
          b:sendall(data)
        end
      end)
      local finish = start()
      -- Timers, queues and sockets: these wait on conditions only.
      local q = queue.Queue()
      for i = 1, 3 do
        gevent.spawn_later(0.0005, q.put, q, i)
        assert.equal(i, q:get(8 * helper.scale))
        assert.is_true(a:sendall("x"))
        assert.equal("x", a:recv(1, 8 * helper.scale))
        gevent.sleep(0)
      end
      over = true
      if finish then
        gevent.sleep(0.02) -- those that wait see it
        finish()
      end
      a:close()
      assert.is_true(echo:get())
      b:close()
      helper.wait_until(function() return gevent.get_hub():stats().greenlets == 0 end)
    end, {deadline = 30})
  end
end)

describe("starvation", function()
  it("of I/O and timers by sleep(0) loops does not happen", function()
    local stop = false
    local list = {}
    for i = 1, 100 do
      list[i] = gevent.spawn(function()
        while not stop do gevent.sleep(0) end
      end)
    end
    gevent.sleep(0.02)
    stop = true
    gevent.joinall(list)
  end)

  it("by callbacks that spawn callbacks does not happen", function()
    local stop = false
    local function again()
      if not stop then gevent.spawn_raw(again) end
    end
    gevent.spawn_raw(again)
    gevent.sleep(0.02)
    stop = true
    helper.wait_all_blocked()
  end)
end)

describe("a sendall of one long string", function()
  it("lets others run while the peer keeps up", function()
    local a, b = helper.pair()
    local _ <close> = closing(a, b)
    local turns, done = 0, false
    gevent.spawn(function()
      while not done do
        turns = turns + 1
        gevent.sleep(0)
      end
    end)
    local reader = gevent.spawn(function()
      local n = 0
      while n < 4000000 do n = n + #b:recv(65536) end
      return n
    end)
    assert.is_true(a:sendall(("x"):rep(4000000)))
    done = true
    assert.equal(4000000, reader:get())
    assert.is_true(turns > 1)
  end)
end)

describe("a loop that computes for long", function()
  it("does not make the others' time-outs expire: what came in time counts", function()
    local a, b = helper.pair()
    local _ <close> = closing(a, b)
    local reader = gevent.spawn(a.recv, a, 1, 60)
    local sleeper = gevent.spawn(gevent.sleep, 0.001)
    gevent.sleep(0)
    b:sendall("x")
    local until_then = os.clock() + 0.2
    while os.clock() < until_then do assert(true) end
    assert.equal("x", reader:get())
    assert.is_true(sleeper:join(5 * helper.scale))
  end)

  it("is told of, with its traceback, where that is asked for", function()
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      local events = require "gevent.events"
      local monotonic = require "gevent.time".monotonic
      local told
      events.subscribe(function(e) if e.name == "EventLoopBlocked" then told = e end end)
      gevent.config.max_blocking_time = 0.05
      gevent.config.monitor_thread = true
      local hog = gevent.spawn(function()
        local stop = monotonic() + 30
        while not told and monotonic() < stop do end
      end)
      hog.name = "hog"
      hog:join()
      print(told ~= nil and told.greenlet == hog)
      gevent.config.monitor_thread = false
    ]]
    assert.same({0, "true\n"}, {code, out})
    assert.matches("hog", err)
  end)
end)
