-- Programs that hold Lua states of their own.
local helper = require "helper"
local it = helper.it
local assert = require "luassert"

local build = os.getenv "GEVENT_SPEC_MODE" == "asan" and "build/asan" or "build"

local function run(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local out = pipe:read("a")
  local _, _, code = pipe:close()
  return code, out
end

describe("Lua states in threads", function()
  it("have a hub each, and know nothing of one another", function()
    local program = build .. "/host/states"
    if not io.open(program) then return pending(program .. " is not built") end
    local preload = ""
    if build ~= "build" then
      preload = "LD_PRELOAD=$(gcc -print-file-name=libasan.so) "
    end
    local code, out = run(preload .. program .. " 6 3 spec/host/states.lua")
    assert.same({0, "ok\n"}, {code, out})
  end)
end)
