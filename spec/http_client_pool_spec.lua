-- The connections of a client: kept, bounded, given up; what a kill or a
-- time-out at any moment leaves behind.

local helper = require "helper"
local gevent = require "gevent"
local http = require "gevent.http"
local origin = require "helper_origin"
local web = require "helper_http"
local it = helper.it

local function state(client)
  local busy, idle = tostring(client):match("(%d+) connections busy, (%d+) idle")
  return tonumber(busy), tonumber(idle)
end

--- A server that says which connection it was asked on.
local function numbering(delay)
  return origin.serve(function(sock, number)
    while origin.request(sock) do
      if delay then gevent.sleep(delay) end
      sock:sendall(origin.answer(tostring(number)))
    end
  end)
end

local function getall(client, url, n)
  local greenlets = {}
  for i = 1, n do
    greenlets[i] = gevent.spawn(function() return assert(client:get(url)).body end)
  end
  gevent.joinall(greenlets, nil, {raise_error = true})
end

describe("a client", function()
  it("may have headers of its own, which a request's replace", function()
    local server <close> = web.serve(function(req)
      local h = req.headers
      return table.concat({h["x-a"] or "-", h["x-b"] or "-", h["user-agent"]}, " ")
    end)
    local client <close> = http.Client {headers = {["X-A"] = "1", ["User-Agent"] = "me"}}
    local url = "http://127.0.0.1:" .. server.port
    assert.equal("1 - me", client:get(url).body)
    assert.equal("2 3 me", client:get(url, {headers = {["x-a"] = "2", ["X-B"] = "3"}}).body)
  end)

  it("uses one connection for one request after the other", function()
    local server <close> = numbering()
    local client <close> = http.Client()
    for _ = 1, 5 do assert.equal("1", client:get(server.url).body) end
    assert.same({0, 1}, {state(client)})
  end)

  it("has one for each host and port", function()
    local one <close> = numbering()
    local two <close> = numbering()
    local client <close> = http.Client()
    client:get(one.url)
    client:get(two.url)
    client:get(one.url)
    assert.same({0, 2}, {state(client)})
    assert.same({1, 1}, {one.connections, two.connections})
  end)

  it("is bounded for each host", function()
    local server <close> = numbering(0.001)
    local client <close> = http.Client {max_per_host = 3}
    getall(client, server.url, 20)
    assert.equal(3, server.connections)
    assert.same({0, 3}, {state(client)})
  end)

  it("is bounded in all, and gives up the one that was idle longest", function()
    local servers = {}
    local _close <close> = helper.defer(function()
      for _, server in ipairs(servers) do server:close() end
    end)
    local client <close> = http.Client {max_connections = 2}
    for i = 1, 4 do
      servers[i] = numbering()
      assert(client:get(servers[i].url))
      assert.is_true(select(2, state(client)) <= 2)
    end
    origin.wait_closed(servers[1])
    origin.wait_closed(servers[2])
    assert(client:get(servers[3].url))
    assert(client:get(servers[4].url))
    assert.equal(1, servers[3].connections)
    assert.equal(1, servers[4].connections)
    assert(client:get(servers[1].url))
    assert.equal(2, servers[1].connections)
  end)

  it("serves those who wait in the order of arrival", function()
    local order = {}
    local server <close> = origin.replies(function(req)
      order[#order + 1] = req.target
      return origin.answer("x")
    end)
    local client <close> = http.Client {max_per_host = 1}
    local greenlets = {}
    for i = 1, 5 do
      greenlets[i] = gevent.spawn(client.get, client, server.url .. "/" .. i)
    end
    gevent.joinall(greenlets)
    assert.same({"/1", "/2", "/3", "/4", "/5"}, order)
  end)

  it("counts the wait for a connection into the time-out", function()
    local server <close> = origin.serve(function(sock) origin.request(sock) sock:recv(1) end)
    local client <close> = http.Client {max_per_host = 1}
    local first = helper.spawn_blocked(client.get, client, server.url)
    local res, message, code = client:get(server.url, {timeout = 0.01})
    assert.same({nil, "timed out", "timeout"}, {res, message, code})
    assert.equal(1, server.connections)
    first:kill()
    assert.same({0, 0}, {state(client)})
  end)

  it("gives the place of one that was killed while it waited to the next", function()
    local gate = helper.gate()
    local server <close> = origin.replies(function(req)
      if req.target == "/1" then gate:wait() end
      return origin.answer(req.target)
    end)
    local client <close> = http.Client {max_per_host = 1}
    local first = helper.spawn_blocked(client.get, client, server.url .. "/1")
    local second = helper.spawn_blocked(client.get, client, server.url .. "/2")
    local third = helper.spawn_blocked(client.get, client, server.url .. "/3")
    gate:open()
    second:kill()
    assert.equal("/1", first:get().body)
    assert.equal("/3", third:get().body)
    assert.same({0, 1}, {state(client)})
  end)

  it("closes connections that were idle for too long", function()
    local server <close> = numbering()
    local client <close> = http.Client {idle_timeout = 0.01}
    assert.equal("1", client:get(server.url).body)
    gevent.sleep(0.02)
    assert.equal("2", client:get(server.url).body)
    local without <close> = http.Client {idle_timeout = 0}
    assert.equal("3", without:get(server.url).body)
    assert.same({0, 0}, {state(without)})
  end)

  it("closes what is idle, and answers no more", function()
    local gate = helper.gate()
    local server <close> = origin.replies(function(req)
      if req.target == "/slow" then gate:wait() end
      return origin.answer(req.target)
    end)
    local client = http.Client()
    local slow = helper.spawn_blocked(client.get, client, server.url .. "/slow")
    client:get(server.url .. "/quick")
    client:close()
    client:close()
    helper.wait_until(function() return server.open == 1 end)
    gate:open()
    assert.equal("/slow", slow:get().body)
    origin.wait_closed(server)
    local res, message, code = client:get(server.url)
    assert.same({nil, "the client is closed", "closed"}, {res, message, code})
  end)

  it("refuses who waits for a connection when it is closed", function()
    local gate = helper.gate()
    local server <close> = origin.replies(function(req)
      gate:wait()
      return origin.answer(req.target)
    end)
    local client = http.Client {max_per_host = 1}
    local first = helper.spawn_blocked(client.get, client, server.url .. "/1")
    local second = helper.spawn_blocked(client.get, client, server.url .. "/2")
    client:close()
    gate:open()
    assert.equal("/1", first:get().body)
    assert.same({nil, "the client is closed", "closed"}, {second:get()})
    assert.same({0, 0}, {state(client)})
  end)

  it("is collected with its connections", function()
    local server <close> = numbering()
    do
      local client = http.Client()
      assert(client:get(server.url))
    end
    helper.wait_until(function()
      collectgarbage()
      return server.open == 0
    end)
  end)

  it("keeps nothing of hosts that it left", function()
    local client <close> = http.Client()
    for _ = 1, 5 do
      local server <close> = numbering()
      client:get(server.url)
      server:close()
      client:get(server.url)
    end
    assert.is_nil(next(client.pool.hosts))
    assert.same({0, 0}, {state(client)})
  end)
end)

describe("an interrupted request", function()
  -- Where the server stops, as `script(sock)`; all of it happens after the
  -- request came, but the first.
  local phases = {
    {"before it is read", function(sock) sock:recv(1) gevent.sleep(60) end},
    {"before the answer", function(sock) origin.request(sock) sock:recv(1) end},
    {"in the status line", function(sock)
      origin.request(sock)
      sock:sendall("HTTP/1.1 2")
      sock:recv(1)
    end},
    {"in the fields", function(sock)
      origin.request(sock)
      sock:sendall("HTTP/1.1 200 OK\r\nX: ")
      sock:recv(1)
    end},
    {"after an interim answer", function(sock)
      origin.request(sock)
      sock:sendall("HTTP/1.1 100 Continue\r\n\r\n")
      sock:recv(1)
    end},
    {"in a body of known length", function(sock)
      origin.request(sock)
      sock:sendall("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
      sock:recv(1)
    end},
    {"in a chunked body", function(sock)
      origin.request(sock)
      sock:sendall("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123")
      sock:recv(1)
    end},
    {"in a body without end", function(sock)
      origin.request(sock)
      sock:sendall("HTTP/1.1 200 OK\r\n\r\n12345")
      sock:recv(1)
    end},
  }

  local function bodies()
    return {
      none = nil,
      large = ("x"):rep(1 << 24),
      endless = function() gevent.sleep(0) return ("x"):rep(10000) end,
      stuck = function() gevent.sleep(60) end,
    }
  end

  for _, phase in ipairs(phases) do
    for _, kind in ipairs(phase == phases[1] and {"none", "large", "endless", "stuck"}
      or phase == phases[2] and {"none", "stuck"} or {"none"}) do
      local what = ("%s, body %s"):format(phase[1], kind)

      it("leaves nothing when it times out " .. what, function()
        local server <close> = origin.serve(phase[2])
        local client <close> = http.Client()
        local res, message, code = client:request {url = server.url, timeout = 0.03,
          body = bodies()[kind], method = "POST"}
        assert.same({nil, "timed out", "timeout"}, {res, message, code})
        assert.same({0, 0}, {state(client)})
      end)

      it("leaves nothing when it is killed " .. what, function()
        local server <close> = origin.serve(phase[2])
        local client <close> = http.Client()
        local g = gevent.spawn(client.request, client, {url = server.url,
          body = bodies()[kind], method = "POST"})
        gevent.sleep(0.01)
        g:kill()
        assert.same({0, 0}, {state(client)})
        assert.is_true(gevent.isinstance(g.value, gevent.GreenletExit))
      end)
    end
  end

  it("leaves nothing when a foreign Timeout ends it", function()
    local server <close> = origin.serve(phases[2][2])
    local client <close> = http.Client()
    local res, _, code = gevent.with_timeout(0.01, client.get, client, server.url)
    assert.is_nil(res)
    assert.equal("timeout", code)
    assert.same({0, 0}, {state(client)})
  end)

  it("times out where the server is silent for too long", function()
    local server <close> = origin.serve(function(sock)
      origin.request(sock)
      sock:sendall("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")
      sock:recv(1)
    end)
    local began = helper.now()
    local res, message, code = http.get(server.url, {read_timeout = 0.05})
    assert.same({nil, "timed out", "timeout"}, {res, message, code})
    assert.is_true(helper.now() - began >= 0.05)
  end)

  it("does not time out where it is slow, but not silent", function()
    local server <close> = origin.serve(function(sock)
      origin.request(sock)
      sock:sendall("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n")
      for _ = 1, 12 do
        gevent.sleep(0.1)
        sock:sendall("x")
      end
    end)
    assert.equal(("x"):rep(12), http.get(server.url, {read_timeout = 1}).body)
  end)

  it("may go on reading a streamed body after a time-out", function()
    local gate = helper.gate()
    local server <close> = origin.serve(function(sock)
      origin.request(sock)
      sock:sendall("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
      gate:wait()
      sock:sendall("def")
    end)
    local res <close> = assert(http.get(server.url, {stream = true, read_timeout = 0.5}))
    local data, message, code = res:read("a")
    assert.same({nil, "timed out", "timeout"}, {data, message, code})
    gate:open()
    local all = helper.wait_until(function() return (res:read("a")) end)
    assert.equal("abcdef", all)
  end)

  it("times out where it cannot connect", function()
    -- A listener whose queue is full: what else comes is not answered.
    local socket = require "gevent.socket"
    local listener <close> = assert(socket.create_server("127.0.0.1:0", {backlog = 0}))
    local _, port = listener:getsockname()
    local fillers = {}
    local _close <close> = helper.defer(function()
      for _, sock in ipairs(fillers) do sock:close() end
    end)
    for i = 1, 8 do
      fillers[i] = assert(socket.socket())
      if not fillers[i]:connect("127.0.0.1", port, 0.02) then break end
    end
    local url = ("http://127.0.0.1:%d/"):format(port)
    local client <close> = http.Client()
    for _, opts in ipairs {{connect_timeout = 0.02, read_timeout = 1}, {timeout = 0.02}} do
      local res, message, code = client:get(url, opts)
      assert.same({nil, "timed out", "timeout"}, {res, message, code})
      assert.same({0, 0}, {state(client)})
    end
  end)

  it("with no time at all returns at once", function()
    local server <close> = numbering()
    local res, _, code = http.get(server.url, {timeout = 0})
    assert.is_nil(res)
    assert.equal("timeout", code)
  end)
end)

describe("a client in a storm", function()
  -- Numbers that look random, the same each time.
  local function generator(seed)
    return function(n)
      seed = (seed * 1103515245 + 12345) & 0x7fffffff
      return (seed >> 8) % n
    end
  end

  local function chunks()
    local n = 0
    return function()
      n = n + 1
      gevent.sleep(0)
      return n < 5 and "chunk" or nil
    end
  end

  --- Answers of all kinds, each of which names what was asked for.
  local function answer(random)
    return function(req, res)
      local kind = random(7)
      if kind == 0 then gevent.sleep(random(20) / 1000) end
      if kind == 1 then
        res:write("path")
        gevent.sleep(random(20) / 1000)
        return res:write(req.path)
      end
      if kind == 2 then return 500, nil, "path" .. req.path end
      if kind == 3 then res.headers["Connection"] = "close" end
      if kind == 4 then return res:redirect(req.path .. "r") end
      if kind == 5 then req:body() end
      return "path" .. req.path
    end
  end

  local function ask(client, random, url, path)
    local kind = random(4)
    local res = client:request {
      url = url .. path, stream = random(4) == 0,
      timeout = random(3) == 0 and random(10) / 1000 or nil,
      body = kind == 0 and ("z"):rep(random(200000)) or kind == 1 and chunks() or nil,
    }
    if not res then return true end
    local body = res.body
    if not body then
      if random(2) == 0 then return res:close() end
      body = res:read("a")
      res:close()
    end
    return not body or body:match("^path(/%d+)r*$") == path or body
  end

  it("never mixes answers up, and ends with nothing in use", function()
    local random = generator(7)
    local server <close> = http.Server("127.0.0.1:0", answer(random))
    assert(server:start())
    local url = ("http://127.0.0.1:%d"):format(server.port)
    local client <close> = http.Client {max_per_host = 5, max_connections = 5,
      idle_timeout = 0.05}
    local greenlets, wrong = {}, {}
    for i = 1, 400 do
      greenlets[i] = gevent.spawn(function()
        local path = "/" .. i
        local got = ask(client, random, url, path)
        if type(got) == "string" then wrong[#wrong + 1] = path .. " got " .. got end
      end)
      if i % 8 == 0 then
        gevent.sleep(random(4) / 1000)
        for _ = 1, 3 do gevent.kill(greenlets[i - random(math.min(i, 24))]) end
      end
    end
    gevent.joinall(greenlets, nil, {raise_error = true})
    assert.same({}, wrong)
    assert.equal(0, (state(client)))
    server:stop(0)
  end, {deadline = 30})
end)
