-- setsockopt and getsockopt, by name.

local helper = require "helper"
local socket = require "gevent.socket"
local it = helper.it

local function tcp() return assert(socket.socket()) end

describe("a socket option", function()
  it("has its C name in any case, with or without the prefix", function()
    local sock <close> = tcp()
    for _, name in ipairs {"SO_REUSEADDR", "reuseaddr", "ReuseAddr",
      "so_reuseaddr", "REUSEADDR"} do
      assert.is_true(sock:setsockopt(name, true))
      assert.is_true(sock:getsockopt(name))
      assert.is_true(sock:setsockopt(name, false))
      assert.is_false(sock:getsockopt(name))
    end
    for _, name in ipairs {"TCP_KEEPIDLE", "keepidle", "tcp_KeepIdle"} do
      assert.is_true(sock:setsockopt(name, 77))
      assert.equal(77, sock:getsockopt(name))
    end
  end)

  it("that is a flag is a boolean", function()
    local sock <close> = tcp()
    for _, name in ipairs {"keepalive", "reuseport", "broadcast", "oobinline",
      "nodelay"} do
      for _, value in ipairs {true, false} do
        assert.is_true(sock:setsockopt(name, value))
        assert.equal(value, sock:getsockopt(name))
      end
      assert.error_matches(function() sock:setsockopt(name, 1) end,
        "argument #2.*boolean expected")
      assert.error_matches(function() sock:setsockopt(name) end, "argument #2")
    end
  end)

  it("that is a number is an integer", function()
    local sock <close> = tcp()
    assert.is_true(sock:setsockopt("sndbuf", 20000))
    assert.is_true(sock:getsockopt("sndbuf") >= 20000)
    assert.is_true(sock:setsockopt("rcvbuf", 20000))
    assert.is_true(sock:getsockopt("SO_RCVBUF") >= 20000)
    for _, value in ipairs {true, "x", 1.5, 1 << 40} do
      assert.error_matches(function() sock:setsockopt("sndbuf", value) end,
        "argument #2")
    end
  end)

  it("linger is seconds or false", function()
    local sock <close> = tcp()
    assert.is_false(sock:getsockopt("linger"))
    for _, seconds in ipairs {5, 0} do
      assert.is_true(sock:setsockopt("linger", seconds))
      assert.equal(seconds, sock:getsockopt("SO_LINGER"))
    end
    sock:setsockopt("linger", 0.2)
    assert.equal(1, sock:getsockopt("linger"), "0 would mean a reset")
    assert.is_true(sock:setsockopt("linger", false))
    assert.is_false(sock:getsockopt("linger"))
    assert.error_matches(function() sock:setsockopt("linger", -1) end,
      "argument #2")
    assert.error_matches(function() sock:setsockopt("linger", true) end,
      "argument #2")
  end)

  it("error is an errno's name, and read once", function()
    local sock <close> = tcp()
    assert.is_false(sock:getsockopt("error"))
    local listener = assert(socket.create_server("127.0.0.1:0"))
    local _, port = listener:getsockname()
    local client <close> = assert(socket.create_connection("127.0.0.1", port))
    local server = assert(listener:accept())
    listener:close()
    server:setsockopt("linger", 0)
    server:close() -- which resets the connection
    assert.equal("ECONNRESET", client:getsockopt("SO_ERROR"))
    assert.is_false(client:getsockopt("error"))
  end)

  it("tells what the socket is", function()
    local listener <close> = assert(socket.create_server("127.0.0.1:0"))
    local udp <close> = assert(socket.socket("inet", "dgram"))
    assert.is_true(listener:getsockopt("acceptconn"))
    assert.is_false(udp:getsockopt("acceptconn"))
    assert.are_not.equal(listener:getsockopt("type"), udp:getsockopt("type"))
    assert.equal(listener:getsockopt("domain"), udp:getsockopt("domain"))
    assert.error_matches(function() udp:setsockopt("type", 1) end,
      "argument #1.*not for setsockopt")
  end)

  it("peercred tells the other end of a Unix socket", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    local cred = assert(a:getsockopt("peercred"))
    local own = tonumber(helper.slurp("/proc/self/stat"):match("^%d+"))
    assert.equal(own, cred.pid)
    assert.equal("integer", math.type(cred.uid))
    assert.same(cred, b:getsockopt("SO_PEERCRED"))
    local sock <close> = tcp()
    assert.equal("ENOPROTOOPT", select(3, sock:getsockopt("peercred")))
  end)

  it("that IP and IPv6 share means that of the socket's family", function()
    local six <close> = assert(socket.socket("inet6"))
    assert.is_true(six:setsockopt("v6only", true))
    assert.is_true(six:getsockopt("IPV6_V6ONLY"))
    assert.is_true(six:setsockopt("unicast_hops", 7))
    assert.equal(7, six:getsockopt("IPV6_UNICAST_HOPS"))
    local udp <close> = assert(socket.socket("inet6", "dgram"))
    assert.is_true(udp:setsockopt("multicast_loop", false))
    assert.is_false(udp:getsockopt("IPV6_MULTICAST_LOOP"))
    local four <close> = tcp()
    assert.is_true(four:setsockopt("ttl", 9))
    assert.equal(9, four:getsockopt("IP_TTL"))
    assert.is_nil((four:getsockopt("IPV6_V6ONLY")))
  end)

  it("that is unknown is misuse", function()
    local sock <close> = tcp()
    for _, name in ipairs {"nosuchthing", "SO_", "", "TCP_REUSEADDR",
      "IP_NODELAY", "nodelay\0x"} do
      assert.error_matches(function() sock:getsockopt(name) end,
        "argument #1.*invalid option")
      assert.error_matches(function() sock:setsockopt(name, 1) end,
        "argument #1.*invalid option")
    end
    assert.error_matches(function() sock:getsockopt() end, "argument #1")
    assert.error_matches(function() sock:setsockopt("rcvtimeo", 1) end,
      "settimeout")
    assert.error_matches(function() sock:getsockopt("sndtimeo") end,
      "gettimeout")
  end)

  it("that the system refuses is nil, message, code", function()
    local unix <close> = assert(socket.socket("unix"))
    local value, message, code = unix:getsockopt("nodelay")
    assert.is_nil(value)
    assert.equal("string", type(message))
    assert.is_truthy(code == "EOPNOTSUPP" or code == "ENOTSUP", code)
    assert.is_nil((unix:setsockopt("nodelay", true)))
    local sock <close> = tcp()
    assert.equal("EINVAL",
      select(3, sock:setsockopt("congestion", ("x"):rep(30))))
  end)

  it("of a closed socket is EBADF", function()
    local sock = tcp()
    sock:close()
    assert.equal("EBADF", select(3, sock:getsockopt("nodelay")))
    assert.equal("EBADF", select(3, sock:setsockopt("nodelay", true)))
  end)
end)

describe("Nagle's algorithm", function()
  it("is off at both ends of every TCP connection", function()
    local made <close> = tcp()
    assert.is_true(made:getsockopt("nodelay"))
    local a <close>, b = helper.tcp_pair()
    local _b <close> = b
    assert.is_true(a:getsockopt("nodelay"))
    assert.is_true(b:getsockopt("nodelay"))
    local six <close> = assert(socket.create_server("[::1]:0"))
    local _, port = six:getsockname()
    local client <close> = assert(socket.create_connection("::1", port))
    assert.is_true(client:getsockopt("TCP_NODELAY"))
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
