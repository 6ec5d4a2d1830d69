-- Every example runs as its own header says.
--
-- The first line of an example is
--   -- usage: lua5.4 examples/name.lua ARGUMENTS
-- and it is run with these. Where a spec needs others (a free port), a line
--   -- spec: ARGUMENTS
-- gives them; `{port}` stands for a free port. An example that runs until
-- Ctrl-C has that word in its header: it is interrupted once it has printed a
-- line. All others must end by themselves, with exit code 0. One with a line
--   -- needs: PROGRAMS
-- is run by the spec that starts these.

local helper = require "helper"
local it = helper.it

local LIMIT = 80 -- lines

--- The comment lines at the top.
local function header_of(text)
  local lines = {}
  for line in text:gsub("^#![^\n]*\n", ""):gmatch("([^\n]*)\n") do
    if line:sub(1, 2) ~= "--" then break end
    lines[#lines + 1] = line
  end
  return table.concat(lines, "\n")
end

--- A TCP port that was free just now.
local function free_port()
  local socket = require "gevent.socket"
  local listener <close> = assert(socket.create_server("127.0.0.1:0"))
  local _, port = listener:getsockname()
  return port
end

local function words_of(line)
  local words = {}
  line = line:gsub("{port}", function() return tostring(free_port()) end)
  for word in line:gmatch("%S+") do words[#words + 1] = word end
  return words
end

local examples = helper.files("examples", ".lua")

describe("examples", function()
  it("are there", function()
    assert.is_true(#examples > 0)
  end)

  for _, path in ipairs(examples) do
    local text = helper.slurp(path)
    local header = header_of(text)

    it(path .. " says what it does and how to run it", function()
      assert.matches("^%-%- usage: lua5%.4 " .. path:gsub("%p", "%%%0"), text)
      local _, lines = text:gsub("\n", "")
      assert.is_true(lines <= LIMIT, lines .. " lines")
    end)

    if not header:find("-- needs: ", 1, true) then it(path .. " runs", function()
      local arguments = header:match("%-%- spec:([^\n]*)")
        or header:match("%-%- usage: lua[%d.]* %S+([^\n]*)") or ""
      local endless = header:find("Ctrl-C", 1, true)
      local code, out, err = helper.run_lua(path, {
        args = words_of(arguments),
        signals = endless and {{after = "", name = "INT"}},
      })
      assert.is_true(out ~= "" or err ~= "", "it printed nothing")
      if endless and code ~= 0 then
        assert.matches("interrupted!", err)
      else
        assert.equal(0, code, err)
      end
    end, {deadline = 60}) end
  end
end)
