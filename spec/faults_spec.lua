-- What the system may do at any time, done on purpose: interrupted calls,
-- errors, short writes. strace injects the errors; a library for LD_PRELOAD
-- cuts what is sent and received into pieces. Each program runs in a process
-- of its own and prints what it found.

local helper = require "helper"
local it = helper.it

local plain = (os.getenv "GEVENT_SPEC_MODE" or "plain") == "plain"

local function succeeds(command)
  return os.execute(command .. " >/dev/null 2>&1") == true
end

-- Where each program begins: a TCP server that echoes, and a client of it
-- that sends and checks `size` bytes by all ways of reading and writing.
local PRELUDE = [[
  local gevent = require "gevent"
  local socket = require "gevent.socket"
  local server = require "gevent.server"
  local log = {}
  local errors = {write = function(_, text) log[#log + 1] = text end}
  local function echo(sock)
    while true do
      local data = assert(sock:recv(65536))
      if data == "" then return end
      assert(sock:sendall(data))
    end
  end
  local function start(handle)
    local srv = server.StreamServer("127.0.0.1:0", handle or echo,
      {error_log = errors})
    assert(srv:start())
    return srv
  end
  local function connect(srv)
    return assert(socket.create_connection("127.0.0.1", srv.port, {timeout = 5}))
  end
  local function exchange(sock, size)
    sock:settimeout(5)
    local text = ("0123456789abcde\n"):rep(size // 16)
    gevent.spawn(function()
      assert(sock:sendall(text:sub(1, size // 2)))
      local parts = {}
      for i = size // 2 + 1, #text, 100 do
        parts[#parts + 1] = text:sub(i, math.min(i + 99, #text))
      end
      assert(sock:sendv(parts))
      assert(sock:shutdown("w"))
    end)
    local head = assert(sock:read("L", 5, "l"))
    assert(head == "0123456789abcde\n", head)
    assert(sock:readuntil("e\n") == "0123456789abcde\n")
    assert(sock:readexactly(16) == "0123456789abcde\n")
    local rest = assert(sock:read("a"))
    assert(rest == text:sub(65), #rest)
    sock:close()
  end
]]

-- Errors --------------------------------------------------------------------

local tracing = plain and succeeds
  "strace -f -e trace=accept4 -e inject=accept4:error=EMFILE:when=1 true"

--- Runs the program with faults like "accept4:error=EMFILE:when=1"; it must
-- print "ok". Returns how often each call was made.
local function run(faults, program)
  local trace = os.tmpname()
  local words = {"strace -f -qq -o " .. trace}
  for _, fault in ipairs(faults) do
    words[#words + 1] = "-e inject=" .. fault
  end
  local code, out, err = helper.run_lua(PRELUDE .. program .. " print 'ok'",
    {under = table.concat(words, " ")})
  local counts = setmetatable({}, {__index = function() return 0 end})
  local injected = 0
  for line in io.lines(trace) do
    local name = line:match("^%d+%s+([%w_]+)%(")
    if name then counts[name] = counts[name] + 1 end
    if line:find("(INJECTED)", 1, true) then injected = injected + 1 end
  end
  os.remove(trace)
  assert.same({0, "ok\n", ""}, {code, out, err})
  assert.is_true(injected > 0, "no fault was injected")
  return counts
end

local CALLS = "recvfrom,recvmsg,sendto,sendmsg,accept4,connect"

local ERRORS = {
  {"EINTR while it waits is not seen",
    {"epoll_wait,epoll_pwait:error=EINTR:when=2+2"}, [[
      local srv <close> = start()
      for _ = 1, 5 do exchange(connect(srv), 20000) end
      local monotonic = require "gevent.time".monotonic
      local before = monotonic()
      gevent.sleep(0.02)
      assert(monotonic() - before >= 0.02)
      local a, b = socket.socketpair()
      gevent.spawn_later(0.01, b.sendall, b, "x")
      local r = require "gevent.select".select({a}, nil, nil, 5)
      assert(r[1] == a)
    ]]},
  {"EINTR in a call is not seen", {CALLS .. ":error=EINTR:when=1+2"}, [[
      local srv <close> = start()
      for _ = 1, 5 do exchange(connect(srv), 20000) end
      local a, b = socket.socket("inet", "dgram"), socket.socket("inet", "dgram")
      a:bind("127.0.0.1", 0)
      assert(b:connect(a:getsockname()) and b:send("one") == 3)
      assert(a:recvfrom(10) == "one")
      local c, d = socket.socketpair()
      assert(c:sendfds("x", {a}) == 1)
      assert(#select(2, d:recvfds(1)) == 1)
      local file = io.tmpfile()
      file:write("text")
      file:flush()
      assert(c:sendfile(file) == 4 and d:recv(10) == "text")
    ]]},
  {"connections that died in the queue do not end a server",
    {"accept4:error=ECONNABORTED:when=1+2", "accept4:error=EPROTO:when=2+8"}, [[
      local srv <close> = start()
      for _ = 1, 10 do exchange(connect(srv), 1000) end
      assert(#log == 0, log[1])
    ]]},
  {"too little of anything at accept passes",
    {"accept4:error=ENFILE:when=1..3"}, [[
      local srv <close> = start()
      for _ = 1, 5 do exchange(connect(srv), 1000) end
      assert(#log == 1 and log[1]:find("file table overflow"), log[1])
    ]]},
  {"an address that cannot be had is an error of connect",
    {"connect:error=EADDRNOTAVAIL:when=1", "socket:error=EMFILE:when=4"}, [[
      local srv <close> = start()
      local sock, message, code = socket.create_connection("127.0.0.1", srv.port)
      assert(not sock and code == socket.EADDRNOTAVAIL, message)
      exchange(connect(srv), 1000)
    ]]},
  {"no route to the first address leads to the second",
    {"connect:error=ENETUNREACH:when=1"}, [[
      local srv <close> = start()
      local list = {}
      for i = 1, 2 do
        list[i] = {family = "inet", type = "stream", host = "127.0.0.1",
          port = srv.port}
      end
      gevent.get_hub().resolver = {getaddrinfo = function() return list end}
      local sock = assert(socket.create_connection("a name", srv.port))
      exchange(sock, 1000)
    ]]},
  {"no descriptor for a socket is an error, and passes",
    {"socket:error=EMFILE:when=1..3"}, [[
      local function code(...) return (select(3, ...)) end
      assert(code(socket.socket()) == "EMFILE")
      assert(code(socket.create_connection("127.0.0.1", 1)) == "EMFILE")
      assert(code(socket.create_server("127.0.0.1:0")) == "EMFILE")
      local srv <close> = start()
      exchange(connect(srv), 1000)
    ]]},
  {"an error in reading leaves what was gathered",
    {"recvfrom:error=ECONNRESET:when=2"}, [[
      local a, b = socket.socketpair()
      b:sendall("half a line")
      local line, _, code = a:read("l")
      assert(not line and code == "ECONNRESET", code)
      b:sendall(", and the rest\n")
      assert(a:read("l") == "half a line, and the rest")
    ]]},
  {"an error in writing says what is out",
    {"sendto,sendmsg:error=ENOBUFS:when=2"}, [[
      local a, b = socket.socketpair()
      assert(a:sendall("12345"))
      local ok, _, code, sent = a:sendall("67890")
      assert(not ok and code == "ENOBUFS" and sent == 0)
      a:setvbuf("full", 100)
      a:write("67890")
      assert(a:flush())
      assert(b:readexactly(10) == "1234567890")
    ]]},
}

describe("a fault in the system", function()
  for _, case in ipairs(ERRORS) do
    if tracing then
      it(case[1], function() run(case[2], case[3]) end, {deadline = 40})
    else
      pending(case[1] .. " (needs strace, plain)")
    end
  end

  local ENDLESS = {"EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EPROTO", "EPERM"}
  local function endless(name, cost)
    return function()
      local counts = run({"accept4:error=" .. name}, [[
        local srv <close> = start()
        local a <close> = connect(srv)
        local turns = 0
        gevent.spawn(function() -- the others are served meanwhile
          while srv.started do
            gevent.sleep(0.01)
            turns = turns + 1
          end
        end)
        gevent.sleep(0.3)
        assert(turns > 3 and #log == 1 and srv.started)
      ]])
      assert.is_true(counts.accept4 >= 2, "accept4: " .. counts.accept4)
      assert.is_true(counts.accept4 <= 10 * cost, "accept4: " .. counts.accept4)
    end
  end
  for _, name in ipairs(ENDLESS) do
    local title = ("%s at every accept makes a server wait longer each time")
      :format(name)
    if tracing then
      it(title, endless(name, name == "EPROTO" and 16 or 1), {deadline = 40})
    else
      pending(title .. " (needs strace, plain)")
    end
  end
end)

-- Pieces ----------------------------------------------------------------------

local SOURCE = "spec/c/preload/pieces.c"
