-- gevent.resolver: which one is used, and that both tell the same.

local helper = require "helper"
local dns = require "helper_dns"
local gevent = require "gevent"
local resolver = require "gevent.resolver"
local socket = require "gevent.socket"
local it = helper.it

local hub = gevent.get_hub()

local function pack(...) return table.pack(...) end

--- Puts the configured resolver back at the end of the scope.
local function restoring()
  local setting, former = gevent.config.resolver, hub.resolver
  return helper.defer(function()
    if gevent.config.resolver ~= setting then gevent.config.resolver = setting end
    hub.resolver = former
  end)
end

describe("the resolver", function()
  it("is one with threads unless told", function()
    assert.equal("thread", gevent.config.resolver)
    assert.matches("^<resolver%.Thread at .*: at most %d+ threads>$",
      tostring(hub.resolver))
  end)

  it("is chosen by name", function()
    local _ <close> = restoring()
    gevent.config.resolver = "ares"
    assert.equal("ares", gevent.config.resolver)
    assert.matches("^<resolver%.Ares at .*: servers those of resolv.conf>$",
      tostring(hub.resolver))
    assert.equal("127.0.0.1", socket.gethostbyname("localhost"))
    gevent.config.resolver = "thread"
    assert.matches("^<resolver%.Thread", tostring(hub.resolver))
  end)

  it("is chosen by the environment", function()
    for name, expected in pairs {ares = "<resolver.Ares", thread = "<resolver.Thread",
      [""] = "<resolver.Thread"} do
      for _, module in ipairs {"gevent", "gevent.socket"} do
        local code, out, err = helper.run_lua(([[
          require "%s"
          io.write(tostring(require "gevent".get_hub().resolver))
        ]]):format(module), {env = {GEVENT_RESOLVER = name}})
        assert.equal(0, code, err)
        assert.equal(expected, out:sub(1, #expected))
      end
    end
    local code, _, err = helper.run_lua("require 'gevent'",
      {env = {GEVENT_RESOLVER = "dnspython"}})
    assert.equal(1, code)
    assert.matches("GEVENT_RESOLVER", err)
  end)

  it("may be an object, by either way", function()
    local _ <close> = restoring()
    local own = {getaddrinfo = function() return {{host = "10.9.9.9"}} end,
      gethostbyname = function(_, name) return "own " .. name end,
      getnameinfo = function() return "host", "service" end}
    gevent.config.resolver = own
    assert.equal(own, hub.resolver)
    assert.equal("10.9.9.9", socket.getaddrinfo("any", 1)[1].host)
    assert.equal("own name", socket.gethostbyname("name"))
    assert.same({name = "name", aliases = {}, addresses = {"10.9.9.9"}},
      socket.gethostbyname_ex("name"))
    assert.equal("host", socket.gethostbyaddr("10.0.0.1").name)
    assert.equal("host", socket.getfqdn("10.0.0.1"))
    hub.resolver = nil
    assert.equal("10.9.9.9", socket.getaddrinfo("any", 1)[1].host)
  end)

  it("cannot be anything else", function()
    for _, value in ipairs {1, true, "dnspython", print} do
      local ok, err = pcall(function() gevent.config.resolver = value end)
      assert.is_false(ok)
      assert.matches("resolver_spec%.lua:%d+: bad value for setting 'resolver'", err)
    end
    assert.equal("thread", gevent.config.resolver)
  end)
end)

-- The same from both ------------------------------------------------------------

describe("both resolvers", function()
  local function both(fn)
    local thread <close> = resolver.Thread()
    local ares <close> = resolver.Ares {servers = {"127.0.0.1:1"}}
    fn("thread", thread)
    fn("ares", ares)
  end

  --- The results of a call, of both; asserts that they are the same.
  local function same(name, ...)
    local args, results = pack(...), {}
    both(function(kind, object)
      results[kind] = pack(object[name](object, table.unpack(args, 1, args.n)))
    end)
    assert.same(results.thread, results.ares)
    return table.unpack(results.ares, 1, results.ares.n)
  end

  it("have all look-up functions of gevent.socket", function()
    both(function(_, object)
      for _, name in ipairs {"getaddrinfo", "gethostbyname", "gethostbyname_ex",
        "gethostbyaddr", "getnameinfo", "getfqdn", "close"} do
        assert.is_function(object[name], name)
      end
    end)
  end)

  it("know numbers and services", function()
    assert.equal("127.0.0.1", same("getaddrinfo", "127.0.0.1", 80)[1].host)
    assert.equal("127.0.0.1", same("getaddrinfo", "127.1", 80)[1].host)
    assert.equal("::1", same("getaddrinfo", "::1", 80, {type = "dgram"})[1].host)
    assert.equal(0, same("getaddrinfo", "127.0.0.1")[1].port)
    assert.equal(7, same("getaddrinfo", "127.0.0.1", "7")[1].port)
    same("getaddrinfo", "127.0.0.1", "http")
    same("getaddrinfo", nil, 80)
    same("getaddrinfo", nil, 80, {flags = "passive"})
    same("getaddrinfo", nil, "http", {family = "inet6"})
    same("getaddrinfo", "127.0.0.1", 80, {flags = "canonname"})
    same("getaddrinfo", "::1", 80, {family = "inet"})
    same("getaddrinfo", "127.0.0.1", 80, {family = "inet6"})
    same("getaddrinfo", "127.0.0.1", 80, {flags = "addrconfig"})
    assert.equal("127.0.0.1", same("gethostbyname", "127.0.0.1"))
    same("gethostbyname_ex", "127.0.0.1")
    same("getnameinfo", "127.0.0.1", 80, "numerichost")
    same("getnameinfo", "127.0.0.1", 80, "numerichost,numericserv,dgram")
    same("getnameinfo", "::1", 65535, "numerichost,numericserv")
    same("getnameinfo", "::1", 80, "numerichost,namereqd")
  end)

  it("know the names in the hosts file", function()
    local names = {"localhost"}
    for line in (helper.slurp("/etc/hosts") or ""):gmatch("[^\n]+") do
      local ip, name = line:match("^(%d[%d.]*)%s+(%S+)")
      if ip then names[#names + 1] = name end
    end
    -- The C library may tell an address twice.
    local function hosts(list, message)
      local seen, texts = {}, {}
      for _, item in ipairs(assert(list, message)) do
        local host = item.host or item
        if not seen[host] then texts[#texts + 1] = host end
        seen[host] = true
      end
      table.sort(texts)
      return table.concat(texts, " ")
    end
    for _, name in ipairs(names) do
      local answers = {}
      both(function(kind, object)
        local list = object:getaddrinfo(name:upper(), "domain",
          {family = "inet", type = "dgram", flags = "canonname"})
        local host = object:gethostbyname_ex(name)
        answers[kind] = {hosts(list), list[1].port, list[1].type,
          list[1].canonname, host.name, hosts(host.addresses)}
      end)
      assert.same(answers.thread, answers.ares)
      local address = same("gethostbyname", name)
      same("getnameinfo", address, 80)
      same("gethostbyaddr", address)
      same("getfqdn", address)
    end
  end)

  it("fail alike", function()
    assert.equal("EAI_SERVICE", (select(3, same("getaddrinfo", "127.0.0.1", "no such"))))
    assert.equal("EAI_SERVICE", (select(3, same("getaddrinfo", "localhost", "no such"))))
    assert.equal("EAI_NONAME", (select(3, same("getaddrinfo", "localhost", "http",
      {flags = "numericserv"}))))
    for _, name in ipairs {"localhost", "a..b", "999.999.999.999", ""} do
      assert.equal("EAI_NONAME", (select(3, same("getaddrinfo", name, 80,
        {flags = "numerichost"}))))
    end
    for _, name in ipairs {"", "a\0b", ("x"):rep(64), ("x"):rep(300), "\xff\xfe"} do
      assert.equal("EAI_NONAME", (select(3, same("getaddrinfo", name, 80))))
    end
    assert.equal("EAI_NONAME", (select(3, same("gethostbyname", "127.0.0.1\0x"))))
    assert.equal("EAI_NONAME", (select(3, same("getnameinfo", "localhost", 80))))
    assert.equal("EAI_NONAME", (select(3, same("getnameinfo", "", 80))))
    assert.equal("EAI_NONAME", (select(3, same("gethostbyaddr", "localhost"))))
    same("getaddrinfo", nil, 80, {flags = "canonname"})
  end)

  it("take flags as words, as a list, and by the names they have in C", function()
    for _, flags in ipairs {"numerichost,numericserv", {"AI_NUMERICHOST", "numericserv"},
      {socket.AI_NUMERICHOST}, "AI_NUMERICHOST|AI_NUMERICSERV"} do
      both(function(_, object)
        local list = assert(object:getaddrinfo("127.0.0.1", 80, {flags = flags}))
        assert.equal("127.0.0.1", list[1].host)
        assert.equal("EAI_NONAME",
          (select(3, object:getaddrinfo("localhost", 80, {flags = flags}))))
        assert.same({"127.0.0.1", "80"},
          {object:getnameinfo("127.0.0.1", 80, {"NI_NUMERICHOST", "numericserv"})})
      end)
    end
  end)

  it("refuse alike what makes no sense", function()
    local calls = {
      {"getaddrinfo", "#1"}, {"getaddrinfo", "#1", {}, 80},
      {"getaddrinfo", "#1", true}, {"getaddrinfo", "#2", "a", {}},
      {"getaddrinfo", "#3", "a", 80, "inet"},
      {"getaddrinfo", "#3.*'family'", "a", 80, {family = "ipx"}},
      {"getaddrinfo", "#3.*'family'", "a", 80, {family = 4}},
      {"getaddrinfo", "#3.*'type'", "a", 80, {type = "raw"}},
      {"getaddrinfo", "#3.*'flags'", "a", 80, {flags = 1}},
      {"gethostbyname", "#1"}, {"gethostbyname", "#1", 1},
      {"gethostbyname_ex", "#1", {}}, {"gethostbyaddr", "#1"},
      {"getfqdn", "#1", {}}, {"getnameinfo", "#1"}, {"getnameinfo", "#1", {}},
      {"getnameinfo", "#2", "127.0.0.1", "http"},
      {"getnameinfo", "#2", "127.0.0.1", 65536},
      {"getnameinfo", "#2", "127.0.0.1", -1},
      {"getnameinfo", "#2", "127.0.0.1", 1.5},
      {"getnameinfo", "#3", "127.0.0.1", 1, 1},
    }
    for _, call in ipairs(calls) do
      local function expect(ok, err)
        assert.is_false(ok, call[1])
        assert.matches("^[^\n]*resolver_spec%.lua:%d+: bad argument " .. call[2], err)
        assert.matches("'" .. call[1] .. "'", err)
      end
      both(function(_, object)
        expect(pcall(function()
          local result = object[call[1]](object, table.unpack(call, 3, 5))
          return result
        end))
      end)
      expect(pcall(function()
        local result = socket[call[1]](table.unpack(call, 3, 5))
        return result
      end))
    end
  end)

  it("write names in other scripts in Punycode", function()
    local idna = require "gevent._idna"
    for name, ascii in pairs {
      ["bücher.example"] = "xn--bcher-kva.example",
      ["münchen.de."] = "xn--mnchen-3ya.de.",
      ["例え。テスト"] = "xn--r8jz45g.xn--zckzah",
      ["пример.испытание"] = "xn--e1afmkfd.xn--80akhbyknj4f",
      ["مثال.إختبار"] = "xn--mgbh0fb.xn--kgbechtv",
      ["a.b"] = "a.b", ["A-1.B_2"] = "A-1.B_2",
    } do
      assert.equal(ascii, idna.toascii(name))
    end
    assert.is_nil(idna.toascii(("ü"):rep(60)))
  end)
end)

-- A real server -------------------------------------------------------------------

describe("resolver.Ares and dnsmasq", function()
  local function free_port()
    local server <close> = dns.serve(function() end)
    return server.port
  end

  local function start(port)
    local pid = os.tmpname()
    local command = ("dnsmasq --keep-in-foreground --conf-file=/dev/null --no-hosts "
      .. "--no-resolv --port=%d --listen-address=127.0.0.1 --bind-interfaces "
      .. "--user= --pid-file= --log-facility=/dev/null --local=/test/ --local-ttl=60 "
      .. "--host-record=one.test,10.0.0.1,fd00::1 --host-record=two.test,10.0.0.2 "
      .. "--cname=alias.test,one.test >/dev/null 2>&1 & echo $! >%s")
    os.execute(command:format(port, pid))
    local number = helper.slurp(pid):match("%d+")
    os.remove(pid)
    return helper.defer(function() os.execute("kill " .. number .. " 2>/dev/null") end)
  end

  it("agree", function()
    if not os.execute("command -v dnsmasq >/dev/null 2>&1") then
      return pending("dnsmasq is not installed")
    end
    local port = free_port()
    local _stop <close> = start(port)
    local ares <close> = dns.ares({"127.0.0.1:" .. port}, {cache = true})
    helper.wait_until(function() return ares:gethostbyname("one.test") end)
    assert.equal("10.0.0.1 fd00::1", dns.hosts(ares:getaddrinfo("one.test", 80)))
    assert.equal("10.0.0.2", dns.hosts(ares:getaddrinfo("two.test", 80)))
    assert.equal("one.test", ares:gethostbyname_ex("alias.test").name)
    assert.equal("one.test", ares:gethostbyaddr("10.0.0.1").name)
    assert.equal("one.test", ares:gethostbyaddr("fd00::1").name)
    assert.equal("EAI_NONAME", dns.hosts(ares:getaddrinfo("none.test", 80)))
    assert.equal("EAI_NODATA",
      dns.hosts(ares:getaddrinfo("two.test", 80, {family = "inet6"})))
    local list = {}
    for i = 1, 1000 do
      list[i] = gevent.spawn(ares.getaddrinfo, ares, i % 2 == 0 and "two.test"
        or i .. ".none.test", 80, {family = "inet"})
    end
    for i, g in ipairs(list) do
      assert.equal(i % 2 == 0 and "10.0.0.2" or "EAI_NONAME", dns.hosts(g:get()))
    end
  end, {deadline = 30})
end)
