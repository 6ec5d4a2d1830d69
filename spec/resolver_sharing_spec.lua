-- resolver.Ares and many look-ups: at a time, of one name, interrupted.

local helper = require "helper"
local dns = require "helper_dns"
local gevent = require "gevent"
local lock = require "gevent.lock"
local it = helper.it

local A = {family = "inet"}

local function A_record(query, address)
  return dns.record(query.name, "A", address or "10.0.0.1")
end

local function reply_A(query, address)
  return dns.reply(query, {answers = {A_record(query, address)}})
end

local zone = dns.zone {["name.test"] = {A = {"10.0.0.1"}, AAAA = {"fd00::1"}}}

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

  it("asks once for the name of an address, too", function()
    local gate = helper.gate()
    local server <close> = dns.serve(function(query)
      gate:wait()
      return dns.reply(query, {answers = {dns.record(query.name, "PTR", "seven.test")}})
    end)
    local ares <close> = dns.ares(server)
    local list = {}
    for i = 1, 10 do
      list[i] = gevent.spawn(ares.getnameinfo, ares, "10.0.0.7", i, "numericserv")
    end
    dns.wait_queries(server, 1)
    gate:open()
    for i, g in ipairs(list) do
      assert.same({"seven.test", tostring(i)}, {g:get()})
    end
    assert.equal(1, #server.queries)
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
