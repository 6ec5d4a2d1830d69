-- gevent.monkey: LuaSocket's own programs print the same under the patch.

local helper = require "helper"
local monkey = require "helper_monkey"
local it = helper.it

local DIRECTORY = "spec/luasocket"
local PATCHES = {
  before = "require('gevent.monkey').patch_socket()",
  after = "require 'socket' require 'socket.unix' require('gevent.monkey').patch_all {"
    .. "ssl = false, os = false, io = false}",
}

local programs = {}
for _, path in ipairs(helper.files(DIRECTORY, ".lua")) do
  programs[#programs + 1] = path:match("([^/]+)%.lua$")
end

describe("LuaSocket's surface", function()
  if not monkey.has("socket", "socket.unix") then
    pending "is compared with LuaSocket (it is not installed)"
    return
  end
  local runs = {}
  -- The output of a program; all programs are run when the first is asked for.
  local function output(how, program)
    runs[how] = runs[how] or monkey.run(PATCHES[how] or "", DIRECTORY, programs)
    return runs[how][program]
  end

  for when in pairs(PATCHES) do
    for _, program in ipairs(programs) do
      it(("%s: the same, patched %s it was loaded"):format(program, when), function()
        local theirs, ours = output("none", program), output(when, program)
        assert.is_true(#theirs > 3, table.concat(theirs, "\n"))
        assert.same(theirs, ours)
      end, {deadline = 60})
    end
  end
end)
