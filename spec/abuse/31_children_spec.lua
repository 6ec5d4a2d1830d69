-- Child processes by the thousand, ended before they are waited for, killed, never waited
-- for, or never begun: each has its status, and none stays as a zombie.

local helper = require "helper"
local faults = require "helper_faults"
local gevent = require "gevent"
local slope = require "helper_slope"
local subprocess = require "gevent.subprocess"
local it = helper.it

local pack = table.pack
local Popen, PIPE = subprocess.Popen, subprocess.PIPE
local MIB = 1 << 20

local function wait_no_zombies()
  helper.wait_until(function() return helper.zombies() == 0 end, 20)
end

-- Each way of dealing with a child, and the status that it has, if it is asked for.
local ways = {
  ["waited for"] = function()
    assert.equal(3, assert(Popen("exit 3")):wait())
  end,
  ["ended before it is waited for"] = function()
    local p = assert(Popen("exit 3"))
    helper.wait_until(function() return p:poll() end, 20)
    assert.equal(3, p:wait())
  end,
  ["killed before it is waited for"] = function()
    local p = assert(Popen {"sleep", "60"})
    p:kill()
    assert.equal(-9, p:wait())
  end,
  ["killed twice, and after its end"] = function()
    local p = assert(Popen {"sleep", "60"})
    p:terminate()
    p:kill()
    assert.is_true(p:wait() < 0)
    p:kill()
    p:terminate()
  end,
  ["killed while others wait for it"] = function()
    local p = assert(Popen {"sleep", "60"})
    local waiters = {}
    for i = 1, 3 do waiters[i] = gevent.spawn(p.wait, p) end
    gevent.sleep(0)
    waiters[1]:kill()
    p:kill()
    assert.equal(-9, waiters[2]:get())
    assert.equal(-9, waiters[3]:get())
  end,
  ["never begun"] = function()
    local p, message, code = Popen {"/no/such/program"}
    assert.same({n = 3, nil, message, "ENOENT"}, pack(p, message, code))
    assert.equal("EACCES", (select(3, Popen {"/etc/passwd"})))
    assert.equal("ENOENT", (select(3, Popen({"true"}, {cwd = "/no/such/directory"}))))
  end,
  ["closed with its pipes full"] = function()
    local p = assert(Popen("exec cat /dev/zero", {stdin = PIPE, stdout = PIPE}))
    assert(p.stdout:recv(1) == "\0")
    p:kill()
    p:close()
  end,
  ["never waited for, and collected"] = function()
    assert(Popen("exit 3", {stdout = PIPE}))
    collectgarbage()
  end,
  ["given up at a time-out"] = function()
    local p = assert(Popen({"cat"}, {stdin = PIPE}))
    assert.equal("timeout", (select(3, p:wait(0.001))))
    p:close()
  end,
  ["the end of a script that is killed by the kernel's rules"] = function()
    assert.equal(-11, assert(Popen("kill -SEGV $$")):wait())
    assert.equal(-6, assert(Popen("kill -ABRT $$")):wait())
  end,
}

describe("a child", function()
  for name, run in pairs(ways) do
    it(name .. " has its status and is no zombie", function()
      run()
      collectgarbage()
      wait_no_zombies()
    end, {deadline = 30})
  end

  it("that is given a MiB and gives it back, on all pipes, is never waited for in vain",
    function()
      local text = ("0123456789abcdef"):rep(MIB // 16)
      local list = {}
      for i = 1, 5 do
        list[i] = gevent.spawn(function()
          local p <close> = assert(Popen("tee /dev/stderr", {stdin = PIPE, stdout = PIPE,
            stderr = PIPE}))
          return p:communicate(text)
        end)
      end
      for _, g in ipairs(list) do
        local out, err = g:get()
        assert.is_true(out == text and err == text)
      end
      wait_no_zombies()
    end, {deadline = 30})

  faults.cases {
    {"that cannot be made for want of processes is an error, and the next is made",
      {"clone,clone3,fork,vfork:error=EAGAIN:when=1"}, [[
        local subprocess = require "gevent.subprocess"
        local p, message, code = subprocess.Popen {"true"}
        assert(not p and code == "EAGAIN", message)
        assert(subprocess.call {"true"} == 0)
      ]]},
  }
end)

describe("many children", function()
  -- In a process of its own: to fork a large one takes long.
  it("in a row leave nothing behind", function()
    local code, out, err = helper.run_lua([[
      local helper = require "helper"
      local subprocess = require "gevent.subprocess"
      local Popen, PIPE = subprocess.Popen, subprocess.PIPE
      local fds = helper.open_fds()
      for i = 1, tonumber(arg[1]) do
        local p = assert(Popen({"true"}, {stdin = PIPE, stdout = PIPE}))
        if i % 3 == 0 then
          p:communicate()
        elseif i % 3 == 1 then
          p:close()
        end -- and every third is forgotten
        if i % 50 == 0 then collectgarbage() end
      end
      collectgarbage()
      collectgarbage()
      helper.wait_until(function() return helper.zombies() == 0 end, 30)
      helper.wait_all_blocked()
      for fd in pairs(helper.open_fds()) do assert(fds[fd], fd) end
      print "end"
    ]], {args = {math.max(100, 1000 // helper.scale)}, timeout = 50})
    assert.same({0, "end\n", ""}, {code, out, err})
  end, {deadline = 120})

  it("at once each end with their own code", function()
    local list = {}
    for i = 1, 100 do list[i] = assert(Popen("read x; exit " .. i, {stdin = PIPE})) end
    for _, p in ipairs(list) do p.stdin:close() end
    assert.equal(100, #gevent.wait(list))
    for i = 1, 100 do assert.equal(i, list[i].returncode) end
    assert.equal(0, helper.zombies())
  end, {deadline = 60})

  it("that nobody holds are reaped when they end", function()
    for _ = 1, 10 do assert(Popen("exit 1")) end
    collectgarbage()
    collectgarbage()
    helper.wait_until(function() return helper.zombies() == 0 end)
  end)

  it("of others are not reaped", function()
    local theirs = assert(io.popen("exit 3"))
    for _ = 1, 3 do subprocess.call {"true"} end
    gevent.sleep(0.01)
    assert.same({n = 3, nil, "exit", 3}, pack(theirs:close()))
  end)

  it("do not keep a program from ending", function()
    local code, _, err = helper.run_lua [[
      local subprocess = require "gevent.subprocess"
      local quiet = {stdout = subprocess.DEVNULL, stderr = subprocess.DEVNULL}
      subprocess.Popen({"sleep", "10"}, quiet)
      require "gevent".spawn(subprocess.call, {"sleep", "10"}, quiet)
      require "gevent".sleep(0)
      print "end"
    ]]
    assert.equal("", err)
    assert.equal(0, code)
  end)
end)

for _, name in ipairs {"waited for", "never begun", "killed before it is waited for"} do
  slope.it("a child " .. name, function()
    return ways[name], wait_no_zombies
  end, {times = 40})
end
