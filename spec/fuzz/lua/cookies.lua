-- Cookies: a client's jar, which is given lines of Set-Cookie, and a server's
-- reading of the field that comes of it.
local cookies = require "gevent.http.cookies"
local form = require "gevent.http.form"
local url = require "gevent.http.url"

local from = url.parse "http://www.shop.test/a/b/c?d"
local own = {from, url.parse "https://www.shop.test/", url.parse "http://a.www.shop.test/a/b/x",
  url.parse "http://shop.test/a/b/c"}
local others = {url.parse "http://evil.test/a/b/c", url.parse "https://test/a/b/c",
  url.parse "http://notshop.test/", url.parse "http://127.0.0.1/"}

local function isdate(expires)
  return expires == nil or math.type(expires) == "integer" or expires == expires // 1
end

return function(bytes)
  -- What the parser of answers lets through.
  local lines = {}
  for line in bytes:gmatch("[^\n]+") do
    lines[#lines + 1] = line:gsub("[%z\1-\8\10-\31\127]", "")
  end
  local jar = cookies.CookieJar()
  jar:_take(from, lines)
  for cookie in jar:each() do
    assert(#cookie.name + #cookie.value <= 4096 and isdate(cookie.expires))
    assert(not cookie.secure, "set over a connection that is not secure")
    assert(cookie.path:sub(1, 1) == "/")
    assert(cookie.domain == "www.shop.test" or cookie.domain == "shop.test")
  end
  for _, at in ipairs(others) do assert(jar:_field(at) == "", at.host) end
  for _, at in ipairs(own) do
    local field = jar:_field(at)
    assert(field == "" or field:find("^Cookie: [^\r\n%z]*\r\n$"))
    local read = form.cookies{field:match("^Cookie: (.*)\r\n$") or ""}
    for name in pairs(read) do assert(name:find("^[%w!#$%%&'*+%-.^_`|~]+$")) end
  end
  form.cookies(lines)
end
