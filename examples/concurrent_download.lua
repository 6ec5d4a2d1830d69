-- usage: lua5.4 examples/concurrent_download.lua
-- Downloads several files at once, a few connections at a time, and says how
-- large each is. It speaks just enough HTTP/1.0 for that, to show sockets: a
-- program of yours would use gevent.http.
-- Arguments: URLs that begin with http:// (without any, a server of its own,
-- which takes its time, serves ten files).
local gevent = require "gevent"
local socket = require "gevent.socket"
local Pool = require "gevent.pool".Pool
local StreamServer = require "gevent.server".StreamServer

local AT_ONCE, PATIENCE = 4, 10 -- connections, seconds for each file

-- The number of bytes, or nil and what went wrong.
local function download(url)
  local host, port, path = url:match("^http://([^/:]+):?(%d*)(.*)$")
  if not host then return nil, "not a URL for this program" end
  local sock <close>, message = socket.create_connection(host,
    math.tointeger(tonumber(port)) or 80)
  if not sock then return nil, message end
  sock:write("GET ", path == "" and "/" or path, " HTTP/1.0\r\nHost: ", host, "\r\n\r\n")
  local head
  head, message = sock:readuntil("\r\n\r\n", 65536)
  if not head then return nil, message end
  local status = head:match("^HTTP/1%.%d (%d+)")
  if status ~= "200" then return nil, "status " .. tostring(status) end
  local size = 0
  while true do
    local piece
    piece, message = sock:recv(65536)
    if not piece then return nil, message end
    if piece == "" then return size end
    size = size + #piece
  end
end

local function slow_server()
  local server = StreamServer("127.0.0.1:0", function(sock)
    local size = tonumber(sock:read("l"):match("/(%d+)"))
    gevent.sleep(0.05)
    sock:sendall("HTTP/1.0 200 OK\r\n\r\n" .. ("x"):rep(size))
  end)
  assert(server:start())
  return server
end

local urls = {table.unpack(arg)}
local server <close> = not urls[1] and slow_server() or nil
for i = 1, server and 10 or 0 do
  urls[i] = ("http://127.0.0.1:%d/%d"):format(server.port, i * 100000)
end
local pool = Pool(AT_ONCE)
for url, size, message in pool:imap(function(url)
  return url, gevent.with_timeout(PATIENCE, download, url)
end, urls) do
  print(url, size and size .. " bytes" or message)
end
