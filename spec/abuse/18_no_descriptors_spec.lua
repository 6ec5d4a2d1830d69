-- Too few descriptors, buffers, memory of the system's: an error, or a wait that keeps no
-- processor busy, told of once; and all goes on when there are some again.

local helper = require "helper"
local faults = require "helper_faults"
local gevent = require "gevent"
local process = require "helper_process"
local server = require "gevent.server"
local socket = require "gevent.socket"
local subprocess = require "gevent.subprocess"
local it = helper.it
local plain = faults.plain

describe("a fault of the system", function()
  faults.cases {
    {"connections that died in the queue do not end a server",
      {"accept4:error=ECONNABORTED:when=1+2", "accept4:error=EPROTO:when=2+8"}, [[
        local srv <close> = start()
        for _ = 1, 10 do exchange(connect(srv), 1000) end
        assert(#log == 0, log[1])
      ]]},
    {"too little of anything at accept passes",
      {"accept4:error=ENFILE:when=1..3"}, [[
        local srv <close> = start()
        for _ = 1, 5 do exchange(connect(srv), 1000) end
        assert(#log == 1 and log[1]:find("file table overflow"), log[1])
      ]]},
    {"an address that cannot be had is an error of connect",
      {"connect:error=EADDRNOTAVAIL:when=1", "socket:error=EMFILE:when=4"}, [[
        local srv <close> = start()
        local sock, message, code = socket.create_connection("127.0.0.1", srv.port)
        assert(not sock and code == socket.EADDRNOTAVAIL, message)
        exchange(connect(srv), 1000)
      ]]},
    {"no route to the first address leads to the second",
      {"connect:error=ENETUNREACH:when=1"}, [[
        local srv <close> = start()
        local list = {}
        for i = 1, 2 do
          list[i] = {family = "inet", type = "stream", host = "127.0.0.1",
            port = srv.port}
        end
        gevent.get_hub().resolver = {getaddrinfo = function() return list end}
        local sock = assert(socket.create_connection("a name", srv.port))
        exchange(sock, 1000)
      ]]},
    {"no descriptor for a socket is an error, and passes",
      {"socket:error=EMFILE:when=1..3"}, [[
        local function code(...) return (select(3, ...)) end
        assert(code(socket.socket()) == "EMFILE")
        assert(code(socket.create_connection("127.0.0.1", 1)) == "EMFILE")
        assert(code(socket.create_server("127.0.0.1:0")) == "EMFILE")
        local srv <close> = start()
        exchange(connect(srv), 1000)
      ]]},
  }

  local ENDLESS = {"EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EPROTO", "EPERM"}
  local function endless(name, cost)
    return function()
      local counts = faults.run({"accept4:error=" .. name}, [[
        local srv <close> = start()
        local a <close> = connect(srv)
        local turns = 0
        gevent.spawn(function() -- the others are served meanwhile
          while srv.started do
            gevent.sleep(0.01)
            turns = turns + 1
          end
        end)
        gevent.sleep(0.3)
        assert(turns > 3 and #log == 1 and srv.started)
      ]])
      assert.is_true(counts.accept4 >= 2, "accept4: " .. counts.accept4)
      assert.is_true(counts.accept4 <= 10 * cost, "accept4: " .. counts.accept4)
    end
  end
  for _, name in ipairs(ENDLESS) do
    local title = ("%s at every accept makes a server wait longer each time")
      :format(name)
    if faults.tracing then
      it(title, endless(name, name == "EPROTO" and 16 or 1), {deadline = 40})
    else
      pending(title .. " (needs strace, plain)")
    end
  end
end)

describe("a process without descriptors", function()
  -- A loop needs some; each number of them less than that is met here.
  local name = "gets an error from the first call that blocks"
  if not plain then return pending(name .. " (plain)") end
  it(name, function()
    local failed, worked = 0, 0
    for limit = 4, 16 do
      local code, out, err = helper.run_lua([[
        local gevent = require "gevent"
        local ok, err = pcall(gevent.sleep, 0.001)
        print(ok, err)
      ]], {under = ("sh -c 'ulimit -n %d && exec \"$@\"' sh"):format(limit)})
      assert.same({0, ""}, {code, err}, "limit " .. limit)
      if out == "true\tnil\n" then
        worked = worked + 1
      else
        assert.matches("cannot start the event loop: too many open files", out, 1, true)
        failed = failed + 1
      end
    end
    assert.is_true(failed > 0 and worked > 0)
  end)

  it("can go on when there are some again", function()
    local code, out, err = helper.run_lua([[
      local gevent = require "gevent"
      local files = {}
      while true do
        local file = io.open "/dev/null"
        if not file then break end
        files[#files + 1] = file
      end
      for free = 1, 3 do -- not enough for a loop, in different ways
        files[#files]:close()
        files[#files] = nil
        assert(not pcall(gevent.sleep, 0.001), free)
      end
      for _, file in ipairs(files) do file:close() end
      gevent.sleep(0.001)
      print "ok"
    ]], {under = [[sh -c 'ulimit -n 40 && exec "$@"' sh]]})
    assert.same({0, "ok\n", ""}, {code, out, err})
  end)
end)

describe("too few descriptors", function()
  it("are told of once, to a function too, which may fail", function()
    for _, failing in ipairs {false, true} do
      local log, failures = {}, 3
      local srv <close> = server.StreamServer("127.0.0.1:0", function(sock)
        sock:sendall("ok")
      end, {error_log = function(text)
        log[#log + 1] = text
        if failing then error("the log is full") end
      end})
      assert(srv:start())
      local listener = srv.socket
      srv.socket = {accept = function(_, ...)
        failures = failures - 1
        if failures >= 0 then return nil, "too many open files", "EMFILE" end
        return listener:accept(...)
      end}
      helper.wait_until(function() return failures <= 0 end)
      srv.socket = listener
      local sock <close> = assert(socket.create_connection("127.0.0.1", srv.port))
      assert.equal("ok", sock:read("a"))
      assert.equal(1, #log)
      assert.matches("accept: too many open files$", log[1])
    end
  end)

  it("may make its log stop the server, which lets its handlers finish", function()
    local began, finished, stopped = helper.gate(), false, nil
    local srv
    srv = server.StreamServer("127.0.0.1:0", function()
      began:open()
      gevent.sleep(0.01)
      finished = true
    end, {error_log = function() stopped = pcall(srv.stop, srv, 5 * helper.scale) end})
    assert(srv:start())
    local sock <close> = assert(socket.create_connection("127.0.0.1", srv.port))
    began:wait()
    local listener = srv.socket
    local close = function() return listener:close() end
    srv.socket = {close = close, accept = function()
      return nil, "too many open files", "EMFILE"
    end}
    local other <close> = assert(socket.create_connection("127.0.0.1", srv.port))
    helper.wait_until(function() return stopped ~= nil end)
    assert.same({true, true, true}, {stopped, finished, srv.closed})
    assert.equal("", sock:read("a"))
    assert.is_true(other ~= nil)
  end)

  it("make the server wait, not spin; it goes on when there are some",
    function()
      local code, out, err = helper.run_lua([[
        if not os.getenv "LIMITED" then
          local lua = os.getenv "GEVENT_SPEC_LUA" or arg[-1]
          os.exit((select(3, os.execute("ulimit -n 40; LIMITED=1 exec " .. lua
            .. " " .. arg[0]))))
        end
        local gevent = require "gevent"
        local socket = require "gevent.socket"
        local server = require "gevent.server"
        local served, gate = 0, gevent.Greenlet(function() end)
        local log = {}
        local srv = server.StreamServer("127.0.0.1:0", function(sock)
          served = served + 1
          gate:join()
          sock:sendall("ok")
        end, {error_log = {write = function(_, text) log[#log + 1] = text end}})
        srv:start()
        -- The clients take every descriptor but those that are kept back:
        -- nothing can be accepted until these are given up.
        srv:stop_accepting()
        local clients, kept = {}, {}
        for i = 1, 6 do kept[i] = socket.socket() end
        while true do
          local sock = socket.create_connection("127.0.0.1", srv.port)
          if not sock then break end
          clients[#clients + 1] = sock
        end
        srv:start_accepting()
        gevent.sleep(0.05)
        local used = os.clock()
        gevent.sleep(0.3)
        local spun = os.clock() - used
        local before = served
        for _, sock in ipairs(kept) do sock:close() end
        gate:start()
        local got = 0
        for _, sock in ipairs(clients) do
          if sock:read("a") == "ok" then got = got + 1 end
          sock:close()
        end
        print(#clients > 10, before == 0, got == #clients,
          served == #clients, spun < 0.1, #log >= 1 and #log < 5)
        io.write(log[1]:find("too many open files", 1, true) and "" or log[1])
        srv:stop()
      ]])
      assert.same({0, "true\ttrue\ttrue\ttrue\ttrue\ttrue\n", ""},
        {code, out, err})
    end)
end)

describe("a server with 64 descriptors", function()
  it("serves 200 clients in the end, and the first one meanwhile", function()
    local script = os.tmpname()
    local _ <close> = helper.defer(function() os.remove(script) end)
    local file <close> = assert(io.open(script, "w"))
    file:write [[
      local server = require "gevent.server"
      local log = {}
      local srv = server.StreamServer("127.0.0.1:0", function(sock)
        for line in sock:lines("L") do sock:sendall(line) end
      end, {error_log = {write = function(_, text) log[#log + 1] = text end}})
      assert(srv:start())
      print(srv.port)
      io.stdout:flush()
      require "gevent.fileobject".stdin:read("a")
      print(#log, log[1])
      srv:stop(0)
    ]]
    file:close()
    local child <close> = assert(subprocess.Popen("ulimit -n 64; "
      .. process.command(script), {stdin = subprocess.PIPE, stdout = subprocess.PIPE}))
    local port = math.tointeger(tonumber(child.stdout:read("l")))
    local function connect()
      local sock = assert(socket.create_connection("127.0.0.1", port))
      sock:settimeout(20 * helper.scale)
      return sock
    end
    local first <close> = connect()
    local served, gate = 0, helper.gate()
    local function client()
      local sock <close> = connect()
      assert(sock:sendall("x\n"))
      assert(sock:read("l") == "x")
      served = served + 1
      gate:wait()
    end
    local list = {}
    for i = 1, 200 do list[i] = gevent.spawn(client) end
    helper.wait_until(function() return served >= 40 end, 20) -- no more has room
    for _ = 1, 10 do
      assert(first:sendall("open\n"))
      assert.equal("open", first:read("l"))
    end
    gate:open()
    gevent.joinall(list, nil, {raise_error = true})
    assert.equal(200, served)
    child.stdin:close()
    local count, message = child.stdout:read("n", "l")
    assert.is_true(count >= 1 and count < 20, tostring(count))
    assert.matches("too many open files", message, 1, true)
    assert.equal(0, child:wait(20 * helper.scale))
  end, {deadline = 60})
end)
