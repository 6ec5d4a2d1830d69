-- The configurations in docs/deployment.md work as they stand there, but for paths and
-- ports: each program is started with its own, in front of `gevent serve`.

local helper = require "helper"
local cli = require "helper_cli"
local http = require "gevent.http"
local process = require "helper_process"
local socket = require "gevent.socket"
local subprocess = require "gevent.subprocess"
local it = helper.it

local LONG = {deadline = 40}
local page = helper.slurp "docs/deployment.md"

--- The n-th block of that kind.
local function block(kind, n)
  local found = 0
  for text in page:gmatch("\n```" .. kind .. "\n(.-)\n```") do
    found = found + 1
    if found == (n or 1) then return text .. "\n" end
  end
  error("no such block: " .. kind)
end

--- Where a program is that need not be in the PATH of users.
local function find(name)
  for _, directory in ipairs {"/usr/sbin/", "/usr/bin/", "/usr/local/sbin/", "/sbin/"} do
    local f = io.open(directory .. name)
    if f then
      f:close()
      return directory .. name
    end
  end
end

--- What stands there is replaced; it has to be there.
local function replace(text, what, by)
  local from, to = text:find(what, 1, true)
  assert(from, what .. " is not there")
  return text:sub(1, from - 1) .. by .. text:sub(to + 1)
end

local function free_port()
  local listener <close> = assert(socket.create_server("127.0.0.1:0"))
  return (select(2, listener:getsockname()))
end

local APP = [[
local websocket = require "gevent.websocket"
local app = require "gevent.http".Router()
app:get("/", function(req) return req.remote_host .. " " .. req.scheme end)
app:post("/", function(req) return tostring(#req:body()) end)
app:get("/ws", function(req, res)
  local ws = websocket.upgrade(req, res)
  if not ws then return end
  for data in ws:messages() do ws:send(data:upper()) end
end)
return app
]]

--- Requests, a body, a WebSocket, and a reload, through the proxy at that port.
local function try(server, port)
  local base = "http://127.0.0.1:" .. port
  local answer
  helper.wait_until(function()
    answer = http.get(base .. "/")
    return answer and answer.status == 200
  end, 20)
  assert.equal("127.0.0.1 http", answer.body)
  assert.equal("100000", assert(http.post(base .. "/", ("x"):rep(100000))).body)
  local websocket = require "gevent.websocket"
  local ws <close> = assert(websocket.connect("ws://127.0.0.1:" .. port .. "/ws",
    {timeout = 10 * helper.scale}))
  assert(ws:send "hello")
  assert.equal("HELLO", ws:receive(10 * helper.scale))
  server:signal("HUP")
  local before = #server.lines
  helper.wait_until(function()
    assert.equal(200, assert(http.get(base .. "/")).status)
    return #server.lines > before
  end, 20)
end

local function behind(command, port)
  local dir <close> = cli.directory {["app.lua"] = APP}
  local server <close> = cli.serve {"-b", "127.0.0.1:0", "-w", "2", "--trust-proxy",
    dir.path .. "/app.lua"}
  local config, words = command(dir, server.port)
  dir.write("config", config)
  local log = dir.path .. "/proxy.log"
  local proxy <close> = assert(subprocess.Popen("exec " .. words .. " >"
    .. process.quote(log) .. " 2>&1", {stdin = subprocess.DEVNULL}))
  local ok, err = xpcall(try, debug.traceback, server, port)
  proxy:terminate()
  if not proxy:wait(5 * helper.scale) then proxy:kill() end
  assert(ok, tostring(err) .. "\n" .. (helper.slurp(log) or ""))
end

describe("the configuration of", function()
  it("nginx", function()
    local nginx = find "nginx"
    if not nginx then return pending "nginx is not installed" end
    local port = free_port()
    behind(function(dir, app_port)
      local text = replace(block "nginx", "127.0.0.1:8080", "127.0.0.1:" .. app_port)
      text = replace(text, "listen 80;", "listen 127.0.0.1:" .. port .. ";")
      local temporary = {}
      for _, name in ipairs {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} do
        temporary[#temporary + 1] = ("%s_temp_path %s/%s;"):format(name, dir.path, name)
      end
      return ("daemon off; master_process off; pid %s/pid; error_log stderr;\n"
        .. "events {}\nhttp {\naccess_log off;\n%s\n%s}\n"):format(dir.path,
          table.concat(temporary, "\n"), text),
        ("%s -p %s -c %s/config"):format(nginx, dir.path, dir.path)
    end, port)
  end, LONG)

  it("HAProxy", function()
    local haproxy = find "haproxy"
    if not haproxy then return pending "haproxy is not installed" end
    local port = free_port()
    behind(function(dir, app_port)
      local text = replace(block "haproxy", "127.0.0.1:8080", "127.0.0.1:" .. app_port)
      text = replace(text, "bind :80", "bind 127.0.0.1:" .. port)
      return text, ("%s -db -f %s/config"):format(haproxy, dir.path)
    end, port)
  end, LONG)

  it("systemd", function()
    local analyze = find "systemd-analyze"
    if not analyze then return pending "systemd-analyze is not installed" end
    local dir <close> = cli.directory()
    local service = replace(block "ini", "/usr/local/bin/gevent", "/bin/true")
    service = replace(service, "User=www-data\n", "")
    dir.write("app.service", service)
    dir.write("app.socket", block("ini", 2))
    local result = assert(subprocess.run({analyze, "verify", dir.path .. "/app.service",
      dir.path .. "/app.socket"}, {stderr = subprocess.STDOUT}))
    -- It also looks at other units of this machine.
    assert.not_matches("app%.s[^\n]*:%d+:", result.stdout)
    assert.not_matches("[Uu]nknown", result.stdout)
  end, LONG)
end)
