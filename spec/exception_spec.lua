-- Exception classes: exception, isinstance, and the ones that come with it.

local helper = require "helper"
local gevent = require "gevent"
local it = helper.it

local CLASSES = {
  "GreenletExit", "Timeout", "LoopExit", "ConcurrentObjectUseError",
  "BlockingSwitchOutError",
}

describe("the built-in classes", function()
  for _, name in ipairs(CLASSES) do
    it(name .. " makes instances", function()
      local class = gevent[name]
      local instance = name == "Timeout" and class(1) or class "message"
      assert.is_true(gevent.isinstance(instance, class))
      for _, other in ipairs(CLASSES) do
        assert.equal(other == name, gevent.isinstance(instance, gevent[other]))
      end
      assert.is_string(tostring(instance))
      if name ~= "Timeout" then
        assert.matches("message", tostring(instance))
      end
    end)
  end

  it("may be made without a message", function()
    local instance = gevent.GreenletExit()
    assert.is_true(gevent.isinstance(instance, gevent.GreenletExit))
    assert.is_string(tostring(instance))
    assert.matches("GreenletExit", tostring(instance))
  end)
end)

describe("exception", function()
  it("makes a class of its own", function()
    local A, B = gevent.exception "A", gevent.exception "B"
    local a = A "first"
    assert.is_true(gevent.isinstance(a, A))
    assert.is_false(gevent.isinstance(a, B))
    assert.matches("first", tostring(a))
  end)

  it("two of one name are two", function()
    local one, two = gevent.exception "Same", gevent.exception "Same"
    assert.is_false(gevent.isinstance(one "x", two))
  end)

  it("derives from a parent, at any depth", function()
    local Base = gevent.exception "Base"
    local Middle = gevent.exception("Middle", Base)
    local Leaf = gevent.exception("Leaf", Middle)
    local leaf = Leaf "x"
    for _, class in ipairs {Base, Middle, Leaf} do
      assert.is_true(gevent.isinstance(leaf, class))
    end
    assert.is_false(gevent.isinstance(Base "x", Leaf))
  end)

  it("derives from GreenletExit: no failure", function()
    local printed <close> = helper.capture_errors()
    local Bye = gevent.exception("Bye", gevent.GreenletExit)
    local instance = Bye "b"
    local g = gevent.spawn(error, instance)
    assert.is_true(rawequal(instance, (g:get())))
    assert.is_true(g:successful())
    assert.equal("", printed:text())
  end)

  it("instances are raised as they are", function()
    local A = gevent.exception "A"
    local a = A "x"
    local ok, err = pcall(error, a)
    assert.is_false(ok)
    assert.is_true(rawequal(a, err))
    ok, err = pcall(error, a, 2)
    assert.is_false(ok)
    assert.is_true(rawequal(a, err))
  end)

  it("refuses a name that is no string, a parent that is no class", function()
    for _, args in ipairs {{}, {{}}, {"A", 42}, {"A", {}}} do
      local ok, err = pcall(gevent.exception, table.unpack(args))
      assert.is_false(ok)
      assert.matches("argument #%d", err)
    end
  end)
end)

describe("isinstance", function()
  it("is false for what is no exception", function()
    for _, value in ipairs {
      "text", 42, true, {}, print, setmetatable({}, {}), io.stdout,
    } do
      assert.is_false(gevent.isinstance(value, gevent.GreenletExit))
    end
    assert.is_false(gevent.isinstance(nil, gevent.GreenletExit))
  end)

  it("is false for a class itself", function()
    assert.is_false(gevent.isinstance(gevent.GreenletExit,
      gevent.GreenletExit))
  end)

  it("is not fooled by metatables", function()
    local trap = setmetatable({}, {
      __index = function() error("looked") end,
      __eq = function() return true end,
    })
    assert.is_false(gevent.isinstance(trap, gevent.GreenletExit))
  end)

  it("refuses what is no class", function()
    for _, class in ipairs {42, "GreenletExit", {}} do
      local ok, err = pcall(gevent.isinstance, {}, class)
      assert.is_false(ok)
      assert.matches("argument #2", err)
    end
  end)
end)
