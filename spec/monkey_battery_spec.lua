-- gevent.monkey: what holds for every blocking call holds for LuaSocket's. The
-- objects are made without a patch, by the private modules.

local helper = require "helper"
local gevent = require "gevent"
local tcp = require("gevent.monkey._tcp").tcp
local udp = require("gevent.monkey._udp").udp
local unix = require "gevent.monkey._unix"
local select = require("gevent.monkey.select").get()
local except = require "gevent.monkey._except"()

local function listen()
  local listener = assert(tcp.tcp4())
  assert(listener:bind("127.0.0.1", 0))
  assert(listener:listen())
  return listener, (_G.select(2, listener:getsockname()))
end

local function pair()
  local listener, port = listen()
  local client = assert(tcp.connect("127.0.0.1", port))
  local server = assert(listener:accept())
  listener:close()
  return client, server, function()
    client:close()
    server:close()
  end
end

local function expect_line(...) assert.same({"line", n = 3}, table.pack(...)) end

helper.battery("receive", function()
  local client, server, cleanup = pair()
  return {
    call = function() return server:receive() end,
    release = function() client:send "line\r\n" end,
    expect = expect_line, cleanup = cleanup,
  }
end)

helper.battery("receive protected", function()
  local client, server, cleanup = pair()
  return {
    call = except.protect(function() return server:receive(4) end),
    release = function() client:send "line" end,
    expect = expect_line, cleanup = cleanup, fname = "receive",
  }
end)

helper.battery("send", function()
  local path = os.tmpname()
  os.remove(path)
  local listener, client = unix.stream(), unix.stream()
  assert(listener:bind(path) and listener:listen() and client:connect(path))
  local server = assert(listener:accept())
  listener:close()
  os.remove(path)
  local data = ("x"):rep(1000000) -- more than a socket's buffer
  return {
    call = function() return client:send(data) end,
    release = function() -- reads all that is still to come
      gevent.spawn(function()
        server:settimeout(5 * helper.scale)
        repeat local got = server:receive(65536) until not got
      end)
    end,
    expect = function(...) assert.same({#data + 0.0, n = 3}, table.pack(...)) end,
    cleanup = function()
      client:close()
      server:close()
    end,
  }
end)

helper.battery("accept", function()
  local listener, port = listen()
  local clients = {}
  return {
    call = function() return listener:accept() end,
    release = function()
      local client = assert(tcp.tcp4())
      clients[#clients + 1] = client
      client:settimeout(0) -- it must not block
      client:connect("127.0.0.1", port)
    end,
    expect = function(client)
      assert.equal("tcp{client}", client.class)
      client:close()
    end,
    cleanup = function()
      listener:close()
      for _, client in ipairs(clients) do client:close() end
    end,
  }
end)

helper.battery("select", function()
  local client, server, cleanup = pair()
  return {
    call = function() return select({server}, nil) end,
    release = function() client:send "x" end,
    expect = function(readable, writable, err)
      assert.equal(server, readable[1])
      assert.same({}, writable)
      assert.is_nil(err)
    end,
    cleanup = cleanup, fname = "poll",
  }
end)

helper.battery("receive of a datagram", function()
  local receiver, sender = assert(udp.udp4()), assert(udp.udp4())
  assert(receiver:setsockname("127.0.0.1", 0))
  local _, port = receiver:getsockname()
  return {
    call = function() return receiver:receive() end,
    release = function() sender:sendto("data", "127.0.0.1", port) end,
    expect = function(data) assert.equal("data", data) end,
    cleanup = function()
      receiver:close()
      sender:close()
    end,
    fname = "recvfrom",
  }
end)

helper.battery("a read of io's formats", function()
  local a, b = helper.pair()
  local reader = require "gevent.monkey._reader"(a)
  return {
    call = function() return reader:read("n", "l") end,
    release = function() b:sendall " 0x10 rest\n" end,
    expect = function(number, rest)
      assert.equal(16, number)
      assert.equal(" rest", rest)
    end,
    cleanup = function()
      a:close()
      b:close()
    end,
    fname = "recv",
  }
end)
