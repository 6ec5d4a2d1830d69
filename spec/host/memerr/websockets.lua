-- WebSocket, both ends, plain and compressed: messages, parts, pings, the end.
local gevent = require "gevent"
local http = require "gevent.http"
local websocket = require "gevent.websocket"

local silent = {write = function() end}

local function handle(req, res)
  local ws <close> = websocket.upgrade(req, res,
    {protocols = {"echo"}, deflate = true, timeout = 0.5})
  if not ws then return end
  for data, kind in ws:messages() do
    if not ws:send(data, kind) then return end
  end
end

local function echoes(ws, data, kind)
  local ok, message = ws:send(data, kind)
  if not ok then error(message, 0) end
  local back, what = ws:receive()
  if not back then error(what, 0) end
  assert(back == data and what == kind)
end

local function talk(url, deflate)
  local ws <close>, message = websocket.connect(url,
    {protocols = {"echo"}, deflate = deflate, timeout = 0.5, fragment_size = 30000})
  if not ws then error(message, 0) end
  assert(ws.protocol == "echo" and tostring(ws))
  echoes(ws, "hello", "text")
  echoes(ws, ("0123456789abcdef"):rep(5000), "binary")
  assert(ws:ping("are you there"))
  local parts = {"in ", "parts"}
  local ok
  ok, message = ws:send(function() return table.remove(parts, 1) end)
  if not ok then error(message, 0) end
  local data = ws:receive()
  if data ~= "in parts" then error("the other end failed", 0) end
  local reader = _G.task(ws.receive, ws)
  gevent.sleep(0)
  ws:close(1000, "enough")
  assert(not reader:get())
end

return _G.guarded(function()
  local srv <close> = http.Server("127.0.0.1:0", handle, {log = silent, write_timeout = 1})
  srv._patience = 0.02
  assert(srv:start())
  local url = ("ws://127.0.0.1:%d/"):format(srv.port)
  talk(url, false)
  talk(url, true)
end)
