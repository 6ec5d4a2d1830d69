-- Memory fails at a bad moment, which is brought about here: what the rows 11 and 12 of
-- spec/abuse found among thousands of moments.
local helper = require "helper"
local core = require "gevent._core"
local gevent = require "gevent"
local http = require "gevent.http"
local subprocess = require "gevent.subprocess"
local it = helper.it

local LACKING = "not enough memory"

--- A function of the core is another as long as the scope lasts.
local function replaced(name, fn)
  local original = core[name]
  core[name] = function(...) return fn(original, ...) end
  return helper.defer(function() core[name] = original end)
end

describe("where memory fails", function()
  it("in killing children, a nursery kills them later, and does not wait for ever", function()
    local failures, child = 0, nil
    local _ <close> = replaced("kill", function(kill, ...)
      failures = failures + 1
      if failures <= 3 then error(LACKING, 0) end
      return kill(...)
    end)
    local ok, err = pcall(function()
      local n <close> = gevent.nursery()
      child = n:spawn(gevent.sleep, 60)
      gevent.sleep(0)
      error("the owner's", 0)
    end)
    assert.same({false, "the owner's"}, {ok, err})
    assert.is_true(child:ready())
  end)

  it("after a child process has started, it is killed, for nobody has it", function()
    local process
    local ok, err
    do
      local _ <close> = replaced("spawn_process", function(spawn, ...)
        process = spawn(...)
        return setmetatable({}, {__index = function(_, name)
          if name == "pid" then error(LACKING, 0) end
          return function(_, ...) return process[name](process, ...) end
        end})
      end)
      ok, err = pcall(subprocess.Popen, {"sleep", "60"})
    end
    assert.same({false, LACKING}, {ok, err})
    assert.equal(-9, process:wait())
  end)

  it("in stopping an HTTP server, it has closed its listener", function()
    local srv = http.Server("127.0.0.1:0", function() return "" end)
    assert(srv:start())
    do
      local _ <close> = replaced("spawn", function() error(LACKING, 0) end)
      assert.same({false, LACKING}, {pcall(srv.stop, srv)})
    end
    assert.is_true(srv.socket.closed)
  end)
end)
