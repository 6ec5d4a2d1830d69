-- A peer that goes away, or talks nonsense, after each byte of the handshake:
-- an error here, nothing left behind, and the next connection is fine.
--
-- What the honest peer would say is recorded first, from a handshake through a
-- relay; then it is played up to a position, and broken off there.

local helper = require "helper"
local tls = require "helper_tls"
local gevent = require "gevent"
local socket = require "gevent.socket"
local it = helper.it

-- Tried besides those near the ends; GEVENT_SPEC_POSITIONS=all: after each byte.
local POSITIONS = os.getenv "GEVENT_SPEC_POSITIONS"
POSITIONS = POSITIONS == "all" and math.huge or tonumber(POSITIONS) or 40
local LIMIT = {deadline = POSITIONS == math.huge and 600 or 60}

-- The number of OpenSSL's oldest error, 0 if its queue is empty; nil where there
-- is no compiler to ask it by.
local oldest_error = (function()
  local library = tls.dir() .. "/oldest_error.so"
  tls.write("oldest_error.c", [[
    unsigned long ERR_peek_error(void);
    void lua_pushinteger(void *L, long long n);
    int oldest_error(void *L) {
      lua_pushinteger(L, (long long)ERR_peek_error());
      return 1;
    }
  ]])
  tls.run "cc -shared -fPIC -o oldest_error.so oldest_error.c -lcrypto || true"
  return (package.loadlib(library, "oldest_error"))
end)()

local VERSIONS = {"TLSv1.2", "TLSv1.3"}
local contexts = {}

local function context(side, version)
  local key = side .. version
  contexts[key] = contexts[key] or tls[side] {maximum_version = version}
  return contexts[key]
end

-- A handshake through a relay: what each side has sent, in the order of time:
-- a list of `{from, bytes}`.
local function record(version)
  local a, relay_a = helper.pair()
  local b, relay_b = helper.pair()
  local said = {}
  local function relay(from, to, who)
    return gevent.spawn(function()
      while true do
        local data = from:recv(65536)
        if not data or data == "" then return end
        said[#said + 1] = {who, data}
        to:sendall(data)
      end
    end)
  end
  local relays = {relay(relay_a, relay_b, "client"), relay(relay_b, relay_a, "server")}
  local client, server = tls.wrap(a, b,
    {client = context("client", version), server = context("server", version)})
  assert(client[1], client[2]):close()
  assert(server[1], server[2]):close()
  gevent.killall(relays)
  relay_a:close()
  relay_b:close()
  return said
end

--- How many bytes the side sends that the other's handshake cannot do without.
local function length_of(said, side)
  local n = 0
  for _, part in ipairs(said) do
    if part[1] == side then n = n + #part[2] end
  end
  return n
end

-- The ways to break off, `sock` being the peer's plain end.
local ways = {
  FIN = function(sock) sock:close() end,
  RST = function(sock)
    sock:setsockopt("linger", 0)
    sock:close()
  end,
  garbage = function(sock)
    sock:sendall(("\255\0garbage"):rep(40))
    sock:shutdown("w")
  end,
  ["a truncated record"] = function(sock)
    sock:sendall("\22\3\3\64\0")
    sock:shutdown("w")
  end,
}

--- One connection whose peer says only the first `n` bytes of its part. Replayed
-- bytes fit no other handshake, so most end in an alert before; what matters is
-- that each ends.
local function break_off(role, version, bytes, n, way)
  -- TCP where it matters: thousands of its ends would use up the ports.
  local mine, theirs = (way == "RST" and helper.tcp_pair or helper.pair)()
  local peer = gevent.spawn(function()
    if role == "server" or n > 0 then theirs:sendall(bytes:sub(1, n)) end
    ways[way](theirs)
  end)
  local opts = role == "client" and {server_hostname = "localhost"} or {server_side = true}
  opts.timeout = 5 * helper.scale
  local sock, message, code = context(role, version):wrap_socket(mine, opts)
  if oldest_error then assert.equal(0, oldest_error()) end
  peer:join()
  theirs:close()
  if sock then -- the last flight of a server needs no answer
    sock:close()
    return nil
  end
  if not message or not code or code == "timeout" then
    error(("%s, %s after %d bytes: %s %s"):format(role, way, n, message, code))
  end
  return code
end

local function positions(total)
  local list = {}
  local every = math.max(1, total // POSITIONS)
  for n = 0, total do
    if n < 12 or n > total - 3 or n % every == 0 then list[#list + 1] = n end
  end
  return list
end

local function still_works(version)
  local client, server = tls.pair {client = context("client", version),
    server = context("server", version), tcp = true}
  client:sendall("fine")
  assert.equal("fine", server:recv(10))
  client:close()
  server:close()
end

for _, version in ipairs(VERSIONS) do
  for _, role in ipairs {"client", "server"} do
    local peer = role == "client" and "server" or "client"

    describe(("%s: a %s whose peer breaks off by"):format(version, role), function()
      for way in pairs(ways) do
        it(way .. " gets an error, wherever it is", function()
          local said = record(version)
          local parts = {}
          for _, part in ipairs(said) do
            if part[1] == peer then parts[#parts + 1] = part[2] end
          end
          local bytes = table.concat(parts)
          assert.is_true(length_of(said, peer) == #bytes and #bytes > 100)
          for _, n in ipairs(positions(#bytes)) do
            break_off(role, version, bytes, n, way)
          end
          still_works(version)
        end, LIMIT)
      end
    end)
  end
end

-- The same in a live handshake: a relay that lets only so much through.
describe("a relay that cuts the wire", function()
  local function cut(version, side, n, reset)
    local make = reset and helper.tcp_pair or helper.pair
    local a, relay_a = make()
    local b, relay_b = make()
    local left = n
    local function stop()
      for _, sock in ipairs {relay_a, relay_b} do
        if reset and not sock.closed then sock:setsockopt("linger", 0) end
        sock:close()
      end
    end
    local function relay(from, to, counted)
      return gevent.spawn(function()
        while true do
          local data = from:recv(65536)
          if not data or data == "" then break end
          if counted then
            data = data:sub(1, left)
            left = left - #data
          end
          to:sendall(data)
          if left == 0 then break end
        end
        stop()
      end)
    end
    local relays = {relay(relay_a, relay_b, side == "client"),
      relay(relay_b, relay_a, side == "server")}
    local client, server = tls.wrap(a, b, {client = context("client", version),
      server = context("server", version)})
    -- A signature may be shorter than the recorded one: all has come through.
    if client[1] and server[1] then stop() end
    for _, result in ipairs {client, server} do
      if result[1] then
        local data, _, code = result[1]:recv(1)
        assert.is_truthy(data == nil and code or data == "", "it says more than it was sent")
        result[1]:close()
      else
        assert.is_string(result[3])
      end
    end
    if oldest_error then assert.equal(0, oldest_error()) end
    stop()
    gevent.joinall(relays)
  end

  for _, version in ipairs(VERSIONS) do
    for _, side in ipairs {"client", "server"} do
      it(("after each byte of the %s's, %s"):format(side, version), function()
        local total = length_of(record(version), side)
        for i, n in ipairs(positions(total)) do
          if n > 0 and n < total then cut(version, side, n, i % 2 == 0) end
        end
        still_works(version)
      end, LIMIT)
    end
  end
end)

-- No fault, but as many beginnings of records as there can be.
describe("a relay that lets all trickle", function()
  for _, version in ipairs(VERSIONS) do
    it("does no harm, " .. version, function()
      local a, relay_a = helper.pair()
      local b, relay_b = helper.pair()
      local function relay(from, to)
        return gevent.spawn(function()
          for data in function() return from:recv(1) end do
            if data == "" then return to:shutdown("w") end
            to:sendall(data)
            gevent.sleep(0)
          end
        end)
      end
      local relays = {relay(relay_a, relay_b), relay(relay_b, relay_a)}
      local client, server = tls.pair {over = function() return a, b end,
        client = context("client", version), server = context("server", version)}
      client:sendall(("0123456789"):rep(100))
      server:sendall("short")
      assert.equal(("0123456789"):rep(100), server:readexactly(1000))
      assert.equal("short", client:recv(10))
      client:close()
      assert.equal("", server:recv(10))
      server:close()
      gevent.joinall(relays)
      relay_a:close()
      relay_b:close()
    end)
  end
end)

-- Later ----------------------------------------------------------------------------------

describe("garbage after the handshake", function()
  it("is an error, and the next connection is fine", function()
    local a, b = helper.pair()
    local client, server = tls.pair {over = function() return a, b end}
    local plain <close> = socket.fromfd(client:detach())
    plain:sendall(("\23\3\3\0\32"):rep(20))
    for _ = 1, 2 do
      local data, message, code = server:recv(10)
      assert.is_nil(data)
      assert.equal("ESSL", code)
      assert.matches("bad record mac", message)
    end
    assert.equal("ESSL", select(3, server:sendall("x")))
    server:close()
    still_works "TLSv1.3"
  end)
end)
