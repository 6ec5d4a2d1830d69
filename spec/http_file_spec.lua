-- res:sendfile and http.files: ranges, conditions, and no way out of the root.

local helper = require "helper"
local http = require "gevent.http"
local lfs = require "lfs"
local web = require "helper_http"
local it = helper.it

local TEXT = "0123456789abcdefghijklmnopqrstuvwxyz"
local BIG = ("0123456789abcdef"):rep(20000) -- several pieces

--- A directory with some files, and a secret beside it.
local function makeroot()
  local top = os.tmpname()
  os.remove(top)
  local root = top .. "/root"
  for _, dir in ipairs {top, root, root .. "/sub", root .. "/.git"} do
    assert(lfs.mkdir(dir))
  end
  local function put(path, text)
    local f <close> = assert(io.open(path, "wb"))
    assert(f:write(text))
  end
  put(top .. "/secret", "secret")
  put(root .. "/text.txt", TEXT)
  put(root .. "/empty.bin", "")
  put(root .. "/big.bin", BIG)
  put(root .. "/page.HTML", "<p>")
  put(root .. "/a b%é.txt", "odd")
  put(root .. "/sub/index.html", "<p>index")
  put(root .. "/.git/config", "secret")
  assert(lfs.link("../secret", root .. "/out", true))
  assert(lfs.link("..", root .. "/up", true))
  assert(lfs.link("text.txt", root .. "/inside", true))
  return top, root
end

local top, root

setup(function() top, root = makeroot() end)
teardown(function() os.execute("rm -rf '" .. top .. "'") end)

--- Sends the file with these request fields; method GET unless told.
local function get(name, head, method, opts, prepare)
  local server <close> = web.serve(function(_, res)
    if prepare then prepare(res) end
    return res:sendfile(root .. "/" .. name, opts)
  end, {error_log = function(text) error(text, 0) end})
  return web.ask(server, method or "GET", "/", head)
end

describe("res:sendfile", function()
  it("tells tag, time and type", function()
    local res = get("page.HTML")
    assert.equal(200, res.status)
    assert.equal("<p>", res.body)
    assert.equal("text/html; charset=utf-8", res.headers["content-type"])
    assert.matches('^"%x+%-3"$', res.headers.etag)
    assert.matches("GMT$", res.headers["last-modified"])
    assert.equal("bytes", res.headers["accept-ranges"])
    assert.equal("3", res.headers["content-length"])
    res = get("page.HTML", nil, "HEAD")
    assert.equal("3", res.headers["content-length"])
    assert.equal("", res.body)
  end)

  it("sends large and empty files", function()
    local res = get("big.bin")
    assert.is_true(res.body == BIG)
    assert.equal(tostring(#BIG), res.headers["content-length"])
    res = get("empty.bin", "Range: bytes=0-\r\n")
    assert.equal(200, res.status)
    assert.equal("0", res.headers["content-length"])
  end)

  it("tells a failure from an empty file", function()
    local file = require "gevent.http.file"
    local code
    local function send(reads)
      local opened = {read = function() return table.unpack(table.remove(reads, 1)) end}
      local server <close> = web.serve(function(_, res)
        code = select(3, file.send(res, "x.txt", {}, opened, 10, 0, 0))
      end)
      return web.raw(server, web.request("GET", "/", "Connection: close\r\n"))
    end
    local text = send {{""}}
    assert.matches("^HTTP/1.1 500 ", text)
    assert.not_matches("ETag", text)
    assert.equal("truncated", code)
    assert.matches("^HTTP/1.1 500 ", send {{nil, "input/output error", "EIO"}})
    assert.equal("EIO", code)
    text = send {{"01234"}, {""}}
    assert.matches("^HTTP/1.1 200 .*Content%-Length: 10\r\n.*\r\n\r\n01234$", text)
    assert.equal("truncated", code)
  end)

  it("closes the file when its greenlet is killed, or the client goes", function()
    local path = root .. "/large.bin"
    local f <close> = assert(io.open(path, "wb"))
    f:write(BIG:rep(40))
    f:flush()
    local results = {}
    local server = web.serve(function(_, res)
      results[#results + 1] = table.pack(res:sendfile(path))
    end)
    server.socket:setsockopt("sndbuf", 4096)
    local socks = {}
    for i = 1, 3 do
      socks[i] = web.connect(server)
      assert(socks[i]:sendall(web.request("GET", "/")))
      assert(socks[i]:readuntil("\r\n\r\n"))
    end
    socks[1]:close()
    helper.wait_until(function() return results[1] end)
    assert.is_nil(results[1][1])
    assert.is_string(results[1][3])
    server:stop(0)
    assert.equal(1, #results)
    for i = 2, 3 do socks[i]:close() end
  end)

  it("takes options", function()
    local res = get("text.txt", nil, nil, {type = "x/y", max_age = 60, filename = 'a"é.txt'})
    assert.equal("x/y", res.headers["content-type"])
    assert.equal("max-age=60", res.headers["cache-control"])
    assert.equal([[attachment; filename="a___.txt"; filename*=UTF-8''a%22%C3%A9.txt]],
      res.headers["content-disposition"])
    res = get("text.txt", nil, nil, {filename = "b.txt"})
    assert.equal('attachment; filename="b.txt"', res.headers["content-disposition"])
  end)

  it("leaves a status that was set alone", function()
    local res = get("text.txt", "Range: bytes=0-1\r\nIf-None-Match: *\r\n", "GET", nil,
      function(res) res.status = 404 end)
    assert.equal(404, res.status)
    assert.equal(TEXT, res.body)
  end)

  for range, expected in pairs {
    ["bytes=0-0"] = {"0", "bytes 0-0/36"},
    ["bytes=10-12"] = {"abc", "bytes 10-12/36"},
    ["bytes=34-"] = {"yz", "bytes 34-35/36"},
    ["bytes=-3"] = {"xyz", "bytes 33-35/36"},
    ["bytes=-100"] = {TEXT, "bytes 0-35/36"},
    ["bytes=30-99999999999999999999"] = {"uvwxyz", "bytes 30-35/36"},
    ["Bytes= 1-1 "] = {"1", "bytes 1-1/36"},
    ["bytes=1-1, 50-60"] = {"1", "bytes 1-1/36"},
    ["bytes=,1-1,"] = {"1", "bytes 1-1/36"},
  } do
    it("sends the range " .. range, function()
      local res = get("text.txt", "Range: " .. range .. "\r\n")
      assert.equal(206, res.status)
      assert.equal(expected[1], res.body)
      assert.equal(expected[2], res.headers["content-range"])
      assert.equal(tostring(#expected[1]), res.headers["content-length"])
    end)
  end

  for _, range in ipairs {"bytes=36-", "bytes=-0", "bytes=50-60", "bytes=36-36,99-",
    "bytes=99999999999999999999-"} do
    it("cannot satisfy " .. range, function()
      local res = get("text.txt", "Range: " .. range .. "\r\n")
      assert.equal(416, res.status)
      assert.equal("bytes */36", res.headers["content-range"])
    end)
  end

  for _, range in ipairs {"lines=0-1", "bytes=2-1", "bytes=a-b", "bytes=-", "bytes=", "bytes",
    "bytes=0-1,x", "bytes=0x1-2", "bytes=0-30,1-31",
    "bytes=" .. ("0-0,"):rep(17) .. "0-0"} do
    it("ignores the range " .. range, function()
      local res = get("text.txt", "Range: " .. range .. "\r\n")
      assert.equal(200, res.status)
      assert.equal(TEXT, res.body)
      assert.is_nil(res.headers["content-range"])
    end)
  end

  it("ignores ranges of other methods", function()
    assert.equal(200, get("text.txt", "Range: bytes=0-1\r\n", "HEAD").status)
    assert.equal(200, get("text.txt", "Range: bytes=0-1\r\n", "POST").status)
  end)

  it("sends several ranges", function()
    local res = get("text.txt", "Range: bytes=0-1,10-12, -1\r\n")
    assert.equal(206, res.status)
    local boundary = res.headers["content-type"]:match("^multipart/byteranges; boundary=(%x+)$")
    local expected = {}
    for i, part in ipairs {{"0-1", "01"}, {"10-12", "abc"}, {"35-35", "z"}} do
      expected[i] = ("--%s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: "
        .. "bytes %s/36\r\n\r\n%s\r\n"):format(boundary, part[1], part[2])
    end
    assert.equal(table.concat(expected) .. "--" .. boundary .. "--\r\n", res.body)
    assert.equal(tostring(#res.body), res.headers["content-length"])
    assert.is_nil(res.headers["content-range"])
  end)

  it("sends ranges of large files", function()
    local res = get("big.bin", "Range: bytes=1-200000\r\n")
    assert.is_true(res.body == BIG:sub(2, 200001))
  end)

  it("looks at If-Range", function()
    local tag = get("text.txt").headers.etag
    local time = get("text.txt").headers["last-modified"]
    local function status(value)
      return get("text.txt", "Range: bytes=0-1\r\nIf-Range: " .. value .. "\r\n").status
    end
    assert.equal(206, status(tag))
    assert.equal(206, status(time))
    assert.equal(200, status('"other"'))
    assert.equal(200, status("W/" .. tag))
    assert.equal(200, status("Sun, 06 Nov 1994 08:49:37 GMT"))
    assert.equal(200, status("yesterday"))
  end)
end)

describe("a condition", function()
  local OLD, NEW = "Sun, 06 Nov 1994 08:49:37 GMT", "Fri, 31 Dec 2100 00:00:00 GMT"

  --- The status for these fields; TAG and TIME stand for what the file has.
  local function status(head, method)
    local first = get("text.txt")
    head = head:gsub("TAG", first.headers.etag):gsub("TIME", first.headers["last-modified"])
    return get("text.txt", head:gsub("\n", "\r\n"), method).status
  end

  for _, case in ipairs {
    {"If-None-Match: TAG\n", 304},
    {"If-None-Match: W/TAG\n", 304},
    {'If-None-Match: "a", TAG\n', 304},
    {'If-None-Match: "a"\nIf-None-Match: TAG\n', 304},
    {"If-None-Match: *\n", 304},
    {'If-None-Match: "a"\n', 200},
    {"If-None-Match: garbage\n", 200},
    {"If-None-Match: TAG\n", 412, "POST"},
    {"If-Modified-Since: TIME\n", 304},
    {"If-Modified-Since: " .. NEW .. "\n", 304},
    {"If-Modified-Since: " .. OLD .. "\n", 200},
    {"If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT\n", 200},
    {"If-Modified-Since: garbage\n", 200},
    {"If-Modified-Since: TIME\n", 200, "POST"},
    {'If-None-Match: "a"\nIf-Modified-Since: TIME\n', 200},
    {"If-None-Match: TAG\nIf-Modified-Since: " .. OLD .. "\n", 304},
    {"If-Match: TAG\n", 200},
    {"If-Match: *\n", 200},
    {"If-Match: W/TAG\n", 412},
    {'If-Match: "a"\n', 412},
    {"If-Unmodified-Since: TIME\n", 200},
    {"If-Unmodified-Since: " .. OLD .. "\n", 412},
    {"If-Unmodified-Since: garbage\n", 200},
    {"If-Match: TAG\nIf-Unmodified-Since: " .. OLD .. "\n", 200},
    {"If-Match: TAG\nIf-None-Match: TAG\n", 304},
    {'If-Match: "a"\nIf-None-Match: TAG\n', 412},
    {"If-None-Match: TAG\nRange: bytes=0-1\n", 304},
    {'If-Match: "a"\nRange: bytes=0-1\n', 412},
    {"If-Match: TAG\nRange: bytes=0-1\n", 206},
  } do
    local head, expected, method = table.unpack(case)
    it(("%s%s gives %d"):format(method and method .. " " or "", head:gsub("\n", " "), expected),
      function() assert.equal(expected, status(head, method)) end)
  end

  it("that is met sends the tag, and no body", function()
    local res = get("text.txt", "If-None-Match: *\r\n")
    assert.matches('^"', res.headers.etag)
    assert.is_nil(res.headers["content-type"])
    assert.is_nil(res.headers["content-length"])
  end)

  it("is for the tag that the handler has set", function()
    local function prepare(res) res.headers.ETag = '"mine"' end
    local res = get("text.txt", nil, nil, nil, prepare)
    assert.equal('"mine"', res.headers.etag)
    assert.equal(304, get("text.txt", 'If-None-Match: "mine"\r\n', "GET", nil, prepare).status)
  end)

  it("changes with the file", function()
    local path = root .. "/changing"
    local tags = {}
    for i, text in ipairs {"one", "two", "three"} do
      local f <close> = assert(io.open(path, "w"))
      f:write(text)
      f:close()
      assert(lfs.touch(path, 1000000 + i, 1000000 + i))
      tags[get("changing").headers.etag] = true
    end
    local count = 0
    for _ in pairs(tags) do count = count + 1 end
    assert.equal(3, count)
  end)
end)

describe("the root", function()
  --- The status and body of a path below it.
  local function under(path)
    local server <close> = web.serve(function(_, res)
      return res:sendfile(path, {root = root})
    end)
    local res = web.ask(server, "GET", "/")
    return res.status, res.body
  end

  it("has what is in it", function()
    assert.same({200, TEXT}, {under("text.txt")})
    assert.same({200, TEXT}, {under("/text.txt")})
    assert.same({200, TEXT}, {under("//text.txt")})
    assert.same({200, "odd"}, {under("a b%é.txt")})
  end)

  for _, path in ipairs {"../secret", "/../secret", "sub/../../secret", "..", "sub/..",
    "out", "up/secret", "/etc/passwd", "../root/text.txt", "sub/../text.txt",
    "text.txt\0.html", "text.txt/", "text.txt/x", "", "/", "sub", ("x"):rep(300),
    ("x/"):rep(5000)} do
    it("has no " .. path:sub(1, 40):gsub("%z", "\\0"), function()
      local status, body = under(path)
      assert.equal(404, status)
      assert.equal("Not Found\n", body)
    end)
  end

  it("that is not there has nothing", function()
    local server <close> = web.serve(function(_, res)
      return res:sendfile("text.txt", {root = root .. "/nowhere"})
    end)
    assert.equal(404, web.ask(server, "GET", "/").status)
  end)
end)

describe("http.files", function()
  local server

  setup(function()
    server = web.serve(http.files(root, {max_age = 5}))
    helper.wait_all_blocked()
  end)
  teardown(function() server:stop() end)

  it("serves by the path", function()
    local res = web.ask(server, "GET", "/text.txt?x")
    assert.equal(TEXT, res.body)
    assert.equal("max-age=5", res.headers["cache-control"])
    assert.equal("odd", web.ask(server, "GET", "/a%20b%25%C3%A9.txt").body)
    assert.equal(TEXT, web.ask(server, "GET", "/inside").body)
    assert.equal(206, web.ask(server, "GET", "/text.txt", "Range: bytes=1-2\r\n").status)
  end)

  it("serves the index of a directory", function()
    assert.equal("<p>index", web.ask(server, "GET", "/sub/").body)
    local res = web.ask(server, "GET", "/sub?a=b")
    assert.equal(301, res.status)
    assert.equal("/sub/?a=b", res.headers.location)
    res = web.ask(server, "GET", "//sub")
    assert.equal("/sub/", res.headers.location)
    assert.equal(404, web.ask(server, "GET", "/").status)
  end)

  for _, path in ipairs {"/../secret", "/%2e%2e/secret", "/..%2fsecret", "/%2e%2e%2fsecret",
    "/sub/%2e./%2E%2e/secret", "/out", "/up/secret", "/.git/config", "/%2egit/config",
    "//etc/passwd", "/%2fetc/passwd", "/..", "/.", "/nothing", "/..%5csecret"} do
    it("has no " .. path, function()
      local res = web.ask(server, "GET", path)
      assert.equal(404, res.status)
      assert.not_matches("secret", res.body)
    end)
  end

  it("answers NUL with 400", function()
    assert.equal(400, web.ask(server, "GET", "/text.txt%00.html").status)
  end)

  it("takes GET and HEAD only", function()
    assert.equal("36", web.ask(server, "HEAD", "/text.txt").headers["content-length"])
    local res = web.ask(server, "POST", "/text.txt", nil, "x")
    assert.equal(405, res.status)
    assert.equal("GET, HEAD", res.headers.allow)
  end)

  it("shows hidden names, and no index, if told", function()
    local other <close> = web.serve(http.files(root, {hidden = true, index = false}))
    assert.equal("secret", web.ask(other, "GET", "/.git/config").body)
    assert.equal(404, web.ask(other, "GET", "/sub/").status)
    assert.equal(404, web.ask(other, "GET", "/sub").status)
  end)

  it("can be mounted", function()
    local app <close> = web.serve(http.Router():mount("/s", http.files(root)))
    assert.equal(TEXT, web.ask(app, "GET", "/s/text.txt").body)
    assert.equal("/s/sub/", web.ask(app, "GET", "/s/sub").headers.location)
    assert.equal(400, web.ask(app, "GET", "/s/..%2fsecret").status)
    assert.equal(404, web.ask(app, "GET", "/s/out").status)
  end)
end)
