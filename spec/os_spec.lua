-- gevent.os: descriptors that are nobody's object, and waitpid. fork is in abuse/30_fork.

local helper = require "helper"
local gevent = require "gevent"
local gos = require "gevent.os"
local subprocess = require "gevent.subprocess"
local it = helper.it

local pack = table.pack

--- A path that exists for the time of one test.
local function temporary()
  return setmetatable({path = os.tmpname()},
    {__close = function(self) os.remove(self.path) end})
end

helper.battery("nb_read", function()
  local r, w = assert(gos.pipe())
  return {
    call = function(timeout) return gos.nb_read(r, 100, timeout) end,
    release = function() gos.nb_write(w, "data") end,
    takes_timeout = true,
    fname = "wait_read",
    expect = function(...) assert.same({n = 1, "data"}, pack(...)) end,
    cleanup = function() gos.close(r) gos.close(w) end,
  }
end)

helper.battery("nb_write", function()
  local r, w = assert(gos.pipe())
  while gos.nb_write(w, ("x"):rep(65536), 0) do assert(true) end
  return {
    call = function(timeout) return gos.nb_write(w, "data", timeout) end,
    release = function() gos.nb_read(r, 65536) end,
    takes_timeout = true,
    fname = "wait_write",
    expect = function(...) assert.same({n = 1, 4}, pack(...)) end,
    cleanup = function() gos.close(r) gos.close(w) end,
  }
end)

describe("gevent.os", function()
  it("reads and writes descriptors that block", function()
    local t <close> = temporary()
    local theirs = assert(io.popen("cat >" .. t.path, "w"))
    assert.equal(4, gos.nb_write(theirs, "text"))
    local big, total = ("x"):rep(300000), 0
    while total < #big do
      total = total + gos.nb_write(theirs, big:sub(total + 1))
    end
    assert.is_true(gos.make_nonblocking(theirs), "it does not block any more")
    theirs:close()
    assert.equal(300004, #helper.slurp(t.path))
  end)

  it("reads what is there, to the end", function()
    local r, w = assert(gos.pipe())
    assert.equal(5, gos.nb_write(w, "12345"))
    assert.equal("123", gos.nb_read(r, 3))
    assert.equal("45", gos.nb_read(r, 3))
    assert.same({n = 3, nil, "timed out", "timeout"}, pack(gos.nb_read(r, 1, 0)))
    assert.is_true(gos.close(w))
    assert.equal("", gos.nb_read(r, 3))
    assert.is_false(gos.make_nonblocking(r))
    assert.is_true(gos.close(r))
    assert.equal("EBADF", (select(3, gos.close(r))))
    assert.equal("EBADF", (select(3, gos.nb_read(r, 1))))
    assert.equal("EBADF", (select(3, gos.make_nonblocking(r))))
  end)

  it("knows the number of the process", function()
    local f <close> = assert(io.open("/proc/self/stat"))
    assert.equal(f:read("n"), gos.getpid())
  end)

  it("refuses what is no descriptor", function()
    for _, bad in ipairs {-1, 1.5, "x", {}, true} do
      assert.error(function() gos.nb_read(bad, 1) end)
      assert.error(function() gos.make_nonblocking(bad) end)
    end
    assert.error(function() gos.nb_read(0, -1) end)
    assert.error(function() gos.nb_read(0, 1, -1) end)
    assert.error(function() gos.nb_write(1, "", "soon") end)
  end)
end)

-- waitpid: of what is ours, and nothing else -------------------------------------------

-- A child that ends with code 7 when it is told to.
local function forked()
  local r, w = assert(gos.pipe())
  local pid = assert(gevent.fork())
  if pid == 0 then
    gos.close(w)
    pcall(gos.nb_read, r, 1, 60) -- whatever comes, it goes no further
    os.exit(7)
  end
  gos.close(r)
  return pid, function()
    if w then gos.close(w) end
    w = nil
  end
end

helper.battery("waitpid", function()
  local pid, let_go = forked()
  return {
    call = function(timeout)
      if not pid then pid, let_go = forked() let_go() end
      local ended, code = gos.waitpid(pid, timeout)
      if not ended then return ended, code, "timeout" end
      pid = nil
      return code
    end,
    release = function() let_go() end,
    takes_timeout = true,
    expect = function(...) assert.same({n = 1, 7}, pack(...)) end,
    cleanup = function()
      let_go()
      if pid then gos.waitpid(pid) end
    end,
  }
end)

describe("waitpid", function()
  it("gives the number and the returncode, once", function()
    local pid = gos.fork()
    if pid == 0 then os.exit(3) end
    assert.same({n = 2, pid, 3}, pack(gos.waitpid(pid)))
    assert.same({n = 3, nil, "no child process", "ECHILD"}, pack(gos.waitpid(pid)))
    pid = gos.fork()
    if pid == 0 then
      gos.kill(gos.getpid(), "KILL")
      os.exit(1)
    end
    assert.same({n = 2, pid, -9}, pack(gos.waitpid(pid)))
  end)

  it("waits for any of fork's, and for none of the others", function()
    local p = assert(subprocess.Popen("read x", {stdin = subprocess.PIPE}))
    local theirs = assert(io.popen("exit 3"))
    local first, let_first_go = forked()
    local second, let_second_go = forked()
    assert.same({nil, "timed out", "timeout", n = 3}, pack(gos.waitpid(-1, 0)))
    let_second_go()
    assert.same({n = 2, second, 7}, pack(gos.waitpid(-1)))
    let_first_go()
    assert.same({n = 2, first, 7}, pack(gos.waitpid(-1, 10 * helper.scale)))
    assert.equal("ECHILD", (select(3, gos.waitpid(-1))))
    assert.same({n = 3, nil, "exit", 3}, pack(theirs:close()))
    p.stdin:close()
    assert.same({n = 2, p.pid, 1}, pack(gos.waitpid(p.pid)))
    assert.equal(1, p.returncode)
  end)

  it("knows what is no child", function()
    assert.same({n = 3, nil, "no child process", "ECHILD"}, pack(gos.waitpid(1)))
    for _, bad in ipairs {0, -2, 1.5, "x", {}} do
      assert.error(function() gos.waitpid(bad) end)
    end
    assert.error(function() gos.waitpid(1, -1) end)
  end)

  it("is not needed: what has ended leaves no zombie", function()
    local pid = gos.fork()
    if pid == 0 then os.exit(2) end
    helper.wait_until(function()
      return not (helper.slurp("/proc/" .. pid .. "/stat") or ""):find "%) [^Z]"
        and not (helper.slurp("/proc/" .. pid .. "/stat") or ""):find "%) Z"
    end)
    assert.same({n = 2, pid, 2}, pack(gos.waitpid(pid)))
  end)
end)
