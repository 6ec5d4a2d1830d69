-- Writing: send, sendall, sendv, write, flush, setvbuf; back-pressure, and
-- what a failure says.

local helper = require "helper"
local gevent = require "gevent"
local socket = require "gevent.socket"
local it = helper.it

local function pack(...) return table.pack(...) end

--- Fills the way to the other end. Returns how many bytes it took.
local function fill(sock)
  local total = 0
  sock:settimeout(0)
  for _, size in ipairs {65536, 1} do
    local block = ("x"):rep(size)
    for n in function() return (sock:send(block)) end do total = total + n end
  end
  sock:settimeout(nil)
  return total
end

--- Takes what has arrived, without blocking; returns it.
local function drain(sock)
  local parts = {}
  for data in function() return (sock:recv(65536, 0)) end do
    if data == "" then break end
    parts[#parts + 1] = data
  end
  return table.concat(parts)
end

--- Reads to the end, in a greenlet; its value is all there was.
local function collect(sock)
  return gevent.spawn(sock.read, sock, "a")
end

-- The battery ---------------------------------------------------------------

--- Cases for a call on a socket whose way is full until the other end reads.
local function writing(call, expected, timeout_result, prepare)
  return function()
    local a, b = helper.pair()
    if prepare then prepare(a) end
    fill(a)
    return {
      takes_timeout = true,
      timeout_result = timeout_result,
      call = function(timeout) return call(a, timeout) end,
      release = function() drain(b) end,
      expect = function(...)
        assert.same(pack(expected == "self" and a or expected), pack(...))
      end,
      cleanup = function()
        a:settimeout(0)
        a:close()
        b:close()
      end,
    }
  end
end

local function sent_nothing(...)
  assert.same(pack(nil, "timed out", "timeout", 0), pack(...))
end

helper.battery("send", writing(function(sock, timeout)
  sock:settimeout(timeout)
  return sock:send("x")
end, 1))

helper.battery("sendall", writing(function(sock, timeout)
  return sock:sendall("data", timeout)
end, true, sent_nothing))

helper.battery("sendv", writing(function(sock, timeout)
  sock:settimeout(timeout)
  return sock:sendv {"some ", "", "data"}
end, true, sent_nothing))

helper.battery("write", writing(function(sock, timeout)
  sock:settimeout(timeout)
  return sock:write("some ", "data")
end, "self", sent_nothing))

helper.battery("flush", writing(function(sock, timeout)
  sock:settimeout(timeout)
  sock:setvbuf("full", 1000000)
  assert.equal(sock, sock:write("some data"))
  return sock:flush()
end, "self"))

-- One at a time -----------------------------------------------------------------

describe("send", function()
  it("says how many bytes were taken", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    assert.equal(5, a:send("hello"))
    assert.equal(0, a:send(""))
    assert.equal(2, a:send(42))
    assert.equal("hello42", b:recv(100))
    local big = ("x"):rep(10000000)
    local n = a:send(big)
    assert.is_true(n > 0 and n < #big)
    assert.equal(n, #drain(b))
  end)

  it("refuses what is no string", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    for _, method in ipairs {"send", "sendall", "write"} do
      for _, value in ipairs {{}, true, print} do
        assert.error_matches(function() a[method](a, value) end,
          "string expected")
      end
    end
    assert.error_matches(function() a:send() end, "argument #1")
    assert.error_matches(function() a:sendall() end, "argument #1")
    assert.error_matches(function() a:sendall("x", -1) end, "argument #2")
    assert.error_matches(function() a:write("x", {}) end, "argument #2")
    assert.error_matches(function() a:sendv("x") end, "argument #1")
    assert.error_matches(function() a:sendv {"x", {}} end, "part 2")
    assert.error_matches(function() a:sendv {"x", true, "y"} end, "part 2")
    assert.equal("", drain(b), "nothing of it was sent")
  end)
end)

describe("sendall", function()
  it("sends all, whatever it takes", function()
    local a <close>, b = helper.pair()
    local text = ("0123456789"):rep(1000000)
    local reader = collect(b)
    assert.is_true(a:sendall(text))
    assert.is_true(a:sendall(""))
    assert.is_true(a:sendall(7))
    a:close()
    assert.is_true(text .. "7" == reader:get())
    b:close()
  end)

  it("that times out says how much is out", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    local text = ("0123456789"):rep(1000000)
    local ok, message, code, sent = a:sendall(text, 0.01)
    assert.same(pack(nil, "timed out", "timeout"), pack(ok, message, code))
    local got = drain(b)
    assert.equal(sent, #got)
    assert.is_true(sent > 0)
    assert.is_true(got == text:sub(1, sent))
    -- and so does one that may not wait at all
    sent = select(4, a:sendall(text, 0))
    assert.equal(sent, #drain(b))
  end)

  it("has one deadline, however many waits there are", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    local sipper = gevent.spawn(function()
      while b:recv(1000) do gevent.sleep(0.002) end
    end)
    local start = helper.now()
    local code, sent = select(3, a:sendall(("x"):rep(100000000), 0.1))
    local took = helper.now() - start
    assert.equal("timeout", code)
    assert.is_true(sent > 1000)
    assert.is_true(took >= 0.1, "early")
    assert.is_true(took < 0.1 + 1 * helper.scale, "late: " .. took)
    sipper:kill()
  end)

  it("obeys settimeout, and its own time-out before that", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    fill(a)
    a:settimeout(0.01)
    assert.equal("timeout", select(3, a:sendall("x")))
    assert.equal("timeout", select(3, a:send("x")))
    assert.equal("timeout", select(3, a:sendv {"x"}))
    assert.equal("timeout", select(3, a:write("x")))
    local g = helper.spawn_blocked(a.sendall, a, "y", 60)
    gevent.sleep(0.02)
    assert.is_false(g:ready())
    drain(b)
    assert.is_true(g:get())
  end)

  it("that is killed leaves the socket usable", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    local g = helper.spawn_blocked(a.sendall, a, ("x"):rep(10000000))
    g:kill()
    assert.matches("^x+$", drain(b))
    assert.is_true(a:sendall("after"))
    assert.equal("after", b:recv(100))
  end)
end)

describe("sendv", function()
  it("sends the parts in order", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    assert.is_true(a:sendv {"a", "", "b\0", 3, "d"})
    assert.is_true(a:sendv {} and a:sendv {"", ""})
    assert.equal("ab\0003d", drain(b))
  end)

  it("takes very many, and very large ones", function()
    local a <close>, b = helper.pair()
    local reader = collect(b)
    local expected = {}
    for _, count in ipairs {1, 63, 64, 65, 128, 256, 257, 5000} do
      local parts = {}
      for i = 1, count do parts[i] = ("<%d>"):format(i) end
      parts[count // 2 + 1] = ("y"):rep(300000)
      assert.is_true(a:sendv(parts))
      expected[#expected + 1] = table.concat(parts)
    end
    a:close()
    assert.is_true(table.concat(expected) == reader:get())
    b:close()
  end)

  it("that times out says how much is out", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    local parts = {}
    for i = 1, 200 do parts[i] = ("%05d"):format(i):rep(2000) end
    a:settimeout(0.01)
    local code, sent = select(3, a:sendv(parts))
    assert.equal("timeout", code)
    local got = drain(b)
    assert.equal(sent, #got)
    assert.is_true(got == table.concat(parts):sub(1, sent))
  end)
end)

-- Buffered --------------------------------------------------------------------------

describe("write", function()
  it("returns the socket, and writes at once unless told", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    assert.equal(a, a:write("one ", 2, " three"))
    assert.equal("one 2 three", drain(b))
    assert.equal(a, a:write())
    assert.equal(a, a:flush())
    assert.equal("", drain(b))
  end)

  it("with a full buffer waits for flush or for the size", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    assert.is_true(a:setvbuf("full", 10))
    a:write("1234"):write("5678")
    assert.equal("", drain(b))
    assert.equal(a, a:flush())
    assert.equal("12345678", drain(b))
    a:write("123456789")
    assert.equal("", drain(b))
    a:write("0")
    assert.equal("1234567890", drain(b))
    a:write(("x"):rep(100))
    assert.equal(100, #drain(b))
  end)

  it("with a line buffer waits for a newline", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    assert.is_true(a:setvbuf("line"))
    a:write("half a ")
    assert.equal("", drain(b))
    a:write("line\nand more")
    assert.equal("half a line\nand more", drain(b))
  end)

  it("keeps the order when buffering ends", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    for _, method in ipairs {"write", "sendall", "send"} do
      a:setvbuf("full", 100)
      a:write("first ")
      a:setvbuf("no")
      assert.is_truthy(a[method](a, "second"))
      assert.equal("first second", drain(b), method)
    end
    a:setvbuf("full", 100)
    a:write("first ")
    assert.is_true(a:sendv {"second ", "third"})
    assert.equal("first second third", drain(b))
  end)

  it("keeps the order on a way that is full", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    for method, data in pairs {sendall = "B", send = "B", sendv = {"B"}} do
      a:setvbuf("full", 100)
      a:write("A")
      fill(b)
      local filled = fill(a)
      local g = helper.spawn_blocked(a[method], a, data)
      local got = drain(b)
      assert.is_truthy(g:get())
      got = got .. drain(b)
      -- the first send of `fill` took the A along
      assert.equal("A", got:sub(1, 1), method)
      assert.equal("B", got:sub(-1), method)
      assert.equal(filled + 2, #got, method)
      drain(a)
    end
  end)

  it("goes out when the socket is closed", function()
    local a, b = helper.pair()
    local _b <close> = b
    a:setvbuf("full")
    a:write("last words")
    assert.is_true(a:close())
    assert.equal("last words", b:read("a"))
    local c, d = helper.pair()
    local _d <close> = d
    do
      local scoped <close> = c
      scoped:setvbuf("full")
      scoped:write("last words")
    end
    assert.equal("last words", d:read("a"))
  end)

  it("that fails keeps for the next flush what is not out", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    a:setvbuf("full", 1000000)
    local text = ("0123456789"):rep(90000)
    a:write(text)
    a:settimeout(0.01)
    assert.same(pack(nil, "timed out", "timeout"), pack(a:flush()))
    local g = helper.spawn_blocked(function()
      a:settimeout(nil)
      return a:flush()
    end)
    g:kill()
    local reader = gevent.spawn(b.readexactly, b, #text)
    assert.equal(a, a:flush())
    assert.is_true(text == reader:get())
  end)

  it("refuses other modes", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    assert.error_matches(function() a:setvbuf("some") end, "argument #1")
    assert.error_matches(function() a:setvbuf() end, "argument #1")
    assert.error_matches(function() a:setvbuf("full", 0) end, "argument #2")
    assert.error_matches(function() a:setvbuf("full", -1) end, "argument #2")
    a:write("x")
    assert.equal("x", b:recv(1))
  end)
end)

describe("close with a buffer that cannot go out", function()
  --- A socket with a full way and something in its buffer; its peer.
  local function stuck()
    local a, b = helper.pair()
    fill(a)
    a:setvbuf("full")
    a:write("never read")
    return a, b
  end

  it("waits no longer than the time-out", function()
    local a, b = stuck()
    local _b <close> = b
    a:settimeout(0.01)
    assert.is_true(a:close())
    assert.is_true(a.closed)
    a, b = stuck()
    a:settimeout(0)
    assert.is_true(a:close())
    b:close()
  end)

  it("closes all the same when it is killed", function()
    local a, b = stuck()
    local _b <close> = b
    local g = helper.spawn_blocked(a.close, a)
    assert.is_false(a.closed)
    g:kill()
    assert.is_true(a.closed)
    assert.matches("^x+$", b:read("a"))
  end)

  it("closes all the same in a scope that is left by a kill", function()
    local a, b = stuck()
    local _b <close> = b
    local g = helper.spawn_blocked(function()
      local _ <close> = a
      gevent.sleep(60)
    end)
    gevent.kill(g)
    helper.wait_all_blocked()
    gevent.kill(g)
    g:join()
    assert.is_true(a.closed)
    b:close()
  end)

  it("closes in a hub callback and where Lua cannot yield", function()
    local a, b = stuck()
    local _b <close> = b
    gevent.spawn(table.sort, {2, 1}, function()
      return a:close() and false
    end):get()
    assert.is_true(a.closed)
    local c, d = stuck()
    local _d <close> = d
    local g = gevent.spawn(function() end)
    g:rawlink(function() c:close() end)
    g:join()
    helper.wait_until(function() return c.closed end)
    assert.is_truthy(b and d)
  end)
end)

-- Back-pressure ---------------------------------------------------------------------

describe("a peer that never reads", function()
  it("blocks the writer; nothing piles up", function()
    local a <close>, b = helper.tcp_pair()
    local _b <close> = b
    local sent = 0
    local block = ("x"):rep(65536)
    local function rss()
      return tonumber(helper.slurp("/proc/self/statm"):match("%d+ (%d+)"))
    end
    collectgarbage()
    local before = rss()
    local g = helper.spawn_blocked(function()
      while a:sendall(block) do sent = sent + #block end
    end)
    assert.is_true(sent < 64 * 1024 * 1024)
    gevent.sleep(0.02)
    local stopped_at = sent
    gevent.sleep(0.02)
    assert.equal(stopped_at, sent)
    collectgarbage()
    assert.is_true(rss() - before < 8000, "pages") -- 32 MiB
    g:kill()
    b:close()
    assert.is_truthy(select(3, a:sendall(block)))
  end)

  it("is released by whatever comes first: a Timeout", function()
    local a <close>, b = helper.tcp_pair()
    local _b <close> = b
    assert.same(pack(nil, "timed out", "timeout"), pack(gevent.with_timeout(
      0.01, a.sendall, a, ("x"):rep(100000000))))
    b:close()
  end)

  it("is released by its end, with what was sent", function()
    local a <close>, b = helper.tcp_pair()
    local text = ("x"):rep(100000000)
    local g = helper.spawn_blocked(a.sendall, a, text)
    b:close()
    local ok, message, code, sent = g:get()
    assert.is_nil(ok)
    assert.equal("string", type(message))
    assert.is_truthy(code == "ECONNRESET" or code == "EPIPE", code)
    assert.is_true(sent > 0 and sent < #text)
  end)
end)

describe("a fast reader in another process", function()
  it("does not let a writer starve the others", function()
    local listener <close> = assert(socket.create_server("127.0.0.1:0"))
    local process = io.popen(("exec bash -c 'cat </dev/tcp/127.0.0.1/%d "
      .. ">/dev/null'"):format((select(2, listener:getsockname()))))
    local sock = assert(listener:accept(5 * helper.scale))
    local function longest_wait(method, data)
      local longest, last, stop = 0, helper.now(), false
      local other = gevent.spawn(function()
        while not stop do
          gevent.sleep(0)
          longest, last = math.max(longest, helper.now() - last), helper.now()
        end
      end)
      local deadline = helper.now() + 0.3 * helper.scale
      while helper.now() < deadline do sock[method](sock, data) end
      longest = math.max(longest, helper.now() - last)
      stop = true
      other:join()
      return longest
    end
    for method, data in pairs {send = "x", sendall = "x", write = "x",
      sendv = {"x", "y"}} do
      local limit = 0.1 * helper.scale
      local longest = helper.best_of(3, limit, longest_wait, method, data)
      assert.is_true(longest < limit, method .. longest)
    end
    sock:close()
    process:close()
  end, {deadline = 60})
end)
