-- What a process may find around it: a wall clock that jumps, a full disk, closed
-- standard streams.
local helper = require "helper"
local faults = require "helper_faults"
local it = helper.it

local function runs(program, opts)
  local code, out, err = helper.run_lua(program .. " print 'ok'", opts)
  assert.same({0, "ok\n", ""}, {code, out, err})
end

describe("a wall clock that jumps by an hour at each look", function()
  local preload = faults.preload "clock"
  teardown(function() if preload then os.remove(preload) end end)

  local function unmoved(name, program)
    if not preload then return pending(name .. " (needs cc, plain)") end
    it(name, function()
      runs(program, {env = {LD_PRELOAD = preload}})
    end, {deadline = 30})
  end

  unmoved("is really one", [[
    local least, most = math.huge, 0
    for _ = 1, 6 do
      local now = os.time()
      least, most = math.min(least, now), math.max(most, now)
    end
    assert(most - least >= 3600)
  ]])

  unmoved("does not move timers, time-outs, or what waits for others", [[
    local gevent = require "gevent"
    local monotonic = require "gevent.time".monotonic
    local start = monotonic()
    local sleepers = {}
    for i = 1, 20 do sleepers[i] = gevent.spawn(gevent.sleep, i / 200) end
    assert(select(3, gevent.with_timeout(0.05, gevent.sleep, 1000)) == "timeout")
    assert(not require "gevent.event".Event():wait(0.05))
    gevent.joinall(sleepers)
    local seconds = monotonic() - start
    assert(seconds >= 0.1 and seconds < 1000, seconds)
  ]])

  unmoved("does not end connections of the HTTP server", [[
    local http, socket = require "gevent.http", require "gevent.socket"
    local srv <close> = http.Server("127.0.0.1:0", function() return "hello" end,
      {log = false, keepalive_timeout = 60, header_timeout = 60})
    assert(srv:start())
    local sock <close> = assert(socket.create_connection("127.0.0.1", srv.port))
    for _ = 1, 20 do
      assert(sock:sendall("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
      assert(sock:readuntil("hello"))
      require "gevent".sleep(0.002)
    end
  ]])

  unmoved("does not end a look-up, nor what is kept of it", [[
    local socket = require "gevent.socket"
    for _ = 1, 5 do assert(socket.getaddrinfo("localhost", 80)) end
  ]])
end)

describe("a full disk", function()
  if not io.open("/dev/full", "w") then return pending("needs /dev/full") end

  it("as the log harms neither hub nor server", function()
    runs [[
      local gevent = require "gevent"
      local http, socket = require "gevent.http", require "gevent.socket"
      local full = assert(io.open("/dev/full", "w"))
      full:setvbuf("no")
      gevent.get_hub().exception_stream = full
      gevent.spawn(error, "not to be printed"):join()
      local srv <close> = http.Server("127.0.0.1:0", function(req)
        if req.path == "/fail" then error "an error" end
        return "hello"
      end, {log = full, error_log = full})
      assert(srv:start())
      for _, path in ipairs{"/fail", "/", "/fail", "/"} do
        local sock <close> = assert(socket.create_connection("127.0.0.1", srv.port))
        sock:sendall("GET " .. path .. " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        local status = assert(sock:read("l"))
        assert(status:find(path == "/" and " 200 " or " 500 ", 1, true), status)
      end
    ]]
  end)
end)

describe("closed standard streams", function()
  it("are nobody else's: not the loop's, which libuv would abort for, nor a socket's", function()
    local path = os.tmpname()
    local code = helper.run_lua(([[
      local gevent, socket = require "gevent", require "gevent.socket"
      local a, b = assert(socket.socketpair())
      gevent.spawn(function() b:sendall("over low descriptors") end)
      assert(a:fileno() > 2 and b:fileno() > 2)
      local ok = a:readexactly(20) == "over low descriptors"
      io.stderr:write("nowhere")
      io.stdout:write("nowhere"):flush()
      a:settimeout(0)
      b:settimeout(0)
      ok = ok and not a:recv(1) and not b:recv(1)
      gevent.spawn(error, "nor this"):join()
      gevent.sleep(0.001)
      local file <close> = io.open(%q, "w")
      file:write(ok and "ok" or "not ok")
    ]]):format(path), {under = [[sh -c 'exec "$@" 0<&- 1>&- 2>&-' sh]]})
    local text = helper.slurp(path)
    os.remove(path)
    assert.same({0, "ok"}, {code, text})
  end)
end)
