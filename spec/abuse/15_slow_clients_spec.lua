-- Slow clients, many of them: each is gone after its time-out, whatever it
-- sends in between, and the others are served meanwhile.

local helper = require "helper"
local gevent = require "gevent"
local socket = require "gevent.socket"
local web = require "helper_http"
local it = helper.it

local TIMEOUT = 0.3 * math.min(helper.scale, 10) -- seconds, of each kind
local CHUNK = ("x"):rep(65536)

--- How many: fewer where things are slow, or descriptors few.
local function how_many()
  local limits = helper.slurp("/proc/self/limits") or ""
  local files = tonumber(limits:match("Max open files%s+(%d+)")) or 1024
  local wanted = math.max(30, 1000 // math.max(1, helper.scale))
  return math.floor(math.min(wanted, (files - 200) / 2))
end

local COUNT = how_many()

local function handler(req)
  if req.path == "/body" then
    local body, _, code = req:body()
    return body or code
  elseif req.path == "/big" then
    return function() return CHUNK end
  end
  return "served"
end

local kinds = {
  {
    name = "heads",
    first = "GET / HTTP/1.1\r\nHost: x\r\n",
    drip = function(i) return ("X-%d: y\r\n"):format(i) end,
    status = 408,
  },
  {
    name = "bodies",
    first = web.request("POST", "/body", "Content-Length: 100000\r\n"),
    drip = function() return "x" end,
    status = 408,
  },
  {
    name = "connections that say nothing",
    first = "",
    drip = function() return "" end,
  },
  {
    name = "readers",
    first = web.request("GET", "/big"),
    drip = function() return "" end,
    status = 200,
  },
}

local function connect_all(server, first)
  local socks = {}
  for i = 1, COUNT do
    local sock = assert(socket.create_connection("127.0.0.1", server.port))
    sock:setsockopt("rcvbuf", 4096)
    if first ~= "" then assert(sock:sendall(first)) end
    socks[i] = sock
  end
  return socks
end

--- Sends a little on each connection, again and again, until it is killed.
local function drip_all(socks, drip)
  for i = 1, math.huge do
    local text = drip(i)
    for _, sock in ipairs(socks) do
      if text ~= "" then sock:sendall(text) end
    end
    gevent.sleep(TIMEOUT / 10)
  end
end

--- Requests of a client that behaves, one after the other, until the others are
-- gone. It came after them, so the first answer says that all were accepted.
local function behave(server)
  local sock <close> = web.connect(server)
  repeat
    assert(sock:sendall(web.request("GET", "/")))
    assert.equal("served", web.response(sock).body)
    gevent.sleep(TIMEOUT / 50)
  until server._count <= 1
end

describe("a thousand slow", function()
  for _, kind in ipairs(kinds) do
    it(kind.name .. " are gone in time, and disturb nobody", function()
      local server <close> = web.serve(handler, {header_timeout = TIMEOUT,
        body_timeout = TIMEOUT, write_timeout = TIMEOUT, keepalive_timeout = 60})
      server.socket:setsockopt("sndbuf", 4096) -- full at once
      local socks = connect_all(server, kind.first)
      local _ <close> = helper.defer(function()
        for _, sock in ipairs(socks) do sock:close() end
      end)
      local began = helper.now()
      local dripper <close> = gevent.spawn(drip_all, socks, kind.drip)
      behave(server)
      dripper:kill()
      assert.is_true(helper.now() - began < (TIMEOUT + 2 + 10) * helper.scale)
      if kind.status and kind.status ~= 200 then
        local answer = socks[1]:readuntil("\r\n")
        assert.is_true(answer == nil or answer:find(kind.status, 1, true) ~= nil)
      end
      assert.equal("served", web.ask(server, "GET", "/").body)
    end, {deadline = 40})
  end

  it("keep-alives are closed in time", function()
    local server <close> = web.serve(handler, {keepalive_timeout = TIMEOUT})
    local socks = connect_all(server, web.request("GET", "/"))
    local _ <close> = helper.defer(function()
      for _, sock in ipairs(socks) do sock:close() end
    end)
    assert.equal("served", web.ask(server, "GET", "/").body)
    helper.wait_until(function() return server._count == 0 end, 20)
  end, {deadline = 40})
end)

describe("many connections", function()
  it("may stay idle while others are served", function()
    local server <close> = web.serve(handler)
    local idle = {}
    for i = 1, 200 do idle[i] = web.connect(server) end
    for _ = 1, 20 do
      assert.equal("served", web.ask(server, "GET", "/").body)
    end
    for i, sock in ipairs(idle) do
      assert(sock:sendall(web.request("GET", "/" .. i)))
    end
    for _, sock in ipairs(idle) do
      assert.equal("served", web.response(sock).body)
      sock:close()
    end
  end)
end)
