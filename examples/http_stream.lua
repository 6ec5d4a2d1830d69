-- usage: lua5.4 examples/http_stream.lua
-- Bodies that come and go in pieces, none of them ever whole in memory: counts
-- the bytes of an upload, sends lines as they are made, and asks itself.
local gevent = require "gevent"
local http = require "gevent.http"
local socket = require "gevent.socket"

-- POST /count: reads the upload piece by piece.
local function count(req)
  local bytes = 0
  while true do
    local piece, message, code = req:read(16384)
    if not piece then
      if code == "closed" then break end
      return 400, nil, message
    end
    bytes = bytes + #piece
  end
  return ("%d bytes\n"):format(bytes)
end

-- GET /ticks: an iterator that blocks; other requests are served meanwhile.
local function ticks()
  local n = 0
  return 200, {["Content-Type"] = "text/plain"}, function()
    if n == 3 then return nil end
    gevent.sleep(0.05)
    n = n + 1
    return ("tick %d\n"):format(n)
  end
end

-- GET /rows: written by hand; `write` blocks while the client is slow, and
-- says so when it has gone.
local function rows(_, res)
  res.headers["Content-Type"] = "text/csv; charset=utf-8"
  for i = 1, 3 do
    local ok, message = res:write(("%d,%d\n"):format(i, i * i))
    if not ok then return print("client gone: " .. message) end
  end
  res:finish()
end

local routes = {["/count"] = count, ["/ticks"] = ticks, ["/rows"] = rows}

local server <close> = http.Server("127.0.0.1:0", function(req, res)
  local route = routes[req.path]
  if route then return route(req, res) end
  return 404, nil, "not found\n"
end)
assert(server:start())

-- A client of a few lines: sends the text, shows what comes back.
local function ask(text)
  local sock <close> = assert(socket.create_connection("127.0.0.1", server.port))
  assert(sock:sendall(text))
  print((assert(sock:read("a")):gsub("\r", "")))
end

local HEAD = " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
ask("POST /count" .. HEAD .. "Transfer-Encoding: chunked\r\n\r\n"
  .. ("2710\r\n" .. ("x"):rep(10000) .. "\r\n"):rep(5) .. "0\r\n\r\n")
ask("GET /ticks" .. HEAD .. "\r\n")
ask("GET /rows" .. HEAD .. "\r\n")
