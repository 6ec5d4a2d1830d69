-- The command `gevent`: what it says, what it runs, and how it serves.

local helper = require "helper"
local cli = require "helper_cli"
local socket = require "gevent.socket"
local it = helper.it

local LONG = {deadline = 30}

describe("gevent", function()
  it("explains itself", function()
    local code, out, err = cli.run {"--help"}
    assert.same({0, ""}, {code, err})
    for _, name in ipairs {"run", "serve", "repl", "backdoor"} do
      assert.matches("\n  " .. name .. " ", out)
      local own
      code, own, err = cli.run {name, "--help"}
      assert.same({0, ""}, {code, err})
      assert.matches("^usage: gevent " .. name .. " ", own)
      assert.matches("\nExamples:\n  ", own)
      assert.same({0, own, ""}, {cli.run {"help", name}})
      for line in own:gmatch("[^\n]+") do assert.is_true(#line <= 100, line) end
    end
    code, out = cli.run {"--version"}
    assert.same({0, "gevent " .. require "gevent".version .. ", Lua 5.4\n"}, {code, out})
  end, LONG)

  it("says what is wrong with a command line, and how to learn more", function()
    local bad = {
      {{}, "usage: gevent"},
      {{"fly"}, "unknown command 'fly'"},
      {{"serv"}, "unknown command 'serv': is 'serve' meant%?"},
      {{"serve", "--wrkers", "2", "a.lua"}, "'%-%-wrkers': is '%-%-workers' meant%?"},
      {{"serve"}, "which application%?"},
      {{"serve", "a.lua", "b.lua"}, "not 'b.lua'"},
      {{"serve", "--port", "80", "a.lua"}, "unknown option '%-%-port'"},
      {{"serve", "a.lua", "--tls", "cert.pem"}, "%-%-tls needs KEY"},
      {{"serve", "--workers", "many", "a.lua"}, "%-%-workers needs a number >= 1, not 'many'"},
      {{"serve", "--workers", "1.5", "a.lua"}, "whole number"},
      {{"serve", "--reload=yes", "a.lua"}, "%-%-reload takes no value"},
      {{"serve", "-b", "localhost", "a.lua"}, "bad listener 'localhost'"},
      {{"run"}, "which program%?"},
      {{"backdoor"}, "which address%?"},
      {{"backdoor", "nonsense"}, "bad listener 'nonsense'"},
    }
    for _, case in ipairs(bad) do
      local code, out, err = cli.run(case[1])
      assert.equal(2, code)
      assert.matches(case[2], out .. err)
    end
  end, LONG)
end)

describe("gevent run", function()
  it("runs a program with its arguments, and waits for its greenlets", function()
    local dir <close> = cli.directory {["p.lua"] = [[
      local gevent = require "gevent"
      print(arg[0]:match("[^/]+$"), #arg, arg[1], ...)
      gevent.spawn(function() gevent.sleep(0.01) print "later" end)
    ]]}
    local path = dir.path .. "/p.lua"
    local code, out, err = cli.run {"run", "--no-patch", path, "--help", "b"}
    assert.same({0, "p.lua\t2\t--help\t--help\tb\nlater\n", ""}, {code, out, err})
    code, out = cli.run {"run", "--no-patch", "--no-wait", path}
    assert.same({0, "p.lua\t0\tnil\n"}, {code, out})
  end, LONG)

  it("patches, unless told not to", function()
    local dir <close> = cli.directory {["p.lua"] = [[
      print(require "gevent.monkey".is_module_patched "os")
    ]]}
    assert.same({0, "true\n", ""}, {cli.run {"run", dir.path .. "/p.lua"}})
    assert.same({0, "false\n", ""}, {cli.run {"run", "--no-patch", dir.path .. "/p.lua"}})
  end, LONG)

  it("fails as the program does", function()
    local dir <close> = cli.directory {["bad.lua"] = "x = = 1",
      ["fails.lua"] = "error 'broken'", ["exits.lua"] = "os.exit(7)"}
    local code, _, err = cli.run {"run", "--no-patch", dir.path .. "/bad.lua"}
    assert.equal(1, code)
    assert.matches("bad.lua:1: unexpected symbol", err)
    code, _, err = cli.run {"run", "--no-patch", dir.path .. "/fails.lua"}
    assert.equal(1, code)
    assert.matches("fails.lua:1: broken\nstack traceback:", err)
    assert.equal(7, (cli.run {"run", "--no-patch", dir.path .. "/exits.lua"}))
    assert.equal(1, (cli.run {"run", dir.path .. "/none.lua"}))
  end, LONG)
end)

describe("gevent repl", function()
  it("prints, continues lines, blocks, and runs greenlets meanwhile", function()
    local code, out, err = cli.run({"repl", "-q"}, {input = [[
1 + 2, "x"
= 5
y = 7
for i = 1, 2 do
print(i)
end
g = spawn(function() sleep(0.001) return "from a greenlet" end)
g:get()
y
error "no"
x = =
"still here"
quit()
"not here"
]]})
    assert.same({0, ""}, {code, err})
    assert.matches("^3\tx\n5\n1\n2\nfrom a greenlet\n7\nstdin:1: no\nstack traceback:\n", out)
    assert.not_matches("_console", out)
    assert.matches("unexpected symbol", out)
    assert.matches("\nstill here\n$", out)
  end, LONG)

  it("runs files first, and greets", function()
    local dir <close> = cli.directory {["p.lua"] = "answer = 42"}
    local code, out = cli.run({"repl", dir.path .. "/p.lua"}, {input = "answer\n"})
    assert.equal(0, code)
    assert.matches("^Lua 5.4, gevent .*\n> 42\n> ", out)
  end, LONG)
end)

describe("gevent backdoor", function()
  it("talks to a process", function()
    local backdoor = require "gevent.backdoor"
    local server <close> = backdoor.BackdoorServer("127.0.0.1:0", {answer = 42})
    assert(server:start())
    local code, out, err = cli.run({"backdoor", tostring(server.port)},
      {input = "answer\nprint 'x'\n"})
    assert.same({0, ""}, {code, err})
    assert.matches("> 42\n> x\n", out)
    server:stop()
    local address = "127.0.0.1:" .. server.port
    assert.same({1, "", "gevent backdoor: " .. address .. ": connection refused\n"},
      {cli.run {"backdoor", address}})
  end, LONG)
end)

local APP = [[
local gevent = require "gevent"
local app = require "gevent.http".Router()
app:get("/", function() return "one" end)
app:get("/who", function(req) return req.remote_host .. " " .. req.scheme end)
app:get("/slow", function() gevent.sleep(0.2) return "slow" end)
app:get("/mod", function() return require "neighbour" end)
app:get("/pid", function() return tostring(require "gevent.os".getpid()) end)
return app
]]

describe("gevent serve", function()
  it("says in one line why it cannot begin", function()
    local dir <close> = cli.directory {["app.lua"] = APP}
    local listener <close> = assert(socket.create_server("127.0.0.1:0"))
    local taken = "127.0.0.1:" .. select(2, listener:getsockname())
    local code, _, err = cli.run {"serve", "-b", taken, dir.path .. "/app.lua"}
    assert.same({1, ("gevent: cannot listen on %s: address already in use\n"):format(taken)},
      {code, err})
    code, _, err = cli.run {"serve", "-b", "127.0.0.1:0", "--tls", "none", "none",
      dir.path .. "/app.lua"}
    assert.equal(1, code)
    assert.matches("failed: %-%-tls: none: no such file or directory\n", err)
    assert.not_matches("traceback", err)
  end, LONG)

  it("serves what a file returns, until SIGTERM, when requests are answered", function()
    local dir <close> = cli.directory {["app.lua"] = APP,
      ["neighbour.lua"] = "return 'a module beside it'"}
    local server <close> = cli.serve {"-b", "127.0.0.1:0", "-w", "2", dir.path .. "/app.lua"}
    assert.same({200, "one"}, {cli.get(server, "/")})
    assert.same({200, "a module beside it"}, {cli.get(server, "/mod")})
    assert.equal(404, (cli.get(server, "/nothing")))
    local slow = helper.spawn_blocked(cli.get, server, "/slow")
    helper.wait_until(function() return cli.get(server, "/") end)
    assert.equal(0, server:stop())
    assert.same({200, "slow"}, {slow:get()})
    assert.equal("ECONNREFUSED", (select(3, cli.get(server, "/"))))
  end, LONG)

  it("serves handlers, fields of modules, directories, WSAPI applications", function()
    local dir <close> = cli.directory {
      ["handler.lua"] = "return function(req) return 'handler ' .. req.path end",
      ["mod.lua"] = "return {web = function() return 'a field' end}",
      ["ws.lua"] = [[return {run = function(env)
        local sent
        return 200, {["Content-Type"] = "text/plain"}, function()
          if sent then return nil end
          sent = true
          return "wsapi " .. env.PATH_INFO
        end
      end}]],
    }
    local path = package.path .. ";" .. dir.path .. "/?.lua"
    local cases = {
      {dir.path .. "/handler.lua", "/x", "handler /x"},
      {"mod:web", "/", "a field"},
      {dir.path .. "/", "/mod.lua", helper.slurp(dir.path .. "/mod.lua")},
      {dir.path .. "/ws.lua", "/y", "wsapi /y"},
    }
    for _, case in ipairs(cases) do
      local server <close> = cli.serve({"-b", "127.0.0.1:0", case[1]},
        {LUA_PATH_5_4 = path})
      assert.same({200, case[3]}, {cli.get(server, case[2])})
    end
  end, {deadline = 60})

  it("says why an application is none", function()
    local dir <close> = cli.directory {["syntax.lua"] = "x = = 1",
      ["number.lua"] = "return 5", ["fails.lua"] = "error 'broken'"}
    local cases = {
      ["syntax.lua"] = "syntax.lua:1: unexpected symbol",
      ["number.lua"] = "number.lua gave number; a handler function",
      ["fails.lua"] = "fails.lua:1: broken\nstack traceback:",
      ["none.lua"] = "cannot open",
    }
    for name, pattern in pairs(cases) do
      local code, _, err = cli.run {"serve", "-b", "127.0.0.1:0", dir.path .. "/" .. name}
      assert.equal(1, code)
      assert.matches(pattern, err)
      assert.matches("gevent: worker 1 ended before it was ready %(exit code 1%)\n$", err)
    end
    local code, _, err = cli.run {"serve", "-b", "127.0.0.1:0", "no.such.module"}
    assert.equal(1, code)
    assert.matches("module 'no.such.module' not found:", err)
  end, LONG)

  it("runs new code at SIGHUP, the old where that is broken, refuses nobody", function()
    local dir <close> = cli.directory {["app.lua"] = "return function() return 'one' end"}
    local server <close> = cli.serve {"-b", "127.0.0.1:0", dir.path .. "/app.lua"}
    assert.same({200, "one"}, {cli.get(server, "/")})
    dir.write("app.lua", "return = 5")
    server:signal("HUP")
    server:expect("the former one stays")
    server:expect("app.lua is not reloaded$")
    assert.same({200, "one"}, {cli.get(server, "/")})
    dir.write("app.lua", "return function() return 'two' end")
    server:signal("HUP")
    helper.wait_until(function()
      local status, body = cli.get(server, "/")
      assert.equal(200, status)
      return body == "two"
    end, 20)
    server:expect("app.lua is reloaded$")
    assert.equal(0, server:stop())
  end, LONG)

  it("reloads by itself when a file changes", function()
    local dir <close> = cli.directory {["neighbour.lua"] = "return 'one'",
      ["app.lua"] = "local text = require 'neighbour' return function() return text end"}
    local server <close> = cli.serve {"-b", "127.0.0.1:0", "--reload",
      dir.path .. "/app.lua"}
    assert.same({200, "one"}, {cli.get(server, "/")})
    helper.wait_until(function() -- the first look may be yet to come
      dir.write("neighbour.lua", "return 'two' -- " .. helper.now())
      require "gevent".sleep(0.7)
      return select(2, cli.get(server, "/")) == "two"
    end, 20)
    assert.matches("neighbour.lua has changed", server:text())
  end, LONG)

  it("writes logs, and opens them again at SIGUSR1", function()
    local dir <close> = cli.directory {["app.lua"] =
      "return function(req) if req.path == '/bad' then error 'broken' end return 'x' end"}
    local access, errors = dir.path .. "/access.log", dir.path .. "/error.log"
    local server <close> = cli.serve {"-b", "127.0.0.1:0", "--access-log", access,
      "--error-log", errors, dir.path .. "/app.lua"}
    cli.get(server, "/first")
    cli.get(server, "/bad")
    helper.wait_until(function() return helper.slurp(access):find('"GET /bad', 1, true) end)
    assert.matches('^127.0.0.1 %- %- %[.-%] "GET /first HTTP/1.0" 200 1 ',
      helper.slurp(access))
    assert.matches("app.lua:1: broken", helper.slurp(errors))
    assert(os.rename(access, access .. ".1"))
    server:signal("USR1")
    helper.wait_until(function() return helper.slurp(access) end)
    cli.get(server, "/second")
    helper.wait_until(function() return helper.slurp(access):find("/second", 1, true) end)
    assert.not_matches("/second", helper.slurp(access .. ".1"))
  end, LONG)

  it("listens on several addresses; a path that was left behind is no obstacle", function()
    local dir <close> = cli.directory {["app.lua"] = APP}
    local path = dir.path .. "/s"
    assert(socket.create_server("unix:" .. path)):close() -- the path stays
    local server <close> = cli.serve {"-b", "127.0.0.1:0", "--bind=unix:" .. path,
      dir.path .. "/app.lua"}
    assert.same({200, "one"}, {cli.get(server, "/")})
    assert.same({200, "one"}, {cli.get(path, "/")})
    local code, _, err = cli.run {"serve", "-b", "unix:" .. path, dir.path .. "/app.lua"}
    assert.equal(1, code)
    assert.matches("cannot listen on unix:.*: address already in use", err)
    assert.equal(0, server:stop())
    assert.is_nil(io.open(path))
  end, LONG)

  it("believes a proxy where told", function()
    local dir <close> = cli.directory {["app.lua"] = APP}
    local headers = "X-Forwarded-For: 6.6.6.6, 192.0.2.7\r\nX-Forwarded-Proto: https\r\n"
    local server <close> = cli.serve {"-b", "127.0.0.1:0", dir.path .. "/app.lua"}
    assert.same({200, "127.0.0.1 http"}, {cli.get(server, "/who", headers)})
    local log = dir.path .. "/log"
    local behind <close> = cli.serve {"-b", "127.0.0.1:0", "--trust-proxy",
      "--access-log", log, dir.path .. "/app.lua"}
    assert.same({200, "192.0.2.7 https"}, {cli.get(behind, "/who", headers)})
    helper.wait_until(function() return helper.slurp(log):find("\n") end)
    assert.matches("^192%.0%.2%.7 %- %- %[", helper.slurp(log))
  end, LONG)

  it("serves HTTPS", function()
    local tls = require "helper_tls"
    local own = tls.certificate "localhost"
    local dir <close> = cli.directory {["app.lua"] = APP}
    local server <close> = cli.serve {"-b", "127.0.0.1:0", "--tls", own.cert, own.key,
      dir.path .. "/app.lua"}
    local sock <close> = assert(socket.create_connection("127.0.0.1", server.port,
      {ssl = tls.client()}))
    sock:sendall("GET / HTTP/1.0\r\n\r\n")
    assert.matches("\r\n\r\none", sock:readuntil("one"))
    assert.matches("https://127.0.0.1:", server:text())
    local code, _, err = cli.run {"serve", "-b", "127.0.0.1:0", "--tls", "/none", own.key,
      dir.path .. "/app.lua"}
    assert.equal(1, code)
    assert.matches("%-%-tls: ", err)
  end, LONG)

  it("has a backdoor in each worker", function()
    local dir <close> = cli.directory {["app.lua"] = APP}
    local server <close> = cli.serve {"-b", "127.0.0.1:0", "-w", "2", "--backdoor",
      "unix:" .. dir.path .. "/door-%d", dir.path .. "/app.lua"}
    local seen = {}
    local function ask(number)
      local _, out = cli.run({"backdoor", "unix:" .. dir.path .. "/door-" .. number},
        {input = "require 'gevent.os'.getpid()\n"})
      return math.tointeger(out:match("> (%d+)\n"))
    end
    for number = 1, 2 do
      helper.wait_until(function() seen[number] = ask(number) return seen[number] end)
    end
    assert.not_equal(seen[1], seen[2])
    server:signal("HUP")
    helper.wait_until(function() -- the new one has the same address
      local pid = ask(1)
      return pid and pid ~= seen[1]
    end, 20)
    assert.equal(0, server:stop())
    assert.is_true(os.execute("! ls " .. dir.path .. "/door-* 2>/dev/null"))
  end, {deadline = 60})
end)
