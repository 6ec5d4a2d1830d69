-- gevent._cli.serve: a web application, in workers.
--
-- The supervisor opens the sockets and knows nothing of the application; each worker
-- loads it. So a reload (SIGHUP) runs new code, and waits on the old sockets.
local core = require "gevent._core"
local apps = require "gevent._cli.app"
local gos = require "gevent.os"
local gsignal = require "gevent.signal"
local http = require "gevent.http"
local options = require "gevent._cli.options"
local socket = require "gevent.socket"
local systemd = require "gevent.systemd"
local workers = require "gevent.workers"

local DEFAULT = "127.0.0.1:8080"
local BACKDOOR_DELAY = 0.2 -- seconds between attempts to have its address

local command = {
  usage = "gevent serve [OPTION...] APPLICATION",
  about = [[
Serves a web application over HTTP/1.1. APPLICATION is one of
  app.lua        a file; what it returns is served
  name           a module that `require` finds; name:field is a field of it
  public/        a directory of files
and what is served is one of
  function(req, res)    a handler; see gevent.http
  http.Router()         a router
  a table with `run`    a WSAPI application, such as Orbit's

A supervisor holds the sockets; workers load the application and serve.
  SIGTERM, SIGINT  no new connections; requests under way are answered, then it ends
  SIGHUP           new workers with new code, then the old ones end: nobody is refused.
                   Where the new code does not load, the old one stays
  SIGUSR1          the log files are opened again
Sockets of systemd (LISTEN_FDS) are taken where no --bind is given, and systemd is
told what happens (Type=notify or notify-reload, WatchdogSec).]],
  options = {
    {"--bind", "-b", "ADDRESS", "host:port, :port (all interfaces), port, unix:/path;\n"
      .. "may be given several times. " .. DEFAULT .. " unless told", many = true},
    {"--workers", "-w", "N", "processes; `auto`: one for each core. 1 unless told"},
    {"--reuse-port", nil, "", "a listener for each worker (SO_REUSEPORT): connections are\n"
      .. "spread evenly, and wait for a worker that is busy"},
    {"--tls", nil, "CERT KEY", "serve HTTPS, with these PEM files"},
    {"--wsapi", nil, "", "a function is a WSAPI application, not a handler"},
    {"--reload", nil, "", "as if by SIGHUP whenever a file of the application changes"},
    {"--access-log", nil, "FILE", "a line for each request; - is stdout"},
    {"--error-log", nil, "FILE", "what goes wrong; stderr unless told"},
    {"--grace", nil, "SECONDS", "that a worker may take to end; 30 unless told"},
    {"--max-body", nil, "BYTES", "of a request; 1048576 unless told"},
    {"--max-requests", nil, "N", "of one connection; no limit unless told"},
    {"--compress", nil, "", "compress answers for clients that want it"},
    {"--trust-proxy", nil, "", "who the client is, and its scheme, comes from\n"
      .. "X-Forwarded-For and X-Forwarded-Proto: behind a proxy only"},
    {"--backdoor", nil, "ADDRESS", "a gevent.backdoor in each worker; %d is its number"},
    {"--help", "-h", "", "this text"},
  },
  examples = {
    "gevent serve hello.lua",
    "gevent serve --bind :443 --tls cert.pem key.pem --workers auto shop:app",
    "gevent serve --reload --access-log - app.lua",
    "gevent serve --bind unix:/run/app.sock --trust-proxy app.lua",
    "gevent serve --backdoor unix:/tmp/app-%d.sock app.lua",
  },
}

-- Sockets ---------------------------------------------------------------------------------

-- A path that a server has left behind when it crashed is in nobody's way.
local function removestale(address)
  local path = address:match("^unix:([^@].*)$")
  if not path then return false end
  local sock <close> = socket.socket("unix")
  local _, _, code = sock:connect(path, 1)
  return code == "ECONNREFUSED" and os.remove(path) ~= nil
end

local function listen(address, n, opts)
  local ok, problem = pcall(socket.parselistener, address)
  if not ok then options.complain("--bind: %s", problem) end
  local list, message, code = workers.listen(address, n, opts)
  if not list and code == "EADDRINUSE" and removestale(address) then
    list, message = workers.listen(address, n, opts)
  end
  if not list then apps.complain("cannot listen on %s: %s", address, message) end
  return list
end

-- Lists of sockets, one of each for each worker.
local function openall(opts, n)
  local all, given = {}, systemd.listeners()
  if not opts.bind and given[1] then
    for i, sock in ipairs(given) do
      all[i] = {}
      for number = 1, n do all[i][number] = sock end
    end
    return all
  end
  for i, address in ipairs(opts.bind or {DEFAULT}) do
    all[i] = listen(address, n, {reuse_port = opts.reuse_port})
  end
  return all
end

local function describe(sock, scheme)
  local host, port = sock:getsockname()
  if not port then return "unix:" .. host end
  if host:find(":", 1, true) then host = "[" .. host .. "]" end
  return ("%s://%s:%d/"):format(scheme, host, port)
end

local function closeall(opts, all)
  for _, list in ipairs(all) do
    for _, sock in ipairs(list) do sock:close() end
  end
  for _, address in ipairs(opts.bind or {}) do
    local path = address:match("^unix:([^@].*)$")
    if path then os.remove(path) end
  end
end

-- In a worker -----------------------------------------------------------------------------

-- A stream that writes whole lines, and can be opened again.
local function openlog(path)
  if not path then return nil end
  local file = io.stdout
  local log = {}
  function log.reopen()
    if path == "-" then return end
    local new, message = io.open(path, "a")
    if not new then return io.stderr:write("gevent: ", message, "\n") end
    if file ~= io.stdout then file:close() end
    file = new
    file:setvbuf("line")
  end
  function log.write(text)
    file:write(text .. "\n")
    if file == io.stdout then file:flush() end
  end
  log.reopen()
  return log
end

local function openlogs(opts)
  local access, errors = openlog(opts.access_log), openlog(opts.error_log)
  gsignal.signal("SIGUSR1", function()
    if access then access.reopen() end
    if errors then errors.reopen() end
  end)
  return access, errors
end

local function tlscontext(opts)
  if not opts.tls then return nil end
  local context, message = require "gevent.ssl".create_default_context {
    role = "server", cert = opts.tls[1], key = opts.tls[2],
  }
  if not context then apps.complain("--tls: %s", message) end
  return context
end

-- The last entry is the one that our own proxy has added.
local function forwarded(handler)
  return function(req, res)
    local headers = req.headers
    local client, scheme = headers["x-forwarded-for"], headers["x-forwarded-proto"]
    if client then req.remote_host = client:match("([^,%s]+)%s*$") end
    if scheme then req.scheme = scheme:match("([^,%s]+)%s*$"):lower() end
    return handler(req, res)
  end
end

local function accesslog(access, opts)
  if not access then return nil end
  return function(text, req)
    if opts.trust_proxy and req and req.remote_host then
      text = req.remote_host:gsub("[^%w%.:]", "?") .. text:match(" .*")
    end
    access.write(text)
  end
end

local function servers(opts, sockets)
  local application, kind = apps.load(opts.application, opts.wsapi)
  if kind == "http" and opts.trust_proxy then application = forwarded(application) end
  local new = kind == "wsapi" and require "gevent.wsapi".Server or http.Server
  local access, errors = openlogs(opts)
  local list = {}
  for i, sock in ipairs(sockets) do
    list[i] = new(sock, application, {
      ssl_context = tlscontext(opts), compress = opts.compress,
      max_body_bytes = opts.max_body, max_requests = opts.max_requests,
      log = accesslog(access, opts), error_log = errors and errors.write,
    })
  end
  return list
end

-- The worker that this one replaces has the address until it has ended. It removes a
-- path while it still listens there: later, it could be that of the next one.
local function openbackdoor(worker, address)
  local server = require "gevent.backdoor".BackdoorServer(address)
  local ok, message, code
  repeat
    removestale(address)
    ok, message, code = server:start()
    if code == "EADDRINUSE" then core.sleep(BACKDOOR_DELAY) end
  until code ~= "EADDRINUSE"
  if not ok then
    return io.stderr:write(("gevent: backdoor %s: %s\n"):format(address, message))
  end
  worker:wait()
  local path = address:match("^unix:([^@].*)$")
  if path then os.remove(path) end
end

-- The sockets of the others are theirs.
local function mine(all, number)
  local own, keep = {}, {}
  for i, list in ipairs(all) do
    own[i] = list[number]
    keep[list[number]] = true
  end
  for _, list in ipairs(all) do
    for _, sock in ipairs(list) do
      if not keep[sock] then sock:close() end
    end
  end
  return own
end

local function serve(worker, opts, all)
  local list = servers(opts, mine(all, worker.number))
  local backdoor = opts.backdoor and opts.backdoor:gsub("%%d", worker.number)
  if backdoor then core.spawn(openbackdoor, worker, backdoor) end
  if opts.reload and worker.number == 1 then
    core.spawn(apps.watch, opts.application, function(path)
      io.stderr:write(("gevent: %s has changed\n"):format(path))
      gos.kill(opts.supervisor, "SIGHUP")
    end)
  end
  worker:serve(table.unpack(list))
end

-- The supervisor --------------------------------------------------------------------------

local function cores()
  local pipe <close> = io.popen "getconf _NPROCESSORS_ONLN 2>/dev/null"
  return pipe and pipe:read("n") or 1
end

local function check(opts, words)
  if not words[1] then options.complain("which application?") end
  if words[2] then options.complain("one application, not '%s', too", words[2]) end
  opts.application, opts.supervisor = words[1], gos.getpid()
  opts.grace = options.number(opts, "grace", 0)
  opts.max_body = options.number(opts, "max_body", 0)
  opts.max_requests = options.number(opts, "max_requests", 1)
  if opts.workers == "auto" then opts.workers = cores() end
  opts.workers = options.number(opts, "workers", 1) or 1
  if math.type(opts.workers) ~= "integer" then
    options.complain("--workers needs a whole number, or auto")
  end
end

local function say(text, ...)
  io.stderr:write("gevent: ", text:format(...), "\n")
end

-- Tells whoever has started us.
local function notifier(opts, all)
  local places = {}
  for i, list in ipairs(all) do
    places[i] = describe(list[1], opts.tls and "https" or "http")
  end
  local where, reloading = table.concat(places, " "), false
  return function(what, kept)
    if what == "ready" then
      if reloading then
        say(kept and "%s is not reloaded" or "%s is reloaded", opts.application)
      else
        say("%s on %s, %d worker%s, pid %d", opts.application, where, opts.workers,
          opts.workers > 1 and "s" or "", opts.supervisor)
      end
      systemd.notify("READY=1\nSTATUS=" .. where)
    elseif what == "reloading" then
      reloading = true
      systemd.notify(("RELOADING=1\nMONOTONIC_USEC=%d"):format(core.monotonic() * 1e6 // 1))
    else
      systemd.notify("STOPPING=1")
    end
  end
end

function command.run(opts, words)
  check(opts, words)
  local all = openall(opts, opts.workers)
  local _close <close> = setmetatable({}, {__close = function() closeall(opts, all) end})
  systemd.start_watchdog()
  local ok, message = workers.run(function(worker) serve(worker, opts, all) end, {
    workers = opts.workers, grace = opts.grace, notify = notifier(opts, all),
    log = function(text) say("%s", text) end,
  })
  if ok then return 0 end
  say("%s", message)
  return 1
end

return command
