-- gevent.monkey: LuaSec's connections are cooperative.

local helper = require "helper"
local monkey = require "helper_monkey"
local quote = require "helper_process".quote
local it = helper.it

-- Two ends in one process. `handshake` is the loop that event libraries run.
local BEGIN = [[
local directory = arg[1]
local socket, ssl = require "socket", require "ssl"
local server_config = {mode = "server", protocol = "any",
  key = directory .. "/key.pem", certificate = directory .. "/cert.pem"}
local client_config = {mode = "client", protocol = "any", verify = "peer",
  cafile = directory .. "/cert.pem"}
local listener = socket.bind("127.0.0.1", 0)
local function tcp_pair()
  local client = assert(socket.connect("127.0.0.1", port_of(listener)))
  return client, assert(listener:accept())
end
local function handshake(connection)
  while true do
    local ok, err = connection:dohandshake()
    if ok then return true end
    if err == "wantread" then
      socket.select({connection}, nil, 1)
    elseif err == "wantwrite" then
      socket.select(nil, {connection}, 1)
    else
      return nil, err
    end
  end
end
]]

-- Both ends take turns, as nobody may block.
local BOTH = [[
local function wrapped_pair()
  local client, server = tcp_pair()
  client, server = assert(ssl.wrap(client, client_config)), assert(ssl.wrap(server, server_config))
  client:settimeout(0)
  server:settimeout(0)
  local first
  while true do
    local done, err = client:dohandshake()
    first = first or err
    local served = server:dohandshake()
    if done and served then return client, server, first end
  end
end
]]

-- In greenlets, as if every call could block.
local GREENLETS = [[
local function wrapped_pair()
  local client, server = tcp_pair()
  local accepting = gevent.spawn(function()
    local connection = assert(ssl.wrap(server, server_config))
    assert(connection:dohandshake())
    return connection
  end)
  local connection = assert(ssl.wrap(client, client_config))
  assert(connection:dohandshake())
  return connection, accepting:get()
end
]]

local ORDERS = {
  before = "monkey.patch_socket() monkey.patch_ssl() ",
  after = "require 'ssl' monkey.patch_socket() monkey.patch_ssl() ",
}

describe("LuaSec", function()
  if not (monkey.has("socket", "ssl", "ssl.https")
    and os.execute("command -v openssl >/dev/null 2>&1")) then
    pending "is cooperative (LuaSec or the openssl program is not installed)"
    return
  end

  local directory
  setup(function()
    directory = os.tmpname()
    os.remove(directory)
    assert(os.execute("mkdir " .. quote(directory)))
    assert(os.execute(("cd %s && openssl req -x509 -newkey ec -pkeyopt "
      .. "ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out cert.pem -days 2 "
      .. "-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 "
      .. "2>/dev/null"):format(quote(directory))))
  end)
  teardown(function() os.execute("rm -rf " .. quote(directory)) end)

  local function lua(code) return monkey.lua(code, {args = {directory}}) end

  it("does the same as without the patch, in loops that never block", function()
    local code = BEGIN .. BOTH .. [[
      local client, server, first = wrapped_pair()
      print(first, type(client), getmetatable(client).__name, client:want())
      print(select("#", client:dohandshake()))
      print(client:receive())
      print(client:receive("*a", "pre"))
      print(client:send "one\ntwo\r\nthree", client:send("abcdef", 2, 3), client:getstats() == 0)
      socket.select({server}, nil, 1)
      print(server:receive())
      print(server:dirty(), server:receive "*l")
      print(server:receive(3), server:receive(4, "x"), server:dirty())
      print(server:receive(5, "pre"))
      print(server:receive("*l", "pre"))
      print((server:getstats()), (select(2, server:getstats())))
      local info = client:info()
      print(info.protocol, info.cipher ~= nil, client:info("bits"))
      local certificate = client:getpeercertificate()
      print(certificate:subject()[1].value, client:getpeerverification())
      print(client:getfd() > 2, math.type(client:getfd()))
      for _, bad in ipairs {"x", -1, true} do print((pcall(client.receive, client, bad))) end
      print(pcall(client.settimeout, client, 1, "x") == false, client:settimeout(1, "t"))
      local start = socket.gettime()
      client:settimeout(0.05)
      print(client:receive(10))
      print(socket.gettime() - start < 5)
      server:send("last words")
      print(select("#", server:close()), server:getfd(), server:send "x")
      print(client:receive "*a")
      print(client:receive "*a")
      print(client:receive())
      print(client:receive(5, "p"))
      print(client:close(), client:close(), client:receive())
      client, server = wrapped_pair()
      local index, err, sent = client:send(("x"):rep(20000000))
      print(index, err, sent > 0 and sent < 20000000)
      client:close()
      -- nobody is there any more: no signal ends the process
      local a, b = tcp_pair()
      b:close()
      a = ssl.wrap(a, client_config)
      a:settimeout(1)
      print((a:dohandshake()), (a:dohandshake()))
      a:close()
      -- nobody that TLS knows
      a, b = tcp_pair()
      b:send "nonsense, and enough of it\n"
      a = ssl.wrap(a, client_config)
      a:settimeout(1)
      print(a:dohandshake())
      print(a:receive())
      b:close()
    ]]
    local expected = lua(code)
    assert.is_truthy(expected:find("wantread", 1, true), expected)
    for _, patch in pairs(ORDERS) do assert.equal(expected, lua(patch .. code)) end
  end)

  it("lets others run: handshake, receive, send", function()
    for _, patch in pairs(ORDERS) do
      lua(patch .. BEGIN .. GREENLETS .. [[
        local big = ("x"):rep(1000000)
        tick(function()
          local client, server = wrapped_pair()
          gevent.spawn_later(0.1, client.send, client, "line\r\n")
          assert(server:receive() == "line")
          local got = gevent.spawn(function() return server:receive(#big) end)
          local index = 0
          while index < #big do
            index = assert(client:send(big, index + 1, math.min(#big, index + 100000)))
          end
          assert(#got:get() == #big)
          server:settimeout(0.05)
          assert(select(2, server:receive()) == "wantread")
          client:settimeout(0.05)
          local _, err = client:send(big:rep(20))
          assert(err == "wantwrite", err)
          client:close()
          server:close()
        end)
      ]])
    end
  end)

  it("keeps what has come when it is interrupted; closing wakes", function()
    lua(ORDERS.before .. BEGIN .. GREENLETS .. [[
      local client, server = wrapped_pair()
      client:send "half "
      for _, pattern in ipairs {"*l", "*a", 100} do
        assert(gevent.with_timeout(0.02, server.receive, server, pattern) == nil)
      end
      local victim = gevent.spawn(server.receive, server)
      gevent.sleep(0.01)
      victim:kill()
      assert(server:dirty() and server:getstats() == 0)
      client:send "of it\n"
      assert(server:receive() == "half of it")
      local waiting = gevent.spawn(server.receive, server)
      gevent.sleep(0.01)
      server:close()
      local nothing, err = waiting:get()
      assert(nothing == nil and err == "closed", err)
      assert(server:getfd() == -1)
    ]])
  end)

  it("downloads 5 pages by ssl.https in the time of one", function()
    lua(ORDERS.before .. BEGIN .. [[
      local https = require "ssl.https"
      local context = assert(ssl.newcontext(server_config))
      gevent.spawn_raw(function()
        while true do
          local client = listener:accept()
          gevent.spawn_raw(function()
            local connection = assert(ssl.wrap(client, context))
            assert(connection:dohandshake())
            local request = connection:receive()
            repeat until connection:receive() == ""
            socket.sleep(0.5)
            local body = request:match "GET (%S+)" .. ("x"):rep(50000)
            connection:send(("HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s")
              :format(#body, body))
            connection:close()
          end)
        end
      end)
      tick(function()
        local start = socket.gettime()
        parallel(5, function(i)
          local parts = {}
          local ok, code = https.request {
            url = ("https://127.0.0.1:%d/%d"):format(port_of(listener), i),
            sink = require("ltn12").sink.table(parts), verify = "peer",
            cafile = directory .. "/cert.pem",
          }
          assert(ok == 1 and code == 200, code)
          assert(table.concat(parts) == "/" .. i .. ("x"):rep(50000))
        end)
        assert(socket.gettime() - start < 1.5 * SCALE)
      end)
      local nothing, err = https.request {
        url = ("https://127.0.0.1:%d/"):format(port_of(listener)), verify = "peer",
      }
      assert(nothing == nil and err:find "certificate verify failed", err)
    ]])
  end)

  it("leaves alone what was connected before", function()
    lua(BEGIN .. BOTH .. [[
      local client, server = wrapped_pair()
      monkey.patch_socket()
      monkey.patch_ssl()
      monkey.patch_ssl()
      assert(monkey.is_module_patched "ssl" and monkey.is_module_patched "ssl.core")
      client:send "line\n"
      assert(server:receive() == "line" and not server:dirty())
      assert(monkey.get_original("ssl.core", "create") ~= require("ssl.core").create)
      server:close()
      client:settimeout(1)
      assert(select(2, client:receive()) == "closed")
      client:close()
    ]])
  end)
end)

describe("without LuaSec", function()
  it("there is nothing to patch", function()
    monkey.lua [[
      package.path = package.path:gsub("[^;]*lua/5%.[^;]*", "")
      package.cpath = package.cpath:gsub("[^;]*lua/5%.[^;]*", "")
      monkey.patch_all()
      local ok, err = pcall(require, "ssl.core")
      assert(not ok and err:find("no LuaSec", 1, true), err)
      assert(not pcall(require, "ssl"))
    ]]
  end)
end)
