-- gevent.systemd, and `gevent serve` as a service: sockets that somebody else has
-- opened, and what is to be told to whom. The specs are systemd.

local helper = require "helper"
local cli = require "helper_cli"
local gevent = require "gevent"
local process = require "helper_process"
local socket = require "gevent.socket"
local subprocess = require "gevent.subprocess"
local systemd = require "gevent.systemd"
local it = helper.it

local LONG = {deadline = 30}

-- What systemd does: descriptor 3, the number of the process, and then exec.
local ACTIVATE = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 "

-- Messages that come to a NOTIFY_SOCKET.
local function listener()
  local path = os.tmpname()
  os.remove(path)
  local sock = assert(socket.socket("unix", "dgram"))
  assert(sock:bind(path))
  return sock, path, helper.defer(function()
    sock:close()
    os.remove(path)
  end)
end

describe("gevent.systemd", function()
  it("does nothing where there is no systemd", function()
    assert.same({}, systemd.listeners())
    assert.is_false(systemd.notify("READY=1"))
    assert.is_nil(systemd.watchdog())
    assert.is_nil(systemd.start_watchdog())
  end)

  it("hands out the sockets it was given, once and to whom they are", function()
    local given <close> = assert(socket.create_server("127.0.0.1:0"))
    local _, port = given:getsockname()
    local script = os.tmpname()
    local f = assert(io.open(script, "w"))
    f:write [[
      local systemd = require "gevent.systemd"
      local list = systemd.listeners()
      assert(systemd.listeners() == list)
      print(#list, list[1] and select(2, list[1]:getsockname()))
    ]]
    f:close()
    local command = process.command(script):gsub("^exec ", "")
    local opts = {stdin = given, stdout = subprocess.PIPE}
    local result = assert(subprocess.run(ACTIVATE .. "exec " .. command, opts))
    assert.equal("1\t" .. port .. "\n", result.stdout)
    result = assert(subprocess.run("LISTEN_PID=1 LISTEN_FDS=1 " .. command, opts))
    assert.equal("0\tnil\n", result.stdout)
    os.remove(script)
  end, LONG)
end)

describe("gevent serve, as a service", function()
  it("takes the sockets, and tells what happens", function()
    local notices, path, _close <close> = listener()
    local given <close> = assert(socket.create_server("127.0.0.1:0"))
    local _, port = given:getsockname()
    local dir <close> = cli.directory {["app.lua"] = "return function() return 'x' end"}
    local command = process.command("bin/gevent", {"serve", dir.path .. "/app.lua"},
      {NOTIFY_SOCKET = path, WATCHDOG_USEC = 40000})
    local child <close> = assert(subprocess.Popen(ACTIVATE .. command,
      {stdin = given, stderr = subprocess.DEVNULL}))
    local kinds = {}
    local reader <close> = gevent.spawn(function()
      while true do
        local text = assert(notices:recvfrom(1000))
        for name, value in text:gmatch("([%u_]+)=([^\n]*)") do
          kinds[name] = kinds[name] or {}
          table.insert(kinds[name], value)
        end
      end
    end)
    local function seen(name, n)
      helper.wait_until(function() return #(kinds[name] or {}) >= n end, 20)
    end
    local _stop <close> = helper.defer(function() reader:kill() end)
    seen("READY", 1)
    assert.matches("http://127.0.0.1:" .. port, kinds.STATUS[1])
    assert.same({200, "x"}, {cli.get({port = port}, "/")})
    seen("WATCHDOG", 3)
    child:send_signal("HUP")
    seen("READY", 2)
    assert.same({"1"}, kinds.RELOADING)
    local usec = tonumber(kinds.MONOTONIC_USEC[1])
    assert.is_true(math.abs(usec / 1e6 - require "gevent.time".monotonic()) < 60)
    child:terminate()
    seen("STOPPING", 1)
    assert.equal(0, child:wait(20 * helper.scale))
  end, LONG)
end)
