-- Files: regular ones through the thread pool, pipes and terminals through the
-- loop; io's methods and results. What io does is asked of io itself.

local helper = require "helper"
local gevent = require "gevent"
local fileobject = require "gevent.fileobject"
local gos = require "gevent.os"
local it = helper.it

local pack = table.pack

--- A path that exists for the time of one test.
local function temporary(text)
  local path = os.tmpname()
  local f <close> = assert(io.open(path, "wb"))
  f:write(text or "")
  return setmetatable({path = path}, {__close = function() os.remove(path) end})
end

--- Two files on the ends of a pipe: reader, writer.
local function pipe()
  local r, w = assert(gos.pipe())
  return assert(fileobject.FileObject(r)), assert(fileobject.FileObject(w))
end

--- Fills a pipe until nothing more goes in.
local function fill(w)
  w:settimeout(0)
  while w:write(("x"):rep(65536)) do assert(true) end
  w:settimeout(nil)
end

-- Every blocking call --------------------------------------------------------

local function reading(method, ...)
  local arguments = pack(...)
  return function()
    local r, w = pipe()
    return {
      call = function(timeout)
        r:settimeout(timeout)
        return r[method](r, table.unpack(arguments, 1, arguments.n))
      end,
      release = function() w:write("one\n") end,
      expect = function(...) assert.same({n = 1, "one\n"}, pack(...)) end,
      cleanup = function() r:close() w:close() end,
    }
  end
end

helper.battery("read", reading("read", "L"))
helper.battery("recv", reading("recv", 100))
helper.battery("readuntil", reading("readuntil", "\n"))
helper.battery("readexactly", reading("readexactly", 4))

helper.battery("write", function()
  local r, w = pipe()
  fill(w)
  local taken = 0
  return {
    call = function(timeout)
      w:settimeout(timeout)
      return w:write("end")
    end,
    release = function() taken = taken + #r:read(65536) end,
    takes_timeout = true,
    timeout_result = function(...)
      assert.same(pack(nil, "timed out", "timeout", 0), pack(...))
    end,
    expect = function(...) assert.same({n = 1, w}, pack(...)) end,
    cleanup = function() r:close() w:close() end,
  }
end)

helper.battery("flush", function()
  local r, w = pipe()
  fill(w)
  return {
    call = function(timeout)
      w:settimeout(timeout)
      w:setvbuf("full", 1000000)
      w:write("end")
      return w:flush()
    end,
    release = function() r:read(65536) end,
    takes_timeout = true,
    expect = function(...) assert.same({n = 1, true}, pack(...)) end,
    cleanup = function() r:close() w:close() end,
  }
end)


-- Regular files, beside io -----------------------------------------------------

local TEXT = "first\n\nthird 12 -7.5e1 0x1F nan\nend without newline"

--- The results of the same calls on a file of ours and on one of io's.
local function compare(path, mode, calls)
  local ours <close> = assert(fileobject.open(path, mode))
  local theirs <close> = assert(io.open(path, mode))
  for i, call in ipairs(calls) do
    local got = pack(ours[call[1]](ours, table.unpack(call, 2)))
    local expected = pack(theirs[call[1]](theirs, table.unpack(call, 2)))
    if got[1] == ours then got[1] = theirs end
    if got[3] == "closed" then got = {n = expected.n} end -- io says just nil
    assert.same(expected, got, "call " .. i)
  end
end

describe("a regular file", function()
  it("is read as io reads it", function()
    local t <close> = temporary(TEXT)
    compare(t.path, "r", {
      {"read"}, {"read", "L"}, {"read", 6}, {"read", "n"}, {"read", "n", "n"},
      {"read", "n"}, {"read", "l"}, {"read", 0}, {"read", 4, "l", 1},
      {"read", 0}, {"read", "a"}, {"read", "a"}, {"read", "l"}, {"read", "n"},
    })
    compare(t.path, "rb", {{"read", "L", "l", "l", "l", "l"}, {"read", "a"}})
    compare(t.path, "r", {{"read", "*l", "*L"}, {"read", "*a"}})
  end)

  it("gives numbers as io does", function()
    local numerals = {
      "1", "-1", "+5", " \t\n 7", "0x10", "0xAp2", "0x.8", "1e3", "1e+3x",
      ".5", "5.", ".", "-", "0x", "1e", "1e+", "1..2", "--1", "nan", "inf", "",
      "9007199254740993", "99999999999999999999", ("1"):rep(200),
      ("1"):rep(201), "0x" .. ("f"):rep(20), "1 2", "12abc", "1,5", "\0001",
    }
    for _, numeral in ipairs(numerals) do
      local t <close> = temporary(numeral .. "|rest")
      compare(t.path, "r", {{"read", "n"}, {"read", "a"}})
      local bare <close> = temporary(numeral)
      compare(bare.path, "r", {{"read", "n"}, {"read", "a"}})
    end
  end)

  it("seeks as io does", function()
    local t <close> = temporary(TEXT)
    compare(t.path, "r", {
      {"seek"}, {"read", 3}, {"seek"}, {"seek", "cur", 2}, {"read", 3},
      {"seek", "end"}, {"read", 1}, {"seek", "end", -4}, {"read", "a"},
      {"seek", "set"}, {"read"}, {"seek", "set", 100000}, {"read", "a"},
      {"seek", "cur", -100000}, {"read", 2},
    })
    local f <close> = assert(fileobject.open(t.path))
    f:read(3)
    assert.same({nil, "invalid argument", "EINVAL", n = 3},
      pack(f:seek("set", -1)))
    assert.equal("st", f:read(2)) -- nothing has happened
    assert.error_matches(function() f:seek("up") end, "invalid option")
  end)

  it("is written as io writes it", function()
    for _, mode in ipairs {"w", "a", "r+", "w+", "a+", "wb", "r+b"} do
      local a <close> = temporary("0123456789")
      local b <close> = temporary("0123456789")
      local ours = assert(fileobject.open(a.path, mode))
      local theirs = assert(io.open(b.path, mode))
      for _, f in ipairs {ours, theirs} do
        assert.equal(f, f:write("abc", 12, "\n", 1.5))
        f:seek("set", 2)
        assert.equal(f, f:write("X"))
        assert.is_true(f:flush())
        assert.is_true(f:close())
      end
      assert.equal(helper.slurp(b.path), helper.slurp(a.path), mode)
    end
  end)

  it("writes where the reader is, not where it has read ahead to", function()
    local t <close> = temporary("one\ntwo\nthree\n")
    local f <close> = assert(fileobject.open(t.path, "r+"))
    assert.equal("one", f:read())
    f:write("TWO")
    assert.equal("\nthree\n", f:read("a"))
    assert.equal("one\nTWO\nthree\n", helper.slurp(t.path))
  end)

  it("has what was written in it when write returns", function()
    local t <close> = temporary()
    local f <close> = assert(fileobject.open(t.path, "w"))
    f:write("at once")
    assert.equal("at once", helper.slurp(t.path))
  end)

  it("collects what setvbuf says, until flush, seek or close", function()
    local t <close> = temporary()
    local f = assert(fileobject.open(t.path, "w"))
    assert.is_true(f:setvbuf("full"))
    f:write("a")
    assert.equal("", helper.slurp(t.path))
    assert.is_true(f:flush())
    assert.equal("a", helper.slurp(t.path))
    f:write("b")
    assert.equal(2, f:seek())
    assert.equal("ab", helper.slurp(t.path))
    f:write("c")
    assert.is_true(f:close())
    assert.equal("abc", helper.slurp(t.path))
  end)

  it("writes what it has collected when it is collected", function()
    local t <close> = temporary()
    local f = assert(fileobject.open(t.path, "w"))
    f:setvbuf("full")
    f:write("not lost")
    f = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.equal("not lost", helper.slurp(t.path))
  end)

  it("writes what it has collected when the state ends", function()
    local t <close> = temporary()
    local code = helper.run_lua([[
      local gevent = require "gevent"
      local f = require "gevent.fileobject".open(arg[1], "w")
      f:setvbuf("full")
      f:write("kept ")
      gevent.spawn(function() f:write("too") gevent.sleep(100) end)
      gevent.sleep(0)
    ]], {args = {t.path}})
    assert.equal(0, code)
    assert.equal("kept too", helper.slurp(t.path))
  end)

  it("of any size is read and written whole", function()
    local t <close> = temporary()
    local parts = {}
    for i = 1, 40000 do parts[i] = ("line %d of many, so that it is long\n"):format(i) end
    local text = table.concat(parts)
    local f = assert(fileobject.open(t.path, "w"))
    assert.equal(f, f:write(table.unpack(parts, 1, 200)))
    assert.equal(f, f:write((table.concat(parts, "", 201))))
    f:close()
    local back <close> = assert(fileobject.open(t.path))
    assert.is_true(back:read("a") == text)
    back:seek("set")
    local n = 0
    for line in back:lines("L") do
      n = n + 1
      if line ~= parts[n] then error("line " .. n) end
    end
    assert.equal(40000, n)
  end)

  it("lets others run while it is read", function()
    local t <close> = temporary(("x"):rep(1000000))
    local f <close> = assert(fileobject.open(t.path))
    local turns, done = 0, false
    local other = gevent.spawn(function()
      while not done do
        turns = turns + 1
        gevent.sleep(0)
      end
    end)
    assert.equal(1000000, #f:read("a"))
    done = true
    other:join()
    assert.is_true(turns > 1)
  end)

  it("loses nothing to a read or write that is killed", function()
    local t <close> = temporary("0123456789")
    local f <close> = assert(fileobject.open(t.path, "r+"))
    for _ = 1, 5 do
      local g = gevent.spawn(function() f:read(1000) end)
      gevent.sleep(0)
      g:kill()
      assert.equal("01", f:read(2))
      f:seek("set")
    end
    local g = gevent.spawn(function() f:write("ab") end)
    gevent.sleep(0)
    g:kill()
    assert.equal(2, f:seek())
    assert.equal("23456789", f:read("a"))
    assert.equal("ab23456789", helper.slurp(t.path))
  end)

  it("may be closed while it is read, written and opened", function()
    local t <close> = temporary(("x"):rep(100000))
    for _, action in ipairs {"read", "write", "seek"} do
      local f = assert(fileobject.open(t.path, "r+"))
      if action == "seek" then
        local g = gevent.spawn(function() f:read(10) end)
        gevent.sleep(0)
        g:kill()
      end
      local results
      local g = gevent.spawn(function()
        results = pack(f[action](f, action == "read" and "a" or action == "seek"
          and "set" or ("y"):rep(100000)))
      end)
      gevent.sleep(0)
      f:close()
      g:join()
      if results[1] == nil then assert.equal("EBADF", results[3]) end
      assert.same({nil, "bad file descriptor", "EBADF", n = 3}, pack(f:read()))
      assert.is_true(f.closed)
      assert.equal("<file closed>", tostring(f))
    end
    local g = gevent.spawn(fileobject.open, t.path)
    gevent.sleep(0)
    g:kill() -- the leak check sees whether the descriptor is closed
  end)

  it("has one reader and one writer at a time", function()
    local t <close> = temporary("text")
    local f <close> = assert(fileobject.open(t.path))
    local g = gevent.spawn(function() return f:read("a") end)
    gevent.sleep(0)
    for _, method in ipairs {"read", "seek"} do
      local ok, err = pcall(f[method], f)
      assert.is_false(ok)
      assert.is_true(gevent.isinstance(err, gevent.ConcurrentObjectUseError))
    end
    assert.equal("text", g:get())
  end)

  it("tells a failure as io does, with the errno's name as code", function()
    assert.same({nil, "/nonexistent/file: no such file or directory", "ENOENT",
      n = 3}, pack(fileobject.open("/nonexistent/file", "w")))
    local t <close> = temporary("x")
    local r <close> = assert(fileobject.open(t.path))
    assert.same({nil, "bad file descriptor", "EBADF", n = 3}, pack(r:write("x")))
    local w <close> = assert(fileobject.open(t.path, "a"))
    assert.same({nil, "bad file descriptor", "EBADF", n = 3}, pack(w:read()))
    local d <close> = assert(fileobject.open("/"))
    assert.equal("EISDIR", (select(3, d:read())))
  end)

  it("tells that the disk is full: write, flush, close", function()
    local f = assert(fileobject.open("/dev/full", "w"))
    assert.same({nil, "no space left on device", "ENOSPC", n = 3},
      pack(f:write("x")))
    f:setvbuf("full")
    f:write("x")
    assert.equal("ENOSPC", (select(3, f:flush())))
    f:write("y")
    assert.same({nil, "no space left on device", "ENOSPC", n = 3},
      pack(f:close()))
    assert.is_true(f.closed)
  end)

  it("refuses what io refuses", function()
    for _, mode in ipairs {"", "x", "rw", "r+x", "+", "br", "wx"} do
      assert.error_matches(function() fileobject.open("/tmp/x", mode) end,
        "invalid mode")
    end
    assert.error(function() fileobject.open() end)
    assert.error(function() fileobject.open({}) end)
    assert.error(function() fileobject.FileObject("x") end)
    assert.error(function() fileobject.FileObject(-1) end)
    local t <close> = temporary("x")
    local f <close> = assert(fileobject.open(t.path))
    assert.error(function() f:read("x") end)
    assert.error(function() f:write({}) end)
  end)

  it("works in a <close> scope, with lines to the end", function()
    local t <close> = temporary("a\nb\n")
    local kept
    do
      local f <close> = assert(fileobject.open(t.path))
      kept = f
      local lines = {}
      for line in f:lines() do lines[#lines + 1] = line end
      assert.same({"a", "b"}, lines)
      assert.matches("^<file fd %d+ " .. t.path .. ">$", tostring(f))
      assert.is_false(f.closed)
    end
    assert.is_true(kept.closed)
    assert.is_true(kept:close())
  end)

  it("can be sent, and read by number", function()
    local t <close> = temporary("the content")
    local f <close> = assert(fileobject.open(t.path))
    local a, b = helper.pair()
    assert.equal(11, a:sendfile(f))
    a:close()
    assert.equal("the content", b:read("a"))
    b:close()
    assert.equal("the", gos.nb_read(f, 3))
  end)

  it("of the disk or a device that cannot be polled", function()
    local null <close> = assert(fileobject.open("/dev/null", "r+"))
    assert.equal("", null:read("a"))
    assert.equal(null, null:write("x"))
    local zero <close> = assert(fileobject.open("/dev/zero"))
    assert.equal(("\0"):rep(200000), zero:read(200000))
  end)
end)

-- Pipes, terminals -------------------------------------------------------------

describe("a pipe", function()
  it("carries what is written, and ends", function()
    local r, w = pipe()
    local reader = gevent.spawn(function() return r:read("l", "n", "a") end)
    w:write("line\n", "12 ")
    w:write("rest")
    assert.is_true(w:close())
    assert.same({n = 3, "line", 12, " rest"}, pack(reader:get()))
    assert.same({n = 3, nil, "closed", "closed"}, pack(r:read()))
    assert.equal("", r:read("a"))
    r:close()
  end)

  it("gives EPIPE, and no signal, when the reader is gone", function()
    local code, out = helper.run_lua [[
      local fileobject = require "gevent.fileobject"
      local r, w = require "gevent.os".pipe()
      fileobject.FileObject(r):close()
      local f = fileobject.FileObject(w)
      print(f:write("x"))
      print(require "gevent.os".nb_write(f, "x"))
    ]]
    assert.equal("nil\tbroken pipe\tEPIPE\t0\nnil\tbroken pipe\tEPIPE\n", out)
    assert.equal(0, code)
  end)

  it("makes the writer wait while nobody reads", function()
    local r, w = pipe()
    local text = ("0123456789"):rep(100000)
    local writer = helper.spawn_blocked(function()
      w:write(text)
      w:close()
    end)
    assert.is_true(r:read("a") == text)
    writer:get()
    r:close()
  end)

  it("cannot seek", function()
    local r, w = pipe()
    assert.equal("ESPIPE", (select(3, r:seek())))
    r:close()
    w:close()
  end)

  it("wakes who waits on it when it is closed", function()
    local r, w = pipe()
    local g = helper.spawn_blocked(function() return r:read() end)
    r:close()
    assert.same({n = 3, nil, "bad file descriptor", "EBADF"}, pack(g:get()))
    w:close()
  end)

  it("of a path waits for the other end to come", function()
    local t <close> = temporary()
    os.remove(t.path)
    assert(os.execute("mkfifo " .. t.path))
    local writer = helper.spawn_blocked(function()
      local w <close> = assert(fileobject.open(t.path, "w"))
      w:write("through")
    end)
    local r <close> = assert(fileobject.open(t.path))
    assert.equal("through", r:read("a"))
    writer:get()
    local early <close> = assert(fileobject.open(t.path))
    local reader = helper.spawn_blocked(function() return early:read("a") end)
    local w = assert(fileobject.open(t.path, "w"))
    w:write("later")
    w:close()
    assert.equal("later", reader:get())
  end)

  it("of the mode that it is asked for", function()
    local r, w = assert(gos.pipe())
    assert.same({n = 3, nil, "invalid argument", "EINVAL"},
      pack(fileobject.FileObject(r, "w")))
    assert.equal("EINVAL", (select(3, fileobject.FileObject(w, "r+"))))
    fileobject.FileObject(r, "r"):close()
    fileobject.FileObject(w, "a"):close()
    assert.equal("EBADF", (select(3, fileobject.FileObject(w))))
  end)
end)

-- Descriptors of others --------------------------------------------------------

describe("a file object", function()
  it("of io's file is a copy", function()
    local t <close> = temporary("shared")
    local theirs <close> = assert(io.open(t.path))
    local ours = assert(fileobject.FileObject(theirs))
    assert.equal("shared", ours:read("a"))
    ours:close()
    assert.equal(6, theirs:seek("end"))
  end)

  it("of a descriptor that blocks gives it back as it was", function()
    local pipe_of_shell = assert(io.popen("read line", "w"))
    pipe_of_shell:write("from the shell\n")
    local f = assert(fileobject.FileObject(pipe_of_shell))
    f:close()
    assert.is_true(gos.make_nonblocking(pipe_of_shell))
    pipe_of_shell:close()
  end)

  it("leaves the rest of its input to the next reader", function()
    local t <close> = temporary("mine\ntheirs\n")
    local theirs <close> = assert(io.open(t.path))
    local ours = assert(fileobject.FileObject(theirs))
    assert.equal("mine", ours:read())
    ours:close()
    assert.equal("theirs", theirs:read())
  end)
end)

describe("the standard streams", function()
  it("are read and written", function()
    local code, out, err = helper.run_lua([[
      local gevent = require "gevent"
      local files = require "gevent.fileobject"
      files.stdout:write("got ", files.stdin:read("n"), "\n")
      files.stderr:write("error")
      print(files.stdout:fileno(), files.stdout, files.stdin == files.stdin)
      io.stdout:flush()
      files.stdout:close()
      os.execute("echo still open")
    ]], {input = "42"})
    assert.equal("got 42\n1\t<file fd 1 stdout>\ttrue\nstill open\n", out)
    assert.equal("error", err)
    assert.equal(0, code)
  end)

  it("leave a pipe blocking, and the rest runs while one waits", function()
    local pipe_in = assert(io.popen(("sleep 0.2 | %s -e %q"):format(
      "LUA_PATH_5_4='" .. package.path .. "' LUA_CPATH_5_4='" .. package.cpath
        .. "' lua5.4", [[
      local gevent = require 'gevent'
      local files = require 'gevent.fileobject'
      local beats = 0
      gevent.spawn(function()
        while true do gevent.sleep(0.001) beats = beats + 1 end
      end)
      local rest = files.stdin:read('a')
      print(#rest, beats > 3, require 'gevent.os'.make_nonblocking(0),
        require 'gevent.os'.make_nonblocking(1))
    ]])))
    assert.equal("0\ttrue\ttrue\ttrue\n", pipe_in:read("a"))
    pipe_in:close()
  end)
end)
