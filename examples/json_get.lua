-- usage: lua5.4 examples/json_get.lua
-- Asks an HTTP API for JSON and prints a field of what it says. Any JSON module
-- does; without one a pattern finds the field. Without arguments (URL, field) it asks a
-- server of its own.
-- spec:
local http = require "gevent.http"

local url, field = arg[1], arg[2] or "version"

local function decode(text)
  for _, name in ipairs {"cjson.safe", "dkjson"} do
    local ok, json = pcall(require, name)
    if ok then return json.decode(text) end
  end
  return {[field] = text:match('"' .. field .. '"%s*:%s*"?([^",}]*)')}
end

local server
if not url then
  server = http.Server("127.0.0.1:0", function()
    return 200, {["Content-Type"] = "application/json"}, '{"version": "1.0", "ok": true}'
  end)
  assert(server:start())
  url = ("http://127.0.0.1:%d/"):format(server.port)
end

local res, message, code = http.get(url, {
  headers = {Accept = "application/json"}, timeout = 10,
})
if server then server:stop() end
if not res then error(("%s: %s (%s)"):format(url, message, code), 0) end
if res.status ~= 200 then error(("%s: %d %s"):format(url, res.status, res.reason), 0) end
local value = decode(res.body)
print(field, value and value[field])
