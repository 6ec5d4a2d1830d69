-- resolver.Ares: what it asks, and what it makes of the answers and its files.

local helper = require "helper"
local dns = require "helper_dns"
local gevent = require "gevent"
local it = helper.it

local A = {family = "inet"}

-- The battery -----------------------------------------------------------------

-- The server holds each answer back until it is released.
local function held(script)
  local gate = helper.gate()
  local server = dns.serve(function(query)
    gate:wait()
    return script(query)
  end)
  local ares = dns.ares(server)
  return ares, {
    release = function() gate:open() end,
    cleanup = function() ares:close() server:close() gate:open() end,
  }
end

local zone = dns.zone {
  ["name.test"] = {A = {"10.0.0.1"}, AAAA = {"fd00::1"}},
  ["7.0.0.10.in-addr.arpa"] = {PTR = {"seven.test"}},
}

helper.battery("Ares:getaddrinfo", function()
  local ares, case = held(zone)
  case.call = function() return ares:getaddrinfo("name.test", 80) end
  case.expect = function(list)
    assert.equal("10.0.0.1 fd00::1", dns.hosts(list))
    assert.equal(80, list[1].port)
  end
  return case
end)

helper.battery("Ares:getnameinfo", function()
  local ares, case = held(zone)
  case.call = function() return ares:getnameinfo("10.0.0.7", 80, "numericserv") end
  case.expect = function(...) assert.same({"seven.test", "80"}, {...}) end
  return case
end)

for name, expected in pairs {
  gethostbyname = {"name.test", "10.0.0.1"},
  gethostbyname_ex = {"name.test",
    {name = "name.test", aliases = {}, addresses = {"10.0.0.1"}}},
  gethostbyaddr = {"10.0.0.7",
    {name = "seven.test", aliases = {}, addresses = {"10.0.0.7"}}},
  getfqdn = {"name.test", "name.test"},
} do
  helper.battery("Ares:" .. name, function()
    local ares, case = held(zone)
    case.fname = name == "gethostbyaddr" and "getnameinfo" or "getaddrinfo"
    case.call = function() return ares[name](ares, expected[1]) end
    case.expect = function(...) assert.same({expected[2]}, {...}) end
    return case
  end)
end

-- Answers ---------------------------------------------------------------------

describe("resolver.Ares", function()
  it("asks for both families", function()
    local server <close> = dns.serve(zone)
    local ares <close> = dns.ares(server)
    local list = assert(ares:getaddrinfo("name.test", 443, {type = "dgram"}))
    table.sort(list, function(a, b) return a.family < b.family end)
    assert.same({
      {family = "inet", type = "dgram", host = "10.0.0.1", port = 443},
      {family = "inet6", type = "dgram", host = "fd00::1", port = 443},
    }, list)
    assert.equal(1, server:count("name.test", "A"))
    assert.equal(1, server:count("name.test", "AAAA"))
    assert.equal(2, #server.queries)
  end)

  it("asks for one family where one is wanted", function()
    local server <close> = dns.serve(zone)
    local ares <close> = dns.ares(server)
    assert.equal("10.0.0.1", dns.hosts(ares:getaddrinfo("name.test", 1, A)))
    assert.equal("fd00::1",
      dns.hosts(ares:getaddrinfo("name.test", 1, {family = "inet6"})))
    assert.equal(1, server:count(nil, "A"))
    assert.equal(1, server:count(nil, "AAAA"))
  end)

  it("takes the one family that there is", function()
    local server <close> = dns.serve(dns.zone {
      ["four.test"] = {A = {"10.0.0.4"}}, ["six.test"] = {AAAA = {"fd00::6"}}})
    local ares <close> = dns.ares(server)
    assert.equal("10.0.0.4", dns.hosts(ares:getaddrinfo("four.test")))
    assert.equal("fd00::6", dns.hosts(ares:getaddrinfo("six.test")))
  end)

  it("asks a server over IPv6", function()
    local socket = require "gevent.socket"
    local probe <close> = socket.socket("inet6", "dgram")
    if not probe or not probe:bind("::1", 0) then return end
    local server <close> = dns.serve(zone, {host = "::1"})
    local ares <close> = dns.ares(server)
    assert.equal("10.0.0.1", dns.hosts(ares:getaddrinfo("name.test", 1, A)))
  end)

  it("follows a chain of aliases, and tells the canonical name", function()
    local server <close> = dns.serve(dns.zone {
      ["www.test"] = {CNAME = "web.test"}, ["web.test"] = {CNAME = "host.test"},
      ["host.test"] = {A = {"10.0.0.5"}}})
    local ares <close> = dns.ares(server)
    assert.same({name = "host.test", aliases = {"www.test"},
      addresses = {"10.0.0.5"}}, ares:gethostbyname_ex("www.test"))
    local list = ares:getaddrinfo("www.test", 80, {family = "inet",
      flags = "canonname"})
    assert.equal("host.test", list[1].canonname)
    assert.is_nil(ares:getaddrinfo("www.test", 80, A)[1].canonname)
    assert.equal("host.test", ares:getfqdn("www.test"))
  end)

  it("knows addresses by their names", function()
    local server <close> = dns.serve(dns.zone {
      ["7.0.0.10.in-addr.arpa"] = {PTR = {"seven.test"}},
      ["1." .. ("0."):rep(27) .. "0.0.d.f.ip6.arpa"] = {PTR = {"six.test"}}})
    local ares <close> = dns.ares(server)
    assert.equal("seven.test", (ares:getnameinfo("10.0.0.7", 0)))
    assert.equal("six.test", (ares:getnameinfo("fd00::1", 0)))
    assert.same({"10.0.0.8", "80"},
      {ares:getnameinfo("10.0.0.8", 80, "numericserv")})
    assert.equal("EAI_NONAME",
      (select(3, ares:getnameinfo("10.0.0.8", 80, "namereqd"))))
    assert.equal("EAI_NONAME", (select(3, ares:gethostbyaddr("10.0.0.8"))))
    assert.same({"10.0.0.7", "80"},
      {ares:getnameinfo("10.0.0.7", 80, "numerichost,numericserv")})
    assert.equal("seven.test", ares:getfqdn("10.0.0.7"))
    assert.equal("10.0.0.8", ares:getfqdn("10.0.0.8"))
  end)

  it("adds the search domains, by ndots", function()
    local server <close> = dns.serve(dns.zone {
      ["host.two.test"] = {A = {"10.0.0.2"}}, ["a.host"] = {A = {"10.0.0.3"}},
      ["b.host.two.test"] = {A = {"10.0.0.4"}}})
    local ares <close> = dns.ares(server, {domains = {"one.test", "two.test"}})
    assert.equal("10.0.0.2", dns.hosts(ares:getaddrinfo("host", 1, A)))
    assert.equal("host.one.test", server.queries[1].name)
    assert.equal("10.0.0.3", dns.hosts(ares:getaddrinfo("a.host", 1, A)))
    assert.equal(1, server:count("a.host"))
    assert.equal("10.0.0.4", dns.hosts(ares:getaddrinfo("b.host", 1, A)))
    assert.equal("EAI_NONAME", dns.hosts(ares:getaddrinfo("b.host.", 1, A)))
    local dotty <close> = dns.ares(server, {domains = {"two.test"}, ndots = 2})
    assert.equal("10.0.0.4", dns.hosts(dotty:getaddrinfo("b.host", 1, A)))
    assert.equal("b.host.two.test", server.queries[#server.queries].name)
  end)

  it("asks for names in other scripts in Punycode", function()
    local server <close> = dns.serve(dns.zone {
      ["xn--bcher-kva.test"] = {A = {"10.0.0.9"}}})
    local ares <close> = dns.ares(server)
    assert.equal("10.0.0.9", dns.hosts(ares:getaddrinfo("bücher.test", 1, A)))
  end)

  it("asks nobody about numbers, and names that cannot be", function()
    local server <close> = dns.serve(zone)
    local ares <close> = dns.ares(server)
    assert.equal("10.1.1.1", dns.hosts(ares:getaddrinfo("10.1.1.1", 80)))
    assert.equal("::1", dns.hosts(ares:getaddrinfo("::1", 80)))
    assert.equal("10.1.1.1", ares:gethostbyname("10.1.1.1"))
    assert.equal("127.0.0.1", ares:gethostbyname("localhost"))
    assert.equal("127.0.0.1", ares:gethostbyname("x.localhost"))
    for _, name in ipairs {"", "a\0b", ("x"):rep(64) .. ".test",
      ("x."):rep(128), "\xff.test"} do
      local list, message, code = ares:getaddrinfo(name, 80)
      assert.same({nil, "not a valid host name", "EAI_NONAME"},
        {list, message, code})
    end
    assert.equal("EAI_NONAME", dns.hosts(ares:getaddrinfo("a..b", 80)))
    assert.equal("EAI_SERVICE", dns.hosts(ares:getaddrinfo("a.test", "no such")))
    assert.equal(0, #server.queries)
  end)

  it("is used by create_connection and connect", function()
    local socket = require "gevent.socket"
    local hub = gevent.get_hub()
    local server <close> = dns.serve(dns.zone {["here.test"] = {A = {"127.0.0.1"}}})
    local ares <close> = dns.ares(server)
    local listener <close> = assert(socket.create_server("127.0.0.1:0"))
    local _, port = listener:getsockname()
    local former = hub.resolver
    hub.resolver = ares
    local _restore <close> = helper.defer(function() hub.resolver = former end)
    local first <close> = assert(socket.create_connection("here.test", port))
    local second <close> = assert(socket.socket())
    assert(second:connect("here.test", port))
    assert.equal("127.0.0.1", (first:getpeername()))
    assert.equal("127.0.0.1", (second:getpeername()))
    assert.equal(1, server:count("here.test", "AAAA"))
    assert.equal(2, server:count("here.test", "A"))
  end)
end)

-- Files -------------------------------------------------------------------------

local function tempfile(text)
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "w"))
  file:write(text)
  return path
end

describe("resolver.Ares and its files", function()
  it("reads a hosts file, again when it has changed", function()
    local path = tempfile("# a comment\n127.0.0.5 Five.test five   # and more\n"
      .. "fd00::5   five\n10.0.0.6\tsix.test\nnot-an-address seven.test\n10.0.0.8")
    local _remove <close> = helper.defer(function() os.remove(path) end)
    local server <close> = dns.serve(zone)
    local ares <close> = dns.ares(server, {hosts = path})
    assert.equal("127.0.0.5", ares:gethostbyname("five.test"))
    assert.equal("127.0.0.5", ares:gethostbyname("FIVE"))
    assert.equal("127.0.0.5 fd00::5", dns.hosts(ares:getaddrinfo("five")))
    assert.same({name = "Five.test", aliases = {"five"}, addresses = {"127.0.0.5"}},
      ares:gethostbyname_ex("five"))
    assert.equal("six.test", (ares:getnameinfo("10.0.0.6", 0)))
    assert.equal("five", (ares:getnameinfo("FD00:0::5", 0)))
    assert.equal(0, #server.queries)
    assert.equal("10.0.0.1", ares:gethostbyname("name.test"))
    local file = assert(io.open(path, "w"))
    file:write("10.0.0.99 five.test and.more\n")
    file:close()
    assert.equal("10.0.0.99", ares:gethostbyname("five.test"))
    assert.equal("EAI_NONAME", (select(3, ares:gethostbyname("six.test"))))
    os.remove(path)
    assert.equal("EAI_NONAME", (select(3, ares:gethostbyname("five.test"))))
  end)

  it("takes hosts as a table", function()
    local server <close> = dns.serve(zone)
    local ares <close> = dns.ares(server, {hosts = {
      ["One.test"] = "10.0.0.1", two = {"10.0.0.2", "fd00::2"}}})
    assert.equal("10.0.0.1", ares:gethostbyname("one.test"))
    assert.equal("10.0.0.2 fd00::2", dns.hosts(ares:getaddrinfo("two")))
    assert.equal("One.test", (ares:getnameinfo("10.0.0.1", 0)))
    assert.equal(0, #server.queries)
  end)

  it("sorts addresses that cannot be reached behind the others", function()
    local server <close> = dns.serve(zone)
    local ares <close> = dns.ares(server, {hosts = {
      far = {"2001:db8::1", "127.0.0.3"}, near = {"127.0.0.3", "::1"}}})
    local list = ares:getaddrinfo("far")
    local socket = require "gevent.socket"
    local probe <close> = socket.socket("inet6", "dgram")
    local reachable = probe and probe:connect("2001:db8::1", 9)
    assert.equal(reachable and "2001:db8::1" or "127.0.0.3", list[1].host)
    local second <close> = socket.socket("inet6", "dgram")
    local loopback = second and second:connect("::1", 9)
    assert.equal(loopback and "::1" or "127.0.0.3", ares:getaddrinfo("near")[1].host)
  end)

  it("reads a resolv.conf, again when it has changed", function()
    local path = tempfile "search files.test\noptions ndots:2\n"
    local _remove <close> = helper.defer(function() os.remove(path) end)
    local server <close> = dns.serve(dns.zone {
      ["a.b.files.test"] = {A = {"10.0.0.1"}}})
    local ares <close> = require("gevent.resolver").Ares {
      servers = {server.address}, hosts = false, resolvconf = path,
      timeout = 5 * helper.scale}
    assert.equal("10.0.0.1", ares:gethostbyname("a.b"))
    assert.equal("a.b.files.test", server.queries[1].name)
    local file = assert(io.open(path, "w"))
    file:write("search elsewhere.test\noptions ndots:2\n")
    file:close()
    assert.equal("EAI_NONAME", (select(3, ares:gethostbyname("a.b"))))
    assert.equal(1, server:count("a.b.elsewhere.test"))
  end)

  it("takes the number of attempts from resolv.conf, unless told", function()
    local path = tempfile("options ndots:1 timeout:60 attempts:1\n")
    local _remove <close> = helper.defer(function() os.remove(path) end)
    local server <close> = dns.serve(function(query)
      return dns.reply(query, {rcode = "SERVFAIL"})
    end)
    local function asked(tries)
      local ares <close> = dns.ares(server, {resolvconf = path, tries = tries or false})
      local before = #server.queries
      assert.equal("EAI_AGAIN", dns.hosts(ares:getaddrinfo("name.test", 1, A)))
      return #server.queries - before
    end
    assert.equal(1, asked())
    assert.equal(4, asked(4))
  end)

  it("starts without a resolv.conf", function()
    local ares <close> = require("gevent.resolver").Ares {
      resolvconf = "/nonexistent/resolv.conf"}
    assert.equal("127.0.0.1", ares:gethostbyname("localhost"))
    assert.equal("10.0.0.1", ares:gethostbyname("10.0.0.1"))
  end)
end)

-- Misuse ------------------------------------------------------------------------

describe("resolver.Ares refuses", function()
  it("options that make no sense, naming them", function()
    local resolver = require "gevent.resolver"
    for name, values in pairs {
      servers = {"127.0.0.1", {}, {"name.test"}, {"127.0.0.1:0"}, {1},
        {"127.0.0.1:65536"}, {"[::1"}, {"::1]:53"}, {""}},
      timeout = {0, -1, "1", 0 / 0, math.huge},
      tries = {0, -1, 1.5, "1"},
      hosts = {1, true, {a = 1}, {a = {"b"}}, {"127.0.0.1"}},
      cache = {-1, 1.5, "yes"},
      ndots = {-1, 16, "1"},
      domains = {"a", {1}},
      resolvconf = {1, false},
    } do
      for _, value in ipairs(values) do
        local ok, err = pcall(resolver.Ares, {[name] = value})
        assert.is_false(ok, name .. " = " .. tostring(value))
        assert.matches("#1 to 'Ares' %(" .. name .. ": ", err)
      end
    end
    assert.error_matches(function() resolver.Ares("127.0.0.1") end, "argument #1")
    local _, err = pcall(function() local _ = resolver.Ares {timeout = 0} end)
    assert.matches("resolver_ares_spec%.lua:%d+:", err)
  end)

  it("no way to write a server", function()
    local resolver = require "gevent.resolver"
    local ares = resolver.Ares {servers = {"127.0.0.1", "127.0.0.2:5353", "::1",
      "[::2]", "[::3]:5353"}}
    assert.matches("127%.0%.0%.1:53 127%.0%.0%.2:5353 %[::1%]:53 %[::2%]:53 "
      .. "%[::3%]:5353", tostring(ares))
  end)
end)
