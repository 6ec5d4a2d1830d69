-- Files that are served: a path, which must not lead out of the root, and lines
-- of fields, of conditions and ranges: what comes must be of the file.
local gevent = require "gevent"
local http = require "gevent.http"

gevent.get_hub().exception_stream = {write = function(_, ...)
  io.stderr:write(...)
  os.exit(false)
end}

-- DIR/secret, DIR/root/file, DIR/root/sub/other, DIR/root/link -> ../secret
local dir = (os.getenv "FUZZ_DIR" or "/tmp") .. "/file"
assert(os.execute(("rm -rf %s && mkdir -p %s/root/sub && ln -s ../secret %s/root/link")
  :format(dir, dir, dir)))
local CONTENT = {}
for i = 1, 50 do CONTENT[i] = ("line %d of it\n"):format(i) end
local text = table.concat(CONTENT)
local function put(name, content)
  local file <close> = assert(io.open(dir .. name, "w"))
  file:write(content)
end
put("/secret", "SECRET")
put("/root/file", text)
put("/root/sub/other", "other")
assert(os.execute(("touch -d @1000000000 %s/root/file"):format(dir)))

local socketpath = dir .. "/socket"
local srv = http.Server("unix:" .. socketpath, http.files(dir .. "/root"),
  {log = {write = function() end}})
assert(srv:start())
local client = http.Client{timeout = 300, redirects = 0, decompress = false}

local NAMES = {"Range", "If-Range", "If-None-Match", "If-Match", "If-Modified-Since",
  "If-Unmodified-Since"}
local STATUS = {[200] = true, [206] = true, [301] = true, [304] = true, [400] = true,
  [404] = true, [412] = true, [414] = true, [416] = true, [431] = true}

-- Is it the part of the file that the field says?
local function checkpart(range, body)
  local first, last, size = range:match("^bytes (%d+)%-(%d+)/(%d+)$")
  assert(tonumber(size) == #text, range)
  assert(body == text:sub(first + 1, last + 1), range)
end

local function checkparts(kind, body)
  local boundary = assert(kind:match("^multipart/byteranges; boundary=(%w+)$"))
  local count, at = 0, 1
  while true do
    local _, stop = body:find("^\r?\n?%-%-" .. boundary .. "\r\n", at)
    if not stop then break end
    local heads, start = body:match("^(.-\r\n\r\n)()", stop + 1)
    local range = heads:match("Content%-Range: ([^\r]+)")
    local first, last = range:match("(%d+)%-(%d+)")
    at = start + last - first + 1
    checkpart(range, body:sub(start, at - 1))
    count = count + 1
  end
  assert(count >= 2 and body:sub(at) == "\r\n--" .. boundary .. "--\r\n")
end

return function(input)
  local lines = {}
  for line in (input .. "\n"):gmatch("([^\n]*)\n") do
    lines[#lines + 1] = line:gsub("[%z\1-\8\10-\31\127]", "")
  end
  local headers = {}
  for i, name in ipairs(NAMES) do
    local value = lines[i + 1]
    if value and value ~= "" then headers[name] = value end
  end
  local path = lines[1]:gsub("[^\33-\126]", ""):gsub("#", "")
  local res, message = client:get("http://a.test/" .. path, {headers = headers,
    unix = socketpath})
  if not res then error(message) end
  assert(STATUS[res.status], res.status)
  assert(not res.body:find("SECRET", 1, true))
  if res.status == 200 then
    assert(res.body == text or res.body == "other")
  elseif res.status == 206 then
    local range = res.headers["content-range"]
    if range then
      if #res.body ~= 5 then checkpart(range, res.body) end
    elseif #res.body > 100 then
      checkparts(res.headers["content-type"], res.body)
    end
  end
end
