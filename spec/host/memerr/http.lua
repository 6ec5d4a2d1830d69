-- The HTTP server: bodies, forms, files, chunks, errors.
require "gevent"
local http = require "gevent.http"
local socket = require "gevent.socket"

local silent = {write = function() end}

local function handle(req, res)
  if req.path == "/form" then
    local form = assert(req:form())
    return 200, {["X-A"] = form.a}, {"a list ", "of parts"}
  elseif req.path == "/chunks" then
    res.headers["content-type"] = "text/plain"
    res:write("one")
    res:write("two")
    return res:finish("three")
  elseif req.path == "/args" then
    local args, cookies = req:args(), req:cookies()
    res:set_cookie("c", cookies.c or "none", {path = "/"})
    return args.x
  elseif req.path == "/file" then
    return res:sendfile("spec/host/memerr/init.lua")
  elseif req.path == "/redirect" then
    return res:redirect("/")
  elseif req.path == "/lines" then
    local n = 0
    for line in req:lines() do n = n + #line end
    return tostring(n)
  end
  local body = req:body()
  return (body or "") .. req.headers["host"]
end

local REQUESTS = table.concat({
  "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
  "POST /form HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n"
    .. "Content-Type: application/x-www-form-urlencoded\r\n\r\na=1&b=2",
  "GET /chunks HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET /args?x=%41&y HTTP/1.1\r\nHost: a\r\nCookie: c=d; e=f\r\n\r\n",
  "GET /file HTTP/1.1\r\nHost: a\r\nRange: bytes=1-10\r\n\r\n",
  "HEAD /redirect HTTP/1.1\r\nHost: a\r\n\r\n",
  "POST /lines HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    .. "5\r\na\nb\nc\r\n1\r\n\n\r\n0\r\n\r\n",
  "POST / HTTP/1.1\r\nHost: last\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
})

return _G.guarded(function()
  local srv <close> = http.Server("127.0.0.1:0", handle,
    {log = silent, error_log = silent})
  srv._patience = 0.02
  assert(srv:start())
  local sock <close> = assert(socket.create_connection("127.0.0.1", srv.port))
  assert(sock:sendall(REQUESTS))
  local text = sock:read("a")
  if not text or not text:find("abclast$") then
    error("the answer ends early: not enough memory in a handler?", 0)
  end
end)
