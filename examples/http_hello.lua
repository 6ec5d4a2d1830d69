-- usage: lua5.4 examples/http_hello.lua 8080
-- A web server: greets, and returns what is posted to /echo.
-- It runs until Ctrl-C. The argument is the port (8080).
-- spec: {port}
local http = require "gevent.http"

local function greet(req)
  local name = req:args().name or "world"
  return "hello, " .. name .. "\n"
end

local function echo(req)
  local body, message = req:body()
  return body or message -- a bad body is answered by the server itself
end

local routes = {
  ["GET /"] = greet,
  ["HEAD /"] = greet,
  ["POST /echo"] = echo,
}

local function handle(req, res)
  local route = routes[req.method .. " " .. req.path]
  if route then return route(req, res) end
  return 404, nil, "not found\n"
end

local server = http.Server("127.0.0.1:" .. (arg[1] or 8080), handle)
assert(server:start())
print(("http://127.0.0.1:%d/"):format(server.port))
io.stdout:flush()
server:serve_forever()
