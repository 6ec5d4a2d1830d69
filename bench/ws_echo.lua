-- bench/ws_echo.lua - the ws_echo figure: sends back each WebSocket message.
-- usage: lua5.4 bench/ws_echo.lua PORT  (see bench/load.c for the other end)
local http = require "gevent.http"
local websocket = require "gevent.websocket"

local function echo(req, res)
  local ws = websocket.upgrade(req, res)
  if not ws then return end
  for data, kind in ws:messages() do ws:send(data, kind) end
end

local port = assert(arg[1], "usage: lua5.4 bench/ws_echo.lua PORT")
assert(http.Server("127.0.0.1:" .. port, echo):serve_forever())
