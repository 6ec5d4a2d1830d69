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

-- Half-close ----------------------------------------------------------------

-- A peer that is gone, a peer that does not read ---------------------------
