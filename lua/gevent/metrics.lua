--- The hub's counts for Prometheus.
--
--     http.Server("127.0.0.1:9100", require("gevent.metrics").handler):start()
--
-- @module gevent.metrics
local core = require "gevent._core"

local metrics = {}

-- What hub:stats() counts: name, type, help.
local COUNTS = {
  {"greenlets", "gauge", "Greenlets that were started and are not done."},
  {"ready", "gauge", "Greenlets and callbacks whose turn it is."},
  {"timers", "gauge", "Timers under way."},
  {"handles", "gauge", "Handles of the event loop."},
  {"switches", "counter", "Switches to a greenlet."},
  {"polls", "counter", "Turns of the event loop."},
}

local function add(lines, name, kind, help, value, suffix)
  lines[#lines + 1] = ("# HELP gevent_%s%s %s"):format(name, suffix, help)
  lines[#lines + 1] = ("# TYPE gevent_%s%s %s"):format(name, suffix, kind)
  if value then lines[#lines + 1] = ("gevent_%s%s %s"):format(name, suffix, value) end
end

local function addblocked(lines, blocked)
  add(lines, "blocked_greenlets", "gauge", "Greenlets by what they wait in.", nil, "")
  local names = {}
  for name in pairs(blocked) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    lines[#lines + 1] = ('gevent_blocked_greenlets{call="%s"} %d'):format(name, blocked[name])
  end
end

--- All counts, in the text format of Prometheus.
-- @treturn string
function metrics.format()
  local stats, lines = core.hub:stats(), {}
  for _, count in ipairs(COUNTS) do
    local name, kind, help = table.unpack(count)
    add(lines, name, kind, help, stats[name], kind == "counter" and "_total" or "")
  end
  add(lines, "lag", "gauge", "How late the last timer was.",
    ("%.9f"):format(stats.lag), "_seconds")
  add(lines, "lua_memory", "gauge", "Memory of the Lua state.",
    math.tointeger(collectgarbage("count") * 1024 // 1), "_bytes")
  addblocked(lines, stats.blocked)
  lines[#lines + 1] = ""
  return table.concat(lines, "\n")
end

--- A handler for `http.Server`.
function metrics.handler()
  return 200, {["Content-Type"] = "text/plain; version=0.0.4; charset=utf-8"},
    metrics.format()
end

return metrics
