-- usage: lua5.4 examples/sse_clock.lua 8080
-- Server-sent events: every browser that looks at the page gets what is said
-- to any of them, and the time. It runs until Ctrl-C. The argument is the port.
-- spec: {port}
--   curl -N localhost:8080/events
--   curl -d 'text=hello' localhost:8080/say
local gevent = require "gevent"
local http = require "gevent.http"
local queue = require "gevent.queue"

local PAGE = [[<!doctype html><title>clock</title>
<p id="time"></p><form id="say"><input name="text"><button>say</button></form><ul id="list"></ul>
<script>
const events = new EventSource("/events")
events.addEventListener("time", e => { time.textContent = e.data })
events.onmessage = e => {
  list.appendChild(document.createElement("li")).textContent = e.data
}
say.onsubmit = e => {
  e.preventDefault()
  fetch("/say", {method: "POST", body: new URLSearchParams(new FormData(say))})
  say.reset()
}
</script>]]

local listeners = {} -- queue -> true

local function tell(kind, text)
  for listener in pairs(listeners) do listener:put_nowait({kind, text}) end
end

local app = http.Router()

app:get("/", function() return 200, {["Content-Type"] = "text/html; charset=utf-8"}, PAGE end)

app:post("/say", function(req)
  local form = req:form()
  tell("message", form and form.text or "?")
  return 204
end)

app:get("/events", function(_, res)
  local inbox = queue.Queue(100) -- who is slower than that loses some
  listeners[inbox] = true
  local _ <close> = setmetatable({}, {__close = function() listeners[inbox] = nil end})
  local events = res:events()
  while events do
    local item = inbox:get(15)
    if item then
      events = events:send(item[2], {event = item[1]})
    else
      events = events:comment() -- nil once the client is gone
    end
  end
end)

gevent.spawn(function()
  while true do
    tell("time", os.date("%H:%M:%S"))
    gevent.sleep(1)
  end
end)

local server = http.Server("127.0.0.1:" .. (arg[1] or 8080), app)
assert(server:start())
print(("http://127.0.0.1:%d/"):format(server.port))
io.stdout:flush()
server:serve_forever()
