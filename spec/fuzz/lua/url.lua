-- URLs, and references to be resolved against them, as a server's Location has
-- them: a first line, and the rest.
local url = require "gevent.http.url"

local function check(parsed, why)
  if not parsed then
    assert(type(why) == "string")
    return nil
  end
  assert(parsed.scheme == "http" or parsed.scheme == "https")
  assert(parsed.host ~= "" and not parsed.host:find("[%c /?#@\\]"))
  assert(parsed.port >= 1 and parsed.port <= 65535)
  assert(not parsed.authority:find("[%c /?#@\\]"))
  assert(parsed.target:find("^/[\33-\126]*$") and not parsed.target:find("#", 1, true))
  local text = url.tostring(parsed)
  local again = assert(url.parse(text))
  for _, field in ipairs {"scheme", "host", "port", "target", "unix", "authority"} do
    assert(again[field] == parsed[field], field)
  end
  return parsed
end

return function(bytes)
  local first, rest = bytes:match("^([^\n]*)\n?(.*)$")
  local base = check(url.parse(first)) or url.parse("http://host.test:81/a/b/../c?d")
  local resolved = check(url.resolve(base, rest))
  if resolved and not rest:find("^%a[%w+.-]*:") and rest:sub(1, 2) ~= "//" then
    assert(url.issameorigin(base, resolved))
    local path = resolved.target:match("^[^?]*")
    assert(rest == "" or rest:find("^[?#]") or not (path .. "/"):find("/%.%.?/"))
  end
  local target = url.addquery("/", {[first] = rest})
  assert(target:find("^/%?[\33-\126]*$"))
end
