-- usage: lua5.4 examples/ws_chat.lua 8080
-- A chat: what one browser sends all of them see.
--   then open http://localhost:8080/ twice, and write; Ctrl-C ends it
-- spec: {port}
local gevent = require "gevent"
local http = require "gevent.http"
local Queue = require("gevent.queue").Queue
local websocket = require "gevent.websocket"

local PAGE = [[
<!doctype html>
<meta charset="utf-8">
<title>chat</title>
<style>
  body { font: 16px sans-serif; max-width: 40em; margin: 2em auto }
  #log { border: 1px solid #ccc; height: 20em; overflow: auto }
</style>
<h1>chat</h1>
<div id="log"></div>
<form><input id="line" placeholder="your name, then what to say" autofocus></form>
<script>
  const log = document.getElementById("log"), line = document.getElementById("line")
  const scheme = location.protocol === "https:" ? "wss://" : "ws://"
  const ws = new WebSocket(scheme + location.host + "/chat", "chat")
  function show(text) {
    const p = document.createElement("div")
    p.textContent = text
    log.append(p)
    log.scrollTop = log.scrollHeight
  }
  ws.onmessage = event => show(event.data)
  ws.onclose = event => show(`(closed: ${event.code} ${event.reason})`)
  document.querySelector("form").onsubmit = event => {
    event.preventDefault()
    ws.send(line.value)
    line.value = ""
  }
  // #name,text says it at once
  const words = decodeURIComponent(location.hash.slice(1)).split(",")
  ws.onopen = () => { for (const word of words) if (word) ws.send(word) }
</script>
]]

local members = {} -- queue of what a member is to be told -> true

-- Blocks for nobody: who reads too slowly misses something.
local function tell(text)
  for queue in pairs(members) do queue:put_nowait(text) end
end

local function chat(req, res)
  local ws <close> = websocket.upgrade(req, res,
    {protocols = {"chat"}, max_message = 1000, deflate = true})
  local name = ws and ws:receive(600)
  if not name then return end
  local queue = Queue(100)
  local writer = gevent.spawn(function()
    for text in queue:iter() do ws:send(text) end
  end)
  members[queue] = true
  tell(name .. " has come")
  for text in ws:messages() do tell(name .. ": " .. text) end
  members[queue] = nil
  writer:kill()
  tell(name .. " has left")
end

local server = http.Server("127.0.0.1:" .. (arg[1] or 8080), function(req, res)
  if req.path == "/chat" then return chat(req, res) end
  if req.path ~= "/" then return 404, nil, "not here\n" end
  return 200, {["Content-Type"] = "text/html; charset=utf-8"}, PAGE
end)

assert(server:start())
print("chat on http://localhost:" .. server.port .. "/")
server:serve_forever()
