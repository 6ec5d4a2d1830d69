-- Two greenlets that want the same of one object: the second is told at once who is
-- there, the first notices nothing. One that reads and one that writes are fine.

local helper = require "helper"
local gevent = require "gevent"
local slope = require "helper_slope"
local socket = require "gevent.socket"
local tls = require "helper_tls"
local waits = require "helper_waits"
local it, closing = helper.it, helper.closing
local fill = waits.fill

local function drain(sock)
  while sock:recv(65536, 0) do assert(true) end
end

-- Any number may watch a descriptor; a shutdown and a close never wait for others.
local MANY = {wait_read = true, select = true, poll = true, ["a flushing close"] = true,
  ["a flushing shutdown"] = true}

describe("a second one is refused, and the first goes on waiting:", function()
  setup(function()
    if tls.have "openssl" then waits.certificate = tls.certificate "localhost" end
  end)

  for _, kind in ipairs(waits.kinds(tls.have "openssl")) do
    if kind.closable and not MANY[kind.name] then
      it(kind.name, function()
        local wait = kind.make()
        local _ <close> = helper.defer(wait.finish)
        local first = helper.spawn_blocked(wait.call)
        first.name = "the first"
        for _ = 1, 2 do
          local ok, err = pcall(wait.call)
          assert.is_false(ok, "it was not refused")
          assert.is_true(gevent.isinstance(err, gevent.ConcurrentObjectUseError),
            tostring(err))
          assert.matches("the first", tostring(err), 1, true)
        end
        helper.wait_all_blocked()
        assert.is_false(first:ready())
        first:kill()
      end)
    end
  end
end)

describe("a socket in use", function()
  it("refuses a second reader, naming both", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    local first = gevent.spawn(a.recv, a, 1)
    first.name = "first reader"
    helper.wait_all_blocked()
    for _, method in ipairs {"recv", "read", "readexactly"} do
      local second = gevent.Greenlet(pcall, a[method], a, 1)
      second.name = "second reader"
      second:start()
      local ok, err = second:get()
      assert.is_false(ok)
      assert.is_true(gevent.isinstance(err, gevent.ConcurrentObjectUseError))
      assert.matches(method, tostring(err))
      assert.matches("first reader", tostring(err))
      assert.matches("second reader", tostring(err))
    end
    b:send("x")
    assert.equal("x", first:get())
    b:send("y")
    assert.equal("y", a:recv(1), "the socket is free again")
  end)

  it("refuses a second writer, naming both", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    fill(a)
    local first = helper.spawn_blocked(a.sendall, a, "x")
    for method, data in pairs {send = "y", sendall = "y", sendv = {"y"},
      write = "y"} do
      local ok, err = pcall(a[method], a, data)
      assert.is_false(ok, method)
      assert.is_true(gevent.isinstance(err, gevent.ConcurrentObjectUseError))
      assert.matches(method, tostring(err))
      assert.matches(tostring(first):match("0x%x+"), tostring(err))
    end
    drain(b)
    assert.is_true(first:get())
  end)

  it("refuses a second accept", function()
    local listener <close> = assert(socket.create_server("127.0.0.1:0"))
    local g = helper.spawn_blocked(listener.accept, listener)
    local ok, err = pcall(listener.accept, listener)
    assert.is_false(ok)
    assert.is_true(gevent.isinstance(err, gevent.ConcurrentObjectUseError))
    g:kill()
  end)

  it("may be read and written at the same time", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    fill(a)
    local writer = helper.spawn_blocked(a.sendall, a, "x")
    local reader = helper.spawn_blocked(a.recv, a, 10)
    b:send("for the reader")
    assert.equal("for the re", reader:get())
    assert.is_false(writer:ready())
    drain(b)
    assert.is_true(writer:get())
  end)

  it("echoes between many pairs at once", function()
    local list = {}
    for i = 1, 50 do
      local a, b = helper.pair()
      gevent.spawn(function()
        local _ <close> = b
        repeat
          local data = b:recv(100)
          b:sendall(data)
        until data == ""
      end)
      list[i] = gevent.spawn(function()
        local _ <close> = a
        for n = 1, 50 do
          local text = i .. ":" .. n
          a:sendall(text)
          assert(text == a:readexactly(#text), "mixed up")
        end
        return true
      end)
    end
    for _, g in ipairs(gevent.joinall(list)) do assert.is_true(g:get()) end
  end)
end)

describe("a long sendall", function()
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

slope.it("a second reader", function()
  local a, b = helper.pair()
  local reader = gevent.spawn(a.recv, a, 1)
  gevent.sleep(0)
  return function()
    assert(not pcall(a.recv, a, 1))
  end, function()
    reader:kill()
    a:close()
    b:close()
  end
end)
