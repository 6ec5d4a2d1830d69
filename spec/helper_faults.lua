-- Faults of the system, done on purpose to programs in processes of their own: strace
-- injects errors; libraries for LD_PRELOAD stand between the program and libc.

local helper = require "helper"
local assert = require "luassert"
local busted = require "busted"

local faults = {}

faults.plain = (os.getenv "GEVENT_SPEC_MODE" or "plain") == "plain"

local function succeeds(command)
  return os.execute(command .. " >/dev/null 2>&1") == true
end

--- Can errors be injected here?
faults.tracing = faults.plain and succeeds
  "strace -f -e trace=accept4 -e inject=accept4:error=EMFILE:when=1 true"

-- Where each program begins: a TCP server that echoes, and a client of it
-- that sends and checks `size` bytes by all ways of reading and writing.
faults.PRELUDE = [[
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

--- Runs the program with faults like "accept4:error=EMFILE:when=1"; it must
-- print "ok". Returns how often each call was made.
function faults.run(list, program)
  local trace = os.tmpname()
  local words = {"strace -f -qq -o " .. trace}
  for _, fault in ipairs(list) do
    words[#words + 1] = "-e inject=" .. fault
  end
  local code, out, err = helper.run_lua(faults.PRELUDE .. program .. " print 'ok'",
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

--- A test of each case, `{name, faults, program}`; pending where nothing can be injected.
function faults.cases(list)
  for _, case in ipairs(list) do
    local name, injected, program = table.unpack(case)
    if faults.tracing then
      helper.it(name, function() faults.run(injected, program) end, {deadline = 40})
    else
      busted.pending(name .. " (needs strace, plain)")
    end
  end
end

--- Compiles spec/c/preload/NAME.c: the path of a library that is to be removed; nil
-- where that cannot be done, or not be used.
function faults.preload(name)
  if not faults.plain then return nil end
  local path = os.tmpname()
  local compile = ("cc -shared -fPIC -o %s spec/c/preload/%s.c -ldl"):format(path, name)
  local use = ("LD_PRELOAD=%s true 2>&1 | { ! grep -q .; }"):format(path)
  if succeeds(compile) and succeeds(use) then return path end
  os.remove(path)
end

return faults
