-- resolver.Ares against servers that are silent, late, wrong or mad.

local helper = require "helper"
local dns = require "helper_dns"
local gevent = require "gevent"
local slope = require "helper_slope"
local it = helper.it

local A = {family = "inet"}
local QUICK = {timeout = 0.02, tries = 2} -- where an answer must not come

local function A_record(query, address)
  return dns.record(query.name, "A", address or "10.0.0.1")
end

local function reply_A(query, address)
  return dns.reply(query, {answers = {A_record(query, address)}})
end

local zone = dns.zone {["name.test"] = {A = {"10.0.0.1"}, AAAA = {"fd00::1"}}}

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

  it("whose record is of another type", function()
    assert.equal("EAI_NODATA", (asked(function(query)
      return dns.reply(query, {answers = {dns.record(query.name, "AAAA", "fd00::6")}})
    end)))
    assert.equal("10.0.0.1", (asked(function(query)
      return dns.reply(query, {answers = {A_record(query),
        dns.record(query.name, "AAAA", "fd00::6")}})
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
        return dns.reply(query, {answers = {record}})
      end, QUICK)
      assert.is_truthy(code:find("^EAI_") or code == "1.2.3.4", what .. ": " .. code)
    end
    -- Taken for nothing, or for nonsense: that depends on c-ares.
    for _, bytes in ipairs {"x", ("\0"):rep(12), ("\xff"):rep(600)} do
      assert.matches("^EAI_", (asked(function() return bytes end, QUICK)))
    end
    assert.matches("^EAI_", (asked(function(query)
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

describe("a child made by fork", function()
  it("asks by sockets of its own", function()
    if os.getenv "GEVENT_SPEC_MODE" == "asan" then
      return pending "ASan's allocator may be locked in the child"
    end
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      local os_ = require "gevent.os"
      local dns = require "helper_dns"
      local server = dns.serve(dns.zone {
        ["a.test"] = {A = {"10.0.0.1"}}, ["b.test"] = {A = {"10.0.0.2"}},
      })
      local ares = dns.ares(server)
      io.write(ares:gethostbyname("a.test"), "\n")
      io.flush()
      local pid = assert(os_.fork())
      if pid == 0 then
        io.write("child ", tostring(ares:gethostbyname("b.test")), "\n")
        os.exit(0, true)
      end
      local waiter = gevent.spawn(os_.waitpid, pid)
      print(select(2, waiter:get()), ares:gethostbyname("b.test"))
    ]]
    assert.same({0, "10.0.0.1\nchild 10.0.0.2\n0\t10.0.0.2\n", ""}, {code, out, err})
  end)
end)

slope.it("a query that is killed, and one that nobody answers in time", function()
  local server = dns.serve(function() end)
  local ares = dns.ares(server, {timeout = 60})
  return function()
    local g = gevent.spawn(ares.getaddrinfo, ares, "host.example", 80)
    gevent.sleep(0)
    g:kill()
    gevent.with_timeout(0.0002, ares.getaddrinfo, ares, "host.example", 80)
    server.queries = {}
  end, function()
    ares:close()
    server:close()
  end
end, {times = 2})
