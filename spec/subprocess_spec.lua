-- Child processes: started, talked to, waited for, killed, and never left as
-- zombies.

local helper = require "helper"
local gevent = require "gevent"
local fileobject = require "gevent.fileobject"
local gos = require "gevent.os"
local subprocess = require "gevent.subprocess"
local it = helper.it

local pack = table.pack
local Popen, PIPE = subprocess.Popen, subprocess.PIPE
local STDOUT, DEVNULL = subprocess.STDOUT, subprocess.DEVNULL

-- A child that ends with code 7 when its input does.
local function waiter()
  return assert(Popen("read line; exit 7", {stdin = PIPE}))
end

-- Every blocking call --------------------------------------------------------

helper.battery("wait", function()
  local p = waiter()
  return {
    call = function(timeout) return p:wait(timeout) end,
    release = function() p.stdin:close() end,
    takes_timeout = true,
    expect = function(...) assert.same({n = 1, 7}, pack(...)) end,
    cleanup = function() p:close() end,
  }
end)

helper.battery("communicate", function()
  local r, w = assert(gos.pipe())
  local p = assert(Popen({"cat"}, {stdin = r, stdout = PIPE}))
  gos.close(r)
  gos.nb_write(w, "text")
  return {
    call = function(timeout) return p:communicate(nil, timeout) end,
    fname = "join", -- of the nursery of its readers
    release = function()
      if w then gos.close(w) end
      w = nil
    end,
    takes_timeout = true,
    timeout_result = function(...)
      local results = pack(...)
      assert.same({nil, "timed out", "timeout"}, {table.unpack(results, 1, 3)})
      assert.is_truthy(("text"):find(results[4].stdout, 1, true))
    end,
    expect = function(...) assert.same({n = 2, "text"}, pack(...)) end,
    cleanup = function()
      if w then gos.close(w) end
      p:kill()
      p:close()
    end,
  }
end)

-- Ends ---------------------------------------------------------------------------

describe("a child", function()
  it("ends with its exit code", function()
    for _, code in ipairs {0, 1, 77, 255} do
      local p = assert(Popen({"sh", "-c", "exit " .. code}))
      assert.equal(code, p:wait())
      assert.equal(code, p.returncode)
      assert.equal(code, p:poll())
      assert.equal(code, p:wait(0))
    end
  end)

  it("has -signal as returncode when it was killed", function()
    for name, expected in pairs {terminate = -15, kill = -9} do
      local p = waiter()
      assert.is_nil(p:poll())
      assert.is_nil(p.returncode)
      assert.is_true(p[name](p))
      assert.equal(expected, p:wait())
      assert.is_true(p[name](p)) -- of one that has ended: nothing
      assert.equal(expected, p:close())
    end
    local p = waiter()
    assert.is_true(p:send_signal(0))
    assert.is_true(p:send_signal("USR1"))
    assert.equal(-10, p:wait())
    p:close()
  end)

  it("is seen to end by poll alone, without a turn of the loop", function()
    local p = assert(Popen({"true"}))
    local deadline = helper.now() + 5 * helper.scale
    while p:poll() == nil do assert.is_true(helper.now() < deadline) end
    assert.equal(0, p.returncode)
  end)

  it("can be waited for by many, and by gevent.wait", function()
    local p = waiter()
    local waits = {}
    for i = 1, 5 do waits[i] = gevent.spawn(p.wait, p) end
    local watcher = gevent.spawn(gevent.wait, {p})
    helper.wait_all_blocked()
    p.stdin:close()
    for i = 1, 5 do assert.equal(7, waits[i]:get()) end
    assert.equal(p, watcher:get()[1])
    assert.equal(7, p.returncode)
  end)

  it("that runs keeps the loop alive, for wait and iwait", function()
    local a = assert(Popen("exit 1"))
    local b = assert(Popen("exit 2"))
    local codes = {}
    for p in gevent.iwait({a, b}) do codes[p.returncode] = true end
    assert.same({true, true}, codes)
    local c = assert(Popen("sleep 0.05"))
    assert.is_true(gevent.wait())
    assert.equal(0, c.returncode)
  end, {deadline = false})

  it("shows what it is", function()
    local p = waiter()
    assert.matches("^<Popen at 0x%x+: pid %d+ running>$", tostring(p))
    p:close()
    assert.matches("^<Popen at 0x%x+: pid %d+ returncode 7>$", tostring(p))
    assert.is_true(p.stdin.closed)
  end)
end)

-- Starting -------------------------------------------------------------------------

describe("Popen", function()
  it("takes a list, or a string for the shell", function()
    assert.equal("a b $x\n", subprocess.check_output {"echo", "a b", "$x"})
    assert.equal("3\n", subprocess.check_output "echo $((1 + 2))")
    assert.equal("one two\n", subprocess.check_output({'echo "$0" "$1"', "one", "two"},
      {shell = true}))
    assert.equal("x\n", subprocess.check_output({"other", "-c", "echo x"},
      {executable = "/bin/sh"}))
    assert.equal("12\n", subprocess.check_output {"echo", 12})
  end)

  it("gives it a directory and an environment", function()
    assert.equal("/\n", subprocess.check_output("pwd", {cwd = "/"}))
    assert.equal("[value][]\n", subprocess.check_output(
      'echo "[$NAME][$HOME]"', {env = {NAME = "value"}}))
    assert.equal(os.getenv("HOME") .. "\n", subprocess.check_output "echo $HOME")
  end)

  it("fails with the error of the exec, and leaves nothing", function()
    assert.same({n = 3, nil, "/nonexistent/program: no such file or directory",
      "ENOENT"}, pack(Popen({"/nonexistent/program"}, {stdin = PIPE, stdout = PIPE})))
    assert.same({n = 3, nil, "/nonexistent: no such file or directory", "ENOENT"},
      pack(Popen({"true"}, {cwd = "/nonexistent"})))
    assert.equal("EACCES", (select(3, Popen({"/"}))))
    for _, name in ipairs {"run", "call", "check_call", "check_output"} do
      assert.equal("ENOENT", (select(3, subprocess[name]({"/nonexistent/program"}))))
    end
    assert.equal(0, helper.zombies())
  end)

  it("refuses what is no command, no option", function()
    for _, bad in ipairs {{}, {1, {}}, {"a\0b"}, 12, true} do
      assert.error_matches(function() Popen(bad) end, "argument #1 to 'Popen'")
    end
    assert.error(function() Popen() end)
    for _, bad in ipairs {
      {colour = "red"}, {cwd = 1}, {stdout = "x"}, {stdout = {}}, {stdin = STDOUT},
      {stdout = STDOUT}, {env = {["a=b"] = "c"}}, {env = {a = {}}}, {timeout = 1}, 5,
    } do
      assert.error_matches(function() Popen({"true"}, bad) end, "argument #2 to 'Popen'")
    end
    assert.error(function() subprocess.run({"cat"}, {input = "x", stdin = PIPE}) end)
    assert.error(function() subprocess.run({"cat"}, {timeout = -1}) end)
    assert.error(function() subprocess.run({"cat"}, {input = 5}) end)
    local p <close> = waiter()
    assert.error(function() p:send_signal("SIGNONE") end)
    assert.error(function() p:send_signal(1000) end)
    assert.error(function() p:communicate(1) end)
    assert.error(function() p:communicate("", -1) end)
  end)

  it("starts it with its signals reset", function()
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      local signal = require "gevent.signal"
      signal.signal("SIGUSR1", signal.SIG_IGN)
      signal.signal("SIGUSR2", function() end)
      local out = require "gevent.subprocess".check_output {"cat", "/proc/self/status"}
      for mask in out:gmatch("Sig%a%a%a:%s*(%x+)") do
        io.write(tonumber(mask, 16) & 0x7fffffff, " ") -- the C library has others
      end
    ]]
    assert.equal(0, code, err)
    assert.equal("0 0 0 0 ", out:sub(-8))
  end)

  it("in a session of its own, if asked to", function()
    local out = subprocess.check_output("cut -d' ' -f1,6 /proc/self/stat; :",
      {start_new_session = true})
    local shell = subprocess.check_output("cut -d' ' -f6 /proc/$$/stat; echo $$",
      {start_new_session = true})
    assert.matches("^%d+ %d+\n$", out)
    local session, pid = shell:match("^(%d+)\n(%d+)\n$")
    assert.equal(pid, session)
  end)
end)

-- Descriptors ------------------------------------------------------------------------

describe("the descriptors of a child", function()
  it("may be files of io, of ours, sockets, numbers", function()
    local path = os.tmpname()
    local theirs = assert(io.open(path, "w"))
    assert.equal(0, subprocess.call({"echo", "io"}, {stdout = theirs}))
    theirs:close()
    local ours = assert(fileobject.open(path, "a"))
    assert.equal(0, subprocess.call({"echo", "ours"}, {stdout = ours}))
    ours:write("after\n")
    ours:close()
    assert.equal("io\nours\nafter\n", helper.slurp(path))
    local input <close> = assert(io.open(path))
    assert.equal("io\nours\nafter\n", subprocess.check_output({"cat"}, {stdin = input}))
    os.remove(path)

    local a, b = helper.pair()
    assert.equal(0, subprocess.call("echo socket; echo error >&2",
      {stdout = a, stderr = a:fileno()}))
    a:close()
    assert.equal("socket\nerror\n", b:read("a"))
    b:close()
  end)

  it("may be one pipe for both, or nothing", function()
    local p <close> = assert(Popen("echo out; echo err >&2",
      {stdout = PIPE, stderr = STDOUT}))
    local out, err = p:communicate()
    assert.equal("out\nerr\n", out)
    assert.is_nil(err)
    local q <close> = assert(Popen("cat; echo lost; echo lost >&2; echo seen >&3",
      {stdin = DEVNULL, stdout = DEVNULL, stderr = DEVNULL}))
    assert.is_nil(q.stdout)
    assert.is_true(q:wait() ~= nil)
  end)

  it("that are sockets of ours do not block us afterwards", function()
    local a, b = helper.pair()
    assert.equal(0, subprocess.call({"true"}, {stdin = a}))
    local g = helper.spawn_blocked(function() return a:recv(10) end)
    b:send("late")
    assert.equal("late", g:get())
    a:settimeout(0)
    assert.equal("timeout", (select(3, a:recv(1))))
    a:close()
    b:close()
  end)

  it("that are pipes of ours do not block us afterwards", function()
    local first = assert(Popen("read x; echo $x", {stdin = PIPE, stdout = PIPE}))
    local second = assert(Popen({"cat"}, {stdin = first.stdout, stdout = PIPE}))
    local third = assert(Popen("exit 0", {stdin = first.stdout}))
    third:wait()
    local reader = helper.spawn_blocked(function()
      first.stdout:settimeout(0.001)
      return first.stdout:recv(1)
    end)
    assert.is_nil((reader:get()))
    first.stdout:close()
    first.stdin:write("through two\n")
    first.stdin:close()
    assert.equal("through two\n", (second:communicate()))
    assert.equal(0, first:close())
    assert.equal(0, second:close())
  end)

  it("give an error when there are none left", function()
    local code, out, err = helper.run_lua [[
      local subprocess = require "gevent.subprocess"
      local PIPE = subprocess.PIPE
      local gos = require "gevent.os"
      assert(subprocess.call {"true"} == 0)
      local fds = {}
      while true do
        local fd = io.open("/dev/null")
        if not fd then break end
        fds[#fds + 1] = fd
      end
      for left = 0, 12 do
        local p, _, code = subprocess.Popen({"cat"},
          {stdin = PIPE, stdout = PIPE, stderr = PIPE})
        if p then
          assert(p:communicate("x") == "x")
          p:close()
          print("at last")
          break
        end
        assert(code == "EMFILE", code)
        fds[#fds]:close()
        fds[#fds] = nil
      end
    ]]
    assert.equal("at last\n", out, err)
    assert.equal(0, code)
  end)
end)
