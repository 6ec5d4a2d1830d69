-- bench/peers/luv_http_hello.lua - the http_hello figure by hand on luv: finds
-- the blank line that ends a request, parses nothing, answers a constant. It
-- is no HTTP server: a lower bound for one on luv.
-- usage: lua5.4 bench/peers/luv_http_hello.lua PORT
local uv = require "luv"

local ANSWER = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
  .. "Content-Length: 5\r\n\r\nhello"

local function serve(client)
  local rest = ""
  client:nodelay(true)
  client:read_start(function(err, data)
    if err or not data then return client:close() end
    local text, from = rest .. data, 1
    while true do
      local _, last = text:find("\r\n\r\n", from, true)
      if not last then break end
      local sent = client:try_write(ANSWER) or 0
      if sent < #ANSWER then client:write(ANSWER:sub(sent + 1)) end
      from = last + 1
    end
    rest = text:sub(from)
  end)
end

local server = uv.new_tcp()
assert(server:bind("127.0.0.1", math.tointeger(arg[1])))
assert(server:listen(1024, function(failed)
  assert(not failed, failed)
  local client = uv.new_tcp()
  server:accept(client)
  serve(client)
end))
uv.run()
