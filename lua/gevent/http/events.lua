--- Server-sent events: what `res:events` gives. An object holds the response
-- and nothing else.
-- @module gevent.http.events
local misuse = require "gevent._misuse"

local Events = {__name = "http.Events"}
Events.__index = Events

-- A field for each line of the text; a line ends with LF, CR or both.
local function field(parts, name, text)
  text = text:gsub("\r\n?", "\n")
  for line in (text .. "\n"):gmatch("(.-)\n") do
    parts[#parts + 1] = ("%s: %s\n"):format(name, line)
  end
end

local function oneline(name, value)
  value = tostring(value)
  if value:find("[\r\n%z]") then
    error(("bad %s of an event: it has more than one line"):format(name), 3)
  end
  return value
end

--- @type Events

local OPTIONS = misuse.names "event id retry"

--- Sends an event.
-- @tparam string data any number of lines
-- @tparam[opt] table opts `event` (its type), `id`, `retry` (seconds that the client
-- waits before it connects again)
-- @return the events; or nil, message, code where the client is gone
function Events:send(data, opts)
  opts = misuse.options(2, "send", opts, OPTIONS)
  local parts = {}
  if opts.event then field(parts, "event", oneline("type", opts.event)) end
  if opts.id then field(parts, "id", oneline("id", opts.id)) end
  if opts.retry then field(parts, "retry", ("%d"):format(opts.retry * 1000 // 1)) end
  if data then field(parts, "data", tostring(data)) end
  parts[#parts + 1] = "\n"
  local ok, message, code = self.res:write(table.concat(parts))
  if not ok then return nil, message, code end
  return self
end

--- Sends a comment, which clients ignore: it keeps proxies from closing a silent
-- connection, and tells whether the client is still there.
-- @tparam[opt=""] string text
-- @return the events; or nil, message, code
function Events:comment(text)
  local parts = {}
  field(parts, "", text or "")
  local ok, message, code = self.res:write(table.concat(parts) .. "\n")
  if not ok then return nil, message, code end
  return self
end

--- Begins to answer with a stream of events.
return function(res)
  local headers = res.headers
  headers["Content-Type"] = "text/event-stream"
  headers["Cache-Control"] = headers["cache-control"] or "no-store"
  headers["X-Accel-Buffering"] = "no" -- nginx would hold events back
  local self = setmetatable({res = res}, Events)
  local ok, message, code = self:comment()
  if not ok then return nil, message, code end
  return self
end
