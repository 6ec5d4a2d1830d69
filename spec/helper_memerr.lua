-- For the specs of what happens without memory: a program of ours (spec/host/memerr.c)
-- runs scripts, and refuses one request for memory, whichever. At each, there is a clean
-- error or success; nothing is lost, and what is done later works.
-- GEVENT_SPEC_MEMERR=all tries all requests; else a few of each script are tried.

local helper = require "helper"
local assert = require "luassert"
local busted = require "busted"
local tls = require "helper_tls"

local asan = os.getenv "GEVENT_SPEC_MODE" == "asan"
local program = (asan and "build/asan" or "build") .. "/host/memerr"

local memerr = {all = os.getenv "GEVENT_SPEC_MEMERR" == "all"}

local SCRIPTS = {
  require = "modules are loaded", greenlets = "greenlets live and die",
  sync = "greenlets wait for one another", blocked = "a state is closed",
  sockets = "sockets are used", http = "requests are answered",
  tls = "connections are encrypted", names = "names are looked up",
  threads = "threads and coroutines work", stop = "servers stop",
  processes = "child processes run", client = "answers are asked for",
  websockets = "messages come and go", luasocket = "LuaSocket's objects are used",
}

-- How many requests of a script all of them are; 0: each. Modules need very many.
memerr.every = setmetatable({require = 2000}, {__index = function() return 0 end})

--- Is the program there?
function memerr.available()
  local f <close> = io.open(program)
  return f ~= nil
end

--- Runs a script; it must be in order at each of the requests that are tried.
-- @param samples how many are tried; 0: all
-- @param burst how many in a row are refused
-- @param preload a library, or nil
function memerr.run(script, samples, burst, preload)
  if asan then preload = "$(gcc -print-file-name=libasan.so)" end
  local pipe = assert(io.popen(("LD_PRELOAD=%s MEMERR_TLS=%s %s spec/host/memerr/%s.lua %d %d 2>&1")
    :format(preload or "", tls.have "openssl" and tls.dir() or "", program, script,
      samples, burst)))
  local out = pipe:read("a")
  local ok = pipe:close()
  assert.is_true(ok == true, out)
  assert.matches(", 0 bad\n$", out)
end

--- A test for each script, which calls `try(script)`; pending where `missing` says why.
function memerr.each(missing, try)
  if tls.have "openssl" then
    busted.setup(function() tls.certificate("a") end)
  end
  for script, what in pairs(SCRIPTS) do
    local why = missing or script == "tls" and not tls.have "openssl" and "needs openssl"
    if why then
      busted.pending(("%s (%s)"):format(what, why))
    else
      helper.it(what, function() try(script) end, {deadline = memerr.all and 3600 or 60})
    end
  end
end

return memerr
