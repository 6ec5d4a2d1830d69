-- Other programs as peers, in the background, in the directory of the
-- certificates.

local helper = require "helper"
local tls = require "helper_tls"
local quote = require "helper_process".quote

local M = {}

local count = 0 -- of programs

local program = {}
program.__index = program

--- Starts a shell command whose input is a pipe that `say` writes to.
function M.run(command, ...)
  -- The directory outlives this module, which busted loads for each file.
  repeat count = count + 1 until not helper.slurp(("%s/out%d"):format(tls.dir(), count))
  local words = table.pack(...)
  for i = 1, words.n do words[i] = quote(words[i]) end
  command = command:format(table.unpack(words))
  local self = setmetatable({out = ("%s/out%d"):format(tls.dir(), count)}, program)
  local pipe = ("%s/in%d"):format(tls.dir(), count)
  tls.run("mkfifo %s", pipe)
  local shell <close> = assert(io.popen(("cd %s; (%s; echo \"[exit $?]\") <%s >%s 2>&1 & echo $!")
    :format(quote(tls.dir()), command, quote(pipe), quote(self.out))))
  self.pid = shell:read("n")
  self.input = assert(io.open(pipe, "w"))
  self.input:setvbuf("no")
  return self
end

function program:say(text) self.input:write(text) end

function program:text() return helper.slurp(self.out) or "" end

--- Waits until it has printed that.
function program:expect(pattern)
  local ok = pcall(helper.wait_until, function() return self:text():find(pattern) end, 8)
  if not ok then error("it did not print " .. pattern .. " but:\n" .. self:text(), 2) end
  return self:text():match(pattern)
end

--- Waits for its end: what it has printed, its exit code.
function program:finish()
  if self.input then self.input:close() end
  self.input = nil
  local code = self:expect("%[exit (%d+)%]")
  return self:text(), tonumber(code)
end

function program:__close()
  if self.input then self.input:close() end
  os.execute(("pkill -P %d 2>/dev/null; kill %d 2>/dev/null"):format(self.pid, self.pid))
end

return M
