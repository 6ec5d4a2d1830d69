-- The larger examples at work: the port forwarder under load, with a reader
-- that is slow, and the chat with clients that come and go.
-- GEVENT_SPEC_FORWARD_MB=1024 carries so much instead of 16.

local helper = require "helper"
local gevent = require "gevent"
local socket = require "gevent.socket"
local it = helper.it

local MEGABYTES = tonumber(os.getenv "GEVENT_SPEC_FORWARD_MB" or 16)

--- Runs an example as a greenlet; returns that, and the port that it prints.
local function start(path, ...)
  local port
  local env = setmetatable({
    arg = {...},
    print = function(text) port = port or tonumber(text:match("on port (%d+)")) end,
  }, {__index = _G})
  local example = gevent.spawn(assert(loadfile(path, "t", env)))
  helper.wait_until(function() return port or example:ready() end)
  if not port then example:get() end
  return example, port
end

-- The forwarder in a process of its own, for its memory: what follows are the
-- text of the program, the source, and a sink that is slow.
local PROGRAM = [[
  local gevent = require "gevent"
  local socket = require "gevent.socket"
  local StreamServer = require "gevent.server".StreamServer
  local total = tonumber(arg[1])

  local function rss() -- KB
    local f <close> = io.open "/proc/self/statm"
    if not f then return 0 end
    f:read "n"
    return f:read "n" * 4
  end

  -- Piece i of the stream; all are different.
  local base = {}
  for i = 0, 1023 do base[i] = ("%016d"):format(i * 7919):rep(64) end
  local function piece(i) return ("%08d"):format(i) .. base[i & 1023] end
  local SIZE = #piece(0)
  local pieces = total // SIZE

  local result = gevent.Greenlet(function() return true end)
  local sink = StreamServer("127.0.0.1:0", function(sock)
    for i = 0, pieces - 1 do
      if i % 1024 == 0 then gevent.sleep(0.005) end -- it is slow
      local got = assert(sock:readexactly(SIZE))
      if got ~= piece(i) then error("piece " .. i .. " differs") end
    end
    assert(sock:recv(1) == "")
    assert(sock:sendall "all is here")
    result:start()
  end)
  assert(sink:start())

  local port
  local env = setmetatable({
    arg = {"127.0.0.1:0", "127.0.0.1", tostring(sink.port)},
    print = function(text) port = port or tonumber(text:match "on port (%d+)") end,
  }, {__index = _G})
  local forwarder = gevent.spawn(assert(loadfile("examples/port_forwarder.lua", "t", env)))
  while not port do gevent.sleep(0.001) end

  local most, done = 0, false
  local first = rss()
  gevent.spawn(function()
    while not done do
      most = math.max(most, rss())
      gevent.sleep(0.01)
    end
  end)
  local sock <close> = assert(socket.create_connection("127.0.0.1", port))
  for i = 0, pieces - 1 do assert(sock:sendall(piece(i))) end
  assert(sock:shutdown "w")
  assert(sock:read "a" == "all is here")
  assert(result:join(5))
  done = true
  forwarder:kill()
  sink:stop()
  print(pieces * SIZE // 1048576, most - first)
]]

describe("the port forwarder", function()
  it("carries much to a slow reader, whole, in little memory", function()
    local code, out, err = helper.run_lua(PROGRAM, {
      args = {tostring(MEGABYTES << 20)}, timeout = 60 + MEGABYTES,
    })
    assert.same({0, ""}, {code, err})
    local megabytes, grown = out:match("(%d+)%s+(%d+)")
    assert.is_true(tonumber(megabytes) >= MEGABYTES - 1)
    if helper.scale == 1 then -- in KB
      assert.is_true(tonumber(grown) < 8192, "grown by " .. grown .. " KB")
    end
  end, {deadline = 70 + MEGABYTES})

  it("passes on a half-close, both ways", function()
    local echo = assert(require "gevent.server".StreamServer("127.0.0.1:0",
      function(sock) sock:sendall(sock:read("a"):upper()) end))
    assert(echo:start())
    local example, port = start("examples/port_forwarder.lua", "127.0.0.1:0",
      "127.0.0.1", tostring(echo.port))
    local sock = assert(socket.create_connection("127.0.0.1", port))
    sock:sendall("a question")
    sock:shutdown("w")
    assert.equal("A QUESTION", sock:read("a"))
    sock:close()
    example:kill()
    echo:stop()
  end)

  it("closes what it cannot forward", function()
    local unused <close> = assert(socket.socket())
    assert(unused:bind("127.0.0.1", 0))
    local _, closed = unused:getsockname()
    local example, port = start("examples/port_forwarder.lua", "127.0.0.1:0",
      "127.0.0.1", tostring(closed))
    local sock = assert(socket.create_connection("127.0.0.1", port))
    assert.equal("", sock:recv(10))
    sock:close()
    example:kill()
  end)
end)

describe("the chat", function()
  it("tells each what the others say, come and leave", function()
    local example, port = start("examples/chat.lua", "127.0.0.1:0")
    local clients = {}
    for i, name in ipairs {"ann", "bob"} do
      local sock = assert(socket.create_connection("127.0.0.1", port))
      sock:settimeout(5 * helper.scale)
      assert.equal("your name? ", sock:readexactly(11))
      sock:sendall(name .. "\n")
      clients[i] = sock
      if i == 2 then assert.equal("bob has come", clients[1]:read("l")) end
    end
    local ann, bob = clients[1], clients[2]
    ann:sendall("hello\r\n")
    assert.equal("ann: hello", bob:read("l"))
    bob:sendall("oh\nwell\n")
    assert.same({"bob: oh", "bob: well"}, {ann:read("l", "l")})
    local other = assert(socket.create_connection("127.0.0.1", port))
    other:sendall("ann\n")
    assert.equal("your name? not that one\n", other:read("a"))
    other:close()
    bob:close()
    assert.equal("bob has left", ann:read("l"))
    ann:close()
    example:kill()
  end)
end)
