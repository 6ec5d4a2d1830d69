-- bench/http_json.lua - the http_json figure: a JSON API with the router, one
-- route with a parameter among several, the answer encoded for each request.
-- usage: lua5.4 bench/http_json.lua PORT  (see bench/load.c for the other end)
local http = require "gevent.http"

local ESCAPES = '[%c"\\]'

local function quote(text)
  if not text:find(ESCAPES) then return '"' .. text .. '"' end
  return '"' .. text:gsub(ESCAPES, function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
end

local FIELDS = {"id", "name", "email", "active", "score"}

-- Encodes an object by the fields it has, in their order.
local function encode(object)
  local parts = {}
  for _, name in ipairs(FIELDS) do
    local value = object[name]
    parts[#parts + 1] = quote(name) .. ":"
      .. (type(value) == "string" and quote(value) or tostring(value))
  end
  return "{" .. table.concat(parts, ",") .. "}\n"
end

local HEADERS = {["Content-Type"] = "application/json"}

local app = http.Router()
app:get("/", function() return "api\n" end)
app:get("/users", function() return 200, HEADERS, "[]\n" end)
app:get("/users/:id/posts", function() return 200, HEADERS, "[]\n" end)
app:post("/users", function() return 201 end)
app:get("/users/:id", function(req)
  local id = math.tointeger(req.params.id)
  if not id then return 404 end
  return 200, HEADERS, encode {id = id, name = "user " .. id, email = "user@example.com",
    active = true, score = id * 3}
end)

local port = assert(arg[1], "usage: lua5.4 bench/http_json.lua PORT")
assert(http.Server("127.0.0.1:" .. port, app):serve_forever())
