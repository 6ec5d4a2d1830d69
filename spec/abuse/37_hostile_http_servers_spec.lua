-- Servers that are no good to the client: answers that are malformed, cut short, endless,
-- bombs. An error, or a result that is bounded; it does not depend on how the bytes are cut,
-- and no connection is used again out of step.

local helper = require "helper"
local gevent = require "gevent"
local gzip = require "helper_gzip"
local http = require "gevent.http"
local origin = require "helper_origin"
local slope = require "helper_slope"
local it = helper.it

--- The answer to a GET of a server that sends these bytes and closes, as
-- "status reason body", or "code: message".
local function outcome(bytes, opts)
  local server <close> = origin.sends(bytes)
  local res, message, code = http.get(server.url, opts)
  if not res then return ("%s: %s"):format(code, message) end
  return ("%d %s|%s"):format(res.status, res.reason, res.body)
end

-- bytes -> outcome; "malformed", "truncated" ... alone: any message.
local cases = {
  -- Bodies, each of the three ways.
  {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "200 OK|hello"},
  {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "200 OK|"},
  {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and more", "200 OK|hello"},
  {"HTTP/1.1 200 OK\r\n\r\nuntil the end", "200 OK|until the end"},
  {"HTTP/1.0 200 OK\r\n\r\nold", "200 OK|old"},
  {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nold", "200 OK|old"},
  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n",
    "200 OK|hello!"},
  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\nA;x=\"y\"\r\n0123456789\r\n"
    .. "0\r\nX-T: 1\r\n\r\n", "200 OK|0123456789"},
  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "200 OK|"},
  -- Status lines.
  {"HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n", "299 |"},
  {"HTTP/1.1 299\r\nContent-Length: 0\r\n\r\n", "299 |"},
  {"HTTP/1.1 404 Not  Found\tx\xe9\r\nContent-Length: 0\r\n\r\n", "404 Not  Found\tx\xe9|"},
  {"HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n", "999 X|"},
  {"HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n", "malformed"},
  {"HTTP/1.1 20 OK\r\n\r\n", "malformed"},
  {"HTTP/1.1 2000 OK\r\n\r\n", "malformed"},
  {"HTTP/1.1 200OK\r\n\r\n", "malformed"},
  {"HTTP/1.1  200 OK\r\n\r\n", "malformed"},
  {"HTTP/1.1\t200 OK\r\n\r\n", "malformed"},
  {"HTTP/1.1 200 O\0K\r\n\r\n", "malformed"},
  {"HTTP/1.1 200 OK\n\n", "malformed"},
  {"HTTP/1.1 200 OK\r\r\n\r\n", "malformed"},
  {"HTTP/1.2 200 OK\r\n\r\n", "malformed"},
  {"HTTP/2.0 200 OK\r\n\r\n", "malformed"},
  {"HTTP/0.9 200 OK\r\n\r\n", "malformed"},
  {"HTTP/11.1 200 OK\r\n\r\n", "malformed"},
  {"http/1.1 200 OK\r\n\r\n", "malformed"},
  {"\r\nHTTP/1.1 200 OK\r\n\r\n", "malformed"},
  {"ICY 200 OK\r\n\r\n", "malformed"},
  {"<html>", "malformed"},
  {"SSH-2.0-OpenSSH_9.2\r\n", "malformed"},
  -- Fields.
  {"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "malformed"},
  {"HTTP/1.1 200 OK\r\n A: b\r\n\r\n", "malformed"},
  {"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "malformed"},
  {"HTTP/1.1 200 OK\r\nA\r\n\r\n", "malformed"},
  {"HTTP/1.1 200 OK\r\n: b\r\n\r\n", "malformed"},
  {"HTTP/1.1 200 OK\r\nA: \0\r\n\r\n", "malformed"},
  {"HTTP/1.1 200 OK\r\nA: b\nB: c\r\n\r\n", "malformed"},
  {"HTTP/1.1 200 OK\r\nA: b\rB: c\r\n\r\n", "malformed"},
  -- Framing that two readers may read two ways.
  {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "malformed"},
  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
    "malformed"},
  {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "malformed"},
  {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", "malformed"},
  {"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\na", "malformed"},
  {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "malformed"},
  {"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na", "malformed"},
  {"HTTP/1.1 200 OK\r\nContent-Length: 0x1\r\n\r\na", "malformed"},
  {"HTTP/1.1 200 OK\r\nContent-Length: 1 2\r\n\r\nab", "malformed"},
  {"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", "malformed"},
  {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "malformed"},
  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "malformed"},
  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nx", "malformed"},
  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"
    .. "0\r\n\r\n", "malformed"},
  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "malformed"},
  {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "malformed"},
  -- Chunks.
  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n", "malformed"},
  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\na\r\n0\r\n\r\n", "malformed"},
  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\na\r\n0\r\n\r\n", "malformed"},
  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", "malformed"},
  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na\r\n0\r\n\r\n", "malformed"},
  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\na\n0\n\n", "malformed"},
  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", "malformed"},
  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\na", "truncated"},
  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 1\r\n\r\n",
    "malformed"},
  -- Cut off.
  {"", "closed"},
  {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", "truncated"},
  {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "truncated"},
  {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", "truncated"},
  {"HTTP/1.1 200", "truncated"},
  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "truncated"},
  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", "truncated"},
  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", "truncated"},
  -- No body, whatever they announce.
  {"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", "204 No Content|"},
  {"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello", "304 Not Modified|"},
  {"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", "304 Not Modified|"},
  -- Interim answers.
  {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "200 OK|ok"},
  {"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 P\r\n\r\n"
    .. "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "200 OK|ok"},
  {"HTTP/1.1 100 Continue\r\n\r\n", "truncated"},
  {"HTTP/1.1 100 Continue\r\nContent-Length: 2\r\n\r\nok", "malformed"},
  {"HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "malformed"},
  {"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "malformed"},
}

local function matches(expected, got)
  if expected:find("^%a+$") then return got:match("^(%a+):") == expected end
  return got == expected
end

describe("an answer of bytes", function()
  for i, case in ipairs(cases) do
    it(("%d: %q is %s"):format(i, case[1]:sub(1, 60), case[2]), function()
      local got = outcome(case[1])
      assert.is_true(matches(case[2], got), got)
    end)
  end

  it("is the same however it is cut", function()
    local bytes, cut
    local server <close> = origin.replies(function(_, _, sock)
      sock:sendall(bytes:sub(1, cut))
      gevent.idle() -- the client takes what is there
      sock:sendall(bytes:sub(cut + 1))
    end)
    for _, case in ipairs(cases) do
      bytes = case[1]
      for at = 1, #bytes - 1, #bytes > 60 and 3 or 1 do
        cut = at
        local res, message, code = http.get(server.url)
        local got = res and ("%d %s|%s"):format(res.status, res.reason, res.body)
          or ("%s: %s"):format(code, message)
        assert.is_true(matches(case[2], got), ("%q cut at %d: %s"):format(bytes, at, got))
      end
    end
  end, {deadline = 60})

  it("is the same byte by byte", function()
    local bytes
    local server <close> = origin.replies(function(_, _, sock)
      for i = 1, #bytes do
        sock:sendall(bytes:sub(i, i))
        gevent.sleep(0)
      end
    end)
    for i = 1, #cases, 4 do
      bytes = cases[i][1]
      local res, message, code = http.get(server.url)
      local got = res and ("%d %s|%s"):format(res.status, res.reason, res.body)
        or ("%s: %s"):format(code, message)
      assert.is_true(matches(cases[i][2], got), ("%q: %s"):format(bytes, got))
    end
  end, {deadline = 30})
end)

describe("a connection", function()
  --- Answers the first request by `bytes`, and all others well. How often it
  -- was connected to by a client that asks twice, the first time without
  -- patience where the answer does not end.
  local function connections(bytes, method, endless)
    local server <close> = origin.replies(function(req, _, sock)
      if req.target == "/first" then
        sock:sendall(bytes)
        return ""
      end
      return origin.answer("second")
    end)
    local client <close> = http.Client {timeout = 5 * helper.scale}
    client:request {url = server.url .. "/first", method = method,
      timeout = endless and 0.05 or nil}
    helper.wait_all_blocked()
    local res = assert(client:get(server.url .. "/second"))
    assert.equal("second", res.body)
    return server.connections
  end

  it("is used again after an answer that was delimited", function()
    assert.equal(1, connections(origin.answer("x")))
    assert.equal(1, connections("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
      .. "1\r\nx\r\n0\r\n\r\n"))
    assert.equal(1, connections("HTTP/1.1 204 No Content\r\n\r\n"))
    assert.equal(1, connections("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"))
    assert.equal(1, connections("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HEAD"))
    assert.equal(1, connections("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n"
      .. "Content-Length: 1\r\n\r\nx"))
    assert.equal(1, connections("HTTP/1.1 100 Continue\r\n\r\n" .. origin.answer("x")))
  end)

  it("is not where it says so", function()
    assert.equal(2, connections(origin.answer("x", "Connection: close\r\n")))
    assert.equal(2, connections(origin.answer("x", "Connection: foo, Close\r\n")))
    assert.equal(2, connections("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx"))
  end)

  it("is not where the request said so", function()
    local server <close> = origin.replies(function() return origin.answer("x") end)
    local client <close> = http.Client()
    assert(client:get(server.url, {headers = {Connection = "Close"}}))
    assert(client:get(server.url))
    assert(client:get(server.url))
    assert.equal(2, server.connections)
  end)

  it("is the caller's after it switched protocols", function()
    local server <close> = origin.replies(function(req, _, sock)
      if not req.headers.upgrade then return origin.answer("plain") end
      sock:sendall("HTTP/1.1 101 Switching\r\nUpgrade: echo\r\n\r\nwelcome\n")
      local line = sock:read("L")
      if line then sock:sendall("> " .. line) end
    end)
    local client <close> = http.Client()
    local res = assert(client:get(server.url, {headers = {Connection = "upgrade",
      Upgrade = "echo"}}))
    assert.equal(101, res.status)
    do
      local sock <close> = assert(res:takeover())
      assert.equal("welcome", sock:read("l"))
      sock:sendall("hello\n")
      assert.equal("> hello", sock:read("l"))
    end
    assert.is_nil((res:takeover()))
    assert.is_truthy(tostring(client):find("0 connections busy, 0 idle", 1, true))
    local plain = assert(client:get(server.url))
    assert.is_nil((plain:takeover()))
    local _unused = assert(client:get(server.url, {headers = {Connection = "upgrade",
      Upgrade = "echo"}}))
    _unused:close()
  end)

  it("is not where anything came behind the answer", function()
    assert.equal(2, connections(origin.answer("x") .. origin.answer("evil")))
    assert.equal(2, connections(origin.answer("x") .. "\r\n"))
    assert.equal(2, connections("HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil"))
    assert.equal(2, connections("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", "HEAD"))
  end)

  it("is not where something may still come", function()
    assert.equal(2, connections("HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n"))
    assert.equal(2, connections("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nx", "GET", true))
    assert.equal(2, connections("HTTP/1.1 200 OK\r\n\r\nuntil the end", "GET", true))
    assert.equal(2, connections("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx",
      "GET", true))
  end)

  it("is not after an answer that was refused", function()
    assert.equal(2, connections("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
      .. "Content-Length: 0\r\n\r\n"))
    assert.equal(2, connections("nonsense"))
  end)

  it("is not where something came while it was idle", function()
    local server <close> = origin.replies(function(req, n, sock)
      if n == 1 then
        gevent.spawn(function()
          gevent.sleep(0.01)
          sock:sendall(origin.answer("evil"))
        end)
      end
      return origin.answer(req.target)
    end)
    local client <close> = http.Client()
    assert.equal("/a", client:get(server.url .. "/a").body)
    gevent.sleep(0.05)
    assert.equal("/b", client:get(server.url .. "/b").body)
    assert.equal(2, server.connections)
  end)
end)

describe("limits", function()
  it("bound the head of an answer", function()
    local line = "X: " .. ("y"):rep(997) .. "\r\n"
    local function head(n) return "HTTP/1.1 200 OK\r\n" .. line:rep(n) .. "\r\n" end
    assert.equal("200 OK|", outcome(head(60)))
    assert.equal("toolarge", outcome(head(70)):match("^%a+"))
    assert.equal("200 OK|", outcome(head(70), {max_header_bytes = 100000}))
    assert.equal("toolarge", outcome(head(2), {max_header_bytes = 1000}):match("^%a+"))
    assert.equal("toolarge", outcome("HTTP/1.1 200 " .. ("x"):rep(10000)
      .. "\r\n\r\n"):match("^%a+"))
  end)

  it("bound the number of fields", function()
    local function head(n) return "HTTP/1.1 200 OK\r\n" .. ("X: y\r\n"):rep(n) .. "\r\n" end
    assert.equal("200 OK|", outcome(head(200)))
    assert.equal("toolarge", outcome(head(201)):match("^%a+"))
    assert.equal("toolarge", outcome(head(4), {max_headers = 3}):match("^%a+"))
  end)

  it("bound interim answers", function()
    local interim = "HTTP/1.1 102 Processing\r\n\r\n"
    assert.equal("200 OK|x", outcome(interim:rep(32) .. origin.answer("x")))
    assert.equal("toolarge: too many interim answers",
      outcome(interim:rep(33) .. origin.answer("x")))
    assert.equal("toolarge", outcome(interim:rep(100000)):match("^%a+"))
  end)

  it("bound trailers and chunk extensions", function()
    local head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert.equal("toolarge", outcome(head .. "1;a=" .. ("x"):rep(20000)
      .. "\r\ny\r\n0\r\n\r\n"):match("^%a+"))
    assert.equal("toolarge", outcome(head .. "0\r\n" .. ("X: y\r\n"):rep(300)
      .. "\r\n"):match("^%a+"))
  end)

  it("bound the body, however it is delimited", function()
    local five = {
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\n\r\nhello",
    }
    for _, bytes in ipairs(five) do
      assert.equal("200 OK|hello", outcome(bytes, {max_body_bytes = 5}))
      assert.equal("toolarge: body too large", outcome(bytes, {max_body_bytes = 4}))
    end
  end)

  it("bound what a streamed body may hold in memory, not its length", function()
    local total = 0
    local server <close> = origin.serve(function(sock)
      origin.request(sock)
      sock:sendall("HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n")
      for _ = 1, 100 do sock:sendall(("x"):rep(100000)) end
    end)
    local res <close> = assert(http.get(server.url, {stream = true}))
    for piece in res:chunks() do total = total + #piece end
    assert.equal(10000000, total)
    local limited <close> = assert(http.get(server.url, {stream = true,
      max_body_bytes = 10000000}))
    assert.equal(1000, #limited:read(1000))
    local res2, message, code = http.get(server.url, {max_body_bytes = 1000000})
    assert.is_nil(res2)
    assert.same({"body too large", "toolarge"}, {message, code})
  end)
end)

describe("a compressed body", function()
  local function answer(coding, body, head)
    return origin.answer(body, "Content-Encoding: " .. coding .. "\r\n" .. (head or ""))
  end

  it("is undone", function()
    assert.equal("200 OK|hello", outcome(answer("gzip", gzip.gzip("hello"))))
    assert.equal("200 OK|hello", outcome(answer("x-gzip", gzip.gzip("hello"))))
    assert.equal("200 OK|hello", outcome(answer("GZIP", gzip.gzip("hello"))))
    assert.equal("200 OK|hello", outcome(answer("deflate", gzip.zlib("hello"))))
    assert.equal("200 OK|hello", outcome(answer("deflate", gzip.raw("hello"))))
    assert.equal("200 OK|", outcome(answer("gzip", gzip.gzip(""))))
    assert.equal("200 OK|", outcome(answer("deflate", gzip.raw(""))))
    assert.equal("200 OK|", outcome(answer("gzip", "")))
    assert.equal("200 OK|one two", outcome(answer("gzip", gzip.gzip("one ") .. gzip.gzip("two"))))
    local chunks = gzip.gzip("hello"):gsub(".", function(c) return "1\r\n" .. c .. "\r\n" end)
    assert.equal("200 OK|hello", outcome("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
      .. "Transfer-Encoding: chunked\r\n\r\n" .. chunks .. "0\r\n\r\n"))
    assert.equal("200 OK|hello", outcome("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"
      .. gzip.gzip("hello")))
  end)

  it("no longer says that it is", function()
    local server <close> = origin.sends(answer("gzip", gzip.gzip("hello"), "X-A: b\r\n"))
    local res = assert(http.get(server.url))
    assert.is_nil(res.headers["content-encoding"])
    assert.is_nil(res.headers["content-length"])
    assert.equal("b", res.headers["x-a"])
    assert.equal("gzip", res.encoding)
  end)

  it("is left as it is where the caller asked for it", function()
    local packed = gzip.gzip("hello")
    local server <close> = origin.sends(answer("gzip", packed))
    for _, opts in ipairs {{decompress = false},
      {headers = {["accept-encoding"] = "gzip"}}} do
      local res = assert(http.get(server.url, opts))
      assert.equal(packed, res.body)
      assert.equal("gzip", res.headers["content-encoding"])
    end
  end)

  it("is left as it is in codings that were not asked for", function()
    assert.equal("200 OK|x", outcome(answer("br", "x")))
    assert.equal("200 OK|x", outcome(answer("gzip, br", "x")))
    assert.equal("200 OK|x", outcome(answer("identity", "x")))
    assert.equal("200 OK|x", outcome(answer("gzip", "x", "Content-Encoding: br\r\n")))
  end)

  it("is an error where it is none, or not whole", function()
    local packed = gzip.gzip("hello")
    assert.equal("malformed: bad compressed data", outcome(answer("gzip", "hello, world")))
    assert.equal("malformed: bad compressed data", outcome(answer("deflate", "\7\7\7\7")))
    assert.equal("malformed: bad compressed data", outcome(answer("gzip", packed .. "junk")))
    assert.equal("malformed: bad compressed data",
      outcome(answer("gzip", packed:sub(1, -9) .. "\0\0\0\0" .. packed:sub(-4))))
    for cut = 1, #packed - 1 do
      assert.equal("truncated: the compressed body was cut off",
        outcome(answer("gzip", packed:sub(1, cut))))
    end
    assert.equal("truncated", outcome(answer("deflate", "x")):match("^%a+"))
  end)

  it("is the same however it is cut", function()
    local bytes, cut
    local server <close> = origin.replies(function(_, _, sock)
      sock:sendall(bytes:sub(1, cut))
      gevent.idle()
      sock:sendall(bytes:sub(cut + 1))
    end)
    for _, body in ipairs {gzip.gzip("hello") .. gzip.gzip("!"), gzip.raw("hello!"),
      gzip.zlib("hello!")} do
      bytes = answer(body:byte(1) == 31 and "gzip" or "deflate", body)
      for at = #bytes - #body, #bytes - 1 do
        cut = at
        assert.equal("hello!", assert(http.get(server.url)).body)
      end
    end
  end)

  it("may not become more than allowed", function()
    local bomb = gzip.zeros(50 * 1024 * 1024)
    assert.is_true(#bomb < 500000)
    local bytes = answer("gzip", bomb)
    local server <close> = origin.sends(bytes)
    local before = collectgarbage("count")
    local res, message, code = http.get(server.url, {max_body_bytes = 1024 * 1024})
    assert.same({"body too large", "toolarge"}, {message, code})
    assert.is_nil(res)
    assert.is_true(collectgarbage("count") - before < 16 * 1024)
  end)

  it("is limited without being told, unless it is streamed", function()
    local server <close> = origin.sends(answer("gzip", gzip.zeros(70 * 1024 * 1024)))
    local res, message, code = http.get(server.url)
    assert.is_nil(res)
    assert.same({"body too large", "toolarge"}, {message, code})
    local streamed <close> = assert(http.get(server.url, {stream = true}))
    local total = 0
    for piece in streamed:chunks() do total = total + #piece end
    assert.equal(70 * 1024 * 1024, total)
  end, {deadline = 30})
end)

for name, bytes in pairs {
  ["an answer that is malformed"] = "HTTP/1.1 200 OK\nX: y\n\n",
  ["an answer that is cut short"] = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx",
  ["an answer that is too large"] = "HTTP/1.1 200 " .. ("x"):rep(100000),
} do
  slope.it(name, function()
    local server = origin.sends(bytes)
    return function()
      assert(not http.get(server.url))
      if #server.greenlets > 50 then -- which it keeps
        server.greenlets, server.requests = {server.greenlets[1]}, {}
      end
    end, function() server:close() end
  end, {times = 4})
end
