-- Heads that are huge, or do not end: 414, 431 or 408 and a closed connection, and never
-- more memory than the limits allow.

local helper = require "helper"
local gevent = require "gevent"
local slope = require "helper_slope"
local web = require "helper_http"
local it = helper.it

local GET = "GET / HTTP/1.1\r\nHost: x\r\n"

local function ok() return "ok" end

--- Statuses for raw bytes, on a connection that the server must close.
local function statuses_of(bytes)
  local server <close> = web.serve(ok)
  return web.statuses(web.raw(server, bytes))
end

--- Sends pieces until the server has had enough of them, or all; the statuses that
-- come back, and how much was sent.
local function flood(server, first, piece, times)
  local sock <close> = web.connect(server)
  local sent = #first
  assert(sock:sendall(first))
  for i = 1, times do
    local text = type(piece) == "function" and piece(i) or piece
    if not sock:sendall(text) then break end
    sent = sent + #text
    if i % 16 == 0 then gevent.sleep(0) end
  end
  sock:shutdown("w")
  local parts = {}
  while true do -- a reset may take what was not read yet
    local data = sock:recv(65536)
    if not data or data == "" then break end
    parts[#parts + 1] = data
  end
  return web.statuses(table.concat(parts)), sent
end

local MIB = 1 << 20

-- What begins, what is added, how often; the statuses that it may get.
local heads = {
  {"one field of a MiB", GET .. "X: ", ("x"):rep(4096), MIB // 4096, {[431] = true}},
  {"100,000 small fields", GET, ("X: y\r\n"):rep(100), 1000, {[431] = true}},
  {"100,000 different fields", GET, function(i)
    return ("X-%d: y\r\n"):format(i)
  end, 100000, {[431] = true}},
  {"a field name of a MiB", GET, ("x"):rep(4096), MIB // 4096, {[431] = true, [400] = true}},
  {"a target of a MiB", "GET /", ("x"):rep(4096), MIB // 4096, {[414] = true}},
  {"a query of a MiB", "GET /?", ("x=y&"):rep(1024), MIB // 4096, {[414] = true}},
  {"a method of a MiB", "", ("X"):rep(4096), MIB // 4096,
    {[400] = true, [414] = true, [501] = true}},
  {"a version that does not end", "GET / HTTP/1.1", (" "):rep(4096), MIB // 4096,
    {[400] = true, [414] = true, [431] = true, [505] = true}},
  {"empty lines without end", "", ("\r\n"):rep(2048), MIB // 4096, {[400] = true}},
  {"cookies of a MiB", GET .. "Cookie: ", ("a=b; "):rep(800), MIB // 4000, {[431] = true}},
  {"trailers without end", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    .. "0\r\n", ("X: y\r\n"):rep(100), 1000, {[431] = true, [400] = true}},
  {"chunk extensions without end", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked"
    .. "\r\n\r\n1;", ("x"):rep(4096), MIB // 4096, {[431] = true, [400] = true, [413] = true}},
  {"chunks that are all extension", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked"
    .. "\r\n\r\n", ("1;" .. ("x"):rep(2000) .. "\r\na\r\n"):rep(8), 1000,
    {[431] = true, [400] = true, [413] = true}},
}

describe("a server closes the connection for", function()
  for _, case in ipairs(heads) do
    local name, first, piece, times, allowed = table.unpack(case)
    it(name, function()
      local server <close> = web.serve(function(req)
        req:body()
        return "ok"
      end)
      assert.equal("ok", web.ask(server, "GET", "/").body)
      collectgarbage()
      collectgarbage()
      local before = collectgarbage("count")
      local statuses = flood(server, first, piece, times)
      assert.is_true(#statuses <= 1)
      if statuses[1] then assert.is_true(allowed[statuses[1]], tostring(statuses[1])) end
      collectgarbage()
      collectgarbage()
      assert.is_true(collectgarbage("count") - before < 512, "memory")
      assert.equal("ok", web.ask(server, "GET", "/").body)
    end, {deadline = 30})
  end

  -- Here nothing more is sent, so the answer cannot be lost.
  it("a line that never ends gives 414 or 431", function()
    assert.same({414}, statuses_of("GET /" .. ("x"):rep(40000)))
    assert.same({431}, statuses_of("GET / HTTP/1.1\r\nX: " .. ("x"):rep(40000)))
  end)

  it("CRLF without end", function()
    assert.same({400}, statuses_of(("\r\n"):rep(1000)))
  end)

  it("a head that comes a byte at a time, for longer than it may", function()
    local server <close> = web.serve(ok, {header_timeout = 0.1 * helper.scale})
    local drippers = {}
    for i, text in ipairs {GET, "", "GET", GET .. "X: "} do
      drippers[i] = gevent.spawn(function()
        local sock <close> = web.connect(server)
        sock:sendall(text)
        local reader = gevent.spawn(function() return sock:read("a") end)
        while not reader:ready() do
          sock:sendall("x")
          gevent.sleep(0.005 * helper.scale)
        end
        return web.statuses(reader:get() or "")
      end)
    end
    assert.equal("ok", web.ask(server, "GET", "/").body) -- others are served meanwhile
    for _, dripper in ipairs(drippers) do
      local statuses = dripper:get(20 * helper.scale)
      assert.is_true(#statuses == 0 or statuses[1] >= 400, tostring(statuses[1]))
    end
  end, {deadline = 30})

  it("each of many, with no more memory than their limits", function()
    local server <close> = web.serve(ok, {header_timeout = 60})
    local socks = {}
    local _ <close> = helper.defer(function()
      for _, sock in ipairs(socks) do sock:close() end
    end)
    collectgarbage()
    collectgarbage()
    local before = collectgarbage("count")
    for i = 1, 50 do
      socks[i] = web.connect(server)
      assert(socks[i]:sendall(GET .. "X: " .. ("x"):rep(8000) .. "\r\nY: " .. ("y"):rep(100)))
    end
    helper.wait_until(function() return server._count == 50 end)
    helper.wait_all_blocked()
    collectgarbage()
    collectgarbage()
    assert.is_true((collectgarbage("count") - before) / 50 < 48, "KiB each")
    assert.equal("ok", web.ask(server, "GET", "/").body)
  end)
end)

slope.it("a head that is too large", function()
  local server = web.serve(ok)
  local text = "GET / HTTP/1.1\r\nHost: x\r\nX: " .. ("x"):rep(40000)
  return function()
    assert(web.statuses(web.raw(server, text))[1] == 431)
  end, function() server:stop(0) end
end)
