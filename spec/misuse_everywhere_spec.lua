-- Every public function and method, called wrongly: what it raises, if it does, is said
-- of the user's line, and in the library's words; never a Lua error from its inside.

local helper = require "helper"
local it = helper.it

-- Runs in a process of its own, as some of these calls succeed, and open things.
local PROGRAM = [[
local gevent = require "gevent"
gevent.get_hub().exception_stream = false

-- These end the process, change all of it, or are for the library alone.
local SKIP = {
  ["os.kill"] = true, ["os.close"] = true, ["resolver.choose"] = true,
  ["resolver.lookup"] = true, ["systemd.listeners"] = true, ["workers.run"] = true,
  ["events.notify"] = true, ["util.assert_switches"] = true, ["util.print_run_info"] = true,
  ["socket.parselistener"] = true,
}
local function nothing() end

local WRONG = {{n = 0}, {n = 1, nil}, {n = 1, true}, {n = 1, {}}, {n = 1, nothing},
  {n = 1, -1}, {n = 1, 1.5}}

local bad, calls = {}, 0

-- The call is on a line of its own, in a chunk "=here".
local function caller(name, ismethod)
  local call = ismethod and "self:%s(...)" or "t.%s(...)"
  return load(("local t = ...; return function(%s) local r = table.pack(" .. call
    .. ") return r end"):format(ismethod and "self, ..." or "...", name), "=here")
end

local function try(label, fn, name, ismethod, args)
  calls = calls + 1
  local call = caller(name, ismethod)({[name] = fn})
  local ok, err = gevent.with_timeout(0.01, gevent.pcall, call, table.unpack(args, 1, args.n))
  err = tostring(err)
  if ok == false and not err:find("^here:1: ") or err:find("attempt to", 1, true) then
    bad[label .. ": " .. err:match("^[^\n]*"):sub(1, 150)] = true
  end
end

local function sweep(label, fn, before, ismethod)
  if SKIP[label] or label:find("%.patch_") or label:find("fork$") or label:find("reinit$") then
    return
  end
  local name = label:match("[%w_]+$")
  for _, wrong in ipairs(WRONG) do
    local args = {n = before.n + wrong.n, table.unpack(before, 1, before.n)}
    for i = 1, wrong.n do args[before.n + i] = wrong[i] end
    try(label, fn, name, ismethod, args)
  end
end

local function pack(...) return table.pack(...) end

-- Right arguments, after which a wrong one is to be seen.
local BEFORE = {
  ["gevent.spawn_later"] = pack(1), ["gevent.with_timeout"] = pack(1),
  ["gevent.joinall"] = pack({}), ["gevent.killall"] = pack({}, nil, true),
  ["gevent.wait"] = pack({}, 0), ["gevent.iwait"] = pack({}, 0),
  ["gevent.exception"] = pack "Name", ["gevent.signal_handler"] = pack "USR1",
  ["queue.Queue"] = pack(1), ["queue.PriorityQueue"] = pack(1, {}), ["pool.Pool"] = pack(1),
  ["socket.socket"] = pack "inet", ["socket.create_connection"] = pack("127.0.0.1", 1),
  ["socket.create_server"] = pack "127.0.0.1:0", ["socket.getaddrinfo"] = pack("127.0.0.1", 1),
  ["socket.getnameinfo"] = pack("127.0.0.1", 1), ["socket.wait_read"] = pack(0),
  ["select.select"] = pack({}, {}, {}), ["http.get"] = pack "http://127.0.0.1:1/",
  ["http.post"] = pack("http://127.0.0.1:1/", "x"), ["http.files"] = pack ".",
  ["websocket.connect"] = pack "ws://127.0.0.1:1/", ["signal.signal"] = pack "USR1",
  ["subprocess.Popen"] = pack "true", ["subprocess.run"] = pack "true",
  ["os.waitpid"] = pack(1), ["os.nb_read"] = pack(0), ["os.nb_write"] = pack(1),
  ["fileobject.open"] = pack "/dev/null", ["core.io"] = pack(0), ["core.timer"] = pack(1),
  ["core.stat"] = pack "/", ["backdoor.BackdoorServer"] = pack("127.0.0.1:0", {}),
  ["workers.Supervisor"] = pack(nothing), ["workers.listen"] = pack "127.0.0.1:0",
  ["server.StreamServer"] = pack("127.0.0.1:0", nothing),
  ["server.DatagramServer"] = pack("127.0.0.1:0", nothing),
  ["http.Server"] = pack("127.0.0.1:0", nothing),
  ["wsapi.Server"] = pack("127.0.0.1:0", nothing),
}

local modules = {gevent = gevent}
for name in ("event queue lock pool socket ssl resolver server select http websocket wsapi "
  .. "monkey coroutine subprocess os signal threadpool fileobject core time util events "
  .. "backdoor workers systemd metrics"):gmatch "%S+" do
  modules[name] = require("gevent." .. name)
end
for module, functions in pairs(modules) do
  for name, fn in pairs(functions) do
    if type(name) == "string" and not name:find("^_") and name ~= "yield"
      and (type(fn) == "function" or (debug.getmetatable(fn) or {}).__call) then
      local label = module .. "." .. name
      sweep(label, fn, pack())
      if BEFORE[label] then sweep(label, fn, BEFORE[label]) end
    end
  end
end

local lock = modules.lock
local held = lock.Condition()
held:acquire()
local client = modules.http.Client()
local objects = {
  greenlet = {gevent.Greenlet(nothing), "start start_later join get kill link rawlink unlink"},
  timeout = {gevent.Timeout(1), "start cancel close"},
  event = {modules.event.Event(), "set clear is_set wait"},
  result = {modules.event.AsyncResult(), "set_exception wait ready successful"},
  queue = {modules.queue.JoinableQueue(), "put get peek put_nowait qsize close join"},
  channel = {modules.queue.Channel(), "put get"},
  semaphore = {lock.Semaphore(), "acquire locked hold"},
  rlock = {lock.RLock(), "acquire locked hold"},
  condition = {held, "acquire wait notify notify_all"},
  pool = {modules.pool.Pool(2), "spawn start add discard join kill killone full free_count "
    .. "wait_available apply apply_async map map_async imap imap_unordered map_n imap_n iter"},
  nursery = {gevent.nursery(), "spawn"},
  socket = {modules.socket.socket(), "bind listen accept connect recv send sendall sendv "
    .. "recvfrom sendto sendfile shutdown settimeout setsockopt getsockopt fileno read lines "
    .. "readuntil readexactly write flush setvbuf"},
  context = {modules.ssl.create_default_context(), "load_cert_chain load_verify_locations "
    .. "set_ciphers set_alpn_protocols set_servername_callback wrap_socket"},
  server = {modules.server.StreamServer("127.0.0.1:0", nothing), "stop_accepting "
    .. "start_accepting stop start serve_forever"},
  poll = {modules.select.poll(), "register modify unregister poll"},
  headers = {modules.http.Headers(), "get_all add each"},
  router = {modules.http.Router(), "get post use mount route any not_found"},
  client = {client, "request get post close"},
  jar = {modules.http.CookieJar(), "clear"},
  process = {modules.subprocess.Popen "exit", "wait poll communicate send_signal"},
  threads = {modules.threadpool.ThreadPool(1), "spawn apply map imap imap_unordered join kill"},
  file = {modules.fileobject.open("/dev/null", "r"), "read lines seek setvbuf close"},
  watcher = {modules.core.timer(1), "start stop close"},
}
for kind, object in pairs(objects) do
  local self = object[1]
  for name in object[2]:gmatch "%S+" do
    sweep(kind .. "." .. name, assert(self[name], name), pack())
    sweep(kind .. ":" .. name, self[name], pack(self), true)
  end
end

local list = {}
for text in pairs(bad) do list[#list + 1] = text end
table.sort(list)
print("\n" .. calls, table.concat(list, "\n"))
os.exit(0, false)
]]

it("what is called wrongly says so at the caller's line", function()
  local code, out, err = helper.run_lua(PROGRAM, {timeout = 60})
  assert.equal(0, code, err)
  local calls, complaints = out:match("\n(%d+)\t([^\t]*)\n$") -- some calls print, too
  assert.is_true(tonumber(calls) > 1500, calls)
  assert.equal("", complaints)
end, {deadline = 90})
