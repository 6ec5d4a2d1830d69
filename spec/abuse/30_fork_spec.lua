-- fork: the child goes on with a loop of its own, the parent as if nothing had
-- happened. A child process has no descriptors but those that it was given.

local helper = require "helper"
local fileobject = require "gevent.fileobject"
local gevent = require "gevent"
local gos = require "gevent.os"
local socket = require "gevent.socket"
local subprocess = require "gevent.subprocess"
local it = helper.it

local Popen, PIPE, DEVNULL = subprocess.Popen, subprocess.PIPE, subprocess.DEVNULL

--- Runs a program that forks; it complains by assert, in both processes. Its
-- first argument is how slow things may be. LeakSanitizer takes the parent's threads
-- for the child's, and what libuv had allocated for a request for a leak.
local function run(code)
  local opts = {args = {helper.scale}, env = {
    ASAN_OPTIONS = (os.getenv "ASAN_OPTIONS" or "") .. ":detect_leaks=0",
  }}
  local status, out, err = helper.run_lua([[
    local gevent = require "gevent"
    local gos = require "gevent.os"
    local socket = require "gevent.socket"
    local function child_ends(pid)
      local which, code = gos.waitpid(pid, 20)
      assert(which == pid and code == 0, tostring(code))
    end
  ]] .. code, opts)
  assert.equal("", err)
  assert.equal(0, status)
  return out
end

--- A test that forks while threads of the pool are at work. AddressSanitizer's
-- allocator does not stand that: a lock that such a thread holds is never released in
-- the child.
local function it_with_threads(name, body)
  if os.getenv "GEVENT_SPEC_MODE" ~= "asan" then it(name, body) end
end

describe("the child of a fork", function()
  it("has a hub that works: timers, greenlets, sockets, look-ups, files", function()
    local out = run [[
      local before = gevent.spawn(gevent.sleep, 0.01)
      gevent.sleep(0.001)
      local pid = gevent.fork()
      if pid == 0 then
        gevent.sleep(0.001)
        assert(gevent.spawn(function() gevent.sleep(0.001) return "v" end):get() == "v")
        local a, b = socket.socketpair()
        local g = gevent.spawn(a.recv, a, 10)
        gevent.sleep(0)
        b:send("child")
        assert(g:get() == "child")
        assert(socket.getaddrinfo("localhost", 80))
        local file = require "gevent.fileobject".open("/dev/null")
        assert(file:read("a") == "")
        assert(require "gevent.subprocess".call "exit 3" == 3)
        local grandchild = gevent.fork()
        if grandchild == 0 then os.exit(5) end
        assert(select(2, gos.waitpid(grandchild)) == 5)
        print "child"
        os.exit(0)
      end
      child_ends(pid)
      before:join()
      print "parent"
    ]]
    assert.equal("child\nparent\n", out)
  end)

  it("does not run the parent's greenlets, nor what closes them", function()
    local out = run [[
      local log = {}
      local function work(name)
        local _ <close> = setmetatable({}, {__close = function()
          if gos.getpid() ~= PARENT then print "closed in the child" end
        end})
        for i = 1, 20 do
          gevent.sleep(0.001)
          if gos.getpid() ~= PARENT then print("runs in the child", name) end
        end
        log[#log + 1] = name
      end
      PARENT = gos.getpid()
      local list = {gevent.spawn(work, "a"), gevent.spawn_later(0.002, work, "b"),
        gevent.Greenlet(work, "c")}
      local inner = gevent.spawn(require "gevent.coroutine".wrap(work), "inner")
      local joiner = gevent.spawn(gevent.joinall, list)
      gevent.sleep(0.003)
      local pid = gevent.fork()
      if pid == 0 then
        assert(list[1].dead and list[2].dead and not list[3].dead)
        assert(gevent.isinstance(list[1]:get(), gevent.GreenletExit))
        assert(list[1]:join() and joiner.dead)
        gevent.sleep(0.05)
        collectgarbage()
        collectgarbage()
        assert(gevent.get_hub():stats().greenlets == 0)
        os.exit(0, true)
      end
      gevent.joinall {list[1], list[2], inner}
      assert(#log == 3)
      child_ends(pid)
      print "end"
    ]]
    assert.equal("end\n", out)
  end)

  it_with_threads("leaves the parent's sockets, timers and poll handles alone", function()
    run [[
      local a, b = socket.socketpair()
      local got = gevent.spawn(function() return a:recv(10), a:recv(10) end)
      local late = gevent.spawn(function() gevent.sleep(0.05) return "late" end)
      local looked_up = gevent.spawn(socket.getaddrinfo, "localhost", 80)
      gevent.sleep(0)
      local pid = gevent.fork()
      if pid == 0 then
        a:close()
        b:close()
        for _ = 1, 3 do
          local c, d = socket.socketpair()
          d:send("x")
          assert(c:recv(1) == "x")
        end
        os.exit(0, true)
      end
      child_ends(pid)
      b:send("one")
      gevent.sleep(0.001)
      b:send("two")
      local one, two = got:get()
      assert(one == "one" and two == "two")
      assert(late:get() == "late")
      assert(#looked_up:get() > 0)
    ]]
  end)

  it("can go on with a socket, a listener, a Timeout of the parent's", function()
    run [[
      local listener = socket.create_server("127.0.0.1:0")
      local _, port = listener:getsockname()
      local a, b = socket.socketpair()
      assert(not a:recv(1, 0.001)) -- now it has a poll handle
      local timeout = gevent.Timeout.start_new(0.3 * arg[1])
      local pid = gevent.fork()
      if pid == 0 then
        local client = assert(socket.create_connection("127.0.0.1", port))
        local served = assert(listener:accept(10))
        served:sendall("from the child")
        served:close()
        assert(client:read("a") == "from the child")
        assert(b:send("x") and a:recv(1) == "x")
        local ok, err = pcall(gevent.sleep, 60)
        assert(not ok and rawequal(err, timeout))
        os.exit(0)
      end
      timeout:close()
      child_ends(pid)
    ]]
  end)

  it("may be made by a greenlet, while main waits", function()
    local out = run [[
      local a, b = socket.socketpair()
      local pid
      gevent.spawn(function()
        gevent.sleep(0.001)
        pid = gevent.fork()
        b:send(pid == 0 and "c" or "p")
      end)
      local byte = a:recv(1) -- in both: whose, is not known
      if pid == 0 then os.exit(0) end
      child_ends(pid)
      print(#byte)
    ]]
    assert.equal("1\n", out)
  end)

  it_with_threads("of a loop with requests and files under way", function()
    run [[
      local fileobject = require "gevent.fileobject"
      local path = os.tmpname()
      for round = 1, 10 do
        local file = assert(fileobject.open(path, "w"))
        local writer = gevent.spawn(function() file:write(("x"):rep(100000)) end)
        local reader = gevent.spawn(socket.getaddrinfo, "localhost", round)
        gevent.sleep(0)
        local pid = gevent.fork()
        if pid == 0 then
          file = nil
          collectgarbage()
          local null = assert(fileobject.open("/dev/null"))
          assert(null:read("a") == "") -- threads of its own do this
          os.exit(0, true)
        end
        child_ends(pid)
        writer:get()
        reader:get()
        file:close()
        assert(#assert(io.open(path)):read("a") == 100000)
      end
      os.remove(path)
    ]]
  end)

  it("looks names up, and has thread pools, though the parent has used them", function()
    run [[
      local ThreadPool = require "gevent.threadpool".ThreadPool
      local pool = ThreadPool(2)
      assert(socket.getaddrinfo("localhost", 80))
      assert(pool:apply("math", "max", 1, 2) == 2)
      gevent.sleep(0.01) -- the threads are idle, and hold no lock
      local pid = gevent.fork()
      if pid == 0 then
        assert(socket.getaddrinfo("localhost", 81))
        assert(pool:apply("math", "max", 1, 3) == 3)
        local own = ThreadPool(1)
        assert(own:apply("math", "max", 1, 4) == 4)
        os.exit(0, true)
      end
      child_ends(pid)
      assert(socket.getaddrinfo("localhost", 82))
      assert(pool:apply("math", "max", 1, 5) == 5)
    ]]
  end)

  it("does not write again what the parent has collected", function()
    local out = run [[
      local fileobject = require "gevent.fileobject"
      local path = os.tmpname()
      local file = assert(fileobject.open(path, "w"))
      file:setvbuf("full")
      file:write("once ")
      io.write("io's too ")
      local pid = gevent.fork()
      if pid == 0 then os.exit(0, true) end
      child_ends(pid)
      file:close()
      print(io.open(path):read("a"))
      os.remove(path)
    ]]
    assert.equal("io's too once \n", out)
  end)

  it("has its signal handlers, and Ctrl-C", function()
    run [[
      local caught = 0
      gevent.signal_handler("USR1", function() caught = caught + 1 end)
      local pid = gevent.fork()
      if pid == 0 then
        gos.kill(gos.getpid(), "USR1")
        while caught == 0 do gevent.sleep(0.001) end
        gevent.spawn(function() gos.kill(gos.getpid(), "INT") end)
        local ok, err = pcall(gevent.sleep, 60)
        assert(not ok and tostring(err):find "interrupted!")
        os.exit(0)
      end
      child_ends(pid)
      assert(caught == 0)
    ]]
  end)

  -- It was once written to the parent's pipe, or to none, which ends the process.
  it("gets a signal that comes at once, and the parent does not", function()
    run [[
      local gsignal = require "gevent.signal"
      local mine, handled = gos.getpid(), 0
      gsignal.signal("USR1", function() handled = handled + 1 end)
      gevent.sleep(0)
      for i = 1, 40 do
        local pid = gos.fork()
        if pid == 0 then
          local limit = gevent.Timeout.start_new(20)
          while handled == 0 do gevent.sleep(0.001) end
          limit:close()
          os.exit(handled)
        end
        assert(gos.kill(pid, "USR1"))
        local _, code = gos.waitpid(pid, 20)
        assert(code == 1, code)
      end
      gevent.sleep(0.01)
      assert(handled == 0 and gos.getpid() == mine)
    ]]
  end)

  it("waits for none of the parent's children", function()
    run [[
      local subprocess = require "gevent.subprocess"
      local p = subprocess.Popen("read x; exit 4", {stdin = subprocess.PIPE})
      local pid = gevent.fork()
      if pid == 0 then
        assert(select(3, p:wait()) == "ECHILD")
        assert(select(3, gos.waitpid(p.pid)) == "ECHILD")
        os.exit(0, true)
      end
      child_ends(pid)
      assert(p:poll() == nil)
      p.stdin:close()
      assert(p:wait() == 4)
    ]]
  end)

  it("runs on in the main chunk, and its end is the script's", function()
    local out = run [[
      gevent.sleep(0)
      local pid = gevent.fork()
      gevent.sleep(0.001)
      if pid ~= 0 then child_ends(pid) end
      print(pid == 0 and "child" or "parent")
    ]]
    assert.equal("child\nparent\n", out)
  end)

  it("may be made before there is a loop, in rows and nested", function()
    run [[
      local pids = {}
      for i = 1, 20 do
        pids[i] = assert(gevent.fork())
        if pids[i] == 0 then
          local inner = gevent.fork()
          if inner == 0 then gevent.sleep(0.001) os.exit(i) end
          os.exit(select(2, gos.waitpid(inner)))
        end
      end
      for i = 20, 1, -1 do
        local pid, code = gos.waitpid(pids[i])
        assert(pid == pids[i] and code == i)
      end
      assert(select(3, gos.waitpid(-1)) == "ECHILD")
    ]]
  end)

  it("that others have made begins with reinit", function()
    assert.has_no.errors(gevent.reinit) -- here it does nothing
    local g = helper.spawn_blocked(function() return gevent.sleep(0.01) end)
    gos.reinit()
    assert.is_true(g:join(10))
  end)
end)

-- Child processes --------------------------------------------------------------------

-- The numbers of the descriptors that a child has; 3 is the directory itself.
local function inherited(opts)
  opts.stdout, opts.stdin, opts.stderr = PIPE, DEVNULL, DEVNULL
  local p <close> = assert(Popen({"ls", "/proc/self/fd"}, opts))
  local fds = {}
  for fd in p:communicate():gmatch("%d+") do fds[#fds + 1] = tonumber(fd) end
  return fds
end

describe("the descriptors of a child process", function()
  it("are those that it was given, and no others", function()
    local open <close> = assert(io.open("/dev/null")) -- not close-on-exec
    local a <close>, b = helper.pair()
    local _b <close> = b
    assert.same({0, 1, 2, 3}, inherited {})
    local number = require "gevent._core".fileno(open)
    local all = inherited {close_fds = false}
    local found = false
    for _, fd in ipairs(all) do found = found or fd == number end
    assert.is_true(found, "its flag was changed")
    local passed = inherited {pass_fds = {a}}
    table.sort(passed)
    assert.equal(a:fileno(), passed[#passed])
    assert.same({0, 1, 2, 3}, inherited {})
  end)

  it("are not the loop's, nor those of sockets, timers and files in use", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    local listener <close> = assert(socket.create_server("127.0.0.1:0"))
    local dgram <close> = assert(socket.socket("inet", "dgram"))
    local file <close> = assert(fileobject.open("/dev/zero"))
    local greenlets = {gevent.spawn(a.recv, a, 1), gevent.spawn(listener.accept, listener),
      gevent.spawn(gevent.sleep, 60)}
    assert(file:read(1) and dgram:bind("127.0.0.1", 0))
    gevent.sleep(0.001)
    for _ = 1, 3 do assert.same({0, 1, 2, 3}, inherited {}) end
    for _, g in ipairs(greenlets) do assert.is_false(g:ready()) end
    b:sendall("x")
    assert.equal("x", greenlets[1]:get())
    gevent.killall(greenlets)
  end)
end)
