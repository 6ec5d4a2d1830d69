-- resolver.Thread: its pool, and what happens when the C library is slow. A
-- library of the spec's own makes it slow, in a process of its own.

local helper = require "helper"
local gevent = require "gevent"
local resolver = require "gevent.resolver"
local it = helper.it

-- The battery -------------------------------------------------------------------

-- Nothing here can hold a look-up back: it is repeated until released.
local function repeated(name, ...)
  local args = table.pack(...)
  return function()
    local released = false
    local thread = resolver.Thread {size = 2}
    return {
      fname = name:find("addr$") and "getnameinfo" or "getaddrinfo",
      call = function()
        while true do
          local result = thread[name](thread, table.unpack(args, 1, args.n))
          if released then return result end
        end
      end,
      release = function() released = true end,
      expect = function(result) assert.is_truthy(result) end,
      cleanup = function() thread:close() end,
    }
  end
end

helper.battery("Thread:getaddrinfo", repeated("getaddrinfo", "localhost", 80))
helper.battery("Thread:gethostbyname", repeated("gethostbyname", "localhost"))
helper.battery("Thread:gethostbyname_ex", repeated("gethostbyname_ex", "localhost"))
helper.battery("Thread:getfqdn", repeated("getfqdn", "localhost"))

helper.battery("Thread:getnameinfo", function()
  local case = repeated("getnameinfo", "127.0.0.1", 80, "numerichost")()
  case.fname = "getnameinfo"
  return case
end)

-- The pool ----------------------------------------------------------------------

describe("resolver.Thread", function()
  it("has threads of its own, as many as told, until it is closed", function()
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      local resolver = require "gevent.resolver"
      local function threads()
        local file <close> = assert(io.open("/proc/self/status"))
        return tonumber(file:read("a"):match("Threads:%s*(%d+)"))
      end
      local thread = resolver.Thread {size = 3}
      gevent.idle()
      local before = threads() -- the sanitizers have one, too
      local list = {}
      for i = 1, 50 do
        list[i] = gevent.spawn(thread.getaddrinfo, thread, "127.0.0." .. i, i)
      end
      for i, g in ipairs(list) do
        assert(g:get()[1].host == "127.0.0." .. i)
        assert(threads() > before and threads() <= before + 3)
      end
      thread:close()
      while threads() > before do gevent.sleep(0.001) end
      io.write "done"
    ]]
    assert.same({0, "done", ""}, {code, out, err})
  end)

  it("is closed more than once, and by its scope", function()
    local thread
    do
      local scoped <close> = resolver.Thread()
      thread = scoped
      assert(scoped:getaddrinfo("127.0.0.1", 80))
    end
    thread:close()
    for _, name in ipairs {"getaddrinfo", "gethostbyname", "gethostbyname_ex"} do
      assert.equal("EAI_CANCELED", (select(3, thread[name](thread, "localhost"))))
    end
    assert.equal("EAI_CANCELED", (select(3, thread:getnameinfo("127.0.0.1", 1))))
    assert.matches("closed", tostring(thread))
  end)

  it("ends what is under way when it is closed", function()
    for _ = 1, 30 do
      local thread = resolver.Thread {size = 2}
      local list = {}
      for i = 1, 20 do
        list[i] = gevent.spawn(thread.getaddrinfo, thread, "127.0.0.1", i)
      end
      gevent.sleep(0)
      thread:close()
      for _, g in ipairs(list) do
        local answer, _, code = g:get()
        assert.is_true(answer ~= nil or code == "EAI_CANCELED")
      end
    end
  end)

  it("is collected with its threads", function()
    for _ = 1, 20 do assert(resolver.Thread():getaddrinfo("127.0.0.1", 80)) end
    collectgarbage()
  end)

  it("goes on after hub:destroy", function()
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      local thread = require "gevent.resolver".Thread {size = 2}
      for round = 1, 20 do
        for i = 1, 10 do gevent.spawn(thread.getaddrinfo, thread, "127.0.0.1", i) end
        if round % 2 == 0 then gevent.sleep(0) end
        gevent.get_hub():destroy()
        assert(thread:getaddrinfo("127.0.0.1", 80))
      end
      io.write "done"
    ]]
    assert.same({0, "done", ""}, {code, out, err})
  end)

  it("refuses other options", function()
    for _, size in ipairs {0, -1, 1.5, "4", 1025} do
      assert.error_matches(function() resolver.Thread {size = size} end,
        "#1 to 'Thread' %(size: ")
    end
    assert.error_matches(function() resolver.Thread(4) end, "argument #1")
  end)
end)

-- A slow library -----------------------------------------------------------------

-- Names that begin with "slow" take a minute; those with "hold" as long as the
-- file $HOLD is there. The others are 127.0.0.9.
local SLOW = [[
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int getaddrinfo(const char *host, const char *service,
                const struct addrinfo *hints, struct addrinfo **list) {
  if (host && !strncmp(host, "slow", 4)) sleep(60);
  while (host && !strncmp(host, "hold", 4) && access(getenv("HOLD"), F_OK) == 0)
    usleep(1000);
  struct { struct addrinfo info; struct sockaddr_in address; } *one;
  one = calloc(1, sizeof *one);
  one->info.ai_family = AF_INET;
  one->info.ai_socktype = hints->ai_socktype;
  one->info.ai_addrlen = sizeof one->address;
  one->info.ai_addr = (struct sockaddr *)&one->address;
  one->address.sin_family = AF_INET;
  one->address.sin_addr.s_addr = htonl(0x7f000009);
  *list = &one->info;
  return service && 0;
}

void freeaddrinfo(struct addrinfo *list) { free(list); }
]]

local function compile()
  local source, library = os.tmpname(), os.tmpname()
  local file = assert(io.open(source, "w"))
  file:write(SLOW)
  file:close()
  local ok = os.execute(("cc -shared -fPIC -o %s -x c %s 2>/dev/null"):format(
    library, source))
  os.remove(source)
  if ok then return library end
  os.remove(library)
end

-- The sanitizers and valgrind come by LD_PRELOAD themselves.
local function run_slow(code)
  if os.getenv "GEVENT_SPEC_MODE" ~= "plain" and os.getenv "GEVENT_SPEC_MODE" then
    return pending("needs LD_PRELOAD for itself")
  end
  local library = compile()
  if not library then return pending("no C compiler") end
  local hold = os.tmpname()
  local _ <close> = helper.defer(function()
    os.remove(library)
    os.remove(hold)
  end)
  local status, out, err = helper.run_lua([[
    local gevent = require "gevent"
    local resolver = require "gevent.resolver"
    local thread = resolver.Thread {size = 2}
    local function ask(name)
      return gevent.spawn(thread.getaddrinfo, thread, name, 80)
    end
  ]] .. code, {env = {LD_PRELOAD = library, HOLD = hold}})
  assert.same({0, "done", ""}, {status, out, err})
end

describe("resolver.Thread and a slow C library", function()
  it("frees who is killed or late at once", function()
    run_slow [[
      local g = ask "slow.test"
      gevent.sleep(0.01)
      assert(g:kill() and g.dead)
      local late = gevent.Timeout.start_new(0.01)
      local ok, err = pcall(thread.getaddrinfo, thread, "slow.test", 80)
      assert(not ok and rawequal(err, late))
      assert(gevent.get_hub():stats().handles == 0)
      io.write "done"
    ]]
  end)

  it("keeps look-ups in their turn while all threads are busy", function()
    run_slow [[
      local one, two, three, four = ask "hold1", ask "hold2", ask "a", ask "b"
      gevent.sleep(0.05)
      assert(not three:ready() and not four:ready())
      three:kill()
      os.remove(os.getenv "HOLD")
      for _, g in ipairs {one, two, four} do
        assert(g:get()[1].host == "127.0.0.9")
      end
      io.write "done"
    ]]
  end)

  it("drops the late answer, and goes on with the same threads", function()
    run_slow [[
      local one, two = ask "hold1", ask "hold2"
      gevent.sleep(0.01)
      gevent.killall {one, two}
      os.remove(os.getenv "HOLD")
      assert(thread:getaddrinfo("again", 80)[1].host == "127.0.0.9")
      io.write "done"
    ]]
  end)

  it("is closed without waiting; what is under way is cancelled", function()
    run_slow [[
      local list = {ask "slow1", ask "slow2", ask "a", ask "b"}
      gevent.sleep(0.01)
      thread:close()
      for _, g in ipairs(list) do assert(select(3, g:get()) == "EAI_CANCELED") end
      io.write "done"
    ]]
  end)

  it("keeps neither hub:destroy nor the end of the process waiting", function()
    run_slow [[
      local list = {ask "slow1", ask "slow2", ask "a"}
      gevent.sleep(0.01)
      gevent.get_hub():destroy()
      local other = resolver.Thread()
      assert(other:getaddrinfo("b", 80))
      gevent.spawn(other.getaddrinfo, other, "slow3", 80)
      gevent.sleep(0.01)
      io.write "done"
    ]]
  end)

  it("is not held up by file work, nor holds it up", function()
    run_slow [[
      for i = 1, 8 do gevent.spawn(thread.getaddrinfo, thread, "slow" .. i, 80) end
      gevent.sleep(0.01)
      assert(resolver.Thread():getaddrinfo("a", 80)[1].host == "127.0.0.9")
      io.write "done"
    ]]
  end)
end)
