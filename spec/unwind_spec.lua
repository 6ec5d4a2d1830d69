-- A greenlet is killed in a scope whose end takes time, and a time-out around it
-- falls due meanwhile: it may cut the end short, but the greenlet stays killed.
local helper = require "helper"
local gevent = require "gevent"
local http = require "gevent.http"
local pool = require "gevent.pool"
local server = require "gevent.server"
local socket = require "gevent.socket"
local subprocess = require "gevent.subprocess"
local websocket = require "gevent.websocket"
local it = helper.it

-- A greenlet that does not die before the gate is opened.
local function stubborn(gate)
  local _ <close> = setmetatable({}, {__close = function() gate:join() end})
  gevent.sleep(60)
end

-- Each makes what is held, given a gate that ends its closing, at last.
local makers = {}

function makers.greenlet(gate) return gevent.spawn(stubborn, gate) end

function makers.Group(gate)
  local group = pool.Group()
  group:spawn(stubborn, gate)
  return group
end

function makers.StreamServer(gate)
  local srv = server.StreamServer("127.0.0.1:0", function() stubborn(gate) end)
  assert(srv:start())
  local sock = assert(socket.create_connection("127.0.0.1", srv.port))
  gate:link(function() sock:close() end)
  helper.wait_until(function() return srv._count == 1 end)
  return srv
end

function makers.Popen(gate)
  local process = assert(subprocess.Popen({"sleep", "60"}))
  -- A SIGKILL ends it at once: its end shall be noticed late.
  local wait = process._process
  rawset(process, "_process", setmetatable({}, {__index = function(_, name)
    return function(_, ...)
      if name == "wait" then gate:join() end
      return wait[name](wait, ...)
    end
  end}))
  return process
end

-- What setvbuf has collected cannot be written before the gate is opened.
makers["a stream"] = function(gate)
  local sock, peer = helper.pair()
  sock:settimeout(0)
  while sock:send(("x"):rep(100000)) do end
  sock:settimeout(nil)
  assert(sock:setvbuf("full", 1000))
  assert(sock:write "y")
  gate:link(function() peer:close() end)
  return sock
end

function makers.WebSocket(gate)
  local srv = http.Server("127.0.0.1:0", function(req, res)
    websocket.upgrade(req, res)
    stubborn(gate) -- and never reads the Close
  end)
  assert(srv:start())
  local ws = assert(websocket.connect("ws://127.0.0.1:" .. srv.port))
  gate:link(function() srv:stop() end)
  return ws
end

describe("a kill while a scope is left, and a time-out then:", function()
  for name, make in pairs(makers) do
    it(name, function()
      local gate = gevent.Greenlet(function() end)
      local went_on, before = false, gevent.get_hub():stats().greenlets
      local inside
      local victim = gevent.spawn(function()
        local timeout <close> = gevent.Timeout(0.02 * helper.scale)
        local ok, err = pcall(function()
          local _ <close> = make(gate)
          inside = true
          timeout:start()
          gevent.sleep(60)
        end)
        if not ok and err ~= timeout then error(err, 0) end
        went_on = true
      end)
      helper.wait_until(function() return inside end)
      victim:kill(nil, false)
      gevent.sleep(0.06 * helper.scale)
      gate:start()
      victim:join()
      assert.is_false(went_on)
      helper.wait_until(function()
        return gevent.get_hub():stats().greenlets == before
      end)
    end)
  end
end)
