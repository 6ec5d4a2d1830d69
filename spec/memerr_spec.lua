-- Memory fails: a program of ours (spec/host/memerr.c) runs scripts with an
-- allocator of Lua memory that refuses one request, whichever. At each, there is
-- a clean error or success; nothing is lost, and what is done later works.
-- GEVENT_SPEC_MEMERR=all tries every request, and the next ten after it too;
-- else a few of each script are tried.
local helper = require "helper"
local it = helper.it
local tls = require "helper_tls"

local asan = os.getenv "GEVENT_SPEC_MODE" == "asan"
local build = asan and "build/asan" or "build"
local program = build .. "/host/memerr"
local all = os.getenv "GEVENT_SPEC_MEMERR" == "all"
local SAMPLES = 16

local SCRIPTS = {
  require = "modules are loaded", greenlets = "greenlets live and die",
  sync = "greenlets wait for one another", blocked = "a state is closed",
  sockets = "sockets are used", http = "requests are answered",
  tls = "connections are encrypted", names = "names are looked up",
  threads = "threads and coroutines work", processes = "child processes run",
  client = "answers are asked for", websockets = "messages come and go",
  luasocket = "LuaSocket's objects are used",
}

-- How many of all requests; 0: each. Modules need very many.
local MANY = setmetatable({require = 2000}, {__index = function() return 0 end})

local function run(script, samples, burst, preload)
  if asan then preload = "$(gcc -print-file-name=libasan.so)" end
  local pipe = assert(io.popen(("LD_PRELOAD=%s MEMERR_TLS=%s %s spec/host/memerr/%s.lua %d %d 2>&1")
    :format(preload or "", tls.have "openssl" and tls.dir() or "", program, script,
      samples, burst)))
  local out = pipe:read("a")
  local ok = pipe:close()
  assert.is_true(ok == true, out)
  assert.matches(", 0 bad\n$", out)
end

local function succeeds(command)
  return os.execute(command .. " >/dev/null 2>&1") == true
end

--- Builds the library, where that can be done.
local function build_malloc()
  local path = os.tmpname()
  local compile = "cc -shared -fPIC -o %s spec/c/preload/nomem.c -ldl"
  local use = "LD_PRELOAD=%s true 2>&1 | { ! grep -q .; }"
  local plain = (os.getenv "GEVENT_SPEC_MODE" or "plain") == "plain"
  if plain and succeeds(compile:format(path)) and succeeds(use:format(path)) then
    return path
  end
  os.remove(path)
end

describe("where memory fails while", function()
  if not io.open(program) then return pending(program .. " is not built") end
  setup(function()
    if tls.have "openssl" then tls.certificate("a") end
  end)
  for script, what in pairs(SCRIPTS) do
    if script == "tls" and not tls.have "openssl" then
      pending(what .. " (needs openssl)")
    else
      it(what, function()
        run(script, all and MANY[script] or SAMPLES, 2)
        if all then run(script, MANY[script], 12) end
      end, {deadline = all and 3600 or 60})
    end
  end
end)

describe("where malloc fails while", function()
  local preload = io.open(program) and build_malloc()
  teardown(function() if preload then os.remove(preload) end end)
  setup(function()
    if tls.have "openssl" then tls.certificate("a") end
  end)
  for script, what in pairs(SCRIPTS) do
    if not preload or script == "tls" and not tls.have "openssl" then
      pending(what .. " (needs cc, openssl, plain)")
    else
      it(what, function()
        run(script, all and 2000 or SAMPLES // 2, 1, preload)
      end, {deadline = all and 3600 or 60})
    end
  end
end)
