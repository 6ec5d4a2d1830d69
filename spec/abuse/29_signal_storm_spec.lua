-- Signals by the thousand, and calls that they interrupt: nothing is lost, no call sees
-- EINTR, and Ctrl-C is raised in main alone.

local helper = require "helper"
local faults = require "helper_faults"
local gevent = require "gevent"
local gos = require "gevent.os"
local subprocess = require "gevent.subprocess"
local it = helper.it

local function kill(name) assert(gos.kill(gos.getpid(), name)) end

local function wait_for(condition) helper.wait_until(condition, 20) end

local CALLS = "recvfrom,recvmsg,sendto,sendmsg,accept4,connect"

describe("a call that is interrupted", function()
  faults.cases {
    {"while it waits: EINTR is not seen", {"epoll_wait,epoll_pwait:error=EINTR:when=2+2"}, [[
      local srv <close> = start()
      for _ = 1, 5 do exchange(connect(srv), 20000) end
      local monotonic = require "gevent.time".monotonic
      local before = monotonic()
      gevent.sleep(0.02)
      assert(monotonic() - before >= 0.02)
      local a, b = socket.socketpair()
      gevent.spawn_later(0.01, b.sendall, b, "x")
      local r = require "gevent.select".select({a}, nil, nil, 5)
      assert(r[1] == a)
    ]]},
    {"at work: EINTR is not seen", {CALLS .. ":error=EINTR:when=1+2"}, [[
      local srv <close> = start()
      for _ = 1, 5 do exchange(connect(srv), 20000) end
      local a, b = socket.socket("inet", "dgram"), socket.socket("inet", "dgram")
      a:bind("127.0.0.1", 0)
      assert(b:connect(a:getsockname()) and b:send("one") == 3)
      assert(a:recvfrom(10) == "one")
      local c, d = socket.socketpair()
      assert(c:sendfds("x", {a}) == 1)
      assert(#select(2, d:recvfds(1)) == 1)
      local file = io.tmpfile()
      file:write("text")
      file:flush()
      assert(c:sendfile(file) == 4 and d:recv(10) == "text")
    ]]},
  }
end)

describe("a storm of signals", function()
  it("loses no byte of what is served meanwhile, and no call sees EINTR", function()
    local server_side, client = helper.pair()
    local caught, sent = 0, 2000
    local handler = gevent.signal_handler("USR1", function() caught = caught + 1 end)
    local echo = gevent.spawn(function()
      while true do
        local line, _, code = server_side:read("L")
        if not line then return code end
        assert(server_side:sendall(line))
      end
    end)
    local storm = gevent.spawn(function()
      for i = 1, sent do
        kill "USR1"
        if i % 20 == 0 then gevent.sleep(0) end
      end
    end)
    for i = 1, 500 do
      assert(client:sendall(i .. "\n"))
      assert.equal(tostring(i), client:read())
    end
    storm:get()
    client:close()
    assert.equal("closed", echo:get())
    server_side:close()
    wait_for(function() return caught == sent end)
    handler:cancel()
  end)
end)

describe("ten thousand signals of others", function()
  it("while bytes, processes and timers come: all of these come", function()
    local n = math.max(500, math.floor(10000 / helper.scale))
    local caught = 0
    local handler = gevent.signal_handler("USR1", function() caught = caught + 1 end)
    local _ <close> = helper.defer(function() handler:cancel() end)
    -- A shell of its own, which sends them as fast as it can.
    local script = ("i=0; while [ $i -lt %d ]; do kill -USR1 %d; i=$((i+1)); done")
      :format(n, gos.getpid())
    local storm <close> = assert(subprocess.Popen(script))
    local a, b = helper.pair()
    local echo = gevent.spawn(function()
      for line in b:lines("L") do assert(b:sendall(line)) end
    end)
    local rounds = 0
    repeat
      rounds = rounds + 1
      assert(a:sendall(rounds .. "\n"))
      assert.equal(tostring(rounds), a:read("l"))
      if rounds % 50 == 0 then
        assert.equal(3, subprocess.call "exit 3")
        gevent.sleep(0.001)
      end
    until storm:poll() and rounds >= 100
    assert.equal(0, storm.returncode)
    wait_for(function() return caught > 0 end) -- the system unites those that are pending
    a:close()
    echo:get()
    b:close()
  end, {deadline = 60})

  it("and of children that end: each is told of, with its code", function()
    local list = {}
    for i = 1, 40 do list[i] = assert(subprocess.Popen("exit " .. i)) end
    local handler = gevent.signal_handler("USR1", function() end)
    for _ = 1, 500 do
      kill "USR1"
      gevent.sleep(0)
    end
    for i, p in ipairs(list) do
      assert.equal(i, p:wait(20 * helper.scale))
      p:close()
    end
    handler:cancel()
  end, {deadline = 60})
end)

describe("Ctrl-C", function()
  it("is raised in main while a greenlet computes or waits, and again", function()
    local code, out, err = helper.run_lua([[
      local gevent = require "gevent"
      local a, b = require "gevent.socket".socketpair()
      local other = gevent.spawn(function()
        print "one"
        io.stdout:flush()
        gevent.spawn(function() print "two" io.stdout:flush() end)
        return a:recv(1)
      end)
      for i = 1, 2 do
        local ok, err = pcall(gevent.sleep, 60)
        assert(not ok and tostring(err):find("interrupted!", 1, true), err)
        gevent.spawn(function() print "again" io.stdout:flush() end)
      end
      assert(not other:ready())
      b:sendall("x")
      assert(other:get() == "x")
      print "end"
    ]], {signals = {{after = "one", name = "INT"}, {after = "again", name = "INT"}}})
    assert.equal(0, code, err)
    assert.matches("end\n$", out)
  end)
end)
