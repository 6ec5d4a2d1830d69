-- Look-ups of names: in the thread pool, or by a resolver of the user's.

local helper = require "helper"
local gevent = require "gevent"
local socket = require "gevent.socket"
local it = helper.it

local function pack(...) return table.pack(...) end

-- The battery ---------------------------------------------------------------

-- Nothing here can hold a look-up back: it is repeated until released.
helper.battery("getaddrinfo", function()
  local released = false
  return {
    call = function()
      while true do
        local list = socket.getaddrinfo("127.0.0.1", 80)
        if released then return list end
      end
    end,
    release = function() released = true end,
    expect = function(list)
      assert.equal(1, #list)
      assert.equal("127.0.0.1", list[1].host)
    end,
  }
end)

-- getaddrinfo -------------------------------------------------------------------

describe("getaddrinfo", function()
  it("tells family, type, host and port", function()
    assert.same({{family = "inet", type = "stream", host = "127.0.0.1",
      port = 80}}, socket.getaddrinfo("127.0.0.1", 80))
    assert.same({{family = "inet6", type = "dgram", host = "::1", port = 53}},
      socket.getaddrinfo("::1", 53, {type = "dgram"}))
    assert.same({{family = "inet", type = "stream", host = "127.0.0.1",
      port = 0}}, socket.getaddrinfo("127.0.0.1"))
  end)

  it("knows the names of this host, and of services", function()
    local list = assert(socket.getaddrinfo("localhost", 80, {family = "inet"}))
    assert.same({"127.0.0.1", 80}, {list[1].host, list[1].port})
    assert.equal(7, socket.getaddrinfo("127.0.0.1", "7")[1].port)
  end)

  it("takes flags", function()
    local list = assert(socket.getaddrinfo(nil, 80, {flags = "passive",
      family = "inet"}))
    assert.equal("0.0.0.0", list[1].host)
    list = assert(socket.getaddrinfo(nil, 80, {family = "inet"}))
    assert.equal("127.0.0.1", list[1].host)
    assert.equal("EAI_NONAME", select(3, socket.getaddrinfo("localhost", 80,
      {flags = "numerichost,numericserv"})))
    list = assert(socket.getaddrinfo("127.0.0.1", 80, {flags = "canonname"}))
    assert.equal("127.0.0.1", list[1].canonname)
  end)

  it("returns what the look-up says", function()
    for host, opts in pairs {["not a name"] = {flags = "numerichost"},
      ["999.999.999.999"] = {flags = "numerichost"},
      ["a..b"] = {flags = "numerichost"},
      ["::1"] = {family = "inet", flags = "numerichost"}} do
      local list, message, code = socket.getaddrinfo(host, 80, opts)
      assert.is_nil(list)
      assert.equal("string", type(message))
      assert.matches("^EAI_", code)
    end
    assert.equal("EAI_SERVICE",
      select(3, socket.getaddrinfo("127.0.0.1", "no such service")))
    assert.matches("^EAI_", select(3, socket.getaddrinfo(("x"):rep(300), 80)))
  end)

  it("refuses other options", function()
    for _, call in ipairs {
      function() socket.getaddrinfo() end,
      function() socket.getaddrinfo({}, 80) end,
      function() socket.getaddrinfo("127.0.0.1", {}) end,
      function() socket.getaddrinfo("127.0.0.1", 80, "inet") end,
      function() socket.getaddrinfo("127.0.0.1", 80, {family = "ipx"}) end,
      function() socket.getaddrinfo("127.0.0.1", 80, {type = "raw"}) end,
      function() socket.getaddrinfo("127.0.0.1", 80, {flags = {"x"}}) end,
      function() socket.getaddrinfo("127.0.0.1", 80, {flags = "canonical"}) end,
      function() socket.getnameinfo("127.0.0.1", 80, "numeric") end,
      function() socket.getaddrinfo("127.0.0.1", 70000) end,
      function() socket.getaddrinfo("127.0.0.1", 80.5) end,
      function() socket.getaddrinfo("127.0.0.1", -1) end,
    } do
      assert.error_matches(call, "argument")
    end
  end)

  it("lets others run, and many at once are all answered", function()
    local list = {}
    for i = 1, 100 do
      list[i] = gevent.spawn(socket.getaddrinfo, "127.0.0." .. i, i)
    end
    local turns = 0
    local other = gevent.spawn(function()
      while true do
        turns = turns + 1
        gevent.sleep(0)
      end
    end)
    for i, g in ipairs(list) do
      local answer = g:get()
      assert.same({"127.0.0." .. i, i}, {answer[1].host, answer[1].port})
    end
    assert.is_true(turns > 1)
    other:kill()
  end)
end)

describe("a look-up that is interrupted", function()
  it("by a kill is forgotten; the late answer goes nowhere", function()
    for _ = 1, 50 do
      local list = {}
      for i = 1, 10 do
        list[i] = gevent.spawn(socket.getaddrinfo, "127.0.0.1", i)
      end
      gevent.sleep(0)
      gevent.killall(list)
      for _, g in ipairs(list) do assert.is_true(g.dead) end
    end
    assert.equal(1, #socket.getaddrinfo("127.0.0.1", 80))
  end)

  it("by a Timeout raises that", function()
    for _ = 1, 50 do
      local late <close> = gevent.Timeout.start_new(0)
      local ok, err = pcall(function()
        while true do socket.getaddrinfo("127.0.0.1", 80) end
      end)
      assert.is_false(ok)
      assert.is_true(rawequal(late, err), tostring(err))
    end
  end)

  it("by the end of the process is clean", function()
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      local socket = require "gevent.socket"
      for i = 1, 50 do
        gevent.spawn(socket.getaddrinfo, "127.0.0.1", i)
        gevent.spawn(socket.getnameinfo, "127.0.0.1", i, "numerichost")
      end
      gevent.sleep(0)
      io.write("done")
    ]]
    assert.same({0, "done", ""}, {code, out, err})
  end)
end)

describe("getnameinfo and gethostbyname", function()
  it("translate", function()
    assert.same(pack("127.0.0.1", "7"), pack(socket.getnameinfo("127.0.0.1", 7,
      "numerichost,numericserv")))
    assert.equal("127.0.0.1", socket.gethostbyname("localhost"))
    assert.equal("10.1.2.3", socket.gethostbyname("10.1.2.3"))
    assert.equal("EAI_NONAME",
      select(3, socket.getnameinfo("not numeric", 80)))
    assert.error_matches(function() socket.getnameinfo("::1", 65536) end,
      "argument #2")
  end)
end)

describe("hub.resolver", function()
  it("does the look-ups once it is set", function()
    local hub = gevent.get_hub()
    local former, asked = hub.resolver, {}
    local _ <close> = helper.defer(function() hub.resolver = former end)
    local own = {}
    function own:getaddrinfo(...)
      asked[#asked + 1] = pack(rawequal(self, own), ...)
      return {{family = "inet", type = "stream", host = "127.9.9.9", port = 1}}
    end
    function own:getnameinfo(host, port) -- luacheck: ignore
      return "name of " .. host, "service " .. port
    end
    hub.resolver = own
    assert.equal("127.9.9.9", socket.getaddrinfo("a.name", 1)[1].host)
    assert.equal("127.9.9.9", socket.gethostbyname("a.name"))
    assert.same(pack("name of x", "service 5"), pack(socket.getnameinfo("x", 5)))
    assert.same({true, "a.name", 1}, {table.unpack(asked[1], 1, 3)})
    assert.is_true(asked[2][1])
    hub.resolver = nil
    assert.equal("127.0.0.1", socket.getaddrinfo("127.0.0.1", 1)[1].host)
  end)
end)

describe("host names", function()
  it("gethostbyname_ex tells name, aliases and addresses", function()
    local host = assert(socket.gethostbyname_ex("localhost"))
    assert.is_string(host.name)
    assert.is_table(host.aliases)
    assert.equal("127.0.0.1", host.addresses[1])
    assert.matches("^EAI_", (select(3, socket.gethostbyname_ex("no.such.host.invalid"))))
  end)

  it("gethostbyaddr tells the same of an address", function()
    local host, _, code = socket.gethostbyaddr("127.0.0.1")
    if host then
      assert.same({"127.0.0.1"}, host.addresses)
      assert.is_string(host.name)
    else
      assert.matches("^EAI_", code)
    end
    assert.equal("EAI_NONAME", (select(3, socket.gethostbyaddr("no address"))))
  end)

  it("gethostname is this machine's, and getfqdn begins with a name", function()
    local f <close> = assert(io.open("/proc/sys/kernel/hostname"))
    assert.equal(f:read("l"), socket.gethostname())
    assert.is_true(#socket.getfqdn() > 0)
    assert.equal("no.such.host.invalid", socket.getfqdn("no.such.host.invalid"))
  end)
end)
