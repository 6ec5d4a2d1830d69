-- What an HTTP client makes of what a server sends: heads, chunks, compressed
-- bodies, cookies, redirections. The first byte says in which pieces it comes.
local gevent = require "gevent"
local http = require "gevent.http"
local server = require "gevent.server"

local CODES = {closed = true, malformed = true, truncated = true, toolarge = true,
  redirect = true, ECONNRESET = true, EPIPE = true}
local METHODS = {"GET", "HEAD", "POST"}
local MAX = 100000

gevent.get_hub().exception_stream = {write = function(_, text) error(text, 0) end}
local path = (os.getenv "FUZZ_DIR" or "/tmp") .. "/answer"
os.remove(path)

local bytes, step, head = "", 1, nil

local function handle(sock)
  head = sock:readuntil("\r\n\r\n", 10000)
  if not head then return end
  assert(not head:find("\n[^\r\n]*[%z\1-\8\11\12\14-\31]"))
  for at = 1, #bytes, step do
    if not sock:sendall(bytes:sub(at, at + step - 1)) then return end
    gevent.sleep(0)
  end
  sock:shutdown("w")
  while (sock:recv(4096) or "") ~= "" do end -- else the client may get a reset
end

local srv = server.StreamServer("unix:" .. path, handle)
assert(srv:start())

local function ask(method, stream)
  local client <close> = http.Client{timeout = 300, redirects = 2, max_body_bytes = MAX,
    cookies = true}
  local res <close>, message, code = client:request{url = "http://a.test/b/c", method = method,
    unix = path, stream = stream, body = method == "POST" and "x" or nil}
  if not res then
    assert(type(message) == "string" and CODES[code], code)
    return code
  end
  assert(res.status >= 100 and res.status <= 999)
  local body = res.body
  if stream then
    local parts = {}
    while true do
      local part, why
      part, message, why = res:read(100)
      if not part then
        code = why
        break
      end
      assert(#part > 0 and #part <= 100)
      parts[#parts + 1] = part
    end
    assert(type(message) == "string" and CODES[code], code)
    if code ~= "closed" then return code end
    body = table.concat(parts)
  end
  assert(#body <= MAX and (method ~= "HEAD" or body == ""))
  for name, value in res.headers:each() do
    assert(name:find("^[%w!#$%%&'*+%-.^_`|~]+$") and not value:find("[\r\n%z]"))
  end
  return ("%d %s\n%s"):format(res.status, res.reason, body)
end

return function(input)
  if #input < 2 then return end
  local method = METHODS[input:byte(1) % 3 + 1]
  bytes, step = input:sub(3), #input
  local whole = ask(method)
  step = math.max(input:byte(2), #input // 50)
  if step == 0 then step = 1 end
  local pieces = ask(method, true)
  -- A stream may end by something that comes after the head was given.
  assert(pieces == whole or not whole:find("\n"), "in pieces it is another answer")
end
