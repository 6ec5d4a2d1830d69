-- gevent.monkey: os.execute, io.popen, reads of standard input and pipes.

local helper = require "helper"
local monkey = require "helper_monkey"
local it, lua = helper.it, monkey.lua

-- What a program prints does not depend on the patch.
local function same(code, opts)
  opts = opts or {}
  local results = {}
  for i, patch in ipairs {"", "monkey.patch_all {ssl = false, socket = false}\n"} do
    results[i] = lua(patch .. code, opts)
  end
  assert.is_true(#results[1] > 0)
  assert.equal(results[1], results[2])
end

describe("os.execute", function()
  it("says how the command ended, as ever", function()
    same [[
      print(os.execute "exit 0")
      print(os.execute "exit 3")
      print(os.execute "kill -9 $$")
      print(os.execute "nosuchcommand 2>/dev/null")
      print(os.execute())
      io.write "before "
      io.flush()
      os.execute "echo from the shell"
      print(pcall(os.execute, {}) == false)
      print(os.execute(12 .. ">/dev/null 2>&1"))
    ]]
  end)

  it("lets others run, many at once", function()
    lua [[
      monkey.patch_os()
      local now = require("gevent.time").monotonic
      tick(function()
        local start = now()
        parallel(10, function() assert(os.execute "sleep 0.2") end)
        assert(now() - start < 1.5 * SCALE)
      end)
      assert(monkey.is_module_patched "os")
    ]]
  end)

  it("can be killed; the command goes on", function()
    lua [[
      monkey.patch_os()
      local victim = gevent.spawn(os.execute, "sleep 0.1")
      gevent.sleep(0.02)
      victim:kill()
      assert(gevent.isinstance(victim:get(), gevent.GreenletExit))
      assert(select(3, gevent.with_timeout(0.02, os.execute, "sleep 0.1")) == "timeout")
    ]]
  end)
end)

describe("io.popen", function()
  it("is the standard one to look at", function()
    same [[
      local f = io.popen "printf 'one\ntwo\r\n3 0x1F -1.5e1 x\nrest\nof it'"
      print(type(f), io.type(f), (tostring(f):gsub("0x%x+", "ADDRESS")))
      print(f:read())
      print(f:read "L" == "two\r\n")
      print(f:read("n", "n", "n", "n"))
      print(f:read(1), f:read "*l")
      print(f:read(0), f:read(3), f:read "*a", f:read "a", f:read "l", f:read(0), f:read(5))
      print(f:seek("cur") == nil, f:flush() == f)
      print(f:close())
      print(io.type(f), tostring(f), pcall(f.read, f) == false, pcall(f.close, f) == false)
      print(io.type(io.stdout), io.type(42))

      print(io.popen "exit 5":close())
      print(io.popen "kill -15 $$":close())
      print(io.popen "nosuchcommand 2>/dev/null":close())
      local lines = {}
      for line in io.popen("printf 'a\nb\n\nc'"):lines() do lines[#lines + 1] = line end
      print(table.concat(lines, "|"))
      for a, b in io.popen("printf 'abcde'"):lines(1, 2) do print(a, b) end

      local copy = os.tmpname() -- the child must not print among us
      local w = io.popen("cat >" .. copy, "w")
      print(w:write("written ", 12, " ", 1.5, "\n") == w, w:flush() == w, (w:setvbuf "full"))
      print(w:write "more\n" == w, (w:read()))
      print(w:close())
      for line in io.lines(copy) do print(line) end
      os.remove(copy)
      do
        local g <close> = io.popen "echo closed by its scope"
        print(g:read "a")
      end
      for _, bad in ipairs {{{}}, {"x", "rw"}, {"x", "x"}, {}} do
        print((select(2, pcall(io.popen, bad[1], bad[2])):gsub("^.-'%S+' ", ""):gsub("^%S+ ", "")))
      end
      print(select(2, pcall(io.popen("true").read, io.popen "true", "y")):match "invalid format")
    ]]
  end)

  it("lets others run, reading, writing, closing", function()
    lua [[
      monkey.patch_io()
      local now = require("gevent.time").monotonic
      tick(function()
        local start = now()
        parallel(10, function(i)
          local f = io.popen("sleep 0.1; echo " .. i .. "; sleep 0.1; exit " .. i)
          assert(f:read "n" == i)
          local _, how, code = f:close()
          assert(how == "exit" and code == i)
        end)
        local w = io.popen("sleep 0.1; cat >/dev/null", "w")
        w:write(("x"):rep(1000000))
        assert(w:close())
        assert(now() - start < 1.5 * SCALE)
      end)
    ]]
  end)

  it("reads on what was opened before the patch", function()
    lua [[
      local f = io.popen "echo one; echo two; sleep 0.1; echo three; exit 3"
      assert(f:read() == "one")
      monkey.patch_io()
      tick(function()
        assert(f:read() == "two")
        assert(f:read "a" == "three\n" and f:read() == nil)
        local ok, how, code = f:close()
        assert(ok == nil and how == "exit" and code == 3)
        f = io.popen "echo two; sleep 0.1; echo three; exit 3"
      end)
    ]]
  end)

  it("works as the default input and output", function()
    same [[
      io.input(io.popen "printf 'one\n2\nthree\nfour'")
      print(io.read(), io.read "n", io.read "L", io.read())
      for line in io.lines() do print(line) end
      print(io.type(io.input()), io.read())
      io.close(io.input())
      io.input(io.stdin)
      io.output(io.popen("cat >&2", "w"))
      io.write("to the ", "pipe\n")
      print(io.close())
      io.output(io.stdout)
      print(io.write "" == io.stdout)
    ]]
  end)
end)

-- What a program prints whose standard input is a pipe that a command feeds.
local function fed(feeder, code)
  local script = os.tmpname()
  local _ <close> = helper.defer(function() os.remove(script) end)
  do
    local f <close> = assert(io.open(script, "w"))
    f:write('local gevent, monkey = require "gevent", require "gevent.monkey"\n', code)
  end
  return lua([[
    local lua = os.getenv "GEVENT_SPEC_LUA" or "'" .. arg[-1] .. "'"
    local f = io.popen(("{ %s; } | %s '%s' 2>&1"):format(arg[2], lua, arg[1]))
    io.write(f:read "a")
    assert(f:close())
  ]], {args = {script, feeder}})
end

describe("standard input", function()
  local FEEDER = "printf 'first\\nsecond 12 0x10 nan\\nx\\r\\n\\nlast'"

  it("is read as ever, whatever was read before the patch", function()
    local expected
    for _, patch in ipairs {"", "monkey.patch_io()"} do
      local out = fed(FEEDER, [[
        print(io.read())
        print(io.read(4))
      ]] .. patch .. [[

        print(io.read "l" == "nd 12 0x10 nan", io.read("n", "l"))
        print(io.read "L")
        print(io.stdin:read(1), io.type(io.stdin))
        for line in io.lines() do print(line) end
        print(io.read(), io.read "a", io.read(0), io.stdin:read "a")
      ]])
      expected = expected or out
      assert.is_truthy(out:find("last", 1, true), out)
      assert.equal(expected, out)
    end
  end)

  it("lets others run", function()
    local out = fed("for i in 1 2 3; do sleep 0.1; printf $i; printf 'x\\n'; done", [[
      monkey.patch_io()
      local ticks = 0
      gevent.spawn_raw(function()
        while true do
          gevent.sleep(0.005)
          ticks = ticks + 1
        end
      end)
      print(io.read())
      for line in io.stdin:lines() do print(line) end
      print(ticks > 5)
    ]])
    assert.equal("1x\n2x\n3x\ntrue\n", out)
  end)

  it("keeps what has come when a read is killed", function()
    local out = fed("printf 'half '; sleep 0.2; printf 'of it\\n'", [[
      monkey.patch_io()
      print(gevent.with_timeout(0.05, io.read, "a"))
      print(gevent.with_timeout(0.05, io.read))
      print(io.read())
    ]])
    assert.equal("nil\ttimed out\ttimeout\nnil\ttimed out\ttimeout\nhalf of it\n", out)
  end)

  it("stays with io where it is a regular file", function()
    local out = lua([[
      print(io.read())
      monkey.patch_io()
      print(io.read(), io.read "n")
      for line in io.lines() do print(line) end
    ]], {input = "one\ntwo\n3\nfour\n"})
    assert.equal("one\ntwo\t3\n\nfour\n", out)
  end)
end)

describe("files", function()
  it("of the disk stay as they are, unless asked for", function()
    local path = os.tmpname()
    local _ <close> = helper.defer(function() os.remove(path) end)
    for _, opts in ipairs {"", "{files = true}"} do
      lua(([[
        local open = io.open
        monkey.patch_io(%s)
        local path = arg[1]
        local f = assert(io.open(path, "w"))
        assert(f:write("one\n", 2, "\nthree") == f and f:close() == true)
        f = assert(io.open(path))
        assert(io.type(f) == "file" and f:read("l", "n", "l") == "one")
        assert(f:read "a" == "three" and f:seek("set", 4) == 4 and f:read "n" == 2)
        assert(f:seek "cur" == 5 and f:seek "end" == 11)
        f:close()
        assert(io.type(f) == "closed file")
        f = assert(io.open(path, "r+"))
        f:write "ONE"
        f:seek "set"
        assert(f:read() == "ONE")
        f:close()
        local lines = {}
        for line in io.lines(path) do lines[#lines + 1] = line end
        assert(table.concat(lines, "|") == "ONE|2|three")
        local nothing, message, code = io.open("/nonexistent/x")
        assert(nothing == nil and code == 2)
        assert(message:lower() == "/nonexistent/x: no such file or directory", message)
        assert(not pcall(io.lines, "/nonexistent/x"))
        assert(not pcall(io.open, path, "y") and not pcall(io.open))
      ]]):format(opts), {args = {path}})
    end
  end)

  it("that are FIFOs are waited for", function()
    local path = os.tmpname()
    os.remove(path)
    local _ <close> = helper.defer(function() os.remove(path) end)
    lua([[
      local path = arg[1]
      monkey.patch_all {ssl = false}
      assert(os.execute("mkfifo " .. path))
      tick(function()
        local got = {}
        local reader = gevent.spawn(function()
          for line in io.lines(path) do got[#got + 1] = line end
        end)
        gevent.sleep(0.05)
        local f = assert(io.open(path, "w"))
        f:write "one\n"
        gevent.sleep(0.05)
        f:write "two\n"
        f:close()
        reader:get()
        assert(table.concat(got, "|") == "one|two")
      end)
    ]], {args = {path}})
  end)
end)
