-- All kinds of answers, read by a strict parser of somebody else's: h11. One
-- Python process reads them all.

local helper = require "helper"
local gevent = require "gevent"
local http = require "gevent.http"
local web = require "helper_http"
local it = helper.it

-- Reads records, "METHOD METHOD ... LENGTH\n" and as many bytes: what came on a
-- connection in answer to these requests. Prints a line for each.
local REFEREE = [=[
import sys, h11
def judge(methods, data):
    conn = h11.Connection(h11.CLIENT)
    conn.receive_data(data)
    conn.receive_data(b"")
    seen = []
    for i, method in enumerate(methods):
        if i:
            if conn.their_state is not h11.DONE: break
            conn.start_next_cycle()
        target = "a:1" if method == "CONNECT" else "/"
        conn.send(h11.Request(method=method, target=target, headers=[("Host", "x")]))
        conn.send(h11.EndOfMessage())
        size = 0
        while True:
            event = conn.next_event()
            if isinstance(event, h11.Data): size += len(event.data)
            elif isinstance(event, h11.Response): status = event.status_code
            elif isinstance(event, h11.EndOfMessage): break
            elif not isinstance(event, h11.InformationalResponse):
                return "bad event %r after %r" % (event, seen)
        seen.append("%d:%d" % (status, size))
    if conn.trailing_data[0]: seen.append("rest:%d" % len(conn.trailing_data[0]))
    return " ".join(seen)
f = sys.stdin.buffer
while True:
    words = f.readline().split()
    if not words: break
    methods = [w.decode() for w in words[:-1]]
    data = f.read(int(words[-1]))
    try: print(judge(methods, data))
    except h11.ProtocolError as e: print("refused: %s: %r" % (e, data[:300]))
]=]

-- The system's Python need not be the first one in PATH.
local python
for _, name in ipairs {"python3", "/usr/bin/python3"} do
  if not python and os.execute(name .. " -c 'import h11' 2>/dev/null") then python = name end
end

local FILE = ("0123456789"):rep(30000)

--- What the handlers are asked for, by path.
local function app(path)
  local router = http.Router()
  local function add(name, handler) router:any("/" .. name, handler) end
  add("string", function() return "hello" end)
  add("empty", function() end)
  add("status", function() return 503 end)
  add("list", function() return 201, {["X-A"] = {"1", "2"}}, {"a", "b"} end)
  add("iterator", function()
    local n = 0
    return function()
      gevent.sleep(0)
      n = n + 1
      return n < 4 and ("x"):rep(n) or nil
    end
  end)
  add("write", function(_, res)
    res:write("a")
    res:write("")
    res:write(("b"):rep(100000))
    res:finish("c")
  end)
  add("counted", function(_, res)
    res.headers["Content-Length"] = 6
    res:write("abc")
    res:write("def")
  end)
  add("none", function() return 204 end)
  add("unchanged", function() return 304, {ETag = '"x"'} end)
  add("reset", function() return 205 end)
  add("redirect", function(_, res) return res:redirect("/elsewhere", 303) end)
  add("cookie", function(_, res) res:set_cookie("a", "b", {path = "/", http_only = true}) end)
  add("reason", function(_, res) res.reason = "Très bien" end)
  add("close", function() return 200, {Connection = "close"}, "x" end)
  add("error", function() error("x") end)
  add("file", function(_, res) return res:sendfile(path, {type = "text/plain"}) end)
  add("missing", function(_, res) return res:sendfile(path .. "/x") end)
  add("large", function() return ("line of text\n"):rep(5000) end)
  add("events", function(_, res)
    local events = res:events()
    events:send("a\nb")
    events:comment()
  end)
  add("body", function(req) return req:body() end)
  add("ignore", function() return "ignored" end)
  router:get("/get", function() return "x" end)
  return router
end

local records = {}

--- Sends requests on one connection, which must end; notes what comes.
-- @param expected what the referee is to say
local function note(server, expected, methods, bytes)
  records[#records + 1] = {expected = expected, methods = methods, text = web.raw(server, bytes)}
end

local function ask(server, expected, method, path, head, body)
  note(server, expected, method, web.request(method, "/" .. path,
    "Connection: close\r\n" .. (head or ""), body))
end

local function collect(server)
  for _, case in ipairs {
    {"string", "200:5"}, {"empty", "200:0"}, {"status", "503:0"}, {"list", "201:2"},
    {"iterator", "200:6"}, {"write", "200:100002"}, {"counted", "200:6"}, {"none", "204:0"},
    {"unchanged", "304:0"}, {"reset", "205:0"}, {"redirect", "303:0"}, {"cookie", "200:0"},
    {"reason", "200:0"}, {"close", "200:1"}, {"error", "500:22"}, {"file", "200:300000"},
    {"missing", "404:10"}, {"large", "200:65000"}, {"get", "200:1"}, {"nothing", "404:10"},
    {"a/..", "400:12"},
  } do
    local path, expected = table.unpack(case)
    ask(server, expected, "GET", path)
    ask(server, expected:match("%d+") .. ":0", "HEAD", path)
    note(server, expected, "GET", ("GET /%s HTTP/1.0\r\n\r\n"):format(path))
  end
  ask(server, "405:19", "POST", "get")
  ask(server, "204:0", "OPTIONS", "get")
  ask(server, "200:3", "POST", "body", nil, "abc")
  ask(server, "200:3", "POST", "body", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n")
  ask(server, "200:3", "POST", "body", "Expect: 100-continue\r\n", "abc")
  ask(server, "200:3", "POST", "body", "Expect: other\r\n", "abc")
end

local function collect_files(server)
  for range, expected in pairs {["0-9"] = "206:10", ["-70000"] = "206:70000",
    ["999999-"] = "416:22"} do
    ask(server, expected, "GET", "file", "Range: bytes=" .. range .. "\r\n")
  end
  ask(server, "304:0", "GET", "file", "If-None-Match: *\r\n")
  ask(server, "304:0", "HEAD", "file", "If-None-Match: *\r\n")
  ask(server, "412:20", "GET", "file", 'If-Match: "x"\r\n')
end

local function collect_connections(server)
  local get = function(path, head) return web.request("GET", path, head) end
  note(server, "200:5 200:6 204:0 304:0 404:10 200:1", "GET GET GET GET GET GET",
    get "/string" .. get "/iterator" .. get "/none" .. get "/unchanged" .. get "/missing"
    .. get "/close" .. get "/string")
  note(server, "200:5 400:12", "GET GET", get "/string" .. "GET  / HTTP/1.1\r\n\r\n")
  note(server, "200:7 200:5", "POST GET", web.request("POST", "/ignore", nil, "abc")
    .. get("/string", "Connection: close\r\n"))
  note(server, "200:0 200:0 200:5", "HEAD HEAD GET", web.request("HEAD", "/write")
    .. web.request("HEAD", "/file") .. get("/string", "Connection: close\r\n"))
  for bytes, expected in pairs {
    ["GET / HTTP/1.1\r\n\r\n"] = "400:12", ["BREW / HTTP/1.1\r\nHost: x\r\n\r\n"] = "501:16",
    ["GET / HTTP/1.2\r\nHost: x\r\n\r\n"] = "505:27",
    ["GET /" .. ("x"):rep(9000) .. " HTTP/1.1\r\n\r\n"] = "414:13",
    [get("/", "X: " .. ("x"):rep(9000) .. "\r\n")] = "431:32",
    [web.request("POST", "/", "Content-Length: 99999999\r\n")] = "413:18",
  } do
    note(server, expected, "GET", bytes)
  end
end

local function collect_compressed(server)
  for _, method in ipairs {"GET", "HEAD"} do
    for _, path in ipairs {"large", "write", "iterator", "events", "none", "unchanged", "error",
      "file"} do
      ask(server, nil, method, path, "Accept-Encoding: gzip\r\n")
    end
  end
  note(server, nil, "GET GET GET", web.request("GET", "/large", "Accept-Encoding: gzip\r\n")
    .. web.request("GET", "/write", "Accept-Encoding: deflate\r\n")
    .. web.request("GET", "/string", "Connection: close\r\n"))
end

--- The referee's lines for all records.
local function judge()
  local script, input = os.tmpname(), os.tmpname()
  local _ <close> = helper.defer(function() os.remove(script) os.remove(input) end)
  local f <close> = assert(io.open(script, "wb"))
  f:write(REFEREE)
  f:flush()
  local data <close> = assert(io.open(input, "wb"))
  for _, record in ipairs(records) do
    data:write(record.methods, " ", #record.text, "\n", record.text)
  end
  data:flush()
  local lines = {}
  local pipe <close> = assert(io.popen(("%s %s <%s 2>&1"):format(python, script, input)))
  for line in pipe:lines() do lines[#lines + 1] = line end
  return lines
end

local test = python and it or pending

describe("h11", function()
  test("accepts all that the server sends, and sees the same in it", function()
    local path = os.tmpname()
    local _ <close> = helper.defer(function() os.remove(path) end)
    local f <close> = assert(io.open(path, "wb"))
    f:write(FILE)
    f:flush()
    records = {}
    local server <close> = web.serve(app(path), {error_log = false})
    collect(server)
    collect_files(server)
    collect_connections(server)
    local other <close> = web.serve(app(path), {error_log = false, compress = true})
    collect_compressed(other)
    local lines = judge()
    assert.equal(#records, #lines, lines[#lines])
    for i, record in ipairs(records) do
      assert.not_matches("^refused", lines[i])
      assert.not_matches("bad event", lines[i])
      if record.expected then
        assert.equal(record.expected, lines[i], record.methods .. "\n" .. record.text:sub(1, 500))
      end
    end
  end, {deadline = 30})
end)
