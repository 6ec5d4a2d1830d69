-- Against WebSocket implementations of others: Python's websockets, both ways, and
-- the example's page in Chromium. Each where it is installed.

local helper = require "helper"
local gevent = require "gevent"
local peer = require "helper_ws"
local process = require "helper_process"
local websocket = require "gevent.websocket"
local it = helper.it

local function succeeds(command)
  return (os.execute(command .. " >/dev/null 2>&1"))
end

--- A process that goes on while this one does: `done()` tells its exit code, if it
-- has ended, `text()` what it has printed.
local function start(command)
  local path = os.tmpname()
  os.execute(("{ timeout -s KILL %d %s >%s 2>&1 </dev/null; echo $? >%s.code; } &"):format(
    math.ceil(30 * helper.scale), command, path, path))
  local running = {}
  function running.text() return helper.slurp(path) or "" end
  function running.done()
    local text = helper.slurp(path .. ".code")
    return text and tonumber(text)
  end
  function running.join()
    helper.wait_until(running.done, 30)
    local code, text = running.done(), running.text()
    os.remove(path)
    os.remove(path .. ".code")
    return code, text
  end
  return running
end

-- The first that has the module: the system's may stand behind another.
local python3
for _, name in ipairs {"python3", "/usr/bin/python3"} do
  if not python3 and succeeds(name .. " -c 'import websockets'") then python3 = name end
end

local function python(script, ...)
  local path = os.tmpname()
  local f = assert(io.open(path, "w"))
  f:write(script)
  f:close()
  local words = {python3, path, ...}
  for i, word in ipairs(words) do words[i] = process.quote(word) end
  local running = start(table.concat(words, " "))
  local join = running.join
  function running.join()
    local code, text = join()
    os.remove(path)
    return code, text
  end
  return running
end

local CLIENT = [=[
import asyncio, sys, websockets
url = "ws://127.0.0.1:" + sys.argv[1] + "/"

async def echo(ws, messages):
    for m in messages:
        await ws.send(m)
        got = await ws.recv()
        want = m if isinstance(m, (str, bytes)) else type(m[0])().join(m)
        assert got == want and type(got) == type(want), (got[:50], want[:50])

async def main():
    messages = ["", "hello", "h\u00e9llo \U0001f600", b"", b"\0\xff", "x" * 126,
        "y" * 65536, b"z" * 300000, ["a", "b\u00e9", "c"], [b"1", b"2", b"3"]]
    for compression in (None, "deflate"):
        async with websockets.connect(url, compression=compression,
                                      subprotocols=["p2", "p1"]) as ws:
            assert ws.subprotocol == "p1", ws.subprotocol
            assert len(ws.extensions) == (compression is not None), ws.extensions
            await echo(ws, messages)
            await (await ws.ping(b"data"))
            await echo(ws, ["x"] * 50)
        assert ws.close_code == 1000, ws.close_code
    async with websockets.connect(url, max_size=None) as ws:
        await ws.send("close 4000 because")
        try:
            await ws.recv()
        except websockets.ConnectionClosed as e:
            assert (e.rcvd.code, e.rcvd.reason) == (4000, "because"), e
    async with websockets.connect(url, compression=None) as ws:
        await ws.send("x" * 2000000)
        try:
            await ws.recv()
        except websockets.ConnectionClosed as e:
            assert e.rcvd.code == 1009, e
    try:
        async with websockets.connect(url, origin="http://evil.example"):
            assert False
    except websockets.InvalidStatusCode as e:
        assert e.status_code == 403, e

asyncio.run(main())
print("all is well")
]=]

local SERVER = [=[
import asyncio, sys, websockets

async def handle(ws, path=None):
    async for m in ws:
        if m == "ping":
            await (await ws.ping())
            await ws.send("pong")
        elif m == "parts":
            await ws.send(["a", "b", "c"])
        elif m == "close":
            await ws.close(3001, "enough")
        elif m == "exit":
            over.set()
        else:
            await ws.send(m)

async def main():
    global over
    over = asyncio.Event()
    for compression in (None, "deflate"):
        server = await websockets.serve(handle, "127.0.0.1", 0,
            subprotocols=["p"], compression=compression, max_size=1000000)
        print(server.sockets[0].getsockname()[1], flush=True)
    await over.wait()

asyncio.run(main())
]=]

describe("Python's websockets", function()
  if not python3 then
    pending("is not installed", function() end)
    return
  end

  it("as a client", function()
    local server <close> = peer.serve(function(ws)
      for data, kind in ws:messages() do
        local code, reason = data:sub(1, 50):match("^close (%d+) (.*)$")
        if code then return ws:close(math.tointeger(code), reason) end
        ws:send(data, kind)
      end
    end, {upgrade = {deflate = true, protocols = {"p1", "p2"}}})
    local code, text = python(CLIENT, server.port).join()
    assert.equal("all is well\n", text)
    assert.equal(0, code)
  end, {deadline = 40})

  it("as a server", function()
    local running = python(SERVER)
    helper.wait_until(function()
      return running.done() or running.text():find("%d+\n%d+\n")
    end, 30)
    local plain, packing = running.text():match("(%d+)\n(%d+)\n")
    for i, port in ipairs {plain, packing} do
      local ws = assert(websocket.connect("ws://127.0.0.1:" .. port,
        {protocols = {"p"}, deflate = true}))
      assert.equal("p", ws.protocol)
      assert.equal(i == 2 and "permessage-deflate" or nil, ws.extensions)
      for _, data in ipairs {"hello", "", "h\u{e9}llo", ("x"):rep(70000)} do
        for _, kind in ipairs {"text", "binary"} do
          assert.is_true(ws:send(data, kind))
          assert.same({data, kind}, {ws:receive()})
        end
      end
      ws:send("ping")
      assert.equal("pong", (ws:receive()))
      ws:send("parts")
      assert.equal("abc", (ws:receive()))
      ws:send("close")
      assert.same({nil, "enough", "closed", 3001}, {ws:receive()})
    end
    local ws = assert(websocket.connect("ws://127.0.0.1:" .. plain))
    ws:send(("x"):rep(1000001))
    assert.equal(1009, select(4, ws:receive()))
    ws = assert(websocket.connect("ws://127.0.0.1:" .. plain))
    assert.is_true(ws:close(1000, "bye"))
    ws = assert(websocket.connect("ws://127.0.0.1:" .. plain))
    ws:send("exit")
    ws:receive()
    running.join()
  end, {deadline = 40})
end)

-- The example, run in this process.
local function start_chat()
  local printed
  local chunk = assert(loadfile("examples/ws_chat.lua", "t", setmetatable(
    {arg = {0}, print = function(text) printed = text end}, {__index = _G})))
  local g = gevent.spawn(chunk)
  helper.wait_until(function() return printed end)
  return g, printed:match(":(%d+)/")
end

describe("the chat example", function()
  local function joined(port, name)
    local ws = assert(websocket.connect(("ws://127.0.0.1:%d/chat"):format(port),
      {protocols = {"chat"}, deflate = true}))
    assert.equal("chat", ws.protocol)
    ws:send(name)
    return ws
  end

  it("tells each what the others say", function()
    local g, port = start_chat()
    local ann = joined(port, "ann")
    assert.equal("ann has come", (ann:receive()))
    local bob = joined(port, "bob")
    assert.equal("bob has come", (ann:receive()))
    assert.equal("bob has come", (bob:receive()))
    bob:send("hello")
    assert.equal("bob: hello", (ann:receive()))
    assert.equal("bob: hello", (bob:receive()))
    bob:close()
    assert.equal("bob has left", (ann:receive()))
    ann:close()
    g:kill()
  end)

  if helper.scale > 1 or not succeeds("command -v chromium") then
    pending("in Chromium: not installed, or everything is slow", function() end)
    return
  end

  it("works in Chromium", function()
    local g, port = start_chat()
    local bob = joined(port, "bob")
    assert.equal("bob has come", (bob:receive()))
    local profile = os.tmpname()
    os.remove(profile)
    local text
    for _ = 1, 3 do -- its clock may be done with the page too early
      local _
      _, text = start(("chromium --headless --no-sandbox --disable-gpu --no-first-run "
        .. "--user-data-dir=%s --virtual-time-budget=4000 --dump-dom "
        .. "'http://127.0.0.1:%s/#ann,hello%%20there'"):format(profile, port)).join()
      if text:find("<div>ann: hello there</div>", 1, true) then break end
    end
    os.execute("rm -rf " .. profile)
    assert.matches("<div>ann has come</div><div>ann: hello there</div>", text)
    assert.equal("ann has come", (bob:receive()))
    assert.equal("ann: hello there", (bob:receive()))
    assert.equal("ann has left", (bob:receive()))
    bob:close()
    g:kill()
  end, {deadline = 120})
end)
