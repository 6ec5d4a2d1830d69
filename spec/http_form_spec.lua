-- req:form: urlencoded and multipart, files on disk, and its limits.

local helper = require "helper"
local gevent = require "gevent"
local web = require "helper_http"
local it = helper.it

local FORM = "Content-Type: application/x-www-form-urlencoded\r\n"
local MULTI = 'Content-Type: multipart/form-data; boundary="b b"\r\n'

--- A part of a multipart body.
local function part(fields, content)
  return ("--b b\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n"):format(fields, content)
end

local END = "--b b--\r\n"

--- Posts a body; the answer. Assertions in `look(req)` count.
local function post(head, body, look, opts)
  local failure
  opts = opts or {}
  opts.error_log = false
  local server <close> = web.serve(function(req)
    local ok, err = xpcall(look, debug.traceback, req)
    if not ok then failure = err end
  end, opts)
  local res = web.ask(server, "POST", "/", head, body)
  if failure then error(failure, 0) end
  return res
end

describe("an urlencoded form", function()
  it("is read by names", function()
    post(FORM, "a=1&b=x+y%26&a=2&c&=d&%C3%A9=%zz&&", function(req)
      local form = req:form()
      assert.same({a = "2", b = "x y&", c = "", [""] = "d", ["é"] = "%zz"}, form)
      assert.same({"1", "2"}, req:form(true).a)
      assert.same({"1", "2"}, req:form({all = true}).a)
    end)
  end)

  it("has a limit of fields", function()
    local body = ("a=1&"):rep(1001)
    local res = post(FORM, body, function(req)
      local form, message, code = req:form()
      assert.is_nil(form)
      assert.matches("too many", message)
      assert.equal("toolarge", code)
    end)
    assert.equal(413, res.status)
    res = post(FORM, body, function(req)
      assert.equal("1", req:form({max_fields = 2000}).a)
    end)
    assert.equal(200, res.status)
  end)

  it("that is too large is refused", function()
    local res = post(FORM, ("a"):rep(100), function(req)
      assert.equal("toolarge", select(3, req:form()))
    end, {max_body_bytes = 50})
    assert.equal(413, res.status)
  end)
end)

describe("a multipart form", function()
  it("has values and files", function()
    local body = part('name="a"', "1") .. part("name=b", "two\r\nlines") .. part('name="a"', "3")
      .. part('name="f"; filename="x.txt"\r\nContent-Type: text/plain', "content")
      .. part('name=g; filename="C:\\dir\\y%22.bin"', "\0\1") .. END
    local res = post(MULTI, body, function(req)
      local form = req:form()
      assert.equal("3", form.a)
      assert.equal("two\r\nlines", form.b)
      assert.same({"1", "3"}, req:form(true).a)
      local file = form.f
      assert.equal("f", file.name)
      assert.equal("x.txt", file.filename)
      assert.equal("text/plain", file.type)
      assert.equal(7, file.size)
      assert.equal("content", file:read("a"))
      assert.equal("", file:read("a"))
      assert.is_nil(file:read(1))
      file:rewind()
      assert.equal("con", file:read(3))
      assert.equal("tent", file:read(100))
      assert.has_error(function() file:read("x") end)
      assert.equal('y".bin', form.g.filename)
      assert.equal("application/octet-stream", form.g.type)
      assert.equal("\0\1", form.g:read())
      assert.equal('<Upload "x.txt" 7 bytes>', tostring(file))
    end)
    assert.equal(200, res.status)
  end)

  it("has no file where none was chosen", function()
    post(MULTI, part('name="f"; filename=""', "") .. END, function(req)
      assert.same({}, req:form())
    end)
  end)

  it("keeps large files on disk, until the request is over", function()
    local content = ("0123456789\r\n--b"):rep(20000)
    local kept
    local path = os.tmpname()
    local _ <close> = helper.defer(function() os.remove(path) end)
    post(MULTI, part('name=f; filename=f', content) .. END, function(req)
      local file = req:form().f
      kept = file
      assert.equal(#content, file.size)
      assert.is_true(file:read("a") == content)
      assert.is_true(file:save(path))
      assert.is_true(helper.slurp(path) == content)
      file:rewind()
      assert.equal("0123", file:read(4))
      assert.is_nil((file:save("/nonexistent/file")))
    end, {max_body_bytes = false})
    assert.same({nil, "closed", "closed"}, {kept:read("a")})
    assert.same({nil, "closed", "closed"}, {kept:save(path)})
    kept:close()
  end)

  it("closes its files on a connection that is kept, too", function()
    local files = {}
    local server <close> = web.serve(function(req)
      files[#files + 1] = req:form({max_file_memory = 1}).f
      return files[#files]:read("a")
    end)
    local sock <close> = web.connect(server)
    for i = 1, 3 do
      assert(sock:sendall(web.request("POST", "/", MULTI,
        part("name=f; filename=f", "file " .. i) .. END)))
      assert.equal("file " .. i, web.response(sock).body)
    end
    for i = 1, 3 do assert.is_nil((files[i]:read("a"))) end
  end)

  it("is the same however it comes", function()
    local body = "preamble\r\n" .. part("name=a", "\r\n--b") .. part("name=f; filename=f", "\r\r\n")
      .. END .. "epilogue"
    local seen
    local server <close> = web.serve(function(req)
      local form = req:form()
      seen = form.a .. "|" .. form.f:read("a")
    end)
    local sock <close> = web.connect(server)
    local bytes = web.request("POST", "/", MULTI, body)
    for i = 1, #bytes do
      assert(sock:sendall(bytes:sub(i, i)))
      if i % 7 == 0 then gevent.sleep(0) end
    end
    assert.equal(200, web.response(sock).status)
    assert.equal("\r\n--b|\r\r\n", seen)
    assert(sock:sendall(web.request("POST", "/", MULTI .. "Transfer-Encoding: chunked\r\n")))
    for i = 1, #body, 3 do
      local piece = body:sub(i, i + 2)
      assert(sock:sendall(("%x\r\n%s\r\n"):format(#piece, piece)))
    end
    assert(sock:sendall("0\r\n\r\n"))
    assert.equal(200, web.response(sock).status)
  end)

  it("closes its files if the reading is interrupted", function()
    local files, fired
    local server <close> = web.serve(function(req)
      local timeout <close> = gevent.Timeout.start_new(0.02)
      local ok, err = pcall(req.form, req, {max_file_memory = 1})
      fired = not ok and rawequal(err, timeout)
      files = req._files
    end)
    local sock <close> = web.connect(server)
    assert(sock:sendall(web.request("POST", "/", MULTI .. "Content-Length: 100000\r\n")
      .. part("name=f; filename=f", ("x"):rep(20000))))
    assert.equal(200, web.response(sock).status)
    assert.is_true(fired)
    assert.equal(1, #files)
    assert.same({nil, "closed", "closed"}, {files[1]:read("a")})
  end)

  for name, body in pairs {
    ["has no end"] = part("name=a", "1"),
    ["has no boundary"] = "hello",
    ["is empty"] = "",
    ["has a part without a name"] = part("x=y", "1") .. END,
    ["has a bare LF"] = part("name=a\nX: y", "1") .. END,
    ["ends in a boundary line"] = part("name=a", "1") .. "--b b-",
  } do
    it("that " .. name .. " is refused with 400", function()
      local res = post(MULTI, body, function(req)
        local form, message, code = req:form()
        assert.is_nil(form)
        assert.is_string(message)
        assert.equal("malformed", code)
      end)
      assert.equal(400, res.status)
      assert.equal("close", res.headers.connection)
    end)
  end

  it("without a boundary is refused", function()
    for _, kind in ipairs {"multipart/form-data", "multipart/form-data; boundary=",
      "multipart/form-data; boundary=" .. ("b"):rep(71)} do
      local res = post("Content-Type: " .. kind .. "\r\n", "--b--", function(req)
        assert.equal("malformed", select(3, req:form()))
      end)
      assert.equal(400, res.status)
    end
  end)

  for name, case in pairs {
    fields = {part("name=a", "1"):rep(5), {max_fields = 4}},
    memory = {part("name=a", ("x"):rep(30)):rep(4), {max_memory = 100}},
    ["bytes of a file"] = {part("name=a; filename=b", ("x"):rep(101)), {max_file_bytes = 100}},
    ["bytes of a part's fields"] = {part("name=" .. ("a"):rep(5000), "1"), {}},
  } do
    it("has a limit of " .. name, function()
      local res = post(MULTI, case[1] .. END, function(req)
        assert.equal("toolarge", select(3, req:form(case[2])))
      end)
      assert.equal(413, res.status)
    end)
  end

  it("that is no good is no error of the handler's", function()
    local printed <close> = helper.capture_errors()
    local server <close> = web.serve(function(req) return web.assert(req:form()).a end)
    assert.equal(400, web.ask(server, "POST", "/", MULTI, "x").status)
    assert.equal("", printed:text())
  end)

  it("leaves nothing behind when it is cut off or killed", function()
    local server <close> = web.serve(function(req) req:form({max_file_memory = 1}) end)
    for _ = 1, 3 do
      local sock <close> = web.connect(server)
      assert(sock:sendall(web.request("POST", "/", MULTI .. "Content-Length: 1000\r\n")
        .. part("name=f; filename=f", "12345")))
      helper.wait_until(function() return server._count == 1 end)
      helper.wait_all_blocked()
      sock:close()
      helper.wait_until(function() return server._count == 0 end)
    end
    local sock <close> = web.connect(server)
    assert(sock:sendall(web.request("POST", "/", MULTI .. "Content-Length: 1000\r\n")
      .. part("name=f; filename=f", "12345")))
    helper.wait_until(function() return server._count == 1 end)
    helper.wait_all_blocked()
    server:stop(0)
  end)
end)
