-- usage: lua5.4 examples/download.lua
-- Downloads several URLs at once, at most four at a time, over one client that
-- keeps its connections; the bodies are streamed, so their size does not matter.
-- Without arguments (URLs) it downloads from a server of its own.
-- spec:
local gevent = require "gevent"
local http = require "gevent.http"
local Pool = require "gevent.pool".Pool

local client <close> = http.Client {timeout = 60, max_per_host = 2}

local function download(url)
  local res <close>, message = client:get(url, {stream = true})
  if not res then return ("%s: %s"):format(url, message) end
  local bytes = 0
  for piece in res:chunks() do bytes = bytes + #piece end
  return ("%s: %d, %d bytes"):format(url, res.status, bytes)
end

local function serve()
  local server = http.Server("127.0.0.1:0", function(req)
    gevent.sleep(0.05)
    return ("x"):rep(tonumber(req.path:match "%d+") * 1000)
  end)
  assert(server:start())
  return server
end

local urls = {table.unpack(arg)}
local server
if not urls[1] then
  server = serve()
  for i = 1, 8 do urls[i] = ("http://127.0.0.1:%d/%d"):format(server.port, i) end
end

for line in Pool(4):imap(download, urls) do print(line) end
if server then server:stop() end
