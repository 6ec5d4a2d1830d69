-- A WebSocket client that meets a server: its answer to the handshake, and the
-- frames after it, which begin with the third line that is empty.
local gevent = require "gevent"
local core = require "gevent._core"
local handshake = require "gevent._wshandshake"
local pmdeflate = require "gevent._pmdeflate"
local socket = require "gevent.socket"
require "gevent.websocket" -- which has the rest of the class

local KEY = "dGhlIHNhbXBsZSBub25jZQ=="
local OFFER = {}

gevent.get_hub().exception_stream = {write = function(_, ...)
  io.stderr:write(...)
  os.exit(false)
end}

-- As gevent.websocket does, of which what is here is private.
local function converse(stream)
  local fields, message, code = handshake.response(stream, KEY, {"p"})
  if not fields then
    assert(type(message) == "string" and (code == "handshake" or code == "closed"), code)
    return
  end
  local deflate = pmdeflate.agree(fields.extensions, OFFER)
  if deflate == false then return end
  local ws = core.websocket(stream, {_stream = stream, _timeout = 1, _close_timeout = 0.01},
    {server = false, max_message = 1000, fragment = 0, deflate = deflate})
  while true do
    local data, kind, what, status = ws:receive(300)
    if not data then
      assert(type(kind) == "string" and what == "closed", what)
      assert(status == nil or status >= 1000 and status <= 4999, status)
      break
    end
    assert(#data <= 1000 and (kind == "binary" or kind == "text" and utf8.len(data, 1, -1, true)))
  end
  ws:close()
end

return function(input)
  local ours, theirs = assert(socket.socketpair())
  local peer <close> = theirs
  local _writer <close> = gevent.spawn(function()
    peer:sendall((input:gsub("@ACCEPT@", core.websocket_accept(KEY))))
    peer:shutdown("w")
    while (peer:recv(4096) or "") ~= "" do end
  end)
  local stream <close> = ours
  converse(stream)
end
