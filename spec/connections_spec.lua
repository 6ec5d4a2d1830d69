-- Ten thousand connections at once: a server and its clients, each a process
-- of its own with as many descriptors as the system lets it have.

local helper = require "helper"
local it = helper.it

local COUNT = math.max(1000, math.floor(10000 / helper.scale))
local MOST = 3072 -- bytes of the server's for each that is idle

local function hard_limit()
  local pipe = assert(io.popen("ulimit -Hn"))
  local text = pipe:read("a")
  pipe:close()
  return text:find("unlimited") and math.huge or tonumber(text) or 0
end

-- Run as the server, the program starts itself once more as the clients. One
-- connection of these says how far they are: they wait for its answers.
local PROGRAM = [[
  local gevent = require "gevent"
  local socket = require "gevent.socket"
  local StreamServer = require "gevent.server".StreamServer
  local count, port = tonumber(arg[1]), tonumber(arg[2])

  local function rss() -- bytes
    collectgarbage()
    collectgarbage()
    local f <close> = io.open "/proc/self/statm"
    if not f then return 0 end
    f:read "n"
    return f:read "n" * 4096
  end

  local function clients()
    local control = assert(socket.create_connection("127.0.0.1", port))
    assert(control:read "l" == "begin")
    local socks, failures = {}, 0
    local function ask(i)
      local sock = socks[i]
      if not sock then
        sock = assert(socket.create_connection("127.0.0.1", port))
        socks[i] = sock
      end
      sock:settimeout(60)
      local line = "client " .. i
      if not sock:sendall(line .. "\n") or sock:read "l" ~= line then
        failures = failures + 1
      end
    end
    local function all()
      local greenlets = {}
      for first = 1, 100 do
        greenlets[first] = gevent.spawn(function()
          for i = first, count, 100 do ask(i) end
        end)
      end
      for _, g in ipairs(greenlets) do g:get() end
    end
    all()
    control:sendall("held\n")
    assert(control:read "l" == "go on")
    all()
    control:sendall(("answered %d\n"):format(count - failures))
    control:read "l"
  end

  if port then return clients() end

  local open, most = 0, 0
  local function talk(control)
    local before = rss()
    control:sendall "begin\n"
    assert(control:read "l" == "held")
    local each = (rss() - before) / count
    local held = open
    control:sendall "go on\n"
    print(held, control:read "l", math.floor(each))
  end
  local server
  server = StreamServer("127.0.0.1:0", function(sock)
    if open == 0 and most == 0 then -- the first is the one that tells
      most = 1
      talk(sock)
      return gevent.spawn(server.stop, server, 0)
    end
    open = open + 1
    while true do
      local line = sock:read "L"
      if not line then break end
      sock:sendall(line)
    end
    open = open - 1
  end, {backlog = 4096})
  assert(server:start())
  os.execute(("%s %s %d %d &"):format(os.getenv "GEVENT_SPEC_LUA" or arg[-1],
    arg[0], count, server.port))
  server:serve_forever()
]]

describe("ten thousand connections", function()
  local name = "are held, cost little while they are idle, and answer"
  if hard_limit() < COUNT + 100 then
    return pending(name .. " (the limit of descriptors is too low)")
  end

  it(name, function()
    local code, out, err = helper.run_lua(PROGRAM, {
      args = {tostring(COUNT)}, timeout = 60,
      under = [[sh -c 'ulimit -Sn "$(ulimit -Hn)" && exec "$@"' sh]],
    })
    assert.same({0, ""}, {code, err})
    local held, answered, each = out:match("(%d+)%s+answered (%d+)%s+(-?%d+)")
    assert.same({COUNT, COUNT}, {tonumber(held), tonumber(answered)}, out)
    if helper.scale == 1 then
      assert.is_true(tonumber(each) <= MOST, each .. " bytes each")
    end
  end, {deadline = 70})
end)
