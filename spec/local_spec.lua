-- gevent.local: fields of which each greenlet has its own.

local helper = require "helper"
local gevent = require "gevent"
local new = require "gevent.local"
local it = helper.it

local function fields(object)
  local copy = {}
  for key, value in pairs(object) do copy[key] = value end
  return copy
end

describe("local", function()
  it("keeps what one greenlet writes from the others", function()
    local mine = new()
    mine.x = "main"
    local function worker(value)
      assert(mine.x == nil)
      mine.x = value
      gevent.sleep(0)
      return mine.x
    end
    local a, b = gevent.spawn(worker, 1), gevent.spawn(worker, 2)
    assert.equal(1, a:get())
    assert.equal(2, b:get())
    assert.equal("main", mine.x)
  end)

  it("is not inherited by children", function()
    local mine = new()
    mine.x = 1
    assert.is_nil((gevent.spawn(function() return mine.x end):get()))
  end)

  it("takes any key, and nil unsets", function()
    local mine = new()
    local key = {}
    mine[key], mine[1], mine.name = "a", "b", "c"
    assert.equal("a", mine[key])
    assert.equal("b", mine[1])
    mine.name = nil
    assert.is_nil(mine.name)
    assert.is_nil(mine.never)
    mine.flag = false
    assert.is_false(mine.flag)
  end)

  it("can be traversed: the fields of the current greenlet", function()
    local mine = new()
    assert.same({}, fields(mine))
    mine.a, mine.b = 1, 2
    assert.same({a = 1, b = 2}, fields(mine))
    assert.same({}, (gevent.spawn(fields, mine):get()))
  end)

  it("is the greenlet's also in coroutines and metamethods", function()
    local gco = require "gevent.coroutine"
    local mine = new()
    gevent.spawn(function()
      mine.x = "g"
      assert.equal("g", gco.wrap(function() return mine.x end)())
      local t = setmetatable({}, {__index = function() return mine.x end})
      assert.equal("g", t.anything)
    end):get()
    assert.is_nil(mine.x)
  end)

  it("two of them have nothing in common", function()
    local a, b = new(), new()
    a.x = 1
    assert.is_nil(b.x)
  end)

  it("frees the values of a greenlet that has ended", function()
    local mine = new()
    local seen = setmetatable({}, {__mode = "v"})
    do
      local g = gevent.spawn(function()
        mine.value = {}
        seen.value = mine.value
        gevent.sleep(0)
      end)
      g:join()
    end
    helper.wait_all_blocked()
    collectgarbage()
    collectgarbage()
    assert.is_nil(seen.value)
  end)

  it("frees them also where the greenlet is still referred to", function()
    local mine = new()
    local seen = setmetatable({}, {__mode = "v"})
    local g = gevent.spawn(function()
      mine.value = {}
      seen.value = mine.value
    end)
    g:join()
    collectgarbage()
    collectgarbage()
    assert.is_nil(seen.value)
    assert.is_true(g.dead)
  end)

  it("frees a cycle through the greenlet and the local", function()
    local seen = setmetatable({}, {__mode = "v"})
    do
      local mine = new()
      seen.mine = mine
      gevent.spawn(function()
        mine.self = gevent.getcurrent()
        mine.mine = mine
        seen.greenlet = mine.self
      end):join()
    end
    helper.wait_all_blocked()
    collectgarbage()
    collectgarbage()
    assert.is_nil(seen.mine)
    assert.is_nil(seen.greenlet)
  end)

  it("frees the values when it is dropped, and they hold nothing", function()
    local seen = setmetatable({}, {__mode = "v"})
    local gate = helper.gate()
    local mine = new()
    local function worker()
      mine.value = {}
      seen.value = mine.value
      gate:wait()
    end
    local g = helper.spawn_blocked(worker)
    seen.mine = mine
    mine = nil
    collectgarbage()
    collectgarbage()
    assert.is_nil(seen.mine)
    assert.is_nil(seen.value)
    gate:open()
    g:join()
  end)

  it("works in a spawn_raw greenlet", function()
    local mine = new()
    local got
    gevent.spawn_raw(function()
      mine.x = 1
      gevent.sleep(0)
      got = mine.x
    end)
    helper.wait_all_blocked()
    assert.equal(1, got)
    assert.is_nil(mine.x)
  end)

  it("does not grow over many greenlets", function()
    local mine = new()
    local function round()
      for _ = 1, 2000 do
        gevent.spawn(function() mine.x = {} end)
      end
      helper.wait_all_blocked()
      collectgarbage()
      collectgarbage()
      return collectgarbage "count"
    end
    round()
    local before = round()
    for _ = 1, 3 do round() end
    assert.is_true(round() < before * 1.1 + 16)
  end)

  it("says what it is", function()
    assert.matches("local", tostring(new()))
  end)
end)
