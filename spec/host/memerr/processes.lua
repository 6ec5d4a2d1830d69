-- Child processes: started, spoken to, waited for, killed; pipes and files.
local gevent = require "gevent"
local fileobject = require "gevent.fileobject"
local os = require "gevent.os"
local subprocess = require "gevent.subprocess"

local PIPE = subprocess.PIPE

local function children()
  local result = assert(subprocess.run({"cat"}, {input = "there and back"}))
  assert(result.returncode == 0 and result.stdout == "there and back")
  assert(subprocess.check_output("echo $A", {env = {A = "b"}, cwd = "/"}) == "b\n")
  assert(not subprocess.Popen{"/no/such/program"})
  local _, _, code = subprocess.run({"sleep", "60"}, {timeout = 0.002})
  assert(code == "timeout")
end

local function pipes()
  local cat <close> = assert(subprocess.Popen({"cat"},
    {stdin = PIPE, stdout = PIPE, stderr = subprocess.DEVNULL}))
  local big = ("0123456789abcdef"):rep(20000)
  local writer = _G.task(function()
    assert(cat.stdin:sendall(big))
    cat.stdin:write("the end\n")
    cat.stdin:close()
  end)
  assert(assert(cat.stdout:readexactly(#big)) == big)
  assert(cat.stdout:read("l") == "the end")
  writer:get()
  assert(gevent.wait({cat}, 5)[1] == cat and cat.returncode == 0)
end

local function signals()
  local sleeper <close> = assert(subprocess.Popen{"sleep", "60"})
  assert(not sleeper:poll() and tostring(sleeper))
  assert(select(3, sleeper:wait(0.001)) == "timeout")
  local waiter = _G.task(sleeper.wait, sleeper)
  gevent.sleep(0)
  sleeper:terminate()
  assert(waiter:get() == -15)
end

-- Where that fails, the descriptor is still ours.
local function owner(fd)
  local ok, file
  repeat ok, file = pcall(fileobject.FileObject, fd) until ok and file
  return file
end

local function files()
  local path = assert(_G.os.tmpname())
  local _ <close> = setmetatable({}, {__close = function() _G.os.remove(path) end})
  do
    local file <close> = assert(fileobject.open(path, "w"))
    assert(file:write("one\n", 2, "\n"))
    assert(file:seek("cur") == 6)
  end
  local file <close> = assert(fileobject.open(path))
  assert(file:read("l") == "one")
  assert(file:seek("set", 0) == 0 and file:read("a") == "one\n2\n")
  local r, w = assert(os.pipe())
  assert(os.nb_write(w, "xy") == 2 and os.nb_read(r, 10) == "xy")
  local reading <close> = owner(r)
  local writing <close> = owner(w)
  assert(writing:write("a line\n") and writing:flush())
  assert(reading:read("l") == "a line")
end

return _G.guarded(function()
  children()
  pipes()
  signals()
  files()
end)
