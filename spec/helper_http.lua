-- For the specs of gevent.http: servers on free ports, and a client that knows
-- no more of HTTP than it must, so that it sees what the server really sends.

local helper = require "helper"
local http = require "gevent.http"
local socket = require "gevent.socket"

local web = {}

-- The plain one: busted's raises tables.
web.assert = assert

--- A started server on a free port: `local server <close> = web.serve(...)`.
function web.serve(handler, opts)
  local server = http.Server("127.0.0.1:0", handler, opts)
  assert(server:start())
  return server
end

--- A connection to it.
function web.connect(server)
  local sock = assert(socket.create_connection("127.0.0.1", server.port))
  sock:settimeout(5 * helper.scale)
  return sock
end

local function read_headers(sock)
  local headers, list = {}, {}
  while true do
    local line = assert(sock:readuntil("\r\n"))
    if line == "\r\n" then return headers, list end
    local name, value = line:match("^([^:]+): (.*)\r\n$")
    assert(name, "bad field line: " .. line)
    headers[name:lower()] = value
    list[#list + 1] = {name, value}
  end
end

local function read_chunked(sock)
  local parts = {}
  while true do
    local size = tonumber(assert(sock:readuntil("\r\n")):match("^(%x+)\r\n$"), 16)
    if size == 0 then
      assert(sock:readexactly(2) == "\r\n")
      return table.concat(parts), parts
    end
    parts[#parts + 1] = assert(sock:readexactly(size))
    assert(assert(sock:readexactly(2)) == "\r\n")
  end
end

--- The next answer on the connection: `{version=, status=, reason=, headers=,
-- list=, body=, chunks=}`; nil, message, code where there is none.
-- @param method "HEAD" where it was that: no body follows
function web.response(sock, method)
  local line, message, code = sock:readuntil("\r\n")
  if not line then return nil, message, code end
  local version, status, reason = line:match("^HTTP/(1%.%d) (%d%d%d) (.*)\r\n$")
  assert(version, "bad status line: " .. line)
  local res = {version = version, status = tonumber(status), reason = reason}
  res.headers, res.list = read_headers(sock)
  local length = res.headers["content-length"]
  if method == "HEAD" or res.status < 200 or res.status == 204 or res.status == 304 then
    res.body = ""
  elseif res.headers["transfer-encoding"] then
    assert(res.headers["transfer-encoding"] == "chunked" and not length)
    res.body, res.chunks = read_chunked(sock)
  elseif length then
    res.body = assert(sock:readexactly(tonumber(length)))
  else
    res.body = assert(sock:read("a"))
  end
  return res
end

--- A request of HTTP/1.1; `head` may hold more fields, each with its CRLF.
function web.request(method, target, head, body)
  head = head or ""
  if body then head = head .. "Content-Length: " .. #body .. "\r\n" end
  return ("%s %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n%s"):format(method, target,
    head, body or "")
end

--- Sends one request on a connection of its own; the answer.
function web.ask(server, method, target, head, body)
  local sock <close> = web.connect(server)
  assert(sock:sendall(web.request(method, target, head, body)))
  return web.response(sock, method)
end

--- Sends any bytes; all that comes back until the server closes, as a list of
-- answers and as it came. Fails if the server does not close.
function web.raw(server, bytes)
  local sock <close> = web.connect(server)
  sock:sendall(bytes)
  local text, message = sock:read("a")
  return assert(text, message)
end

--- The statuses in what `raw` returned, 100 left out.
function web.statuses(text)
  local list = {}
  for status in text:gmatch("HTTP/1%.1 (%d%d%d) ") do
    if status ~= "100" then list[#list + 1] = tonumber(status) end
  end
  return list
end

--- Is the connection closed by the server, with nothing more to read?
function web.is_closed(sock)
  local data, message, code = sock:recv(1)
  return data == "" or code == "ECONNRESET", data or message
end

return web
