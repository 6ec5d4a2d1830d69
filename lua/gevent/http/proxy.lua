-- gevent.http.proxy: which proxy leads to a URL (private). The environment is
-- read as curl reads it: http_proxy in lower case only, for a CGI program's
-- clients can set HTTP_PROXY (by a field "Proxy").
local url = require "gevent.http.url"

local proxy = {}

local function env(name)
  local value = os.getenv(name)
  if value == nil or value == "" then return nil end
  return value
end

--- What the environment says: `{http=, https=, no=}`.
function proxy.fromenv()
  local all = env "all_proxy" or env "ALL_PROXY"
  return {
    http = env "http_proxy" or all,
    https = env "https_proxy" or env "HTTPS_PROXY" or all,
    no = env "no_proxy" or env "NO_PROXY",
  }
end

-- Does "host", ".domain", "domain", "host:port" of a list mean this URL?
local function matches(rule, target)
  local host, port = rule:match("^(.-):(%d+)$")
  if host and not host:find(":", 1, true) or rule:find("^%[") then
    rule = host or rule
    if port and tonumber(port) ~= target.port then return false end
  end
  rule = rule:gsub("^%[(.*)%]$", "%1"):gsub("^%*?%.", ""):lower()
  if rule == "" then return false end
  if target.host == rule then return true end
  return not rule:find("^[%d.]+$") and target.host:sub(-#rule - 1) == "." .. rule
end

--- Is the URL to be reached without a proxy?
-- @tparam ?string list names, separated by commas or spaces; "*" is all
-- @tparam table target parsed URL
function proxy.isexempt(list, target)
  if not list then return false end
  for rule in list:gmatch("[^%s,]+") do
    if rule == "*" or matches(rule, target) then return true end
  end
  return false
end

--- Parses the URL of a proxy; "host:port" alone means http.
-- @treturn[1] table parsed URL
-- @return[2] nil, what is wrong with it
function proxy.parse(text)
  if type(text) ~= "string" then return nil, "string expected, got " .. type(text) end
  if not text:find("://", 1, true) then text = "http://" .. text end
  local parsed, why = url.parse(text)
  if parsed and parsed.unix then return nil, "a proxy is reached by TCP" end
  return parsed, why
end

--- The fields that the proxy asks for, as text.
function proxy.authorization(parsed)
  if not parsed.user then return "" end
  local word = url.base64(parsed.user .. ":" .. parsed.password)
  return "Proxy-Authorization: Basic " .. word .. "\r\n"
end

return proxy
