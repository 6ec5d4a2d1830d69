-- A peer that does not read: whoever writes waits, memory stays bounded, and a kill or a
-- time-out releases the writer.

local helper = require "helper"
local fileobject = require "gevent.fileobject"
local gevent = require "gevent"
local gos = require "gevent.os"
local http = require "gevent.http"
local peer = require "helper_ws"
local slope = require "helper_slope"
local socket = require "gevent.socket"
local subprocess = require "gevent.subprocess"
local tls = require "helper_tls"
local web = require "helper_http"
local it, closing = helper.it, helper.closing

local TIMED_OUT = {nil, "timed out", "timeout", n = 3}
local PIECE = ("x"):rep(65536)
local GIB = 1 << 30

-- Each calls `begin(write)`, in the greenlet that is to write, with a function that
-- writes a piece; it returns what closes all. What `begin` returns ends there.
local ways = {}

local function over(a, b, begin)
  local g = gevent.spawn(begin, function(text) return a:sendall(text) end)
  return g, function()
    a:settimeout(0)
    a:close()
    b:close()
  end
end

ways["a Unix socket"] = function(begin)
  local a, b = helper.pair()
  return over(a, b, begin)
end

ways["TCP"] = function(begin)
  local a, b = helper.tcp_pair()
  return over(a, b, begin)
end

ways["a pipe"] = function(begin)
  local r, w = assert(gos.pipe())
  local a, b = assert(fileobject.FileObject(w)), assert(fileobject.FileObject(r))
  local g = gevent.spawn(begin, function(text) return a:write(text) end)
  return g, function()
    a:settimeout(0)
    a:close()
    b:close()
  end
end

ways["a child's input"] = function(begin)
  local p = assert(subprocess.Popen({"sleep", "60"}, {stdin = subprocess.PIPE}))
  local g = gevent.spawn(begin, function(text) return p.stdin:write(text) end)
  return g, function()
    p:kill()
    p:close()
  end
end

if tls.have "openssl" then
  ways["TLS"] = function(begin)
    local a, b = tls.pair {tcp = true}
    return over(a, b, begin)
  end
end

ways["an HTTP answer"] = function(begin)
  local g
  local server = web.serve(function(_, res)
    g = gevent.getcurrent()
    return begin(function(text) return res:write(text) end)
  end)
  local sock = web.connect(server)
  assert(sock:sendall(web.request("GET", "/")))
  helper.wait_until(function() return g end)
  return g, function()
    sock:close()
    server:stop(0)
  end
end

ways["an HTTP request's body"] = function(begin)
  local listener = assert(socket.create_server("127.0.0.1:0"))
  local _, port = listener:getsockname()
  local g = gevent.spawn(begin, function()
    local written = 0
    return http.post("http://127.0.0.1:" .. port, function()
      written = written + 1
      return written * #PIECE <= GIB and PIECE or nil
    end)
  end)
  return g, function() listener:close() end
end

ways["a WebSocket"] = function(begin)
  local g
  local server = peer.serve(function(ws)
    g = gevent.getcurrent()
    return begin(function(text) return ws:send(text) end)
  end, {upgrade = {timeout = 3600}})
  local sock = peer.raw(server)
  helper.wait_until(function() return g end)
  return g, function()
    sock:close()
    server:stop(0)
  end
end

-- A sanitizer keeps freed memory back.
local plain = (os.getenv "GEVENT_SPEC_MODE" or "plain") == "plain"

local function rss()
  if not plain then return 0 end
  local pages = (helper.slurp("/proc/self/statm") or "0 0"):match("^%d+ (%d+)")
  return tonumber(pages) * 4096
end

describe("a GiB to a peer that does not read", function()
  for name, make in pairs(ways) do
    it("waits, in bounded memory, until it is killed: " .. name, function()
      local written, ended = 0, nil
      collectgarbage()
      local before, process = collectgarbage("count"), rss()
      local g, finish = make(function(write)
        local _ <close> = helper.defer(function(err) ended = err or "returned" end)
        while written < GIB do
          if not write(PIECE) then break end
          written = written + #PIECE
        end
      end)
      local _ <close> = helper.defer(finish)
      local last
      local rounds = 0
      repeat -- until no more goes in
        last, rounds = written, rounds + 1
        gevent.sleep(0.005)
        helper.wait_all_blocked()
      until written == last and rounds >= 3
      assert.is_nil(ended)
      assert.is_true(written < 64 << 20, written)
      collectgarbage()
      assert.is_true(collectgarbage("count") - before < 8192, "memory of Lua's")
      assert.is_true(rss() - process < 64 << 20, "memory of the process")
      gevent.kill(g)
      helper.wait_until(function() return ended end)
      assert.is_true(gevent.isinstance(ended, gevent.GreenletExit), tostring(ended))
    end)

    it("is given up at a time-out: " .. name, function()
      local results
      local _, finish = make(function(write)
        results = table.pack(gevent.with_timeout(0.02, function()
          while write(PIECE) do assert(true) end
          error "it was not to return"
        end))
      end)
      local _ <close> = helper.defer(finish)
      helper.wait_until(function() return results end)
      assert.same(TIMED_OUT, results)
    end)
  end
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
    local count = math.floor(math.max(1000, 4000 / helper.scale))
    local writer = helper.spawn_blocked(function()
      for i = 1, count do assert(a:sendv{i, ":", ("x"):rep(500), "\n"}) end
      a:shutdown("w")
    end)
    local i = 0
    for number, rest in function() return b:readuntil(":"), b:read("l") end do
      i = i + 1
      assert.equal(i .. ":", number)
      assert.equal(500, #rest)
    end
    assert.equal(count, i)
    writer:get()
  end)
end)

describe("a peer that does not read", function()
  it("has no megabytes taken ahead of it by the system", function()
    local listener <close> = assert(socket.create_server("127.0.0.1:0"))
    local _, port = listener:getsockname()
    local client <close> = assert(socket.socket())
    client:setsockopt("rcvbuf", 4096)
    assert(client:connect("127.0.0.1", port))
    local sock <close> = assert(listener:accept())
    if not pcall(sock.getsockopt, sock, "notsent_lowat") then return end
    sock:settimeout(0.05)
    local _, _, code, sent = sock:sendall(("x"):rep(1 << 24))
    assert.equal("timeout", code)
    assert.is_true(sent < 1 << 20, sent)
  end)
end)

describe("res:write", function()
  it("blocks while the client does not read, in bounded memory", function()
    local written = 0
    local piece = ("x"):rep(100000)
    local server <close> = web.serve(function(_, res)
      for _ = 1, 300 do
        assert(res:write(piece))
        written = written + #piece
      end
    end)
    local sock <close> = web.connect(server)
    assert(sock:setsockopt("rcvbuf", 65536))
    assert(sock:sendall(web.request("GET", "/")))
    gevent.sleep(0.05)
    helper.wait_all_blocked()
    local blocked_at = written
    assert.is_true(blocked_at < 20000000)
    gevent.sleep(0.01)
    assert.equal(blocked_at, written)
    assert.equal(30000000, #web.response(sock).body)
    assert.equal(30000000, written)
  end)
end)

describe("a sendall of one long string", function()
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
end)

for _, name in ipairs {"TCP", "a Unix socket", "a pipe"} do
  slope.it("a writer that is killed, over " .. name .. ",", function()
    return function()
      local g, finish = ways[name](function(write)
        while write(PIECE) do assert(true) end
      end)
      gevent.sleep(0)
      g:kill()
      finish()
    end
  end, {times = 10})
end
