-- gevent.os: descriptors that are nobody's object.

local helper = require "helper"
local gos = require "gevent.os"
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
