-- For the specs of gevent.websocket: servers whose handlers get a WebSocket, and
-- peers that speak in frames, so that they can say what no library would.

local helper = require "helper"
local core = require "gevent._core"
local http = require "gevent.http"
local socket = require "gevent.socket"
local websocket = require "gevent.websocket"

local peer = {}

-- The plain one: busted's raises tables.
local assert = assert

peer.TEXT, peer.BINARY, peer.CONTINUATION = 1, 2, 0
peer.CLOSE, peer.PING, peer.PONG = 8, 9, 10

local ROLE = {
  server = true, max_message = 1048576, fragment = 0,
}

-- Frames --------------------------------------------------------------------------

--- The bytes of a frame. Options: fin (true), rsv (0 to 7), mask (four bytes, or
-- false).
function peer.frame(opcode, payload, opts)
  opts = opts or {}
  payload = payload or ""
  local first = (opts.fin == false and 0 or 128) | (opts.rsv or 0) << 4 | opcode
  local bit, n = opts.mask and 128 or 0, #payload
  local head
  if n < 126 then
    head = string.pack("BB", first, bit | n)
  elseif n < 65536 then
    head = string.pack(">BBI2", first, bit | 126, n)
  else
    head = string.pack(">BBI8", first, bit | 127, n)
  end
  if not opts.mask then return head .. payload end
  local parts = {}
  for i = 1, n do
    parts[i] = string.char(payload:byte(i) ~ opts.mask:byte((i - 1) % 4 + 1))
  end
  return head .. opts.mask .. table.concat(parts)
end

--- The same, masked, as clients send it.
function peer.masked(opcode, payload, opts)
  local all = {mask = "\x12\x34\x56\x78"}
  for name, value in pairs(opts or {}) do all[name] = value end
  return peer.frame(opcode, payload, all)
end

--- The payload of a Close.
function peer.closing(code, reason)
  return string.pack(">I2", code) .. (reason or "")
end

--- Reads a frame: `{fin=, rsv=, opcode=, masked=, payload=}`, and for a Close
-- `code` and `reason`; or nil, message, code at the end.
function peer.read(sock)
  local head, message, code = sock:readexactly(2, 5 * helper.scale)
  if not head then return nil, message, code end
  local first, second = head:byte(1, 2)
  local n = second & 127
  if n == 126 then n = string.unpack(">I2", assert(sock:readexactly(2)))
  elseif n == 127 then n = string.unpack(">I8", assert(sock:readexactly(8))) end
  local mask = second > 127 and assert(sock:readexactly(4))
  local payload = assert(sock:readexactly(n))
  if mask then
    payload = payload:gsub("()(.)", function(at, c)
      return string.char(c:byte() ~ mask:byte((at - 1) % 4 + 1))
    end)
  end
  local frame = {fin = first > 127, rsv = first >> 4 & 7, opcode = first & 15,
    masked = mask and true or false, payload = payload}
  if frame.opcode == 8 and n >= 2 then
    frame.code, frame.reason = string.unpack(">I2", payload), payload:sub(3)
  end
  return frame
end

--- Reads up to the peer's Close; that, and what came before.
function peer.read_close(sock)
  local before = {}
  while true do
    local frame, message, code = peer.read(sock)
    if not frame then return nil, message, code end
    if frame.opcode == 8 then return frame, before end
    before[#before + 1] = frame
  end
end

-- Ends without a handshake --------------------------------------------------------

--- A WebSocket of ours over a socket of this process, and the other socket.
-- @param opts as the core takes them: server (true), max_message, fragment, deflate
function peer.pair(opts)
  local sock, own = helper.tcp_pair()
  sock:settimeout(5 * helper.scale)
  local settings = {}
  for name, value in pairs(ROLE) do settings[name] = value end
  for name, value in pairs(opts or {}) do settings[name] = value end
  local ws = core.websocket(own, {
    _stream = own, _timeout = settings.timeout or 5 * helper.scale,
    _close_timeout = settings.close_timeout or 5 * helper.scale,
  }, settings)
  return ws, sock
end

-- Servers and clients ---------------------------------------------------------------

--- A started server whose handler is `handle(ws, req, res)`; `ws` may be nil, with
-- why in `req`. Options: `upgrade`, for websocket.upgrade, and http.Server's.
function peer.serve(handle, opts)
  opts = opts or {}
  local server = http.Server("127.0.0.1:0", function(req, res)
    local ws, message, code, status = websocket.upgrade(req, res, opts.upgrade)
    if not ws then
      if opts.refused then opts.refused(message, code, status) end
      return
    end
    return handle(ws, req, res)
  end, opts)
  assert(server:start())
  return server
end

--- Sends back what comes.
function peer.echo(ws)
  for data, kind in ws:messages() do
    if not ws:send(data, kind) then break end
  end
end

function peer.url(server, path)
  return ("ws://127.0.0.1:%d%s"):format(server.port, path or "/")
end

function peer.connect(server, opts)
  return assert(websocket.connect(peer.url(server), opts))
end

local REQUEST = "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
  .. "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
  .. "Sec-WebSocket-Version: 13\r\n%s\r\n"
peer.ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" -- for this key, by the RFC

function peer.request(head, target)
  return REQUEST:format(target or "/", head or "")
end

--- A socket whose handshake with the server is done, and the head of the answer.
function peer.raw(server, head)
  local sock = assert(socket.create_connection("127.0.0.1", server.port))
  sock:settimeout(5 * helper.scale)
  assert(sock:sendall(peer.request(head)))
  local answer = assert(sock:readuntil("\r\n\r\n"))
  assert(answer:find("^HTTP/1%.1 101 "), answer)
  return sock, answer
end

--- Sends bytes one by one, so that the other end reads them one by one.
function peer.trickle(sock, bytes)
  local gevent = require "gevent"
  for i = 1, #bytes do
    assert(sock:sendall(bytes:sub(i, i)))
    gevent.sleep(0)
  end
end

return peer
