-- Callbacks of a greenlet's end that fail: the others run all the same, in their order,
-- each failure is reported, and the hub goes on.

local helper = require "helper"
local gevent = require "gevent"
local slope = require "helper_slope"
local it, logger = helper.it, helper.logger

local function noop() end

local failures = {
  ["a string"] = function() error("link trouble") end,
  ["a table"] = function() error({}) end,
  ["nil"] = function() error(nil) end,
  ["a GreenletExit"] = function() error(gevent.GreenletExit()) end,
  ["an object that cannot be shown"] = function()
    error(setmetatable({}, {__tostring = function() error("again") end}))
  end,
  ["a bare yield"] = function() coroutine.yield() end,
}

-- An exit is no failure in a greenlet; in the hub nobody exits.
local SILENT = {link = {["a GreenletExit"] = true}}

describe("a callback that fails by", function()
  for failure, fail in pairs(failures) do
    for _, ending in ipairs {"value", "exception", "kill"} do
      it(("%s, at the end by %s, keeps no other from running"):format(failure, ending),
        function()
          local printed <close> = helper.capture_errors()
          local log, says = logger()
          local g = gevent.Greenlet(ending == "exception" and error or noop, "its own failure")
          g:rawlink(says "raw before")
          g:rawlink(fail)
          g:rawlink(says "raw after")
          g:link(says "before")
          g:link(fail)
          g:link(says "after")
          if ending == "value" then
            g:link_value(fail)
            g:link_value(says "value")
          elseif ending == "exception" then
            g:link_exception(fail)
            g:link_exception(says "exception")
          end
          local joined = gevent.spawn(g.join, g)
          g:start()
          if ending == "kill" then g:kill() end
          assert.is_true(g:join(5 * helper.scale))
          assert.is_true(joined:get(5 * helper.scale))
          helper.wait_all_blocked()
          local expected = {"raw before", "raw after", "before", "after"}
          if ending ~= "kill" then expected[5] = ending end
          assert.same(expected, log)
          local _, count = printed:text():gsub("failed with", "")
          local links = SILENT.link[failure] and 0 or ending == "kill" and 1 or 2
          assert.equal(1 + links + (ending == "exception" and 1 or 0), count, printed:text())
          gevent.sleep(0.001) -- and the hub goes on
        end)
    end
  end
end)

describe("rawlink", function()
  it("reports an error, and the rest still run", function()
    local printed <close> = helper.capture_errors()
    local log, says = logger()
    local g = gevent.spawn(noop)
    g:rawlink(says "first")
    g:rawlink(function() error("raw trouble") end)
    g:rawlink(says "third")
    g:link(function() error("link trouble") end)
    g:link(says "fifth")
    g:join()
    helper.wait_all_blocked()
    assert.same({"first", "third", "fifth"}, log)
    assert.matches("raw trouble", printed:text())
    assert.matches("link trouble", printed:text())
  end)
end)

slope.it("an error in a link and in a rawlink", function()
  local stream = gevent.get_hub().exception_stream
  gevent.get_hub().exception_stream = false
  return function()
    local g = gevent.spawn(noop)
    g:link(failures["a string"])
    g:rawlink(failures["a string"])
    g:join()
    gevent.sleep(0)
  end, function() gevent.get_hub().exception_stream = stream end
end)
