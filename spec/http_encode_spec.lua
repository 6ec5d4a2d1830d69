-- Compressed answers: when, how, and that they can be undone.

local helper = require "helper"
local gevent = require "gevent"
local web = require "helper_http"
local it = helper.it

local TEXT = ("All work and no play makes a dull page. "):rep(200)
local GZIP = "Accept-Encoding: gzip\r\n"
-- In front of a raw deflate stream it makes a gzip member, but for its end.
local GZIP_HEAD = "\31\139\8\0\0\0\0\0\0\3"

--- What `gzip` makes of the bytes, whatever it thinks of their end.
local function gunzip(bytes)
  local path = os.tmpname()
  local _ <close> = helper.defer(function() os.remove(path) end)
  local file <close> = assert(io.open(path, "wb"))
  file:write(bytes)
  file:flush()
  local pipe <close> = assert(io.popen("gzip -dc 2>/dev/null <" .. path))
  return pipe:read("a")
end

--- The answer of a handler, where the server may compress.
local function ask(handler, head, opts, method)
  opts = opts or {}
  if opts.compress == nil then opts.compress = true end
  opts.error_log = function(text) error(text, 0) end
  local server <close> = web.serve(handler, opts)
  return web.ask(server, method or "GET", "/", head)
end

local function plain(res)
  assert.equal(200, res.status)
  assert.is_nil(res.headers["content-encoding"])
  assert.equal(TEXT, res.body)
  return res
end

local function zipped(res, coding)
  assert.equal(coding or "gzip", res.headers["content-encoding"])
  assert.is_true(#res.body < #TEXT / 10)
  if coding == "deflate" then
    assert.equal(0x78, res.body:byte())
    assert.equal(TEXT, gunzip(GZIP_HEAD .. res.body:sub(3)))
  else
    assert.equal(TEXT, gunzip(res.body))
  end
  return res
end

describe("an answer", function()
  local function text() return TEXT end

  it("is compressed for those who ask for it", function()
    local res = zipped(ask(text, GZIP))
    assert.equal("Accept-Encoding", res.headers.vary)
    assert.equal(tostring(#res.body), res.headers["content-length"])
    assert.equal("text/plain; charset=utf-8", res.headers["content-type"])
    assert.equal("Accept-Encoding", plain(ask(text)).headers.vary)
  end)

  it("is not unless the server was told", function()
    local res = plain(ask(text, GZIP, {compress = false}))
    assert.is_nil(res.headers.vary)
  end)

  for accept, coding in pairs {
    ["gzip, deflate, br"] = "gzip", ["deflate"] = "deflate", ["*"] = "gzip",
    ["gzip;q=0.5, deflate"] = "deflate", ["gzip;q=0.5, deflate;q=0.5"] = "gzip",
    ["deflate, *;q=0.1"] = "deflate", ["GZIP"] = "gzip", ["br;q=1, gzip;q=0.001"] = "gzip",
  } do
    it("is " .. coding .. " for " .. accept, function()
      zipped(ask(text, "Accept-Encoding: " .. accept .. "\r\n"), coding)
    end)
  end

  for _, accept in ipairs {"", "br", "gzip;q=0", "*;q=0", "identity", "gzip;q=x", "x-gzip2",
    "*, gzip;q=0"} do
    it("is plain for '" .. accept .. "'", function()
      plain(ask(text, "Accept-Encoding: " .. accept .. "\r\n"))
    end)
  end

  it("is compressed when it comes in parts, each of which can be read at once", function()
    local gate = helper.gate()
    local server <close> = web.serve(function(_, res)
      res:write(TEXT)
      gate:wait()
      res:write("the end")
    end, {compress = true})
    local sock <close> = web.connect(server)
    assert(sock:sendall(web.request("GET", "/", GZIP .. "Connection: close\r\n")))
    local head = assert(sock:readuntil("\r\n\r\n"))
    assert.matches("Content%-Encoding: gzip\r\n", head)
    assert.matches("Transfer%-Encoding: chunked\r\n", head)
    local first = assert(sock:readexactly(
      tonumber(assert(sock:readuntil("\r\n")):match("%x+"), 16)))
    assert.equal(TEXT, gunzip(first))
    assert.equal("\r\n", sock:readexactly(2))
    gate:open()
    local parts = {first}
    while true do
      local size = tonumber(assert(sock:readuntil("\r\n")):match("%x+"), 16)
      if size == 0 then break end
      parts[#parts + 1] = assert(sock:readexactly(size + 2)):sub(1, -3)
    end
    assert.equal(TEXT .. "the end", gunzip(table.concat(parts)))
  end)

  it("is compressed whatever way it is sent", function()
    zipped(ask(function(_, res) return res:send(200, nil, TEXT) end, GZIP))
    zipped(ask(function(_, res) return res:finish(TEXT) end, GZIP))
    zipped(ask(function() return {TEXT:sub(1, 10), TEXT:sub(11)} end, GZIP))
    local function part(from, to) return function(_, res) res:write(TEXT:sub(from, to)) end end
    zipped(ask(function(req, res)
      part(1, 1000)(req, res)
      return res:finish(TEXT:sub(1001))
    end, GZIP))
    zipped(ask(function(_, res)
      res.headers["Content-Length"] = #TEXT
      res:write(TEXT)
    end, GZIP))
    local at = 1
    zipped(ask(function()
      return function()
        local piece = TEXT:sub(at, at + 99)
        at = at + 100
        return piece ~= "" and piece or nil
      end
    end, GZIP))
  end)

  it("is compressed for HTTP/1.0, up to the end of the connection", function()
    local server <close> = web.serve(function(_, res) res:write(TEXT) end, {compress = true})
    local text10 = web.raw(server, "GET / HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n")
    assert.matches("Content%-Encoding: gzip\r\n", text10)
    assert.equal(TEXT, gunzip(text10:match("\r\n\r\n(.*)$")))
  end)

  it("leaves the connection in order", function()
    local server <close> = web.serve(function(req, res)
      if req.path == "/s" then
        res:write(TEXT)
        return ""
      end
      return TEXT
    end, {compress = true})
    local sock <close> = web.connect(server)
    assert(sock:sendall(web.request("GET", "/", GZIP) .. web.request("GET", "/s", GZIP)
      .. web.request("HEAD", "/", GZIP) .. web.request("HEAD", "/s", GZIP)
      .. web.request("GET", "/") .. web.request("GET", "/s", GZIP)))
    local length = zipped(web.response(sock)).headers["content-length"]
    zipped(web.response(sock))
    local res = web.response(sock, "HEAD")
    assert.equal("gzip", res.headers["content-encoding"])
    assert.equal(length, res.headers["content-length"])
    res = web.response(sock, "HEAD")
    assert.equal("gzip", res.headers["content-encoding"])
    plain(web.response(sock))
    zipped(web.response(sock))
  end)

  it("is compressed by its type", function()
    for kind, yes in pairs {["text/html"] = true, ["application/json; charset=utf-8"] = true,
      ["Image/SVG+xml"] = true, ["application/problem+json"] = true, ["image/png"] = false,
      ["application/zip"] = false, ["application/octet-stream"] = false} do
      local res = ask(function() return 200, {["Content-Type"] = kind}, TEXT end, GZIP)
      assert.equal(yes and "gzip" or nil, res.headers["content-encoding"])
      assert.equal(yes and "Accept-Encoding" or nil, res.headers.vary)
    end
  end)

  it("is not compressed where that would be wrong", function()
    for name, value in pairs {["Content-Encoding"] = "br", ["Content-Range"] = "bytes 0-1/2",
      ["Cache-Control"] = "public, No-Transform", ["Content-Type"] = {"image/png"}} do
      local res = ask(function() return 200, {[name] = value}, TEXT end, GZIP)
      assert.not_equal("gzip", res.headers["content-encoding"])
      assert.equal(TEXT, res.body)
    end
    assert.equal(206, ask(function() return 206, nil, TEXT end, GZIP).status)
    local res = ask(function() return 204 end, GZIP)
    assert.is_nil(res.headers["content-encoding"])
    res = ask(function() return 304 end, GZIP)
    assert.is_nil(res.headers["content-encoding"])
    assert.equal("Accept-Encoding", res.headers.vary)
  end)

  it("is not compressed if it is small", function()
    local res = ask(function() return "small" end, GZIP)
    assert.equal("small", res.body)
    assert.equal("Accept-Encoding", res.headers.vary)
    res = ask(function() return "small" end, GZIP, {compress = {min = 1, level = 9}})
    assert.equal("small", gunzip(res.body))
    assert.equal("", ask(function() return "" end, GZIP).body)
  end)

  it("has a weak tag when it is compressed", function()
    local function tagged() return 200, {ETag = '"x"'}, TEXT end
    assert.equal('W/"x"', ask(tagged, GZIP).headers.etag)
    assert.equal('"x"', ask(tagged).headers.etag)
    assert.equal('W/"y"', ask(function() return 200, {ETag = 'W/"y"'}, TEXT end, GZIP)
      .headers.etag)
  end)

  it("may be a file", function()
    local path = os.tmpname()
    local _ <close> = helper.defer(function() os.remove(path) end)
    local f <close> = assert(io.open(path, "w"))
    f:write(TEXT)
    f:flush()
    local function send(_, res) return res:sendfile(path, {type = "text/plain"}) end
    local res = zipped(ask(send, GZIP))
    assert.equal(304, ask(send, GZIP .. "If-None-Match: " .. res.headers.etag .. "\r\n").status)
    res = ask(send, GZIP .. "Range: bytes=0-3\r\n")
    assert.equal(206, res.status)
    assert.equal("All ", res.body)
    res = ask(send, GZIP, nil, "HEAD")
    assert.equal("gzip", res.headers["content-encoding"])
    assert.is_nil(res.headers["content-length"])
  end)

  it("keeps a Vary of the handler's", function()
    local res = ask(function() return 200, {Vary = "Cookie"}, TEXT end, GZIP)
    local values = {}
    for _, field in ipairs(res.list) do
      if field[1] == "Vary" then values[#values + 1] = field[2] end
    end
    assert.same({"Cookie", "Accept-Encoding"}, values)
  end)

  it("gives its memory back if it is never finished", function()
    local server <close> = web.serve(function(_, res)
      res:write(TEXT)
      gevent.sleep(60)
    end, {compress = true})
    for _ = 1, 3 do
      local sock <close> = web.connect(server)
      assert(sock:sendall(web.request("GET", "/", GZIP)))
      assert(sock:readuntil("\r\n\r\n"))
    end
    server:stop(0)
  end)

  it("has options that are checked", function()
    local http = require "gevent.http"
    for _, bad in ipairs {1, "yes", {level = -1}, {level = 1.5}, {min = "x"}} do
      assert.has_error(function()
        http.Server("127.0.0.1:0", function() end, {compress = bad})
      end)
    end
  end)
end)
