-- The end of a state, and the collector, with files, children and signals in
-- every kind of wait: nothing crashes, nothing is left, the exit code stays.

local helper = require "helper"
local gevent = require "gevent"
local fileobject = require "gevent.fileobject"
local subprocess = require "gevent.subprocess"
local it = helper.it

local BLOCKED = [[
local gevent = require "gevent"
local files = require "gevent.fileobject"
local gos = require "gevent.os"
local signal = require "gevent.signal"
local subprocess = require "gevent.subprocess"
local PIPE = subprocess.PIPE
local path = os.tmpname()
os.remove(path)
os.execute("mkfifo " .. path)
local regular = os.tmpname()
local r, w = gos.pipe()
local reader, writer = files.FileObject(r), files.FileObject(w)
local file = files.open(regular, "w+")
file:setvbuf("full")
local function run(fn, ...) gevent.spawn(fn, ...) end
for _ = 1, 3 do
  run(function() reader:read("a") end)
  run(function() while true do writer:write(("x"):rep(65536)) end end)
  run(function()
    while true do
      file:write("kept\n")
      file:flush()
      file:seek("set")
    end
  end)
  run(function() file:read("a") end)
  run(files.open, path, "w")
  run(files.open, regular)
  run(function()
    local p <close> = subprocess.Popen({"cat"}, {stdin = PIPE, stdout = PIPE})
    p:communicate(nil)
  end)
  run(function()
    local p <close> = subprocess.Popen({"cat"}, {stdin = PIPE, stdout = PIPE})
    p:wait()
  end)
  run(function() subprocess.run("cat >&2", {stdin = PIPE, stdout = PIPE}) end)
  run(function()
    local pid = gos.fork()
    if pid == 0 then os.exit(0) end
    gos.waitpid(pid)
  end)
  gevent.signal_handler("USR1", function() gevent.sleep(60) end)
  signal.signal("USR2", function() gevent.sleep(60) end)
end
gevent.get_hub().exception_stream = {write = function() end}
for _ = 1, 20 do
  gos.kill(gos.getpid(), "USR1")
  gevent.sleep(0.001)
end
os.remove(path)
os.remove(regular)
]]

local WITHOUT_FORK = BLOCKED:gsub("gos%.fork%(%)", "1")

-- AddressSanitizer does not stand a fork while other threads begin.
local PROGRAM = os.getenv "GEVENT_SPEC_MODE" == "asan" and WITHOUT_FORK or BLOCKED

local QUIET = {ASAN_OPTIONS = (os.getenv "ASAN_OPTIONS" or "") .. ":detect_leaks=0"}

describe("a state that ends while greenlets wait", function()
  for name, ending in pairs {
    ["at the end of the script"] = "",
    ["by os.exit"] = "os.exit(0, true)",
    ["by os.exit in a greenlet"] =
      "gevent.spawn(os.exit, 0, true) gevent.sleep(60)",
    ["by os.exit in the handler of a signal"] = [[
      gevent.signal_handler("HUP", os.exit, 0, true)
      gos.kill(gos.getpid(), "HUP") gevent.sleep(60)]],
    ["after the hub was destroyed"] = [[
      gevent.get_hub():destroy()
      assert(subprocess.call "exit 3" == 3)
      local f <close> = assert(files.open("/dev/null"))
      assert(f:read("a") == "")
      collectgarbage()]],
  } do
    it(name .. " is clean", function()
      local code, out, err = helper.run_lua(PROGRAM .. ending, {env = QUIET})
      assert.equal("", err)
      assert.equal("", out)
      assert.equal(0, code)
    end)
  end

  it("counts no child of a loop that is gone, and waits for it in the next", function()
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      local subprocess = require "gevent.subprocess"
      local event = require "gevent.event".Event()
      local p = subprocess.Popen("read x", {stdin = subprocess.PIPE})
      gevent.get_hub():destroy()
      local ok, why = pcall(event.wait, event)
      print(ok, gevent.isinstance(why, gevent.LoopExit))
      p.stdin:close()
      print(p:wait())
      ok, why = pcall(event.wait, event)
      print(ok, gevent.isinstance(why, gevent.LoopExit))
    ]]
    assert.equal("", err)
    assert.equal("false\ttrue\n1\nfalse\ttrue\n", out)
    assert.equal(0, code)
  end)

  it("leaks nothing, without fork", function()
    local code, _, err = helper.run_lua(WITHOUT_FORK)
    assert.equal("", err)
    assert.equal(0, code)
  end)
end)

describe("what nobody holds", function()
  it("is closed by the collector", function()
    local null = assert(fileobject.open("/dev/null"))
    null:read(1)
    assert(subprocess.Popen({"true"}, {stdin = subprocess.PIPE, stdout = subprocess.PIPE}))
    local gos = require "gevent.os"
    local r, w = assert(gos.pipe())
    assert(fileobject.FileObject(r))
    gos.close(w)
    null = nil -- luacheck: ignore
    collectgarbage()
    gevent.sleep(0) -- the leak check of `it` does the rest
  end)
end)
