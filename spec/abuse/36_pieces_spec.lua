-- A stream has no bounds of its own: however its bytes are cut into pieces on
-- the way, the reads give the same, and a read that ends early loses nothing.

local helper = require "helper"
local faults = require "helper_faults"
local gevent = require "gevent"
local peer = require "helper_ws"
local web = require "helper_http"
local it, closing = helper.it, helper.closing

local TIMED_OUT = {nil, "timed out", "timeout", n = 3}

-- How each read is called, with a time-out in seconds or nil.
local function read(...)
  local formats = table.pack(...)
  return function(sock, timeout)
    sock:settimeout(timeout)
    return sock:read(table.unpack(formats, 1, formats.n))
  end
end

--- Each: what is read, from which bytes, to which results.
local READS = {
  {"a line", read "l", "first line\n", {"first line"}},
  {"an empty line", read "l", "\n", {""}},
  {"a line with its end", read "L", "second\r\n", {"second\r\n"}},
  {"bytes", read(6), "\n12\0\n6", {"\n12\0\n6"}},
  {"several", read("l", 3, "L"), "one\nab\nfour\n", {"one", "ab\n", "four\n"}},
  {"a delimiter", function(sock, timeout)
    return sock:readuntil("--+", nil, timeout)
  end, "a--b---+", {"a--b---+"}},
  {"exactly n", function(sock, timeout)
    return sock:readexactly(7, timeout)
  end, "exactly", {"exactly"}},
}

local WHOLE = {}
for i, case in ipairs(READS) do WHOLE[i] = case[3] end
WHOLE = table.concat(WHOLE) .. "the rest\nof it"

--- A greenlet that reads all of it; its value is a list of results.
local function reader_of(sock)
  return gevent.spawn(function()
    local results = {}
    for _, case in ipairs(READS) do results[#results + 1] = {case[2](sock)} end
    results[#results + 1] = {sock:read("a")}
    results[#results + 1] = {sock:read("l")}
    results[#results + 1] = {sock:read("a")}
    return results
  end)
end

local EXPECTED = {}
for i, case in ipairs(READS) do EXPECTED[i] = case[4] end
table.move({{"the rest\nof it"}, {nil, "closed", "closed"}, {""}}, 1, 3,
  #EXPECTED + 1, EXPECTED)

--- What is read where the bytes come in these pieces.
local function delivered(pieces)
  local a <close>, b = helper.pair()
  local reader = reader_of(a)
  for _, piece in ipairs(pieces) do
    helper.wait_all_blocked()
    assert.is_true(b:sendall(piece))
  end
  b:close()
  return reader:get()
end

local function cut(text, size)
  local pieces = {}
  for at = 1, #text, size do pieces[#pieces + 1] = text:sub(at, at + size - 1) end
  return pieces
end

describe("what comes", function()
  it("in one piece is read as it was written", function()
    assert.same(EXPECTED, delivered {WHOLE})
  end)

  it("in two pieces, cut anywhere, is read the same", function()
    for at = 1, #WHOLE - 1 do
      assert.same(EXPECTED, delivered {WHOLE:sub(1, at), WHOLE:sub(at + 1)})
    end
  end)

  it("byte by byte, or a few at a time, is read the same", function()
    for _, size in ipairs {1, 2, 3, 5, 7} do
      assert.same(EXPECTED, delivered(cut(WHOLE, size)))
    end
  end)

  it("over TCP byte by byte is read the same", function()
    local client, sock = helper.tcp_pair()
    local _ <close> = closing(client, sock)
    local reader = reader_of(sock)
    for _, piece in ipairs(cut(WHOLE, 1)) do client:sendall(piece) end
    client:shutdown("w")
    assert.same(EXPECTED, reader:get())
  end)

  it("is iterated the same by lines, however it is cut", function()
    for size = 1, 4 do
      local a <close>, b = helper.pair()
      local reader = gevent.spawn(function()
        local lines = {}
        for line in a:lines() do lines[#lines + 1] = line end
        return lines
      end)
      for _, piece in ipairs(cut("one\n\nthree\nlast", size)) do
        helper.wait_all_blocked()
        b:sendall(piece)
      end
      b:close()
      assert.same({"one", "", "three", "last"}, reader:get())
    end
  end)

  it("is given by recv in order, after a read and before one", function()
    local a, b = helper.pair()
    local _ <close> = closing(a, b)
    b:sendall("one\ntwo\nthree\n")
    assert.equal("one", a:read("l"))
    assert.equal("tw", a:recv(2))
    assert.equal("o", a:read("l"))
    assert.equal("three\n", a:recv(100))
  end)
end)

describe("what was gathered", function()
  for _, case in ipairs(READS) do
    local name, call, text = case[1], case[2], case[3]
    local expected = table.pack(table.unpack(case[4]))

    it("is kept by a read that times out, after each byte: " .. name, function()
      local a, b = helper.pair()
      local _ <close> = closing(a, b)
      for at = 1, #text do
        assert.same(TIMED_OUT, table.pack(call(a, 0)))
        assert.same(TIMED_OUT, table.pack(call(a, 1e-6)))
        b:sendall(text:sub(at, at))
      end
      assert.same(expected, table.pack(call(a, 0)))
    end)

    it("is kept by a read that is killed, at each byte: " .. name, function()
      for at = 0, #text - 1 do
        local a, b = helper.pair()
        local _ <close> = closing(a, b)
        b:sendall(text:sub(1, at))
        local victim = helper.spawn_blocked(call, a)
        victim:kill()
        b:sendall(text:sub(at + 1))
        assert.same(expected, table.pack(call(a)))
      end
    end)

    it("is there for recv: " .. name, function()
      local a, b = helper.pair()
      local _ <close> = closing(a, b)
      b:sendall(text:sub(1, -2))
      assert.same(TIMED_OUT, table.pack(call(a, 0)))
      a:settimeout(nil)
      local got = #text > 1 and a:recv(100) or ""
      assert.equal(text:sub(1, -2), got)
    end)

    it("is there after the end came too early: " .. name, function()
      local a <close>, b = helper.pair()
      b:sendall("tail")
      b:shutdown("r")
      assert.same(TIMED_OUT, table.pack(a:readuntil("x", nil, 0)))
      b:close()
      assert.same({nil, "closed", "closed", n = 3},
        table.pack(a:readexactly(5)))
      assert.equal("tail", a:read("a"))
    end)
  end

  it("is searched once, however slowly it comes", function()
    local drips = math.floor(1000 / helper.scale)
    local calls = {
      function(sock) return #sock:read("l") end,
      function(sock) return #select(2, sock:read(1, "L")) end,
      function(sock) return #sock:readuntil("\r\n") end,
    }
    for i, call in ipairs(calls) do
      local function seconds(size)
        local a, b = helper.pair()
        local _ <close> = closing(a, b)
        local reader = gevent.spawn(call, a)
        b:sendall(("x"):rep(size))
        local before = os.clock()
        for _ = 1, drips do
          b:sendall("x")
          gevent.idle() -- until the reader has seen it
        end
        local spent = os.clock() - before
        b:sendall("\r\n")
        assert.is_true(reader:get() >= size + drips)
        return spent
      end
      local short = seconds(1)
      -- Searched anew at each byte it would be some hundred times as slow.
      local long = helper.best_of(3, 10 * short, seconds, 1 << 24)
      assert.is_true(long < 10 * short + 0.05,
        ("%d: %.3f s, %.3f s with nothing before"):format(i, long, short))
    end
  end)
end)

-- HTTP --------------------------------------------------------------------------------

local function echo(req)
  local body = req:body()
  return body and req.method .. " " .. req.path .. " " .. body
end

describe("requests", function()
  local bytes = web.request("POST", "/a", "Transfer-Encoding: chunked\r\n")
    .. "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nT: t\r\n\r\n" .. web.request("GET", "/b")
    .. web.request("POST", "/c", nil, "body") .. "\r\n"
    .. web.request("GET", "/d", "Connection: close\r\n")
  local bodies = {"POST /a abcdefg", "GET /b ", "POST /c body", "GET /d "}

  local function read_all(sock)
    local list = {}
    for i = 1, #bodies do list[i] = web.response(sock).body end
    assert.is_true(web.is_closed(sock))
    return list
  end

  it("mean the same at once and byte by byte", function()
    local server <close> = web.serve(echo)
    local whole <close> = web.connect(server)
    assert(whole:sendall(bytes))
    assert.same(bodies, read_all(whole))
    local single <close> = web.connect(server)
    for i = 1, #bytes do
      assert(single:sendall(bytes:sub(i, i)))
      gevent.sleep(0)
    end
    assert.same(bodies, read_all(single))
  end)

  it("mean the same cut anywhere", function()
    local server <close> = web.serve(echo)
    for at = 1, #bytes - 1, 3 do
      local sock <close> = web.connect(server)
      assert(sock:sendall(bytes:sub(1, at)))
      gevent.sleep(0)
      assert(sock:sendall(bytes:sub(at + 1)))
      assert.same(bodies, read_all(sock))
    end
  end)
end)

describe("a message of WebSocket", function()
  it("means the same at once, byte by byte, and cut anywhere", function()
    local masked = peer.masked
    local bytes = masked(1, "h\u{e9}llo") .. masked(9, "ping") .. masked(2, "\0", {fin = false})
      .. masked(9, "") .. masked(0, ("x"):rep(200)) .. masked(8, peer.closing(1000, "end"))
    local function receive_all(pieces)
      local ws <close>, sock = peer.pair()
      local got = {}
      local reader = gevent.spawn(function()
        for data, kind in ws:messages() do got[#got + 1] = kind .. data end
        got[#got + 1] = ws.close_code
      end)
      for _, piece in ipairs(pieces) do
        helper.wait_all_blocked()
        assert.is_true(sock:sendall(piece))
      end
      reader:get()
      sock:close()
      return got
    end
    local expected = {"texth\u{e9}llo", "binary\0" .. ("x"):rep(200), 1000}
    assert.same(expected, receive_all {bytes})
    assert.same(expected, receive_all(cut(bytes, 1)))
    for at = 1, #bytes - 1, 5 do
      assert.same(expected, receive_all {bytes:sub(1, at), bytes:sub(at + 1)})
    end
  end, {deadline = 20})
end)

-- The system ---------------------------------------------------------------------------

describe("a network that moves a few bytes at a time", function()
  local preload = faults.preload "pieces"
  teardown(function() if preload then os.remove(preload) end end)

  local function whole(name, program)
    if not preload then return pending(name .. " (needs cc, plain)") end
    it(name, function()
      local code, out, err = helper.run_lua(faults.PRELUDE .. program .. " print 'ok'",
        {env = {LD_PRELOAD = preload}})
      assert.same({0, "ok\n", ""}, {code, out, err})
    end, {deadline = 40})
  end

  whole("loses nothing", [[
    local srv <close> = start()
    local clients = {}
    for i = 1, 10 do clients[i] = gevent.spawn(exchange, connect(srv), 5000) end
    for _, client in ipairs(clients) do client:get() end
  ]])

  whole("gives send's count of what is out", [[
    local a, b = socket.socketpair()
    local text, at = ("0123456789"):rep(100), 1
    gevent.spawn(function()
      while at <= #text do
        local n = assert(a:send(text:sub(at)))
        assert(n >= 1 and n <= 7, n)
        at = at + n
      end
      a:shutdown("w")
    end)
    assert(b:read("a") == text)
  ]])

  whole("keeps the order of what was buffered, files and the rest", [[
    local a, b = socket.socketpair()
    local file = io.tmpfile()
    file:write(("from a file "):rep(50))
    file:flush()
    a:setvbuf("full", 300)
    gevent.spawn(function()
      for i = 1, 100 do assert(a:write(i, ",")) end
      assert(a:sendfile(file) == 600)
      for i = 1, 100 do assert(a:write(i, ";")) end
      assert(a:sendv{"one", 2, "three"})
      assert(a:sendall("four"))
      a:write("the end")
      a:close()
    end)
    local numbers = {}
    for i = 1, 100 do numbers[i] = i end
    assert(b:read("a") == table.concat(numbers, ",") .. ","
      .. ("from a file "):rep(50) .. table.concat(numbers, ";") .. ";"
      .. "one2threefourthe end")
  ]])

  whole("does not break a time-out: what is out is told", [[
    local a, b = socket.socketpair()
    a:settimeout(0)
    local ok, _, code, sent = a:sendall(("x"):rep(10000))
    assert(not ok and code == "timeout")
    b:settimeout(0.01)
    local got = 0
    while true do
      local data, _, failure = b:recv(100)
      if not data then assert(failure == "timeout") break end
      got = got + #data
    end
    assert(got == sent, got)
  ]])
end)
