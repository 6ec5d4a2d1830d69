-- usage: lua5.4 examples/json_api.lua 8080
-- A JSON API: a router with parameters, middleware, a mounted part; notes are
-- kept in memory. It runs until Ctrl-C. The argument is the port (8080).
-- spec: {port}
--   curl -d 'text=buy milk' localhost:8080/api/notes
--   curl localhost:8080/api/notes/1
--   curl -X DELETE localhost:8080/api/notes/1
local http = require "gevent.http"
local time = require "gevent.time"

-- Enough of JSON to answer: strings, numbers, booleans, lists, objects.
local function quote(text)
  return '"' .. text:gsub('[%c"\\]', function(c)
    return ("\\u%04x"):format(c:byte())
  end) .. '"'
end

local function encode(value)
  if type(value) == "string" then return quote(value) end
  if type(value) ~= "table" then return tostring(value) end
  local parts = {}
  if value[1] ~= nil or next(value) == nil then
    for i, item in ipairs(value) do parts[i] = encode(item) end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  for name, item in pairs(value) do parts[#parts + 1] = quote(name) .. ":" .. encode(item) end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function json(status, value)
  return status, {["Content-Type"] = "application/json"}, encode(value) .. "\n"
end

local notes, last = {}, 0
local api = http.Router()

api:get("/notes", function()
  local list = {}
  for _, note in pairs(notes) do table.insert(list, note) end
  return json(200, list)
end)

api:post("/notes", function(req, res)
  local form, message = req:form()
  if not form or not form.text then return json(400, {error = message or "no text"}) end
  last = last + 1
  notes[tostring(last)] = {id = last, text = form.text}
  res.headers["Location"] = "/api/notes/" .. last
  return json(201, notes[tostring(last)])
end)

-- Only for what has an id that exists.
local function withnote(handler)
  return function(req)
    local note = notes[req.params.id]
    if not note then return json(404, {error = "no such note"}) end
    return handler(note)
  end
end

api:get("/notes/:id", withnote(function(note) return json(200, note) end))
api:delete("/notes/:id", withnote(function(note)
  notes[tostring(note.id)] = nil
  return 204
end))

local app = http.Router():mount("/api", api)
app:use(function(req, res, next) -- around everything: how long it took
  local began = time.monotonic()
  local status, headers, body = next(req, res)
  res.headers["Server-Timing"] = ("app;dur=%.3f"):format((time.monotonic() - began) * 1000)
  return status, headers, body
end)
app:get("/", function() return "notes: /api/notes\n" end)

local server = http.Server("127.0.0.1:" .. (arg[1] or 8080), app, {compress = true})
assert(server:start())
print(("http://127.0.0.1:%d/api/notes"):format(server.port))
io.stdout:flush()
server:serve_forever()
