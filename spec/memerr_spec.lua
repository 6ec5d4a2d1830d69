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
local SAMPLES = 25

local SCRIPTS = {
  require = "modules are loaded", greenlets = "greenlets live and die",
  sync = "greenlets wait for one another", blocked = "a state is closed",
  sockets = "sockets are used", http = "requests are answered",
  tls = "connections are encrypted", names = "names are looked up",
  threads = "threads and coroutines work",
}

local function run(script, burst)
  local preload = asan and "LD_PRELOAD=$(gcc -print-file-name=libasan.so) " or ""
  local pipe = assert(io.popen(("%sMEMERR_TLS=%s %s spec/host/memerr/%s.lua %d %d 2>&1"):format(
    preload, tls.have "openssl" and tls.dir() or "", program, script,
    all and 0 or SAMPLES, burst)))
  local out = pipe:read("a")
  local ok = pipe:close()
  assert.is_true(ok == true, out)
  assert.matches(", 0 bad\n$", out)
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
        run(script, 2)
        if all then run(script, 12) end
      end, {deadline = all and 3600 or 60})
    end
  end
end)
