-- gevent.workers: a supervisor and what it looks after. Each test is a program of
-- its own, whose main greenlet supervises, and whose other ones are the clients.

local helper = require "helper"
local socket = require "gevent.socket"
local StreamServer = require "gevent.server".StreamServer
local workers = require "gevent.workers"
local it = helper.it

-- `arg[1]` is how slow things may be. The program complains by assert.
local PRELUDE = [[
  local gevent = require "gevent"
  local gos = require "gevent.os"
  local socket = require "gevent.socket"
  local workers = require "gevent.workers"
  local StreamServer = require "gevent.server".StreamServer
  local scale = tonumber(arg[1])

  local function until_(condition)
    local limit = gevent.Timeout.start_new(10 * scale)
    while not condition() do gevent.sleep(0.002) end
    limit:close()
  end

  -- What the server at that port has to say; nil, message, code.
  local function ask(port, word)
    local sock <close>, message, code = socket.create_connection("127.0.0.1", port)
    if not sock then return nil, message, code end
    sock:settimeout(10 * scale)
    sock:sendall((word or "pid") .. "\n")
    return sock:read("a")
  end

  local function is_there(pid) return gos.kill(pid, 0) == true end

  local answers = {
    pid = function() return tostring(gos.getpid()) end,
    die = function() os.exit(3) end,
    hang = function() gevent.sleep(1000) end,
    slow = function() gevent.sleep(0.1) return "slow" end,
  }
  local function handle(sock)
    sock:sendall(answers[sock:read("l")]())
  end

  local log = {}
  local function logged(text)
    for _, line in ipairs(log) do
      if line:find(text, 1, true) then return true end
    end
  end

  local function supervisor(body, opts)
    opts.log = opts.log == nil and function(line) log[#log + 1] = line end or opts.log
    return workers.Supervisor(body, opts)
  end

  -- Workers with a server on one listener; the supervisor, and its port.
  local function serving(n, opts)
    opts = opts or {}
    opts.workers = n
    local before = opts.before
    opts.before = nil
    local listener = assert(socket.create_server("127.0.0.1:0"))
    local _, port = listener:getsockname()
    return supervisor(function(worker)
      if before then before(worker) end
      worker:serve(StreamServer(listener, handle))
    end, opts), port
  end
]]

local function run(code, opts)
  local status, out, err = helper.run_lua(PRELUDE .. code, {
    args = {helper.scale}, signals = opts and opts.signals,
    env = {ASAN_OPTIONS = (os.getenv "ASAN_OPTIONS" or "") .. ":detect_leaks=0"},
  })
  assert.equal(opts and opts.err or "", err)
  assert.equal(0, status)
  return out
end

describe("a server with workers", function()
  it("serves from several processes, none of which is the supervisor", function()
    run [[
      local server = StreamServer("127.0.0.1:0", function(sock)
        sock:sendall(gos.getpid() .. "\n")
        sock:recv(1)
      end, {workers = 2, spawn = 1}) -- who has a client takes no other
      gevent.spawn(function()
        until_(function() return server.started end)
        local seen = {}
        for i = 1, 2 do
          local sock = assert(socket.create_connection("127.0.0.1", server.port))
          local pid = assert(sock:read("l"))
          assert(pid ~= tostring(gos.getpid()) and not seen[pid])
          seen[pid] = sock
        end
        for _, sock in pairs(seen) do sock:close() end
        server:stop()
        assert(server.closed and not server.started)
        assert(ask(server.port) == nil)
      end)
      assert(server:serve_forever() == true)
    ]]
  end)

  it("has a listener for each where that is wanted", function()
    run [[
      local server = StreamServer("127.0.0.1:0", handle, {workers = 2, reuse_port = true})
      gevent.spawn(function()
        until_(function() return server.started end)
        local seen, n = {}, 0
        until_(function()
          local pid = assert(ask(server.port))
          if not seen[pid] then n = n + 1 end
          seen[pid] = true
          return n == 2
        end)
        server:stop()
      end)
      assert(server:serve_forever())
    ]]
  end)

  it("speaks HTTP", function()
    run [[
      local http = require "gevent.http"
      local server = http.Server("127.0.0.1:0", function(req) return req.path end,
        {workers = 2})
      gevent.spawn(function()
        until_(function() return server.started end)
        local sock = assert(socket.create_connection("127.0.0.1", server.port))
        sock:sendall("GET /a HTTP/1.0\r\n\r\n")
        assert(sock:read("a"):find("\r\n\r\n/a", 1, true))
        server:stop(1)
      end)
      assert(server:serve_forever())
    ]]
  end)

  it("says that the address cannot be had, and has no start", function()
    local listener <close> = assert(socket.create_server("127.0.0.1:0"))
    local host, port = listener:getsockname()
    local server = StreamServer(host .. ":" .. port, print, {workers = 2})
    assert.equal("EADDRINUSE", (select(3, server:serve_forever())))
    assert.error_matches(function() server:start() end, "serve_forever")
    for _, bad in ipairs {0, 1.5, "2"} do
      assert.error_matches(function() StreamServer(0, print, {workers = bad}) end, "workers")
    end
  end)
end)

describe("a supervisor", function()
  it("starts again what ends, whichever way", function()
    run [[
      local boss, port = serving(1)
      gevent.spawn(function()
        local first = assert(ask(port))
        ask(port, "die")
        local second
        until_(function() second = ask(port) return second and second ~= "" end)
        assert(second ~= first)
        gos.kill(tonumber(second), "KILL")
        until_(function()
          local third = ask(port)
          return third and third ~= "" and third ~= second
        end)
        assert(logged "worker 1 (pid" and logged "exit code 3" and logged "signal 9")
        boss:stop()
      end)
      assert(boss:run())
    ]]
  end)

  it("waits longer each time for one that does not last", function()
    run [[
      local boss
      boss = supervisor(function(worker) worker:ready() end, {})
      gevent.spawn(function()
        until_(function() return #log >= 3 end)
        for i = 1, 3 do assert(log[i]:find("again in " .. 0.1 * 2 ^ (i - 1), 1, true)) end
        boss:stop()
      end)
      assert(boss:run())
    ]]
  end)

  it("gives up where a first worker ends before it is ready", function()
    run [[
      local boss = supervisor(function(worker)
        if worker.number == 2 then os.exit(9) end
        worker:wait()
      end, {workers = 3})
      local ok, message, code = boss:run()
      assert(ok == nil and code == "worker")
      assert(message == "worker 2 ended before it was ready (exit code 9)", message)
      assert(#boss:pids() == 0)
    ]]
  end)

  it("kills who is not ready in time", function()
    run [[
      local boss = supervisor(function() gevent.sleep(1000) end, {start_timeout = 0.05})
      local ok, message = boss:run()
      assert(ok == nil and message:find("signal 9", 1, true))
      assert(logged "is not ready after 0.05 s: killed")
    ]]
  end)

  it("prints what a worker failed of", function()
    local _, out, err = helper.run_lua(PRELUDE .. [[
      print((select(2, workers.run(function() error "broken" end))))
    ]], {args = {helper.scale}})
    assert.matches("<worker 1 pid %d+> failed: .-: broken\nstack traceback:\n", err)
    assert.not_matches("workers.lua", err)
    assert.equal("worker 1 ended before it was ready (exit code 1)\n", out)
  end)

  it("stops by SIGTERM and SIGINT, after what is under way", function()
    for _, name in ipairs {"TERM", "INT"} do
      local out = run([[
        local boss, port = serving(2, {notify = function(what)
          print(what)
          io.stdout:flush()
        end})
        gevent.spawn(function()
          local slow = gevent.spawn(ask, port, "slow")
          local pids
          until_(function() pids = boss:pids() return #pids == 2 end)
          assert(slow:get() == "slow")
          until_(function() return not boss.running end)
          for _, pid in ipairs(pids) do assert(not is_there(pid)) end
          print "none is left"
        end)
        assert(boss:run())
        gevent.sleep(0.01)
        print "end"
      ]], {signals = {{after = "ready", name = name}}})
      assert.equal("ready\nstopping\nnone is left\nend\n", out)
    end
  end)

  it("kills who does not stop in time, or at once at the second Ctrl-C", function()
    run [[
      local boss, port = serving(1, {grace = 0.05,
        before = function(worker) worker.grace = 1000 end})
      gevent.spawn(function()
        gevent.spawn(ask, port, "hang")
        assert(ask(port))
        boss:stop()
        assert(logged "has not stopped in time: killed")
      end)
      assert(boss:run())
    ]]
    run [[
      local boss, port = serving(1)
      gevent.spawn(function()
        gevent.spawn(ask, port, "hang")
        assert(ask(port))
        gos.kill(gos.getpid(), "INT")
        until_(function() return boss.stopping end)
        gos.kill(gos.getpid(), "INT")
      end)
      assert(boss:run())
    ]]
  end)

  it("replaces the workers, and refuses nobody meanwhile", function()
    run [[
      local states = {}
      local boss, port = serving(2, {notify = function(what)
        states[#states + 1] = what
      end})
      gevent.spawn(function()
        assert(ask(port))
        until_(function() return states[1] == "ready" end)
        local before = {}
        for _, pid in ipairs(boss:pids()) do before[pid] = true end
        local slow = gevent.spawn(ask, port, "slow")
        gos.kill(gos.getpid(), "HUP")
        local n = 0
        until_(function()
          n = n + 1
          assert(assert(ask(port)) ~= "")
          for pid in pairs(before) do
            if is_there(pid) then return false end
          end
          return true
        end)
        assert(slow:get() == "slow")
        until_(function() return #boss:pids() == 2 end)
        assert(table.concat(states, " ") == "ready reloading ready")
        boss:stop()
      end)
      assert(boss:run())
      assert(#log == 0, log[1])
    ]]
  end)

  it("keeps the old worker where the new one does not come up", function()
    run [[
      local path = os.tmpname()
      local boss, port = serving(1, {before = function()
        if assert(io.open(path)):read("a") == "bad" then os.exit(1) end
      end})
      gevent.spawn(function()
        local before = assert(ask(port))
        assert(io.open(path, "w")):write("bad"):close()
        boss:reload()
        until_(function() return logged "the former one stays" end)
        assert(ask(port) == before and is_there(tonumber(before)))
        assert(io.open(path, "w")):write("good"):close()
        boss:reload()
        until_(function() return not is_there(tonumber(before)) end)
        assert(ask(port) ~= before)
        os.remove(path)
        boss:stop()
      end)
      assert(boss:run())
    ]]
  end)

  it("hands signals on, which do nothing to who has no handler", function()
    local out = run [[
      local gsignal = require "gevent.signal"
      local ready = false
      local boss, port = serving(2, {before = function(worker)
        if worker.number == 2 then
          gsignal.signal("USR1", function()
            print "handled"
            io.stdout:flush()
          end)
        end
      end, notify = function(what) ready = what == "ready" end})
      gevent.spawn(function()
        until_(function() return ready end)
        local pids = table.concat(boss:pids(), " ")
        gos.kill(gos.getpid(), "USR1")
        gos.kill(gos.getpid(), "USR2")
        gevent.sleep(0.05)
        assert(table.concat(boss:pids(), " ") == pids)
        boss:stop()
      end)
      assert(boss:run())
    ]]
    assert.equal("handled\n", out)
  end)

  it("ends, and so do the workers, whatever ends it", function()
    local process = require "helper_process"
    local path = os.tmpname()
    local file <close> = assert(io.open(path, "w"))
    file:write(PRELUDE, [[
      local boss, port = serving(2, {notify = print})
      print(port)
      io.stdout:setvbuf("line")
      boss:run()
    ]])
    file:close()
    local subprocess = require "gevent.subprocess"
    local child <close> = assert(subprocess.Popen(process.command(path, {helper.scale}),
      {stdout = subprocess.PIPE}))
    local port = math.tointeger(child.stdout:read("l"))
    assert.equal("ready", child.stdout:read("l"))
    child:kill()
    child:wait()
    assert.equal("", child.stdout:read("a")) -- nobody has it any more
    assert.equal("ECONNREFUSED", (select(3, socket.create_connection("127.0.0.1", port))))
    os.remove(path)
  end)

  it("may be refused", function()
    for _, bad in ipairs {{workers = 0}, {workers = "2"}, {grace = -1},
        {start_timeout = 0 / 0}} do
      local name = next(bad)
      assert.error_matches(function() workers.Supervisor(print, bad) end,
        "bad argument #2 to 'Supervisor' %(" .. name .. ": ")
    end
    assert.error_matches(function() workers.Supervisor(1) end, "bad argument #1")
    assert.error_matches(function() workers.Supervisor(print, 1) end, "bad argument #2")
    local boss = workers.Supervisor(print)
    local gevent = require "gevent"
    local ok, err = gevent.spawn(pcall, boss.run, boss):get()
    assert.is_false(ok)
    assert.matches("only the main greenlet", err)
    assert.has_no.errors(function() boss:stop() end)
    assert.error(function() boss:stop(-1) end)
    assert.matches("^<Supervisor at .*: 0 of 1 workers>$", tostring(boss))
  end)
end)

describe("listen", function()
  it("gives one socket to all, or one to each", function()
    local one = assert(workers.listen("127.0.0.1:0", 3))
    assert.equal(3, #one)
    assert.is_true(rawequal(one[1], one[3]))
    one[1]:close()
    local many = assert(workers.listen("127.0.0.1:0", 3, {reuse_port = true}))
    local _, first = many[1]:getsockname()
    for i = 2, 3 do
      assert.is_false(rawequal(many[1], many[i]))
      assert.equal(first, (select(2, many[i]:getsockname())))
    end
    for _, sock in ipairs(many) do sock:close() end
    assert.equal("ENOENT", (select(3, workers.listen("unix:/nowhere/at/all", 2))))
  end)
end)
