-- Buffered reading: read, lines, readuntil, readexactly, and how they and
-- recv share what is in the buffer.

local helper = require "helper"
local gevent = require "gevent"
local socket = require "gevent.socket"
local it = helper.it

local function pack(...) return table.pack(...) end

local TIMED_OUT = pack(nil, "timed out", "timeout")

-- The battery ---------------------------------------------------------------

--- Cases for a call that returns `text` once that was sent.
local function reading(call, text, expected)
  return function()
    local a, b = helper.pair()
    return {
      takes_timeout = true,
      call = function(timeout) return call(a, timeout) end,
      release = function() assert.is_true(b:sendall(text)) end,
      expect = function(...) assert.same(pack(expected), pack(...)) end,
      cleanup = function() a:close() b:close() end,
    }
  end
end

helper.battery("read", reading(function(sock, timeout)
  sock:settimeout(timeout)
  return sock:read("l")
end, "a line\n", "a line"))

helper.battery("readuntil", reading(function(sock, timeout)
  return sock:readuntil("::", nil, timeout)
end, "data::", "data::"))

helper.battery("readexactly", reading(function(sock, timeout)
  return sock:readexactly(5, timeout)
end, "12345", "12345"))

helper.battery("lines", function()
  local a, b = helper.pair()
  return {
    fname = "read",
    call = function() return a:lines()() end,
    release = function() assert.is_true(b:sendall("line\n")) end,
    expect = function(...) assert.same(pack("line"), pack(...)) end,
    cleanup = function() a:close() b:close() end,
  }
end)

-- read ------------------------------------------------------------------------

--- A socket from which `text` can be read, and then the end.
local function source(text)
  local a, b = helper.pair()
  assert(b:sendall(text))
  b:close()
  return a
end

describe("read", function()
  it("takes lines with and without their ends", function()
    local s <close> = source("one\ntwo\r\n\nfour\nfive")
    assert.equal("one", s:read())
    assert.equal("two\r\n", s:read("L"))
    assert.equal("", s:read("l"))
    assert.equal("four\n", s:read("*L"))
    assert.equal("five", s:read("*l"))
    assert.same(pack(nil, "closed", "closed"), pack(s:read("l")))
    assert.same(pack(nil, "closed", "closed"), pack(s:read("L")))
  end)

  it("of an unended last line keeps \"L\" as it is", function()
    local s <close> = source("last")
    assert.equal("last", s:read("L"))
  end)

  it("takes up to n bytes, fewer only at the end", function()
    local s <close> = source("0123456789")
    assert.equal("0123", s:read(4))
    assert.equal("", s:read(0))
    assert.equal("456789", s:read(100))
    assert.same(pack(nil, "closed", "closed"), pack(s:read(1)))
    assert.same(pack(nil, "closed", "closed"), pack(s:read(0)))
  end)

  it("waits for n bytes that come in pieces", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    local g = helper.spawn_blocked(a.read, a, 6)
    for piece in ("abc"):gmatch "." do
      b:send(piece)
      helper.wait_all_blocked()
      assert.is_false(g:ready())
    end
    b:send("def")
    assert.equal("abcdef", g:get())
  end)

  it("of 0 bytes does not wait", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    assert.equal("", a:read(0))
    b:send("x")
    assert.equal("", a:read(0))
    assert.equal("x", a:read(1))
    local g = helper.spawn_blocked(a.read, a, 1)
    b:send("y")
    assert.equal("y", g:get())
    b:close()
    assert.same(pack(nil, "closed", "closed"), pack(a:read(0)))
  end)

  it("takes all there is until the end", function()
    local s <close> = source("all\nof it")
    assert.equal("all\nof it", s:read("a"))
    assert.equal("", s:read("a"))
    assert.equal("", s:read("*a"))
  end)

  it("takes several formats", function()
    local s <close> = source("line\n12345rest of it")
    assert.same(pack("line", "123", "45rest of it"), pack(s:read("l", 3, "a")))
    assert.same(pack("", nil), pack(s:read("a", "l", "l")))
    local t <close> = source("one\n")
    assert.same(pack("one", nil), pack(t:read("l", "l", "l")))
    assert.same(pack(nil, "closed", "closed"), pack(t:read("l", "a")))
  end)

  it("reads as io does", function()
    local text = "first\n\nthird line\r\n" .. ("x"):rep(5000) .. "\nno end"
    for _, formats in ipairs {{"l"}, {"L"}, {7}, {"l", 3}, {1, "L", 2},
      {4096}, {"a"}, {"l", "l", "l", "l", "l", "l"}} do
      local name = os.tmpname()
      local out = assert(io.open(name, "w"))
      out:write(text)
      out:close()
      local file <close> = assert(io.open(name))
      local s <close> = source(text)
      for _ = 1, 6 do
        local expected = pack(file:read(table.unpack(formats)))
        local results = pack(s:read(table.unpack(formats)))
        if expected[1] == nil then results, expected = {results[1]}, {} end
        assert.same(expected, results)
      end
      os.remove(name)
    end
  end)

  it("is not confused by NULs, and reads what is long", function()
    local long = ("\0line"):rep(100000)
    local a <close>, b = helper.pair()
    local _b <close> = b
    local writer = gevent.spawn(function()
      b:sendall(long .. "\n\0\n" .. long)
      b:close()
    end)
    assert.is_true(long == a:read("l"))
    assert.equal("\0", a:read())
    assert.is_true(long == a:read("a"))
    writer:get()
  end)

  it("refuses other formats", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    for _, format in ipairs {"x", "", "*", -1, 1.5, {}, true} do
      assert.error_matches(function() a:read(format) end, "argument #1")
      assert.error_matches(function() a:read("l", format) end, "argument #2")
      assert.error_matches(function() a:lines(format) end, "argument #1")
    end
    b:send("x")
    assert.equal("x", a:read(1))
  end)

  it("keeps what it had gathered when it times out", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    b:send("half a li")
    a:settimeout(0.01)
    for _, format in ipairs {"l", "L", "a", 20} do
      assert.same(TIMED_OUT, pack(a:read(format)))
    end
    a:settimeout(nil)
    b:send("ne\n")
    assert.equal("half a line", a:read("l"))
  end)

  it("keeps what it had gathered when it is killed", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    local g = helper.spawn_blocked(a.read, a, "l")
    b:send("half a li")
    helper.wait_all_blocked()
    g:kill()
    b:send("ne\n")
    assert.equal("half a line", a:read("l"))
  end)

  it("takes all formats or nothing when it times out", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    b:send("one\ntw")
    a:settimeout(0.01)
    assert.same(TIMED_OUT, pack(a:read("l", "l")))
    b:send("o\n")
    assert.same(pack("one", "two"), pack(a:read("l", "l")))
  end)

  it("gives what was read to recv, in order", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    b:sendall("line\nrest")
    assert.equal("line", a:read())
    assert.equal("re", a:recv(2))
    assert.equal("st", a:recv(100, 0))
    assert.same(TIMED_OUT, pack(a:recv(1, 0)))
    b:sendall("more\n")
    assert.equal("mo", a:recv(2))
    assert.equal("re", a:read())
  end)

  it("on a connection that was reset fails, after what was gathered", function()
    local a <close>, b = helper.tcp_pair()
    b:sendall("one\ntwo")
    assert.equal("one", a:read())
    b:setsockopt("linger", 0)
    b:close()
    assert.equal("ECONNRESET", select(3, a:read("l")))
    assert.equal("two", a:recv(10))
  end)
end)

-- lines -------------------------------------------------------------------------

describe("lines", function()
  it("iterates to the end", function()
    local s <close> = source("one\ntwo\n\nfour")
    local got = {}
    for line in s:lines() do got[#got + 1] = line end
    assert.same({"one", "two", "", "four"}, got)
    assert.is_false(s.closed)
  end)

  it("takes formats", function()
    local s <close> = source("ab1\ncd2\n")
    local got = {}
    for pair, rest in s:lines(2, "L") do got[#got + 1] = {pair, rest} end
    assert.same({{"ab", "1\n"}, {"cd", "2\n"}}, got)
  end)

  it("raises what goes wrong, as io does", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    b:send("one\ntw")
    a:settimeout(0.01)
    local got = {}
    local ok, err = pcall(function()
      for line in a:lines() do got[#got + 1] = line end
    end)
    assert.is_false(ok)
    assert.matches("timed out", err)
    assert.same({"one"}, got)
    b:send("o\n")
    assert.equal("two", a:read())
  end)

  it("blocks between lines without losing any", function()
    local a <close>, b = helper.pair()
    local writer = gevent.spawn(function()
      local _ <close> = b
      for i = 1, 100 do
        b:send("line ")
        if i % 10 == 0 then gevent.sleep(0.001) end
        b:send(i .. "\n")
      end
    end)
    local n = 0
    for line in a:lines() do
      n = n + 1
      assert.equal("line " .. n, line)
    end
    assert.equal(100, n)
    writer:get()
  end)
end)

-- readuntil, readexactly ----------------------------------------------------------

describe("readuntil", function()
  it("returns the data with its delimiter", function()
    local s <close> = source("head: 1\r\n\r\nbody|rest")
    assert.equal("head: 1\r\n\r\n", s:readuntil("\r\n\r\n"))
    assert.equal("body|", s:readuntil("|"))
    assert.same(pack(nil, "closed", "closed"), pack(s:readuntil("|")))
    assert.equal("rest", s:read("a"), "what there was stays")
  end)

  it("finds a delimiter that comes in pieces", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    local g = helper.spawn_blocked(a.readuntil, a, "ABAC")
    for piece in ("xABABACy"):gmatch "." do
      b:send(piece)
      helper.wait_all_blocked()
    end
    assert.equal("xABABAC", g:get())
    assert.equal("y", a:recv(9))
  end)

  it("may have NULs in it", function()
    local s <close> = source("a\0\0b\0c")
    assert.equal("a\0\0b\0c", s:readuntil("\0c"))
  end)

  it("with a maximum is too long beyond it", function()
    local s <close> = source("12345678|x")
    local data, message, code = s:readuntil("|", 8)
    assert.is_nil(data)
    assert.equal("string", type(message))
    assert.equal("toolong", code)
    assert.equal("12345678|", s:readuntil("|", 9), "nothing was taken")
    local a <close>, b = helper.pair()
    local _b <close> = b
    b:sendall(("x"):rep(100))
    assert.equal("toolong", select(3, a:readuntil("\n", 99)))
    assert.equal(100, #a:recv(200))
  end)

  it("keeps what it had gathered", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    b:send("some")
    assert.same(TIMED_OUT, pack(a:readuntil("|", nil, 0.01)))
    assert.same(TIMED_OUT, pack(a:readuntil("|", nil, 0)))
    b:send("thing|")
    assert.equal("something|", a:readuntil("|", nil, 0))
  end)

  it("refuses no delimiter and no maximum", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    b:send("x")
    assert.error_matches(function() a:readuntil("") end, "argument #1")
    assert.error_matches(function() a:readuntil() end, "argument #1")
    assert.error_matches(function() a:readuntil("x", 0) end, "argument #2")
    assert.error_matches(function() a:readuntil("x", -1) end, "argument #2")
    assert.equal("x", a:readuntil("x"))
  end)
end)

describe("readexactly", function()
  it("returns n bytes, or nil where the end comes before", function()
    local s <close> = source("0123456789")
    assert.equal("0123", s:readexactly(4))
    assert.equal("", s:readexactly(0))
    assert.same({nil, "closed"},
      {(s:readexactly(7)), (select(3, s:readexactly(7)))})
    assert.equal("456789", s:readexactly(6), "what there was stays")
    assert.equal("closed", select(3, s:readexactly(1)))
  end)

  it("gathers what is large", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    local text = ("0123456789"):rep(100000)
    local writer = gevent.spawn(b.sendall, b, text)
    assert.is_true(text == a:readexactly(#text))
    assert.is_true(writer:get())
  end)

  it("keeps what it had gathered", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    b:send("1234")
    assert.same(TIMED_OUT, pack(a:readexactly(5, 0)))
    assert.same(TIMED_OUT, pack(a:readexactly(5, 0.01)))
    b:send("5")
    assert.equal("12345", a:readexactly(5))
  end)

  it("refuses what is no number of bytes", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    b:send("x")
    assert.error_matches(function() a:readexactly(-1) end, "argument #1")
    assert.error_matches(function() a:readexactly("x") end, "argument #1")
    assert.equal("x", a:readexactly(1))
  end)
end)

-- Deadlines and turns ---------------------------------------------------------------

describe("a time-out", function()
  --- A peer that sends one byte every few milliseconds.
  local function drip(sock)
    return gevent.spawn(function()
      while sock:send("x") do gevent.sleep(0.005) end
    end)
  end

  local reads = {
    read = function(sock, t) sock:settimeout(t) return sock:read("l") end,
    ["read all"] = function(sock, t) sock:settimeout(t) return sock:read("a") end,
    readuntil = function(sock, t) return sock:readuntil("\n", nil, t) end,
    readexactly = function(sock, t) return sock:readexactly(100000, t) end,
  }
  for name, read in pairs(reads) do
    it("is that of the whole call: " .. name, function()
      local a <close>, b = helper.pair()
      local _b <close> = b
      local peer = drip(b)
      local start = helper.now()
      assert.same(TIMED_OUT, pack(read(a, 0.05)))
      local took = helper.now() - start
      assert.is_true(took >= 0.05, "early")
      assert.is_true(took < 0.05 + 1 * helper.scale, "late: " .. took)
      assert.matches("^x+$", a:recv(1000), nil, "what came is kept")
      peer:kill()
    end)
  end
end)

-- Another process floods this one, and is faster than what reads here: there
-- is always more, so nothing but good manners lets the others run.
describe("a peer that is always ready", function()
  local BYTES = math.tointeger(20000000 // helper.scale // 40 * 40)
  local FLOOD = "exec bash -c 'yes abcd | head -c %d >/dev/tcp/127.0.0.1/%d'"

  --- The longest time that another greenlet had to wait for its turn while
  -- `body` read the flood; seconds.
  local function longest_wait(body, bytes)
    local listener <close> = assert(socket.create_server("127.0.0.1:0"))
    local process = io.popen(FLOOD:format(bytes,
      (select(2, listener:getsockname()))))
    local sock <close> = assert(listener:accept(5 * helper.scale))
    gevent.sleep(0.02) -- let it fill the way
    local longest, last, stop = 0, helper.now(), false
    local other = gevent.spawn(function()
      while not stop do
        gevent.sleep(0)
        longest, last = math.max(longest, helper.now() - last), helper.now()
      end
    end)
    body(sock)
    longest = math.max(longest, helper.now() - last)
    stop = true
    other:join()
    process:close()
    return longest
  end

  for name, body in pairs {
    ["read"] = function(s) while s:read("l") do end end,
    ["lines"] = function(s) for line in s:lines() do assert(line) end end,
    ["recv"] = function(s) while s:recv(5) ~= "" do end end,
    ["readuntil"] = function(s) while s:readuntil("\n") do end end,
    ["readexactly"] = function(s) while s:readexactly(5) do end end,
    ["read all"] = function(s) assert.equal(BYTES, #s:read("a")) end,
  } do
    it("does not starve the others: " .. name, function()
      local waited = helper.best_of(3, 0.1 * helper.scale, function()
        return longest_wait(body, name == "recv" and BYTES // 8 or BYTES)
      end)
      assert.is_true(waited < 0.1 * helper.scale, waited)
    end, {deadline = 60})
  end
end)
