-- usage: lua5.4 examples/http_proxy.lua 8081 http://127.0.0.1:8080
-- A proxy in front of another web server. Bodies go through piece by piece, in
-- both directions: neither is ever whole in memory. It runs until Ctrl-C.
-- The arguments are the port and the server behind.
-- spec: {port} http://127.0.0.1:9
--   curl localhost:8081/
local http = require "gevent.http"

local PIECE = 16384 -- bytes

local port, origin = arg[1] or 8081, arg[2] or "http://127.0.0.1:8080"
local client = http.Client {max_per_host = 100}

-- What is between two ends of one connection, and no further.
local hop = {}
for name in ("connection keep-alive proxy-authenticate proxy-authorization te "
  .. "trailer transfer-encoding upgrade expect host"):gmatch("%S+") do
  hop[name] = true
end

local function copy(headers)
  local list = {}
  for name, value in headers:each() do
    name = name:lower()
    if not hop[name] then
      list[name] = list[name] or {}
      table.insert(list[name], value)
    end
  end
  return list
end

local function proxy(req, res)
  local headers = copy(req.headers)
  headers["x-forwarded-for"] = req.remote_host
  local has_body = req.headers["content-length"] or req.headers["transfer-encoding"]
  local answer <close>, message = client:request {
    url = origin .. req.target, method = req.method, headers = headers,
    body = has_body and function() return req:read(PIECE) end or nil,
    stream = true, redirects = 0, decompress = false, max_body_bytes = false,
  }
  if not answer then return 502, {}, message .. "\n" end
  res.status, res.reason = answer.status, answer.reason
  for name, values in pairs(copy(answer.headers)) do res.headers[name] = values end
  for chunk in answer:chunks() do
    if not res:write(chunk) then return end -- the client is gone
  end
  res:finish()
end

local server = http.Server("127.0.0.1:" .. port, proxy, {max_body_bytes = false})
assert(server:start())
print(("http://127.0.0.1:%d/ is %s"):format(server.port, origin))
io.stdout:flush()
server:serve_forever()
