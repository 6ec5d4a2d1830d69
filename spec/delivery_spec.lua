-- A stream has no bounds of its own: however its bytes are cut into pieces on
-- the way, the reads give the same, and a read that ends early loses nothing.

local helper = require "helper"
local gevent = require "gevent"
local socket = require "gevent.socket"
local it = helper.it

local TIMED_OUT = {nil, "timed out", "timeout", n = 3}

--- For `<close>`: closes all of them.
local function closing(...)
  local socks = {...}
  return helper.defer(function()
    for _, sock in ipairs(socks) do
      sock:settimeout(0)
      sock:close()
    end
  end)
end

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

describe("a kill or a time-out in the turn in which data comes", function()
  --- Two greenlets wait in the same poll: one for data, one that ends the first
  -- when its own comes. Returns what the reader saw, and what was left.
  local function race(reader_first, finish)
    local a, b = helper.pair()
    local c, d = helper.pair()
    local _ <close> = closing(a, b, c, d)
    local seen = {}
    local reader
    local function receive()
      seen.data = a:recv(10)
      gevent.sleep(0) -- a wait that was over when the kill came returns
      gevent.sleep(0)
      seen.went_on = true
    end
    local function ender()
      c:recv(10)
      finish(reader)
    end
    reader = helper.spawn_blocked(receive)
    local other = helper.spawn_blocked(ender)
    local first, second = b, d
    if not reader_first then first, second = d, b end
    first:sendall("data")
    second:sendall("data")
    gevent.joinall {reader, other}
    return seen, a:recv(10, 0)
  end

  it("has one outcome, and loses nothing", function()
    for _, reader_first in ipairs {true, false} do
      for _ = 1, 20 do
        local seen, left = race(reader_first, function(reader)
          gevent.kill(reader)
        end)
        assert.is_true((seen.data == "data") ~= (left == "data"))
        assert.is_nil(seen.went_on)
      end
    end
  end)

  it("is data where that was there when the time was over", function()
    for _ = 1, 50 do
      local a, b = helper.pair()
      local _ <close> = closing(a, b)
      local got
      local reader = gevent.spawn(function()
        got = {a:recv(10, 0.002 * helper.scale)}
      end)
      gevent.sleep(0)
      b:sendall("data")
      local until_then = os.clock() + 0.003 * helper.scale
      while os.clock() < until_then do end -- both are due in the next poll
      reader:join()
      local left = a:recv(10, 0)
      assert.is_true((got[1] == "data") ~= (left == "data"))
    end
  end)
end)

-- Half-close ----------------------------------------------------------------

describe("a half-close", function()
  it("after the request leaves the way back open", function()
    local client, sock = helper.tcp_pair()
    local _ <close> = closing(client, sock)
    local server = gevent.spawn(function()
      local request = sock:read("a")
      assert.equal("", sock:recv(1)) -- and again
      sock:sendall(request:upper():rep(100000))
      return sock:shutdown("w")
    end)
    client:sendall("request")
    assert.is_true(client:shutdown("w"))
    assert.equal("EPIPE", (select(3, client:sendall("more"))))
    assert.equal(700000, #client:read("a"))
    assert.same({"", nil}, {client:read("a"), (client:read("l"))})
    assert.is_true(server:get())
  end)

  it("from the server leaves its own reads pending", function()
    local client, sock = helper.tcp_pair()
    local _ <close> = closing(client, sock)
    local reader = helper.spawn_blocked(sock.read, sock, "a")
    assert.is_true(sock:shutdown("w"))
    assert.equal("", client:recv(10))
    client:sendall("still going")
    client:shutdown("w")
    assert.equal("still going", reader:get())
  end)

  it("from both sides at once loses nothing that was under way", function()
    local client, sock = helper.tcp_pair()
    local readers = {}
    for i, s in ipairs {client, sock} do
      readers[i] = gevent.spawn(s.read, s, "a")
      gevent.spawn(function()
        s:sendall(("x"):rep(1000000))
        s:shutdown("w")
      end)
    end
    assert.same({1000000, 1000000}, {#readers[1]:get(), #readers[2]:get()})
    client:close()
    sock:close()
  end)

  it("writes first what setvbuf has collected", function()
    for _, how in ipairs {"w", "rw"} do
      local a, b = helper.pair()
      local _ <close> = closing(a, b)
      a:setvbuf("full", 1 << 20)
      a:write("some", " ", "text")
      assert.is_true(a:shutdown(how))
      assert.equal("some text", b:read("a"))
    end
  end)

  it("of the reading half does not write anything", function()
    local a, b = helper.pair()
    local _ <close> = closing(a, b)
    a:setvbuf("full", 100)
    a:write("later")
    assert.is_true(a:shutdown("r"))
    assert.same(TIMED_OUT, table.pack(b:recv(10, 0)))
    a:flush()
    assert.equal("later", b:recv(10))
  end)

  it("waits until all is out, and obeys time-out and kill", function()
    local a, b = helper.pair()
    local _ <close> = closing(a, b)
    a:setvbuf("full", 1 << 22)
    a:write(("x"):rep(2000000))
    a:settimeout(0.01)
    assert.same(TIMED_OUT, table.pack(a:shutdown("w")))
    a:settimeout(nil)
    helper.spawn_blocked(a.shutdown, a, "w"):kill()
    local closer = helper.spawn_blocked(a.shutdown, a, "w")
    assert.equal(2000000, #b:read("a"))
    assert.is_true(closer:get())
    assert.equal("EPIPE", (select(3, a:sendall("x"))))
  end)

  it("does not wait where another greenlet is writing", function()
    local a, _b = helper.pair()
    local _ <close> = closing(a, _b)
    a:setvbuf("full", 1 << 22)
    a:write(("x"):rep(2000000))
    local writer = helper.spawn_blocked(a.flush, a)
    assert.is_true(a:shutdown("rw"))
    assert.equal("EPIPE", (select(3, writer:get())))
  end)
end)

-- A peer that is gone, a peer that does not read ---------------------------

describe("a connection that is reset with much under way", function()
  it("ends the writer with what went out; the rest is freed", function()
    local client, sock = helper.tcp_pair()
    local writer = helper.spawn_blocked(client.sendall, client,
      ("x"):rep(10 << 20))
    sock:setsockopt("linger", 0)
    sock:close()
    local ok, _, code, sent = writer:get()
    assert.is_nil(ok)
    assert.is_true(code == "ECONNRESET" or code == "EPIPE", code)
    assert.is_true(sent > 0 and sent < 10 << 20)
    ok, _, code = client:sendall("x")
    assert.is_nil(ok)
    assert.is_true(code == "ECONNRESET" or code == "EPIPE", code)
    client:close()
  end)
end)

describe("a peer that does not read", function()
  it("stops a buffered writer at its buffer", function()
    local a, _b = helper.pair()
    local _ <close> = closing(a, _b)
    a:setvbuf("full", 10000)
    local pieces = 0
    local writer = helper.spawn_blocked(function()
      local piece = ("x"):rep(1000)
      while a:write(piece) do pieces = pieces + 1 end
    end)
    local stopped = pieces
    helper.wait_all_blocked()
    assert.equal(stopped, pieces)
    assert.is_true(pieces < 5000)
    writer:kill()
  end)

  it("and many small ones to it keep their order when it does", function()
    local a, b = helper.pair()
    local _ <close> = closing(a, b)
    local writer = helper.spawn_blocked(function()
      for i = 1, 4000 do assert(a:sendv{i, ":", ("x"):rep(500), "\n"}) end
      a:shutdown("w")
    end)
    local i = 0
    for number, rest in function() return b:readuntil(":"), b:read("l") end do
      i = i + 1
      assert.equal(i .. ":", number)
      assert.equal(500, #rest)
    end
    assert.equal(4000, i)
    writer:get()
  end)
end)

describe("a sendall of one long string", function()
  it("lets others run while the peer keeps up", function()
    local a, b = helper.pair()
    local _ <close> = closing(a, b)
    local turns, done = 0, false
    gevent.spawn(function()
      while not done do
        turns = turns + 1
        gevent.sleep(0)
      end
    end)
    local reader = gevent.spawn(function()
      local n = 0
      while n < 20000000 do n = n + #b:recv(65536) end
      return n
    end)
    assert.is_true(a:sendall(("x"):rep(20000000)))
    done = true
    assert.equal(20000000, reader:get())
    assert.is_true(turns > 1)
  end)

  it("that is to try once does not wait after the turn of others", function()
    local interval = gevent.getswitchinterval()
    local _interval <close> = helper.defer(function()
      gevent.setswitchinterval(interval)
    end)
    gevent.setswitchinterval(1e-7)
    local a, b = helper.pair()
    local _ <close> = closing(a, b)
    local ok, _, code, sent = a:sendall(("x"):rep(10000000), 0)
    assert.same({nil, "timeout"}, {ok, code})
    local got = 0
    while got < sent do got = got + #b:recv(65536) end
    assert.same(TIMED_OUT, table.pack(b:recv(1, 0)))
  end)

  it("is not cut in two by what another greenlet sends", function()
    local a, b = helper.pair()
    local _ <close> = closing(a, b)
    local long = gevent.spawn(a.sendall, a, ("x"):rep(3000000))
    local refused = 0
    local other = gevent.spawn(function()
      while not long:ready() do
        if not pcall(a.sendall, a, "y") then refused = refused + 1 end
        gevent.sleep(0)
      end
    end)
    local text = b:readexactly(3000000)
    assert.equal(("x"):rep(3000000), text)
    gevent.joinall {long, other}
    assert.is_true(refused > 0)
  end)
end)

describe("constants", function()
  it("are the words that stand for them", function()
    local sock <close> = assert(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    assert.equal(socket.AF_INET, sock.family)
    assert.equal(socket.SOCK_STREAM, sock.type)
    assert.is_true(sock:setsockopt(socket.SO_REUSEADDR, true))
    assert.is_true(sock:setsockopt(socket.TCP_NODELAY, true))
    assert.is_true(sock:getsockopt(socket.TCP_NODELAY))
    assert.equal(socket.ENOTCONN, (select(3, sock:shutdown(socket.SHUT_RDWR))))
    assert.equal("EAI_NONAME", socket.EAI_NONAME)
    assert.equal("ECONNREFUSED", socket.ECONNREFUSED)
    assert.is_true(socket.SOMAXCONN > 0)
    assert.is_table(socket.getaddrinfo(nil, 80, {flags =
      socket.AI_PASSIVE .. " " .. socket.AI_NUMERICSERV}))
    assert.is_nil(socket.UNKNOWN)
  end)

  it("name every option, as setsockopt knows it", function()
    local sock <close> = assert(socket.socket("inet6"))
    local n = 0
    for name, word in pairs(socket) do
      if name:find("^SO_") or name:find("^TCP_") or name:find("^IPV6_") then
        n = n + 1
        assert.equal(name, word)
        local ok, err = pcall(sock.getsockopt, sock, word)
        assert.is_true(ok or not err:find("invalid option"), err)
      end
    end
    assert.is_true(n > 20)
  end)
end)
