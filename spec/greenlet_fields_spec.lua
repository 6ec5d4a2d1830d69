-- Greenlet: fields, names, the spawn tree, tostring, subclasses.

local helper = require "helper"
local gevent = require "gevent"
local it = helper.it

describe("fields", function()
  it("are free for the user", function()
    local g = gevent.spawn(function() end)
    assert.is_nil(g.note)
    g.note = "n"
    g[1] = 1
    assert.equal("n", g.note)
    assert.equal(1, g[1])
    g.note = nil
    assert.is_nil(g.note)
    g:join()
    assert.equal(1, g[1])
  end)

  it("of the user are each greenlet's own", function()
    local a, b = gevent.spawn(function() end), gevent.spawn(function() end)
    a.note = 1
    assert.is_nil(b.note)
    gevent.joinall {a, b}
  end)

  it("of the main greenlet are free, too", function()
    local main = gevent.getcurrent()
    main.note = 1
    assert.equal(1, gevent.getcurrent().note)
    main.note = nil
  end)

  it("name is settable and shown", function()
    local g = gevent.Greenlet(function() end)
    assert.is_string(g.name)
    g.name = "w1"
    assert.equal("w1", g.name)
    assert.matches('"w1"', tostring(g))
  end)

  it("name is made of the ident until set", function()
    local g = gevent.Greenlet(function() end)
    assert.equal("Greenlet-" .. g.minimal_ident, g.name)
  end)

  it("minimal_ident is a small integer, used again", function()
    local list = {}
    local seen = {}
    for i = 1, 10 do
      list[i] = gevent.Greenlet(function() end)
      local ident = list[i].minimal_ident
      assert.equal("integer", math.type(ident))
      assert.is_nil(seen[ident])
      assert.equal(ident, list[i].minimal_ident)
      seen[ident] = true
    end
    list = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    local g = gevent.Greenlet(function() end)
    local highest = 0
    for ident in pairs(seen) do highest = math.max(highest, ident) end
    assert.is_true(g.minimal_ident <= highest)
  end)

  it("args are there until the end", function()
    local g = gevent.Greenlet(function() end, "a", "b")
    assert.equal("a", g.args[1])
    assert.equal("b", g.args[2])
    g:start()
    g:join()
    assert.is_true(g.args == nil or g.args[1] == nil)
  end)

  it("args are there wherever the greenlet is", function()
    local gco = require "gevent.coroutine"
    local expected = {1, nil, "three", n = 3}
    local function check(g)
      assert.same({1, nil, "three"}, g.args)
    end
    local function deep(n)
      if n > 0 then return (deep(n - 1)) end
      check(gevent.getcurrent())
    end
    local g
    g = gevent.spawn(function(a, ...)
      a = a + select("#", ...) -- not that of args
      check(g)
      deep(50)
      gco.wrap(function() deep(3) gevent.sleep(0) deep(3) end)()
      gevent.sleep(0)
      return a
    end, table.unpack(expected, 1, 3))
    check(g) -- it has not begun
    gevent.sleep(0)
    check(g) -- it is blocked in a coroutine
    gevent.sleep(0)
    check(g) -- it is blocked
    assert.equal(3, g:get())
    assert.is_nil(g.args)
  end)

  it("args may be many, or none", function()
    local gate = helper.gate()
    local function wait() gate:wait() end
    local many = {}
    for i = 1, 1000 do many[i] = i end
    for _, list in ipairs {{}, {1}, many} do
      local g = gevent.spawn(wait, table.unpack(list))
      assert.same(list, g.args)
      gevent.sleep(0)
      assert.same(list, g.args)
    end
    gate:open()
    gevent.sleep(0)
    assert.is_false((pcall(gevent.spawn, wait, table.unpack({}, 1, 30001))))
  end)

  it("args do not show what a subclass hides, nor those of raw ones", function()
    local Class = gevent.Greenlet:subclass("Class")
    function Class:_run(a, b)
      self.seen = {a, b, self.args[1], self.args[2], #self.args}
    end
    local g = Class("x", "y")
    assert.same({"x", "y"}, g.args)
    g:start()
    g:join()
    assert.same({"x", "y", "x", "y", 2}, g.seen)
    assert.is_nil(gevent.spawn_raw(type, 1).args)
  end)

  it("args of one whose coroutine was closed are none", function()
    local printed <close> = helper.capture_errors()
    local co
    local g = gevent.spawn(function()
      co = coroutine.running()
      gevent.sleep(60)
    end, 1, 2)
    helper.wait_all_blocked()
    assert.same({1, 2}, g.args)
    coroutine.close(co)
    assert.same({}, g.args)
    g:kill()
    assert.matches("dead coroutine", printed:text())
  end)

  it("spawning_greenlet is who made it, weakly", function()
    local child
    local parent = gevent.spawn(function()
      child = gevent.spawn(function() end)
    end)
    assert.is_true(rawequal(gevent.getcurrent(), parent.spawning_greenlet))
    gevent.joinall {parent}
    child:join()
    assert.is_true(rawequal(parent, child.spawning_greenlet))
    parent = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.is_nil(child.spawning_greenlet)
  end)

  it("spawn_tree_locals is shared by a tree of descendants", function()
    local child, grandchild
    local top = gevent.spawn(function()
      child = gevent.spawn(function()
        grandchild = gevent.spawn(function() end)
      end)
      child:join()
    end)
    local other = gevent.spawn(function() end)
    gevent.joinall {top, other}
    grandchild:join()
    assert.is_table(top.spawn_tree_locals)
    assert.is_true(rawequal(top.spawn_tree_locals, child.spawn_tree_locals))
    assert.is_true(rawequal(top.spawn_tree_locals,
      grandchild.spawn_tree_locals))
    assert.is_false(rawequal(top.spawn_tree_locals, other.spawn_tree_locals))
  end)

  it("spawn_tree_locals goes with the last of its tree", function()
    local seen = setmetatable({}, {__mode = "v"})
    local function tree()
      local me = gevent.getcurrent()
      for i = 1, 3 do
        local child = gevent.spawn(function() return i end)
        assert.is_true(rawequal(me.spawn_tree_locals, child.spawn_tree_locals))
        child:join()
      end
      me.spawn_tree_locals.value = {}
      seen[#seen + 1] = me.spawn_tree_locals
      seen[#seen + 1] = me.spawn_tree_locals.value
    end
    for _ = 1, 2 do gevent.spawn(tree):join() end
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(seen))
  end)

  it("spawning_stack tells where it was made, if asked for", function()
    local former = gevent.config.track_greenlet_tree
    gevent.config.track_greenlet_tree = true
    local g = gevent.spawn(function() end)
    gevent.config.track_greenlet_tree = former
    g:join()
    assert.matches("greenlet_fields_spec%.lua:%d+", g.spawning_stack)
    g = gevent.spawn(function() end)
    g:join()
    if not former then assert.is_nil(g.spawning_stack) end
  end)

  it("traceback tells where it failed", function()
    local printed <close> = helper.capture_errors()
    local function culprit() error("trouble") end
    local g = gevent.spawn(function() culprit() end)
    assert.is_nil(g.traceback)
    g:join()
    assert.matches("greenlet_fields_spec%.lua:%d+", g.traceback)
    assert.matches("culprit", g.traceback)
    assert.matches("trouble", printed:text())
  end)
end)

describe("tostring", function()
  it("shows kind, address, function and place", function()
    local function worker() end
    local g = gevent.Greenlet(worker)
    g.name = "w1"
    local text = tostring(g)
    assert.matches('^<Greenlet "w1" at 0x%x+: ', text)
    assert.matches("greenlet_fields_spec%.lua:%d+", text)
    assert.matches(">$", text)
  end)

  it("works in all states", function()
    local printed <close> = helper.capture_errors()
    local g = gevent.spawn(function() error("x") end)
    assert.matches("^<Greenlet .*at 0x%x+", tostring(g))
    g:join()
    assert.matches("^<Greenlet .*at 0x%x+", tostring(g))
    assert.matches("failed with", printed:text())
    local c = gevent.spawn(print and string.len, "x")
    assert.matches("^<Greenlet .*at 0x%x+", tostring(c))
    c:join()
    assert.matches("0x%x+", tostring(gevent.getcurrent()))
  end)
end)

describe("subclass", function()
  local Adder = gevent.Greenlet:subclass("Adder")

  function Adder:_run(a, b)
    gevent.sleep(0)
    return a + b, self
  end

  function Adder.twice(self) return 2 * self.value end

  it("runs _run with the constructor's arguments", function()
    local g = Adder(1, 2)
    assert.is_false(g.started)
    g:start()
    local sum, self = g:get()
    assert.equal(3, sum)
    assert.is_true(rawequal(g, self))
    assert.equal(6, g:twice())
  end)

  it("spawns", function()
    local g = Adder.spawn(3, 4)
    assert.is_true(g.started)
    assert.equal(7, (g:get()))
    assert.equal(9, (Adder.spawn_later(0.001, 4, 5):get()))
  end)

  it("shows its name", function()
    assert.matches("^<Adder ", tostring(Adder(1, 2)))
  end)

  it("has all of Greenlet's methods and its own fields", function()
    local g = Adder(1, 2)
    g.note = "n"
    assert.equal("n", g.note)
    assert.is_false(g:ready())
    g:kill()
    assert.is_true(g:ready())
  end)

  it("can be subclassed, and its methods overridden", function()
    local Loud = Adder:subclass("Loud")
    function Loud:_run(...) return "loud", Adder._run(self, ...) end
    local g = Loud.spawn(1, 2)
    local word, sum = g:get()
    assert.equal("loud", word)
    assert.equal(3, sum)
    assert.equal(6, Adder.spawn(1, 2) and 6)
    assert.matches("^<Loud ", tostring(g))
    helper.wait_all_blocked()
  end)

  it("leaves Greenlet alone", function()
    assert.is_nil(gevent.Greenlet(function() end).twice)
  end)

  it("reports errors under its name", function()
    local printed <close> = helper.capture_errors()
    local Bad = gevent.Greenlet:subclass("Bad")
    function Bad._run() error("bad trouble") end
    Bad.spawn():join()
    assert.matches("<Bad .* failed with .*bad trouble", printed:text())
  end)
end)
