-- resolver.Ares against a server that does as it is told: well, badly, late or
-- not at all.

local helper = require "helper"
local dns = require "helper_dns"
local gevent = require "gevent"
local lock = require "gevent.lock"
local it = helper.it

local A = {family = "inet"}
local QUICK = {timeout = 0.02, tries = 2} -- where an answer must not come

local function A_record(query, address)
  return dns.record(query.name, "A", address or "10.0.0.1")
end

local function reply_A(query, address)
  return dns.reply(query, {answers = {A_record(query, address)}})
end

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

-- Failures --------------------------------------------------------------------

describe("resolver.Ares and a server", function()
  local function asked(script, opts, server_opts)
    local server <close> = dns.serve(script, server_opts)
    local ares <close> = dns.ares(server, opts)
    return dns.hosts(ares:getaddrinfo("name.test", 1, A)), server
  end

  it("that knows no such name", function()
    assert.equal("EAI_NONAME", (asked(dns.zone {})))
  end)

  it("that knows no address of it", function()
    assert.equal("EAI_NODATA", (asked(dns.zone {["name.test"] = {}})))
  end)

  it("that fails, refuses or cannot", function()
    for _, rcode in ipairs {"SERVFAIL", "REFUSED", "NOTIMP"} do
      local code, server = asked(function(query)
        return dns.reply(query, {rcode = rcode})
      end)
      assert.equal("EAI_AGAIN", code)
      assert.equal(2, #server.queries, rcode)
    end
    assert.equal("EAI_FAIL", (asked(function(query)
      return dns.reply(query, {rcode = "FORMERR"})
    end)))
  end)

  it("that is silent: it is asked as often as was said, no longer", function()
    local server <close> = dns.serve(function() end)
    local ares <close> = dns.ares(server, {timeout = 0.02, tries = 3})
    assert.equal("EAI_AGAIN", dns.hosts(ares:getaddrinfo("name.test", 1, A)))
    dns.wait_queries(server, 3)
    helper.wait_all_blocked()
    assert.equal(3, #server.queries)
  end)

  it("that is silent once", function()
    local code = asked(function(query, server)
      return #server.queries > 1 and reply_A(query) or nil
    end, {timeout = 0.05, tries = 10})
    assert.equal("10.0.0.1", code)
  end)

  it("that is not there", function()
    local server = dns.serve(zone)
    server:close()
    local ares <close> = dns.ares(server)
    assert.equal("EAI_AGAIN", dns.hosts(ares:getaddrinfo("name.test")))
    assert.equal("EAI_AGAIN", (select(3, ares:getnameinfo("10.0.0.7", 1))))
  end)

  it("that is silent, and another that is not", function()
    local dead <close> = dns.serve(function() end)
    local alive <close> = dns.serve(zone)
    local ares <close> = dns.ares({dead, alive}, {timeout = 0.05})
    assert.equal("10.0.0.1", dns.hosts(ares:getaddrinfo("name.test", 1, A)))
    dns.wait_queries(dead, 1)
    assert.equal(1, #dead.queries)
  end)

  it("that answers late: the try after it counts", function()
    local gate = helper.gate()
    local server <close> = dns.serve(function(query, server)
      if #server.queries == 1 then gate:wait() end
      return reply_A(query, "10.0.0." .. #server.queries)
    end)
    local ares <close> = dns.ares(server, {timeout = 0.05, tries = 10})
    local address = dns.hosts(ares:getaddrinfo("name.test", 1, A))
    assert.matches("^10%.0%.0%.[2-9]", address)
    gate:open()
    helper.wait_all_blocked()
  end)

  it("that answers for another query, or asks another question", function()
    for what, lie in pairs {
      id = function(query) return {id = query.id ~ 1} end,
      name = function()
        return {question = dns.name("evil.test") .. "\0\1\0\1"}
      end,
      type = function(query)
        return {question = dns.name(query.name) .. "\0\28\0\1"}
      end,
    } do
      assert.equal("10.0.0.1", (asked(function(query)
        local reply = lie(query)
        reply.answers = {A_record(query, "6.6.6.6")}
        return {dns.reply(query, reply), reply_A(query)}
      end)), what)
    end
  end)

  it("whose answer comes from another address", function()
    local socket = require "gevent.socket"
    local evil <close> = assert(socket.socket("inet", "dgram"))
    assert(evil:bind("127.0.0.2", 0))
    assert.equal("10.0.0.1", (asked(function(query, server)
      evil:sendto(reply_A(query, "6.6.6.6"), "127.0.0.1", query.port)
      local near <close> = assert(socket.socket("inet", "dgram"))
      assert(near:bind("127.0.0.1", 0))
      near:sendto(reply_A(query, "6.6.6.7"), query.host, query.port)
      assert(server)
      return reply_A(query)
    end)))
  end)

  it("whose record is of another owner", function()
    assert.equal("EAI_NODATA", (asked(function(query)
      return dns.reply(query, {answers = {dns.record("evil.test", "A", "6.6.6.6")}})
    end)))
  end)

  it("that truncates: the rest is fetched over TCP", function()
    local many = {}
    for i = 1, 100 do many[i] = "10.0.1." .. i end
    local code, server = asked(function(query)
      if query.over == "udp" then return dns.reply(query, {truncated = true}) end
      return dns.zone {["name.test"] = {A = many}}(query)
    end)
    assert.equal(100, select(2, code:gsub("%S+", "")))
    assert.equal(1, server:count(nil, "A", "udp"))
    assert.equal(1, server:count(nil, "A", "tcp"))
  end)

  it("that truncates and has no TCP", function()
    assert.equal("EAI_AGAIN", (asked(function(query)
      return dns.reply(query, {truncated = true})
    end, nil, {tcp = false})))
  end)

  it("that truncates, and is silent, or hangs up, or in pieces over TCP", function()
    local function truncated(over_tcp)
      return function(query, server)
        if query.over == "udp" then return dns.reply(query, {truncated = true}) end
        return over_tcp(query, server)
      end
    end
    assert.equal("EAI_AGAIN", (asked(truncated(function() end), QUICK)))
    assert.equal("EAI_AGAIN", (asked(truncated(function(_, server)
      server.greenlets:killone(gevent.getcurrent(), nil, false)
    end), QUICK)))
    assert.equal("10.0.0.1", (asked(truncated(function(query)
      return reply_A(query)
    end))))
  end)

  it("whose aliases go round in a circle", function()
    assert.matches("^EAI_", (asked(function(query)
      return dns.reply(query, {answers = {
        dns.record("name.test", "CNAME", "other.test"),
        dns.record("other.test", "CNAME", "name.test"),
      }})
    end)))
  end)

  it("that sends garbage", function()
    local bad = {
      loop = "\xc0\x0c" .. string.pack(">I2I2I4s2", 1, 1, 60, "\1\2\3\4"),
      itself = "\xc0\x1b" .. string.pack(">I2I2I4s2", 1, 1, 60, "\1\2\3\4"),
      beyond = "\xff\xff" .. string.pack(">I2I2I4s2", 1, 1, 60, "\1\2\3\4"),
      short = "\xc0\x0c\0\1",
      length = "\xc0\x0c" .. string.pack(">I2I2I4I2", 1, 1, 60, 65535) .. "x",
      label = "\x7fabc",
    }
    for what, record in pairs(bad) do
      local code = asked(function(query)
        -- a question that points at itself, for the first of them
        return dns.reply(query, {answers = {record}})
      end, QUICK)
      assert.is_truthy(code:find("^EAI_") or code == "1.2.3.4", what .. ": " .. code)
    end
    for _, bytes in ipairs {"x", ("\0"):rep(12), ("\xff"):rep(600)} do
      assert.equal("EAI_AGAIN", (asked(function() return bytes end, QUICK)))
    end
    assert.equal("EAI_AGAIN", (asked(function(query)
      return dns.reply(query, {question = "\xc0\x0c\0\1\0\1"})
    end, QUICK)))
  end)

  it("that fills 64 KiB with names that point to each other", function()
    local function record(name)
      return name .. string.pack(">I2I2I4s2", 1, 1, 60, "\1\2\3\4")
    end
    local fillings = {
      chain = function(at) return string.pack(">I2", 0xc000 | (at - 16) & 0x3fff) end,
      loop = function(at) return string.pack(">I2", 0xc000 | at & 0x3fff) end,
      start = function() return "\xc0\x0c" end,
    }
    for what, pointer in pairs(fillings) do
      local code = asked(function(query)
        if query.over == "udp" then return dns.reply(query, {truncated = true}) end
        local answers, at = {}, 12 + #query.question
        while at < 65535 - 16 do
          answers[#answers + 1] = record(pointer(at))
          at = at + 16
        end
        return dns.reply(query, {answers = answers})
      end, QUICK)
      assert.is_truthy(code:find("^EAI_") or code:find("^1%.2%.3%.4 "), what)
    end
  end)

  it("that comes with a flood of lies", function()
    assert.equal("10.0.0.1", (asked(function(query)
      local flood = {}
      for i = 1, 100 do
        flood[i] = dns.reply(query, {rcode = "NXDOMAIN", id = (query.id + i) % 65536})
      end
      flood[101] = reply_A(query)
      return flood
    end)))
  end)

  it("that sends what chance made", function()
    math.randomseed(7)
    local server <close> = dns.serve(function(query)
      local bytes = {reply_A(query):byte(1, -1)}
      for _ = 1, math.random(1, 6) do
        bytes[math.random(3, #bytes)] = math.random(0, 255)
      end
      return string.char(table.unpack(bytes, 1, math.random(12, #bytes)))
    end)
    local ares <close> = dns.ares(server, {timeout = 0.01, tries = 1})
    local list = {}
    for i = 1, 200 do
      list[i] = gevent.spawn(ares.getaddrinfo, ares, i .. ".test", 1, A)
    end
    for _, g in ipairs(gevent.joinall(list)) do
      assert.matches("^EAI_", (g:get()) and "EAI_" or (select(3, g:get())))
    end
  end)

  it("that sends an empty datagram", function()
    local code = asked(function(query) return {"", reply_A(query)} end,
      {timeout = 0.1, tries = 5})
    assert.is_truthy(code == "10.0.0.1" or code == "EAI_AGAIN", code)
  end)

  it("does not keep others waiting", function()
    local server <close> = dns.serve(function(query)
      return query.name ~= "dead.test" and reply_A(query) or nil
    end)
    local ares <close> = dns.ares(server)
    local g = helper.spawn_blocked(ares.getaddrinfo, ares, "dead.test", 1, A)
    for i = 1, 20 do
      assert.equal("10.0.0.1", dns.hosts(ares:getaddrinfo(i .. ".test", 1, A)))
    end
    assert.is_false(g:ready())
    g:kill()
  end)
end)

-- Many ------------------------------------------------------------------------

describe("resolver.Ares and many names", function()
  it("looks up 1000 at a time", function()
    local server <close> = dns.serve(function(query)
      local n = math.tointeger(query.name:match("^%d+"))
      if query.type == "AAAA" then return dns.reply(query) end
      return reply_A(query, ("10.1.%d.%d"):format(n // 250, n % 250))
    end)
    local ares <close> = dns.ares(server)
    local list = {}
    for i = 1, 1000 do
      list[i] = gevent.spawn(ares.getaddrinfo, ares, i .. ".test", 80)
    end
    for i, g in ipairs(list) do
      assert.equal(("10.1.%d.%d"):format(i // 250, i % 250), dns.hosts(g:get()))
    end
    for i = 1, 1000, 100 do assert.equal(1, server:count(i .. ".test", "A")) end
  end, {deadline = 30})

  it("has them all under way with a server that is slow", function()
    local gate, turn = helper.gate(), lock.Semaphore(1)
    local server <close> = dns.serve(function(query, server)
      gate:wait()
      local _ <close> = turn:hold() -- not all at once
      server.udp:sendto(reply_A(query), query.host, query.port)
      gevent.sleep(0)
    end)
    local ares <close> = dns.ares(server)
    local list = {}
    for i = 1, 1000 do
      list[i] = gevent.spawn(ares.getaddrinfo, ares, i .. ".test", 80, A)
    end
    dns.wait_queries(server, 1000)
    gate:open()
    for _, g in ipairs(list) do assert.equal("10.0.0.1", dns.hosts(g:get())) end
    assert.equal(1000, #server.queries)
  end, {deadline = 30})

  it("drops 1000 that are killed", function()
    local server <close> = dns.serve(function() end)
    local ares <close> = dns.ares(server)
    local list = {}
    for i = 1, 1000 do
      list[i] = gevent.spawn(ares.getaddrinfo, ares, i .. ".test", 80)
    end
    dns.wait_queries(server, 10)
    gevent.killall(list)
    helper.wait_until(function() -- the server's own two
      return gevent.get_hub():stats().external == 2
    end)
  end)
end)

describe("resolver.Ares without descriptors", function()
  it("fails, and recovers", function()
    local code, out, err = helper.run_lua([[
      if not os.getenv "LIMITED" then
        local lua = os.getenv "GEVENT_SPEC_LUA" or arg[-1]
        os.exit((select(3, os.execute("ulimit -n 64; LIMITED=1 exec " .. lua
          .. " " .. arg[0]))))
      end
      package.path = "spec/?.lua;" .. package.path
      local resolver = require "gevent.resolver"
      local socket = require "gevent.socket"
      local gevent = require "gevent"
      local udp = assert(socket.socket("inet", "dgram"))
      assert(udp:bind("127.0.0.1", 0))
      local ares = resolver.Ares {hosts = false, tries = 2, domains = {},
        servers = {"127.0.0.1:" .. select(2, udp:getsockname())}}
      gevent.idle()
      local held = {}
      for file in function() return io.open("/dev/null") end do
        held[#held + 1] = file
      end
      assert(#held < 64)
      assert(select(3, ares:getaddrinfo("name.test", 1)) == "EAI_AGAIN")
      assert(select(3, ares:getnameinfo("10.0.0.1", 1)) == "EAI_AGAIN")
      for _, file in ipairs(held) do file:close() end
      local g = gevent.spawn(ares.getaddrinfo, ares, "name.test", 1, {family = "inet"})
      local query, host, port = udp:recvfrom(1000)
      udp:sendto(query:sub(1, 2) .. "\x81\x83" .. query:sub(5), host, port)
      assert(select(3, g:get()) == "EAI_NONAME")
      io.write "done"
    ]])
    assert.same({0, "done", ""}, {code, out, err})
  end)
end)

-- Sharing and keeping -----------------------------------------------------------

describe("resolver.Ares and one name", function()
  local function served()
    local gate = helper.gate()
    local server = dns.serve(function(query)
      gate:wait()
      return zone(query)
    end)
    return server, gate
  end

  local function many(ares, n, ...)
    local list = {}
    for i = 1, n do
      list[i] = gevent.spawn(ares.getaddrinfo, ares, "name.test", i, ...)
    end
    return list
  end

  it("asks once for all who want it at a time", function()
    local server, gate = served()
    local _ <close> = server
    local ares <close> = dns.ares(server)
    local list = many(ares, 10, A)
    list[11] = gevent.spawn(ares.getaddrinfo, ares, "NAME.test", 11, A)
    dns.wait_queries(server, 1)
    gate:open()
    for i, g in ipairs(list) do
      local answer = g:get()
      assert.same({{family = "inet", type = "stream", host = "10.0.0.1", port = i}},
        answer)
    end
    assert.equal(1, #server.queries)
    assert(ares:getaddrinfo("name.test", 1, A))
    assert.equal(2, #server.queries)
  end)

  it("does not take another family or an address for the same", function()
    local server, gate = served()
    local _ <close> = server
    local ares <close> = dns.ares(server)
    local four = gevent.spawn(ares.getaddrinfo, ares, "name.test", 1, A)
    local six = gevent.spawn(ares.getaddrinfo, ares, "name.test", 1,
      {family = "inet6"})
    local both = gevent.spawn(ares.getaddrinfo, ares, "name.test", 1)
    dns.wait_queries(server, 4)
    gate:open()
    assert.equal("10.0.0.1", dns.hosts(four:get()))
    assert.equal("fd00::1", dns.hosts(six:get()))
    assert.equal("10.0.0.1 fd00::1", dns.hosts(both:get()))
  end)

  it("goes on for the others when one is killed", function()
    local server, gate = served()
    local _ <close> = server
    local ares <close> = dns.ares(server)
    local list = many(ares, 10, A)
    dns.wait_queries(server, 1)
    for i = 1, 9 do list[i]:kill() end
    gate:open()
    assert.equal("10.0.0.1", dns.hosts(list[10]:get()))
    assert.equal(1, #server.queries)
  end)

  it("can be joined when all who wanted it have gone", function()
    local server, gate = served()
    local _ <close> = server
    local ares <close> = dns.ares(server)
    local other = gevent.spawn(ares.getaddrinfo, ares, "other.test", 1, A)
    local first = gevent.spawn(ares.getaddrinfo, ares, "name.test", 1, A)
    dns.wait_queries(server, 2)
    first:kill()
    local second = gevent.spawn(ares.getaddrinfo, ares, "name.test", 2, A)
    helper.wait_all_blocked()
    gate:open()
    assert.equal("10.0.0.1", dns.hosts(second:get()))
    assert.equal("EAI_NONAME", dns.hosts(other:get()))
    assert.equal(1, server:count("name.test"))
  end)

  it("gives each a result of its own", function()
    local server <close> = dns.serve(zone)
    local ares <close> = dns.ares(server, {cache = true})
    local first = ares:getaddrinfo("name.test", 1, A)
    first[1].host = "changed"
    first[2] = "more"
    assert.equal("10.0.0.1", dns.hosts(ares:getaddrinfo("name.test", 1, A)))
  end)

  it("keeps an answer for its time to live, if told", function()
    local ttl = 3600
    local server <close> = dns.serve(function(query)
      return dns.reply(query, {answers = {
        dns.record(query.name, "A", "10.0.0.1", ttl)}})
    end)
    local ares <close> = dns.ares(server, {cache = true})
    for _ = 1, 5 do assert.equal("10.0.0.1", ares:gethostbyname("keep.test")) end
    assert.equal("10.0.0.1", ares:gethostbyname("KEEP.test"))
    assert.equal(1, #server.queries)
    ttl = 0
    for _ = 1, 3 do assert.equal("10.0.0.1", ares:gethostbyname("zero.test")) end
    assert.equal(3, server:count("zero.test"))
    ttl = 1
    assert.equal("10.0.0.1", ares:gethostbyname("second.test"))
    gevent.sleep(1.05)
    assert.equal("10.0.0.1", ares:gethostbyname("second.test"))
    assert.equal(2, server:count("second.test"))
  end)

  it("keeps what an alias and its target are both good for", function()
    local server <close> = dns.serve(function(query)
      return dns.reply(query, {answers = {
        dns.record(query.name, "CNAME", "host.test", 0),
        dns.record("host.test", "A", "10.0.0.1", 3600)}})
    end)
    local ares <close> = dns.ares(server, {cache = true})
    for _ = 1, 2 do assert.equal("10.0.0.1", ares:gethostbyname("alias.test")) end
    assert.equal(2, #server.queries)
  end)

  it("keeps no failure, and no more names than it may", function()
    local known = {}
    local server <close> = dns.serve(function(query) return dns.zone(known)(query) end)
    local ares <close> = dns.ares(server, {cache = 10})
    assert.equal("EAI_NONAME", (select(3, ares:gethostbyname("1.test"))))
    for i = 1, 50 do known[i .. ".test"] = {A = {"10.0.0." .. i}, ttl = 3600} end
    for i = 1, 50 do assert.equal("10.0.0." .. i, ares:gethostbyname(i .. ".test")) end
    local asked = #server.queries
    for i = 1, 50 do assert.equal("10.0.0." .. i, ares:gethostbyname(i .. ".test")) end
    assert.is_true(#server.queries >= asked + 40)
  end)
end)

-- Interrupted -------------------------------------------------------------------

describe("a look-up of resolver.Ares", function()
  it("ends with EAI_CANCELED when it is closed", function()
    local server <close> = dns.serve(function() end)
    local ares = dns.ares(server)
    local list = {}
    for i = 1, 300 do -- more than are asked for at once
      list[i] = gevent.spawn(ares.getaddrinfo, ares, i .. ".test")
    end
    list[301] = gevent.spawn(ares.getnameinfo, ares, "10.0.0.7", 0)
    dns.wait_queries(server, 1)
    ares:close()
    for _, g in ipairs(list) do
      assert.same({nil, "look-up was cancelled", "EAI_CANCELED"}, {g:get()})
    end
    ares:close()
    for _, name in ipairs {"getaddrinfo", "gethostbyname", "gethostbyname_ex"} do
      assert.equal("EAI_CANCELED", (select(3, ares[name](ares, "name.test"))))
    end
    assert.equal("EAI_CANCELED", (select(3, ares:getnameinfo("10.0.0.7", 1))))
    assert.matches("closed", tostring(ares))
  end)

  it("is dropped at every stage: asked, truncated, over TCP, between two tries",
    function()
      for stage, script in pairs {
        asked = function() end,
        truncated = function(query)
          if query.over == "udp" then return dns.reply(query, {truncated = true}) end
        end,
        half = function(query)
          if query.type == "A" then return reply_A(query) end
        end,
      } do
        for _, how in ipairs {"kill", "Timeout", "close"} do
          local server <close> = dns.serve(script)
          local ares <close> = dns.ares(server, {timeout = 0.02, tries = 5})
          local g = gevent.spawn(function()
            local _timeout <close> = how == "Timeout"
              and gevent.Timeout.start_new(0.03) or nil
            return pcall(ares.getaddrinfo, ares, "name.test", 1)
          end)
          dns.wait_queries(server, stage == "asked" and 1 or 2)
          if how == "kill" then g:kill() end
          if how == "close" then ares:close() end
          g:join()
          assert.is_true(g:ready())
        end
      end
    end)

  it("is dropped by the garbage collector with its coroutine", function()
    local server <close> = dns.serve(function() end)
    do
      local ares = dns.ares(server)
      local g = gevent.spawn(ares.getaddrinfo, ares, "name.test")
      dns.wait_queries(server, 1)
      g:kill()
    end
    collectgarbage()
    collectgarbage()
  end)

  it("lets those who come after it use the same resolver", function()
    local silent = true
    local server <close> = dns.serve(function(query)
      if not silent then return reply_A(query) end
    end)
    local ares <close> = dns.ares(server)
    for _ = 1, 50 do
      local g = gevent.spawn(ares.getaddrinfo, ares, "name.test", 1, A)
      gevent.sleep(0)
      g:kill()
    end
    silent = false
    assert.equal("10.0.0.1", dns.hosts(ares:getaddrinfo("name.test", 1, A)))
  end)

  it("does not survive hub:destroy, the resolver does", function()
    local code, out, err = helper.run_lua([[
      package.path = "spec/?.lua;" .. package.path
      local gevent = require "gevent"
      local resolver = require "gevent.resolver"
      local socket = require "gevent.socket"
      local udp = assert(socket.socket("inet", "dgram"))
      assert(udp:bind("127.0.0.1", 0))
      local ares = resolver.Ares {timeout = 60, hosts = false,
        servers = {"127.0.0.1:" .. select(2, udp:getsockname())}}
      for i = 1, 300 do
        gevent.spawn(function() ares:getaddrinfo(i .. ".test") end)
      end
      udp:recvfrom(100)
      gevent.get_hub():destroy()
      local g = gevent.spawn(ares.getaddrinfo, ares, "again.test")
      local again = assert(socket.socket("inet", "dgram"))
      gevent.sleep(0.01)
      assert(not g:ready())
      if arg[1] == "exit" then os.exit(true, true) end
      io.write "done"
    ]], {})
    assert.same({0, "done", ""}, {code, out, err})
  end)

  it("is dropped when the state is closed from inside a greenlet", function()
    local code, _, err = helper.run_lua([[
      local gevent = require "gevent"
      local resolver = require "gevent.resolver"
      local socket = require "gevent.socket"
      local udp = assert(socket.socket("inet", "dgram"))
      assert(udp:bind("127.0.0.1", 0))
      local ares = resolver.Ares {timeout = 60, hosts = false,
        servers = {"127.0.0.1:" .. select(2, udp:getsockname())}}
      gevent.spawn(ares.getaddrinfo, ares, "other.test")
      gevent.spawn(function()
        udp:recvfrom(100)
        os.exit(7, true)
      end)
      ares:getaddrinfo("main.test")
    ]], {})
    assert.same({7, ""}, {code, err})
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
    local path = tempfile [[
# a comment
127.0.0.5 Five.test five   # and more
fd00::5   five
10.0.0.6	six.test
not-an-address seven.test
10.0.0.8]]
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
        assert.matches("option '" .. name .. "' for resolver.Ares", err)
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
