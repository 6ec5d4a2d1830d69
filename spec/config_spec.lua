-- gevent.config: settings and their environment variables.

local helper = require "helper"
local gevent = require "gevent"
local it = helper.it

describe("config", function()
  it("is the same from either side", function()
    assert.is_true(rawequal(gevent.config, require "gevent.config"))
  end)

  it("refuses unknown names", function()
    local ok, err = pcall(function() return gevent.config.no_such_setting end)
    assert.is_false(ok)
    assert.matches("no_such_setting", err)
    ok, err = pcall(function() gevent.config.no_such_setting = 1 end)
    assert.is_false(ok)
    assert.matches("no_such_setting", err)
  end)

  it("refuses values of another type, and keeps the old one", function()
    local former = gevent.config.track_greenlet_tree
    local ok, err = pcall(function()
      gevent.config.track_greenlet_tree = "often"
    end)
    assert.is_false(ok)
    assert.matches("config_spec%.lua:%d+.*track_greenlet_tree", err)
    assert.equal(former, gevent.config.track_greenlet_tree)
  end)

  it("lists its settings", function()
    local seen = {}
    for name in pairs(gevent.config) do seen[name] = true end
    assert.is_true(seen.track_greenlet_tree)
  end)

  it("obeys the environment", function()
    for text, expected in pairs {
      ["1"] = "true", ["no"] = "false", ["on"] = "true", [""] = "false",
    } do
      local code, out, err = helper.run_lua([[
        io.write(tostring(require "gevent".config.track_greenlet_tree))
      ]], {env = {GEVENT_TRACK_GREENLET_TREE = text}})
      assert.equal(0, code, err)
      assert.equal(expected, out)
    end
  end)

  it("refuses a bad value in the environment, naming it", function()
    local code, _, err = helper.run_lua("require 'gevent'",
      {env = {GEVENT_TRACK_GREENLET_TREE = "often"}})
    assert.equal(1, code)
    assert.matches("GEVENT_TRACK_GREENLET_TREE", err)
  end)
end)
