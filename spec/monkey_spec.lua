-- gevent.monkey: what is patched, in which order, and what it was before.

local helper = require "helper"
local monkey = require "helper_monkey"
local it, lua = helper.it, monkey.lua

describe("monkey", function()
  it("patches nothing unless told", function()
    lua [[
      local execute, popen, wrap, standard = os.execute, io.popen, coroutine.wrap, require
      local read = getmetatable(io.stdout).__index.read
      assert(os.execute == execute and io.popen == popen and coroutine.wrap == wrap)
      assert(require == standard and getmetatable(io.stdout).__index.read == read)
      for _, name in ipairs {"socket", "socket.core", "os", "io", "coroutine", "select"} do
        assert(monkey.is_module_patched(name) == false)
      end
      assert(monkey.get_original("os", "execute") == execute)
      assert(not package.loaded["socket.core"])
    ]]
  end)

  it("remembers what was, however often it patches", function()
    lua [[
      local wrap, resume = coroutine.wrap, coroutine.resume
      monkey.patch_coroutine()
      local patched = coroutine.wrap
      monkey.patch_coroutine()
      assert(patched ~= wrap and coroutine.wrap == patched)
      assert(coroutine.wrap == require("gevent.coroutine").wrap)
      assert(monkey.get_original("coroutine", "wrap") == wrap)
      local both = monkey.get_original("coroutine", {"wrap", "resume"})
      assert(both[1] == wrap and both[2] == resume)
      assert(monkey.is_module_patched("coroutine"))
      assert(not monkey.is_module_patched("os"))
    ]]
  end)

  it("tells who listens", function()
    lua [[
      local heard = {}
      local function hear(event) heard[#heard + 1] = event.name .. " " .. event.module_name end
      local ok, events = pcall(require, "gevent.events")
      if ok then
        events.subscribe(hear)
      else
        package.loaded["gevent.events"] = {notify = hear}
      end
      monkey.patch_coroutine()
      monkey.patch_coroutine()
      assert(table.concat(heard, ", ") == "GeventWillPatchModule coroutine, "
        .. "GeventDidPatchModule coroutine")
    ]]
  end)

  it("refuses what is no part", function()
    lua [[
      for _, bad in ipairs {{nonsense = false}, {all = true}, {[1] = true}} do
        local ok, err = pcall(monkey.patch_all, bad)
        assert(not ok and err:find("no part"), err)
      end
      assert(not pcall(monkey.patch_all, 1))
      assert(not pcall(monkey.is_module_patched))
      assert(not pcall(monkey.get_original, 1, "x"))
    ]]
  end)

  it("leaves out what it is told to", function()
    lua [[
      local wrap, standard = coroutine.wrap, require
      monkey.patch_all {coroutine = false, require = false, socket = false, select = false,
        ssl = false, os = false, io = false}
      assert(coroutine.wrap == wrap and require == standard)
      monkey.patch_all {coroutine = false, ssl = false, os = false, io = false}
      assert(coroutine.wrap == wrap and require ~= standard)
    ]]
  end)
end)

describe("patched coroutines", function()
  it("block the whole greenlet, whoever makes them", function()
    lua [[
      local early = coroutine -- a module that was loaded before
      monkey.patch_coroutine()
      local function numbers()
        return early.wrap(function()
          for i = 1, 3 do
            gevent.sleep(0.001)
            coroutine.yield(i)
          end
        end)
      end
      parallel(5, function()
        local sum = 0
        for i in numbers() do sum = sum + i end
        assert(sum == 6)
      end)
      local sum = 0
      for i in numbers() do sum = sum + i end
      assert(sum == 6)
    ]]
  end)
end)

describe("patched require", function()
  local SLOW = [[
    loads = (loads or 0) + 1
    require("gevent").sleep(0.02)
    return {loaded = loads, name = ..., file = select(2, ...)}
  ]]

  local function with_modules(modules, code)
    local parts = {}
    for name, text in pairs(modules) do
      parts[#parts + 1] = ("package.preload[%q] = assert(load(%q))"):format(name, text)
    end
    return lua(table.concat(parts, "\n") .. "\nmonkey.patch_require()\n" .. code)
  end

  it("lets a module block while it loads, and loads it once", function()
    with_modules({slow = SLOW}, [[
      local all = {}
      tick(function()
        package.loaded.slow, loads = nil, nil
        parallel(5, function(i) all[i] = require "slow" end)
      end)
      for i = 2, 5 do assert(all[i] == all[1]) end
      assert(all[1].loaded == 1 and all[1].name == "slow" and all[1].file == ":preload:")
      assert(select("#", require "slow") == 1)
    ]])
  end)

  it("is the standard one in all else", function()
    with_modules({nothing = "", no = "return false", bad = "error('oh', 0)"}, [[
      local standard = monkey.get_original("_G", "require")
      assert(standard ~= require)
      for _, name in ipairs {"nosuchmodule", "a.b"} do
        local _, theirs = pcall(standard, name)
        local _, ours = pcall(require, name)
        assert(theirs == ours, ours)
      end
      for _, bad in ipairs {{}, true, print} do
        local ok, err = pcall(require, bad)
        assert(not ok and err:find("bad argument #1 to 'require' (string expected", 1, true), err)
      end
      assert(not pcall(require))
      assert(require "nothing" == true and package.loaded.nothing == true)
      assert(require "no" == false and require "string" == string)
      for _ = 1, 2 do
        local ok, err = pcall(require, "bad")
        assert(not ok and err == "oh", err)
      end
      table.insert(package.searchers, function(name)
        if name == "mine" then return function(...) gevent.sleep(0.001) return {...} end, "data" end
      end)
      local value, data = require "mine"
      assert(value[1] == "mine" and value[2] == "data" and data == "data")
    ]])
  end)

  it("does not wait for itself: modules that need each other", function()
    with_modules({
      one = "first = (first or 0) + 1 require('gevent').sleep(0.01) "
        .. "if first < 3 then require 'two' end return 'one'",
      two = "second = (second or 0) + 1 require('gevent').sleep(0.01) "
        .. "if second < 3 then require 'one' end return 'two'",
    }, [[
      local names = {"one", "two"}
      parallel(2, function(i) assert(require(names[i]) == names[i]) end)
    ]])
  end)

  it("lets the next one try where a load failed or was killed", function()
    with_modules({flaky = [[
      tries = (tries or 0) + 1
      require("gevent").sleep(0.01)
      if tries < 3 then error("not yet") end
      return tries
    ]]}, [[
      local victim = gevent.spawn(require, "flaky")
      gevent.sleep(0.001)
      local second = gevent.spawn(pcall, require, "flaky")
      gevent.sleep(0.001)
      victim:kill()
      local ok, err = second:get()
      assert(not ok and err:find("not yet"))
      assert(require "flaky" == 3)
    ]])
  end)
end)

describe("LuaSocket", function()
  it("need not be there: socket.core and socket.unix are ours", function()
    lua [[
      package.path = package.path:gsub("[^;]*lua/5%.[^;]*", "")
      package.cpath = package.cpath:gsub("[^;]*lua/5%.[^;]*", "")
      monkey.patch_socket()
      local core, unix = require "socket.core", require "socket.unix"
      assert(core.tcp and core._VERSION and unix.stream, "not ours")
      assert(monkey.is_module_patched "socket")
      assert(monkey.get_original("socket.core", "tcp") == nil, "LuaSocket is there")
      for _, name in ipairs {"socket", "socket.http", "mime", "ltn12"} do
        local ok, err = pcall(require, name)
        assert(not ok and err:find("gevent.monkey has no '" .. name, 1, true), err)
      end
      local a = core.tcp4()
      assert(a:bind("127.0.0.1", 0) and a:listen())
      local b = core.connect("127.0.0.1", port_of(a))
      b:send("x")
      assert(a:accept():receive(1) == "x")
    ]]
  end)

  if not monkey.has("socket", "socket.unix", "socket.http") then
    pending "is patched in place (it is not installed)"
    return
  end

  it("is patched in place, before and after it is loaded", function()
    lua [[
      local socket, unix = require "socket", require "socket.unix"
      local tcp, core_table = socket.tcp, require "socket.core"
      monkey.patch_socket()
      assert(socket == require "socket" and core_table == socket)
      assert(socket.tcp ~= tcp and monkey.get_original("socket.core", "tcp") == tcp)
      assert(monkey.get_original("socket", "tcp") == tcp)
      assert(require "socket.unix" == unix)
      local patched = socket.tcp
      monkey.patch_socket()
      assert(socket.tcp == patched)
    ]]
    lua [[
      monkey.patch_socket()
      local socket = require "socket"
      local original = monkey.get_original("socket.core", "tcp")
      assert(original and original ~= socket.tcp)
      assert(tostring(original()):find("tcp{master}", 1, true))
      assert(monkey.is_module_patched "socket.core" and monkey.is_module_patched "socket.unix")
    ]]
  end)

  it("keeps sockets working that were made before", function()
    lua [[
      local socket = require "socket"
      local listener = socket.bind("127.0.0.1", 0)
      local a = socket.connect("127.0.0.1", port_of(listener))
      local b = listener:accept()
      monkey.patch_socket()
      a:send("line\n")
      assert(b:receive() == "line")
      a:send("more\n")
      local ready = socket.select({b}, nil, 1)
      assert(ready[1] == b and b:receive() == "more")
      local new = socket.connect("127.0.0.1", port_of(listener))
      assert(listener:accept():close() and new:receive() == nil)
      -- and a descriptor changes over
      local ours = socket.tcp()
      ours:connect("127.0.0.1", port_of(listener))
      listener:accept()
      ours:setfd(a:getfd())
      a:setfd(-1)
      ours:send("adopted\n")
      assert(b:receive() == "adopted")
    ]]
  end)

  it("may be preloaded, as where it is linked in", function()
    lua [[
      local load = package.searchers[3]("socket.core")
      if type(load) == "function" then
        package.preload["socket.core"] = load
        monkey.patch_all()
        local socket = require "socket"
        assert(socket.tcp ~= monkey.get_original("socket.core", "tcp"))
        assert(tostring(monkey.get_original("socket.core", "tcp")()):find "^tcp{master}")
      end
    ]]
  end)

  it("knows errors across the patch", function()
    lua [[
      local socket = require "socket"
      local protect, try = socket.protect, socket.try
      local before = protect(function() return socket.newtry(function() end)(nil, "x") end)
      monkey.patch_socket()
      local nothing, reason = before()
      assert(nothing == nil and reason == "x")
      nothing, reason = socket.protect(function() try(nil, "y") end)()
      assert(nothing == nil and reason == "y")
    ]]
  end)

  it("has a select that can be patched alone, before or after", function()
    lua [[
      monkey.patch_select()
      assert(monkey.is_module_patched "select" and not monkey.is_module_patched "socket")
      local socket = require "socket"
      local listener = socket.bind("127.0.0.1", 0)
      assert(tostring(listener):find "^tcp{server}")
      tick(function() assert(table.pack(socket.select({listener}, nil, 0.1))[3] == "timeout") end)
      assert(monkey.get_original("socket.core", "select") ~= socket.select)
    ]]
    lua [[
      local socket = require "socket"
      local select, tcp = socket.select, socket.tcp
      monkey.patch_select()
      assert(socket.select ~= select and socket.tcp == tcp)
      assert(monkey.is_module_patched "select" and not monkey.is_module_patched "socket")
      local listener = socket.bind("127.0.0.1", 0)
      tick(function() assert(table.pack(socket.select({listener}, nil, 0.1))[3] == "timeout") end)
      local a = socket.connect("127.0.0.1", port_of(listener))
      assert(socket.select({listener}, nil, 1)[1] == listener)
      monkey.patch_socket()
      assert(monkey.get_original("socket.core", "tcp") == tcp)
      assert(monkey.get_original("socket.core", "select") == select)
    ]]
  end)
end)
