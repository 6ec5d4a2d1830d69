-- For specs of the command `gevent`: it is run as users run it, by a shell.

local helper = require "helper"
local gevent = require "gevent"
local process = require "helper_process"
local socket = require "gevent.socket"
local subprocess = require "gevent.subprocess"

local cli = {}

local PIPE = subprocess.PIPE

--- Runs it to its end.
-- @param words list
-- @param opts `input`, `env`, `cwd`
-- @return the exit code, what it wrote to stdout, to stderr
function cli.run(words, opts)
  opts = opts or {}
  local result = assert(subprocess.run(process.command("bin/gevent", words, opts.env), {
    input = opts.input or "", timeout = 20 * helper.scale,
    stdout = PIPE, stderr = PIPE,
  }))
  return result.returncode, result.stdout, result.stderr
end

local Server = {}
Server.__index = Server

--- `gevent serve` with these words, which has said that it is ready. Fields: `host`,
-- `port` (of the first address), `pid`; `<close>` ends it.
function cli.serve(words, env)
  local all = table.move(words, 1, #words, 2, {"serve"})
  local child = assert(subprocess.Popen(process.command("bin/gevent", all, env),
    {stdout = PIPE, stderr = PIPE, stdin = subprocess.DEVNULL}))
  local self = setmetatable({child = child, pid = child.pid, lines = {}}, Server)
  self.reader = gevent.spawn(function()
    for line in child.stderr:lines() do self.lines[#self.lines + 1] = line end
  end)
  self:expect(" pid %d+$")
  for _, line in ipairs(self.lines) do
    self.host, self.port = line:match("https?://(%S+):(%d+)/")
    self.port = math.tointeger(tonumber(self.port))
    if self.port then break end
  end
  return self
end

--- All that it has written to stderr.
function Server:text() return table.concat(self.lines, "\n") end

--- Waits until it has written so many lines like that.
function Server:expect(pattern, n)
  helper.wait_until(function()
    local found = 0
    for _, line in ipairs(self.lines) do
      if line:find(pattern) then found = found + 1 end
    end
    if found >= (n or 1) then return true end
    if self.child:poll() then error("it has ended:\n" .. self:text()) end
  end, 20)
end

function Server:signal(name) self.child:send_signal(name) end

--- Ends it by SIGTERM; its exit code.
function Server:stop()
  self.child:terminate()
  local code = assert(self.child:wait(20 * helper.scale))
  self.reader:join()
  return code
end

function Server:close()
  if not self.child:poll() then
    self.child:terminate()
    if not self.child:wait(5 * helper.scale) then self.child:kill() end
  end
  self.reader:join()
  self.child:close()
end
Server.__close = Server.close

--- One request: status, body; or nil, message, code.
-- @param where the server, or the path of a Unix socket
function cli.get(where, path, headers)
  local sock, message, code
  if type(where) == "string" then
    sock = assert(socket.socket("unix"))
    local ok
    ok, message, code = sock:connect(where)
    if not ok then
      sock:close()
      return nil, message, code
    end
  else
    sock, message, code = socket.create_connection("127.0.0.1", where.port)
    if not sock then return nil, message, code end
  end
  local _ <close> = sock
  sock:settimeout(20 * helper.scale)
  sock:sendall(("GET %s HTTP/1.0\r\nHost: x\r\n%s\r\n"):format(path, headers or ""))
  local answer
  answer, message, code = sock:read("a")
  if not answer or answer == "" then return nil, message or "no answer", code end
  return math.tointeger(answer:match("^HTTP/1%.%d (%d+)")), answer:match("\r\n\r\n(.*)$")
end

--- A directory with these files (name -> text), removed by `<close>`; `path`.
function cli.directory(files)
  local path = os.tmpname()
  os.remove(path)
  assert(os.execute("mkdir " .. process.quote(path)))
  local dir = {path = path}
  function dir.write(name, text)
    local f <close> = assert(io.open(path .. "/" .. name, "w"))
    assert(f:write(text))
  end
  for name, text in pairs(files or {}) do dir.write(name, text) end
  return setmetatable(dir, {__close = function()
    os.execute("rm -rf " .. process.quote(path))
  end})
end

return cli
