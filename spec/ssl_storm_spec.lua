-- Anything at any time: greenlets that read, write, end, unwrap, wrap again and
-- close the same TLS sockets, and are killed at it. Whatever happens is a result
-- or a misuse that raises; nothing is left behind, and data that arrives is what
-- was sent. GEVENT_SPEC_SEED repeats one storm, GEVENT_SPEC_STORMS is their number.

local helper = require "helper"
local tls = require "helper_tls"
local gevent = require "gevent"
local it = helper.it

local STORMS = tonumber(os.getenv "GEVENT_SPEC_STORMS") or 12
local only = tonumber(os.getenv "GEVENT_SPEC_SEED")

local contexts = {}
local function context(side, version)
  local key = side .. version
  if not contexts[key] then
    contexts[key] = tls[side] {maximum_version = version}
    if side == "server" then
      contexts[key]:set_servername_callback(function(sock)
        gevent.sleep(0)
        local case = math.random(40)
        if case == 1 then sock:close() end
        if case == 2 then error "the callback fails" end
        return case == 3 and false or nil
      end)
    end
  end
  return contexts[key]
end

local PATTERN = ("0123456789abcdef"):rep(20000)

-- Bytes arrive in order. One reader at a time: one that has read much lets others
-- run before it returns.
local function read(e, ...)
  if e.reading then return end
  e.reading = true
  local done = false
  local _ <close> = helper.defer(function()
    e.reading = false
    if not done then e.mixed = true end
  end)
  local data = e.sock:recv(...)
  done = true
  if not data or e.mixed then return end
  local at = e.got % 16
  if data ~= PATTERN:sub(at + 1, at + #data) then
    error(("wrong data after %d: %q"):format(e.got, data:sub(1, 32)))
  end
  e.got = e.got + #data
end

-- One writer at a time, who goes on where the last has stopped; if he did not
-- come to his end, only he knows where that is.
local function write(e)
  if e.writing then return end
  e.writing = true
  local at, n, sent = e.put % 16, math.random(200000), false
  local _ <close> = helper.defer(function()
    e.writing = false
    if not sent then e.other.mixed = true end
  end)
  e.put = e.put + n
  sent = e.sock:sendall(PATTERN:sub(at + 1, at + n), 0.05)
end

-- Each takes an end: `{sock =, server =, version =}`.
local actions = {
  function(e) e.sock:do_handshake(0.05) end,
  function(e) e.sock:do_handshake() end,
  function(e) read(e, math.random(70000)) end,
  function(e) read(e, math.random(1000), 0.01) end,
  write,
  function(e) e.sock:session() end,
  function(e) e.sock:getpeercert() end,
  function(e) return e.sock:getpeerchain(true), e.sock:cipher(), e.sock:version() end,
  function(e) return tostring(e.sock), e.sock:selected_alpn_protocol() end,
  function() collectgarbage "step" end,
  function() gevent.sleep(math.random() / 200) end,
}

local function unwrap(e)
  e.mixed = true
  local plain = e.sock:unwrap(0.05)
  if plain then e.sock = plain end
end

local function wrap(e) -- TLS in TLS, or again
  e.mixed, e.other.mixed = true, true
  local opts = {timeout = 0.05, server_side = e.server or nil,
    server_hostname = not e.server and "localhost" or nil}
  local inner = context(e.server and "server" or "client", e.version):wrap_socket(e.sock, opts)
  if inner then
    e.kept[#e.kept + 1] = e.sock
    e.sock = inner
  end
end

-- Both ends do it.
local function both(f)
  return function(e)
    local other = gevent.spawn(pcall, f, e.other)
    local _ <close> = helper.defer(function() other:kill() end)
    f(e)
    other:join()
  end
end

local rare = {
  function(e) e.sock:close() end,
  function(e) e.sock:shutdown(math.random(2) == 1 and "w" or "rw") end,
  unwrap, wrap, both(unwrap), both(wrap), both(unwrap), both(wrap),
  function() collectgarbage() end,
}

-- What may be raised: two that do the same at once, a peer's callback.
local function expected(message)
  message = tostring(message)
  return message:find "already" or message:find "the callback fails" or
    message:find "nil value %(method" -- of a plain socket, after unwrap
end

local function storm(seed)
  math.randomseed(seed)
  local version = math.random(2) == 1 and "TLSv1.2" or "TLSv1.3"
  local a, b = (math.random(2) == 1 and helper.pair or helper.tcp_pair)()
  local kept = {a, b}
  local one = {server = false, version = version, got = 0, put = 0, kept = kept}
  local two = {server = true, version = version, got = 0, put = 0, kept = kept, other = one}
  one.other = two
  if math.random(3) > 1 then
    one.sock, two.sock = tls.pair {over = function() return a, b end,
      client = context("client", version), server = tls.server {maximum_version = version}}
  else
    one.sock = assert(context("client", version):wrap_socket(a,
      {server_hostname = "localhost", do_handshake = false}))
    two.sock = assert(context("server", version):wrap_socket(b,
      {server_side = true, do_handshake = false}))
  end
  local problems, greenlets = {}, {}
  for i = 1, 8 do
    local e = i % 2 == 0 and one or two
    greenlets[i] = gevent.spawn(function()
      for _ = 1, 30 do
        local list = math.random(40) == 1 and rare or actions
        local ok, message = pcall(list[math.random(#list)], e)
        if not ok and tostring(message) == "GreenletExit" then error(message, 0) end
        if not ok and not expected(message) then problems[#problems + 1] = tostring(message) end
        gevent.sleep(0)
      end
    end)
  end
  for _ = 1, 5 do
    gevent.sleep(math.random() / 80)
    greenlets[math.random(#greenlets)]:kill()
  end
  for _, e in ipairs {one, two} do e.sock:close() end
  gevent.joinall(greenlets)
  for _, e in ipairs {one, two} do e.sock:close() end
  for _, sock in ipairs(kept) do sock:close() end
  if problems[1] then
    error(("seed %d: %s"):format(seed, table.concat(problems, "\n")), 0)
  end
end

describe("a storm over TLS sockets", function()
  it("breaks nothing", function()
    for seed = only or 1, only or STORMS do storm(seed) end
    local client, server = tls.pair()
    client:sendall "fine"
    assert.equal("fine", server:recv(4))
    client:close()
    server:close()
  end, {deadline = 10 + STORMS})
end)
