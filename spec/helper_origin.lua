-- For the specs of the HTTP client: servers that send what they are told, byte
-- by byte if need be, and note what they were sent.

local helper = require "helper"
local gevent = require "gevent"
local socket = require "gevent.socket"

local origin = {}

--- Reads a request: `{line=, method=, target=, headers=, list=, body=}`, or nil.
function origin.request(sock)
  local line = sock:readuntil("\r\n")
  if not line then return nil end
  local req = {line = line:sub(1, -3), headers = {}, list = {}, body = ""}
  req.method, req.target = line:match("^(%S+) (%S+) HTTP/1%.1\r\n$")
  while true do
    local field = sock:readuntil("\r\n")
    if not field then return nil end
    if field == "\r\n" then break end
    local name, value = field:match("^([^:]+): (.*)\r\n$")
    req.headers[name:lower()] = value
    req.list[#req.list + 1] = name .. ": " .. value
  end
  local length = tonumber(req.headers["content-length"])
  if length then
    req.body = sock:readexactly(length)
  elseif req.headers["transfer-encoding"] then
    local parts = {}
    repeat
      local size = sock:readuntil("\r\n")
      if not size then return nil end
      size = tonumber(size:match("^(%x+)\r\n$"), 16)
      parts[#parts + 1] = sock:readexactly(size)
      if not sock:readexactly(2) then return nil end
    until size == 0
    req.body = table.concat(parts)
    req.chunks = parts
  end
  return req
end

--- A plain answer.
function origin.answer(body, head, status)
  return ("HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s"):format(status or "200 OK",
    head or "", #body, body)
end

local mt = {}
mt.__index = mt

function mt:close()
  self.listener:close()
  for sock in pairs(self.socks) do sock:close() end
  gevent.killall(self.greenlets)
end

mt.__close = mt.close

--- A server on a free port of the loopback interface, closed with its scope:
-- `.url .host .port`, `.connections` (how many came), `.open` (are open),
-- `.requests` (what `script` said).
-- @param script is called in a greenlet for each connection: (sock, number of
--   it, the server); what it returns true for stays open
function origin.serve(script)
  local listener = assert(socket.create_server("127.0.0.1:0"))
  local host, port = listener:getsockname()
  local self = setmetatable({listener = listener, host = host, port = port,
    url = ("http://%s:%d"):format(host, port), connections = 0, open = 0,
    requests = {}, socks = {}, greenlets = {}}, mt)
  local function serve(sock, number)
    sock:settimeout(5 * helper.scale)
    self.socks[sock] = true
    self.open = self.open + 1
    script(sock, number, self)
    sock:close()
    self.socks[sock] = nil
    self.open = self.open - 1
  end
  self.greenlets[1] = gevent.spawn(function()
    while true do
      local sock = listener:accept()
      if not sock then return end
      self.connections = self.connections + 1
      self.greenlets[#self.greenlets + 1] = gevent.spawn(serve, sock, self.connections)
    end
  end)
  return self
end

--- A server that answers each request of each connection by what `reply(req,
-- number of the request, sock)` returns, and closes where that is nil.
function origin.replies(reply)
  return origin.serve(function(sock, _, self)
    while true do
      local req = origin.request(sock)
      if not req then return end
      self.requests[#self.requests + 1] = req
      local text = reply(req, #self.requests, sock)
      if not text then return end
      sock:sendall(text)
    end
  end)
end

--- A server that reads a request, sends those bytes and closes.
function origin.sends(bytes)
  return origin.serve(function(sock, _, self)
    self.requests[#self.requests + 1] = origin.request(sock)
    sock:sendall(bytes)
  end)
end

--- Waits until the server sees no open connection.
function origin.wait_closed(server)
  helper.wait_until(function() return server.open == 0 end)
end

return origin
