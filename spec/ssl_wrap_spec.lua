-- How a stream becomes TLS and how it becomes plain again; a reader and a writer
-- at once; every blocking call of TLS.

local helper = require "helper"
local tls = require "helper_tls"
local gevent = require "gevent"
local socket = require "gevent.socket"
local ssl = require "gevent.ssl"
local it = helper.it

local failure, closer = tls.failure, tls.closer

local function pack(...) return table.pack(...) end

-- A client and a server, connected, whose handshake is still to be done.
local function unshaken()
  local a, b = helper.pair()
  return assert(tls.client():wrap_socket(a,
    {server_hostname = "localhost", do_handshake = false})),
    assert(tls.server():wrap_socket(b, {server_side = true, do_handshake = false}))
end

-- wrap_socket ------------------------------------------------------------------------

describe("wrap_socket", function()
  it("hands over what was read too early", function()
    local a, b = helper.pair()
    a:sendall("STARTTLS\n")
    local client = assert(tls.client():wrap_socket(a,
      {server_hostname = "localhost", do_handshake = false}))
    assert.equal("timeout", (failure(client:do_handshake(0)))) -- it has sent its hello
    assert.equal("STARTTLS", b:read("l"))
    local handshake = gevent.spawn(function() return client:do_handshake() end)
    local server = assert(tls.server():wrap_socket(b, {server_side = true}))
    assert.is_true(handshake:get())
    client:sendall("secret")
    assert.equal("secret", server:recv(10))
    client:close()
    server:close()
  end)

  -- The server finds the client gone when it sends its tickets.
  it("serves a client that closes right after its handshake", function()
    local client, server = unshaken()
    local _ <close> = helper.closing(server)
    assert.equal("timeout", (failure(client:do_handshake(0))))
    assert.equal("timeout", (failure(server:do_handshake(0))))
    assert.is_true(client:do_handshake())
    client:sendall("all that there is")
    client:close()
    assert.is_true(server:do_handshake())
    assert.equal("all that there is", server:recv(100))
    assert.equal("", server:recv(100))
  end)

  it("never takes plaintext for what came by TLS", function()
    local a, b = helper.pair()
    a:sendall("STARTTLS\ninjected command\n")
    assert.equal("STARTTLS", b:read("l"))
    local client, server = tls.wrap(a, b)
    assert.equal("ESSL", select(3, table.unpack(server, 1, 3)))
    assert.is_nil(client[1])
  end)

  it("refuses what setvbuf has collected", function()
    local a, b = helper.pair()
    local _ <close> = closer(a, b)
    a:setvbuf("full")
    a:write("collected")
    local code, message = failure(tls.client():wrap_socket(a, {server_hostname = "localhost"}))
    assert.equal("ESSL", code)
    assert.matches("setvbuf", message)
    a:flush()
    assert.equal("collected", b:recv(100))
  end)

  it("checks what it is given before it begins", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    local context = ssl.SSLContext()
    for text, call in pairs {
      ["#1 to 'wrap_socket' %(socket or file expected, got number%)"] = function()
        context:wrap_socket(5, {server_hostname = "a"})
      end,
      ["#2 to 'wrap_socket' %(table expected, got string%)"] = function()
        context:wrap_socket(a, "a")
      end,
      ["#2 to 'wrap_socket' %(timeout"] = function()
        context:wrap_socket(a, {server_hostname = "a", timeout = -1})
      end,
      ["#2 to 'wrap_socket' %(session: SSLSession expected, got number"] = function()
        context:wrap_socket(a, {server_hostname = "a", session = 5})
      end,
    } do
      local _, err = pcall(call)
      assert.matches("^spec/ssl_wrap_spec.lua:%d+: bad argument " .. text, err)
    end
    assert.is_false(a.closed)
  end)

  it("refuses closed and unconnected sockets, and datagrams", function()
    local opts = {server_hostname = "localhost"}
    local context = tls.client()
    local a, b = helper.pair()
    a:close()
    b:close()
    assert.equal("EBADF", (failure(context:wrap_socket(a, opts))))
    local alone <close> = assert(socket.socket())
    assert.equal("ENOTCONN", (failure(context:wrap_socket(alone, opts))))
    assert.is_false(alone.closed)
    local one, two = socket.socketpair("unix", "dgram")
    local _ <close> = closer(one, two)
    assert.error_matches(function() context:wrap_socket(one, opts) end, "datagram")
    assert.is_false(two.closed)
    assert.error_matches(function() context:wrap_socket({}, opts) end, "socket or file expected")
    assert.error_matches(function() context:wrap_socket(nil, opts) end, "socket or file expected")
  end)

  it("refuses a socket that somebody waits on", function()
    local a, b = helper.pair()
    local _ <close> = closer(a, b)
    local reader = helper.spawn_blocked(function() return a:recv(1) end)
    local ok, err = pcall(tls.client().wrap_socket, tls.client(), a,
      {server_hostname = "localhost"})
    assert.is_false(ok)
    assert.is_true(gevent.isinstance(err, gevent.ConcurrentObjectUseError))
    b:sendall("x")
    assert.equal("x", reader:get())
  end)

  it("needs a name to check, and a client's options for a client", function()
    local a, b = helper.pair()
    local _ <close> = closer(a, b)
    local client, server = tls.client(), tls.server()
    assert.error_matches(function() client:wrap_socket(a) end, "server_hostname")
    for _, bad in ipairs {"", "a\0b", "a b", 7} do
      assert.error_matches(function()
        client:wrap_socket(a, {server_hostname = bad})
      end, "server_hostname")
    end
    assert.error_matches(function()
      server:wrap_socket(a, {server_side = true, server_hostname = "x"})
    end, "client's")
    assert.is_false(a.closed)
  end)

  it("closes the socket if the handshake fails", function()
    local a, b = helper.pair()
    b:sendall("this is no TLS at all\n")
    local code, message = failure(tls.client():wrap_socket(a, {server_hostname = "localhost"}))
    assert.equal("ESSL", code)
    assert.equal("wrong version number", message)
    assert.equal("", b:recv(100000) and b:recv(1000) or "")
    b:close()
  end)

  it("times out, by itself or by the socket", function()
    local a, b = helper.pair()
    assert.equal("timeout", (failure(tls.client():wrap_socket(a,
      {server_hostname = "localhost", timeout = 0.01}))))
    b:close()
    a, b = helper.pair()
    a:settimeout(0.01)
    assert.equal("timeout", (failure(tls.client():wrap_socket(a,
      {server_hostname = "localhost"}))))
    b:close()
  end)

  it("gives the socket up when it is killed", function()
    local a, b = helper.pair()
    local g = helper.spawn_blocked(function()
      tls.client():wrap_socket(a, {server_hostname = "localhost"})
    end)
    gevent.kill(g)
    b:settimeout(5)
    assert.is_truthy(b:recv(100000))
    assert.equal("", b:recv(1))
    b:close()
  end)

  it("does its handshake later if told: in reads and writes as well", function()
    local client, server = unshaken()
    local _ <close> = closer(client, server)
    assert.is_nil(client:version())
    assert.matches("handshake>$", tostring(client))
    assert.equal("ESSL", (failure(client:unwrap())))
    local echo = gevent.spawn(function()
      server:sendall(server:recv(100):upper())
    end)
    client:sendall("hello")
    assert.equal("HELLO", client:recv(100))
    echo:get()
    assert.is_true(client:do_handshake(), "it was done")
    assert.equal("TLSv1.3", client:version())
  end)
end)

-- A reader and a writer at once ------------------------------------------------------

describe("a reader and a writer at once", function()
  it("carry on one handshake", function()
    local a, b = helper.pair()
    local client = assert(tls.client():wrap_socket(a,
      {server_hostname = "localhost", do_handshake = false}))
    local _ <close> = closer(client)
    local reader = helper.spawn_blocked(function() return client:recv(10) end)
    local writer = helper.spawn_blocked(function() return client:sendall("ping") end)
    local server = assert(tls.server():wrap_socket(b, {server_side = true}))
    local _server <close> = server
    assert.equal("ping", server:recv(10))
    assert.is_true(writer:get())
    server:sendall("pong")
    assert.equal("pong", reader:get())
  end)

  it("both hear of a handshake that failed", function()
    local a, b = helper.pair()
    local client = assert(tls.client():wrap_socket(a,
      {server_hostname = "localhost", do_handshake = false}))
    local _ <close> = closer(client, b)
    local reader = helper.spawn_blocked(function() return client:recv(10) end)
    local writer = helper.spawn_blocked(function() return client:sendall("ping") end)
    b:sendall("no TLS, I am afraid")
    assert.equal("ESSL", (failure(reader:get())))
    assert.equal("ESSL", (failure(writer:get())))
  end)

  it("are one of each: a second reader is refused", function()
    local client, server = tls.pair()
    local _ <close> = closer(client, server)
    local reader = helper.spawn_blocked(function() return client:recv(10) end)
    local ok, err = pcall(client.recv, client, 1)
    assert.is_false(ok)
    assert.is_true(gevent.isinstance(err, gevent.ConcurrentObjectUseError))
    server:sendall("x")
    assert.equal("x", reader:get())
  end)

  it("are woken by close", function()
    local client, server = tls.pair()
    local reader = helper.spawn_blocked(function() return client:recv(10) end)
    local writer = helper.spawn_blocked(function()
      return client:sendall(("x"):rep(5000000))
    end)
    client:close()
    assert.equal("EBADF", (failure(reader:get())))
    assert.equal("EBADF", (failure(writer:get())))
    server:close()
  end)
end)

-- unwrap -----------------------------------------------------------------------------

describe("unwrap", function()
  it("loses nothing: what was not read is kept", function()
    local client, server = tls.pair()
    local _ <close> = closer(client, server)
    server:sendall("unread")
    local code, message = failure(client:unwrap())
    assert.equal("ESSL", code)
    assert.matches("not read", message)
    assert.equal("unread", client:recv(100))
    local other = gevent.spawn(function() return server:unwrap() end)
    assert(client:unwrap()):close()
    other:get():close()
  end)

  it("hands on what follows the end of TLS", function()
    local client, server = tls.pair()
    local other = gevent.spawn(function()
      local plain = server:unwrap()
      plain:sendall("plain at once\n")
      return plain
    end)
    helper.wait_all_blocked()
    local plain = assert(client:unwrap())
    assert.equal("plain at once", plain:read("l"))
    plain:close()
    other:get():close()
  end)

  it("goes up and down on one connection", function()
    local a, b = helper.pair()
    for turn = 1, 3 do
      a:sendall("starttls\n")
      assert.equal("starttls", b:read("l"))
      local client, server = tls.pair {over = function() return a, b end}
      client:sendall("secret " .. turn)
      assert.equal("secret " .. turn, server:recv(100))
      local other = gevent.spawn(function() return server:unwrap() end)
      a = assert(client:unwrap())
      b = assert(other:get())
    end
    a:close()
    b:close()
  end)

  it("gives back the TLS socket that was wrapped in TLS", function()
    local a, b = tls.pair()
    local fd = a:fileno()
    local client, server = tls.pair {over = function() return a, b end}
    assert.same({true, "EBADF"}, {a.closed, (failure(a:recv(1)))})
    assert.is_true(a:close(), "it does nothing, as with a plain socket")
    client:sendall("above")
    assert.equal("above", server:recv(10))
    assert.equal(fd, client:fileno())
    local other = gevent.spawn(function() return server:unwrap() end)
    assert.equal(a, client:unwrap())
    assert.equal(b, other:get())
    assert.same({false, fd}, {a.closed, a:fileno()})
    a:sendall("below")
    assert.equal("below", b:recv(10))
    a:close()
    b:close()
  end)

  it("times out, and can be tried again", function()
    local client, server = tls.pair()
    local _ <close> = closer(client, server)
    assert.equal("timeout", (failure(client:unwrap(0.01))))
    assert.equal("timeout", (failure(client:unwrap(0))))
    assert.equal("", server:recv(10))
    local peer = assert(server:unwrap())
    assert(client:unwrap(1)):close()
    peer:close()
  end)
end)

-- The battery -----------------------------------------------------------------------

local function case(call, release, expect, fname)
  return function()
    local client, server = tls.pair()
    return {
      takes_timeout = true,
      fname = fname,
      call = function(timeout) return call(client, timeout) end,
      release = function() release(server) end,
      expect = expect,
      cleanup = function() client:close() server:close() end,
    }
  end
end

helper.battery("TLS: recv", case(
  function(sock, timeout) return sock:recv(10, timeout) end,
  function(peer) assert.is_true(peer:sendall("text")) end,
  function(...) assert.same({n = 1, "text"}, pack(...)) end))

helper.battery("TLS: read", case(
  function(sock, timeout)
    sock:settimeout(timeout)
    return sock:read("l")
  end,
  function(peer) assert.is_true(peer:sendall("line\n")) end,
  function(...) assert.same({n = 1, "line"}, pack(...)) end))

describe("TLS: sendall to a peer that does not read", function()
  local text = ("x"):rep(1000000)

  helper.battery("sendall", function()
    local client, server = tls.pair()
    local released
    return {
      takes_timeout = true,
      timeout_result = function(first, message, code, sent)
        assert.same({nil, "timed out", "timeout"}, {first, message, code})
        assert.is_true(sent < #text)
      end,
      call = function(timeout) return client:sendall(text, timeout) end,
      release = function()
        released = released or gevent.spawn(function()
          while server:recv(65536) ~= "" do end
        end)
      end,
      expect = function(...) assert.same({n = 1, true}, pack(...)) end,
      cleanup = function()
        client:close()
        if released then released:kill() end
        server:close()
      end,
    }
  end)
end)

--- A handshake whose peer begins when it is released.
local function handshaking(server_side)
  return function()
    local a, b = helper.pair()
    local mine = server_side and {server_side = true, do_handshake = false}
      or {server_hostname = "localhost", do_handshake = false}
    local other = server_side and {server_hostname = "localhost"} or {server_side = true}
    local context = server_side and tls.server() or tls.client()
    local peer_context = server_side and tls.client() or tls.server()
    local sock = assert(context:wrap_socket(a, mine))
    local peer
    return {
      takes_timeout = true,
      call = function(timeout) return sock:do_handshake(timeout) end,
      release = function()
        peer = peer or gevent.spawn(function() return peer_context:wrap_socket(b, other) end)
      end,
      expect = function(...) assert.same({n = 1, true}, pack(...)) end,
      cleanup = function()
        sock:close()
        if peer then
          peer:join()
          if peer.value then peer.value:close() end
        end
        b:close()
      end,
    }
  end
end

helper.battery("client: do_handshake", handshaking(false))
helper.battery("server: do_handshake", handshaking(true))

helper.battery("unwrap", function()
  local client, server = tls.pair()
  local peer, plain
  return {
    takes_timeout = true,
    call = function(timeout)
      local sock, message, code = client:unwrap(timeout)
      plain = sock or plain
      if not sock then return nil, message, code end
      return "plain"
    end,
    release = function()
      peer = peer or gevent.spawn(function() return server:unwrap() end)
    end,
    expect = function(...) assert.same({n = 1, "plain"}, pack(...)) end,
    cleanup = function()
      client:close()
      if plain then plain:close() end
      if peer then
        peer:join()
        if peer.value then peer.value:close() end
      end
      server:close()
    end,
  }
end)
