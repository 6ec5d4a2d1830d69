-- The HTTP client: connections that are kept, bodies of all kinds, redirections,
-- cookies, errors.
require "gevent"
local http = require "gevent.http"

local silent = {write = function() end}
local text = ("what compresses well "):rep(400)

local function handle(req, res)
  local path = req.path
  if path == "/gzip" then
    return 200, {["Content-Type"] = "text/plain"}, text
  elseif path == "/chunks" then
    res:write("one")
    res:write("two")
    return res:finish("three")
  elseif path == "/there" then
    res:set_cookie("c", "d")
    return res:redirect("/here?a=b", 303)
  elseif path == "/here" then
    return (req.query or "") .. (req:cookies().c or "")
  elseif path == "/close" then
    return 200, {Connection = "close"}, "bye"
  end
  local body, message = req:body()
  return body or error(message, 0)
end

local function parts()
  local n = 0
  return function()
    n = n + 1
    return n <= 3 and "part " or nil
  end
end

-- Where a handler has lacked memory, that is why.
local function check(res, message)
  if not res then error(message, 0) end
  if res.status == 500 then error("a handler failed", 0) end
  return res
end

return _G.guarded(function()
  local srv <close> = http.Server("127.0.0.1:0", handle,
    {log = silent, compress = true, body_timeout = 1, write_timeout = 1})
  srv._patience = 0.02
  assert(srv:start())
  local base = ("http://127.0.0.1:%d"):format(srv.port)
  local client <close> = http.Client{cookies = true, timeout = 1, max_per_host = 2}
  assert(check(client:get(base .. "/gzip")).body == text)
  assert(check(client:get(base .. "/chunks")).body == "onetwothree")
  assert(check(client:post(base .. "/", "a body")).body == "a body")
  assert(check(client:post(base .. "/", parts())).body == "part part part ")
  local big = ("0123456789abcdef"):rep(10000)
  assert(check(client:post(base .. "/", big)).body == big)
  assert(check(client:post(base .. "/there", "x")).body == "a=bd")
  local res <close> = check(client:get(base .. "/chunks", {stream = true}))
  assert(res:read(4) and res:read("a"))
  assert(check(client:get(base .. "/close")).body == "bye")
  local others = {}
  for i = 1, 4 do
    others[i] = _G.task(function() return check(client:get(base .. "/gzip")).body end)
  end
  for _, other in ipairs(others) do assert(other:get() == text) end
  assert(not client:get("http://127.0.0.1:1/"))
  assert(check(http.get(base .. "/close", {timeout = 1})).body == "bye")
end)
