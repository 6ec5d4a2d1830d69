-- An HTTP server, whose handlers use all that requests have. The first byte says
-- in which pieces the rest comes.
local gevent = require "gevent"
local http = require "gevent.http"
local socket = require "gevent.socket"
local websocket = require "gevent.websocket"

gevent.get_hub().exception_stream = {write = function(_, ...)
  io.stderr:write(...)
  os.exit(false)
end}
local path = (os.getenv "FUZZ_DIR" or "/tmp") .. "/server"
os.remove(path)

local silent = {write = function() end}

local function each(req)
  for name, value in req.headers:each() do
    assert(name:find("^[%w!#$%%&'*+%-.^_`|~]+$") and not value:find("[\r\n%z]"))
  end
  req:args()
  req:args(true)
  req:cookies()
  return tostring(req) .. (req.host or "") .. (req.query or "") .. req.raw_path
end

local function handle(req, res)
  local what = each(req)
  if req.path == "/form" then
    local fields, _, code = req:form{max_fields = 10, max_file_memory = 20,
      max_file_bytes = 1000}
    return code or tostring(fields ~= nil)
  elseif req.path == "/lines" then
    for line in req:lines() do what = what .. #line end
  elseif req.path == "/ws" then
    local ws <close> = websocket.upgrade(req, res, {deflate = true, max_message = 1000,
      timeout = 1, protocols = {"p"}})
    if ws then
      for data, kind in ws:messages() do ws:send(data, kind) end
    end
    return
  elseif req.path:find("^/file") then
    return res:sendfile(req.path:sub(6), {root = "spec/fuzz"})
  elseif req.path == "/leave" then
    return "the body is not read"
  elseif req.path == "/chunks" then
    res:write(what)
    return res:finish("more")
  end
  return #assert(req:body()) .. ""
end

local srv = http.Server("unix:" .. path, handle, {log = silent, max_body_bytes = 5000,
  compress = {min = 10}})
assert(srv:start())

return function(input)
  if #input < 1 then return end
  local step = math.max(input:byte() + 1, #input // 30)
  local sock <close> = assert(socket.socket("unix"))
  assert(sock:connect(path))
  local _writer <close> = gevent.spawn(function()
    for at = 2, #input, step do
      if not sock:sendall(input:sub(at, at + step - 1)) then return end
      gevent.sleep(0)
    end
    sock:shutdown("w")
  end)
  sock:settimeout(300)
  local answer, message, code = sock:read("a")
  if not answer then
    assert(code == "ECONNRESET" or code == "EPIPE", message)
    return
  end
  assert(answer == "" or answer:find("^HTTP/1.[01] %d%d%d [^\r\n]*\r\n"))
end
