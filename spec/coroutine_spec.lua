-- gevent.coroutine: the user's own coroutines, in which blocking calls work.

local helper = require "helper"
local gevent = require "gevent"
local gco = require "gevent.coroutine"
local it = helper.it

local NAMES = {
  "create", "resume", "wrap", "yield", "status", "running", "isyieldable",
  "close",
}

--- A coroutine that blocks at `gate` in a greenlet; returns both.
local function blocked_coroutine(gate, after)
  local co = gco.create(function()
    gate:wait()
    if after then return after() end
    return "through"
  end)
  local g = helper.spawn_blocked(function() return gco.resume(co) end)
  return co, g
end

describe("gevent.coroutine", function()
  it("has the standard library's functions", function()
    for _, name in ipairs(NAMES) do assert.is_function(gco[name], name) end
  end)

  it("leaves the standard library alone", function()
    for _, name in ipairs(NAMES) do
      assert.equal("function", type(coroutine[name]))
    end
    local co = coroutine.create(function() return coroutine.yield(1) end)
    assert.same({true, 1}, {coroutine.resume(co)})
    assert.same({true, 2}, {coroutine.resume(co, 2)})
    assert.equal("dead", coroutine.status(co))
  end)

  it("without blocking works as the standard one", function()
    local co = gco.create(function(a, b)
      local c, d = gco.yield(a + b, nil)
      local e = gco.yield(c * d)
      return e, nil, "end"
    end)
    assert.equal("thread", type(co))
    assert.equal("suspended", gco.status(co))
    assert.same({true, 3, nil, n = 3}, table.pack(gco.resume(co, 1, 2)))
    assert.same({true, 12, n = 2}, table.pack(gco.resume(co, 3, 4)))
    assert.same({true, "e", nil, "end", n = 4},
      table.pack(gco.resume(co, "e")))
    assert.equal("dead", gco.status(co))
    assert.same({false, "cannot resume dead coroutine"}, {gco.resume(co)})
  end)

  it("mixes with standard coroutines that do not block", function()
    local inner = coroutine.wrap(function()
      for i = 1, 3 do coroutine.yield(i) end
    end)
    local outer = gco.wrap(function()
      for _ = 1, 3 do gco.yield(inner()) end
    end)
    assert.same({1, 2, 3}, {outer(), outer(), outer()})
    local co = coroutine.create(function() gco.yield(7) end)
    assert.same({true, 7}, {gco.resume(co)})
    co = gco.create(function() coroutine.yield(8) end)
    assert.same({true, 8}, {coroutine.resume(co)})
  end)

  it("knows who runs", function()
    local co, main
    co = gco.create(function()
      local running, is_main = gco.running()
      main = is_main
      return rawequal(running, co), gco.isyieldable(), gco.status(co)
    end)
    assert.same({true, true, true, "running"}, {gco.resume(co)})
    assert.is_false(main)
    local _, is_main = gco.running()
    assert.is_true(is_main)
    assert.is_false(gco.isyieldable())
  end)

  it("passes errors as the standard one does", function()
    local trouble = {}
    local co = gco.create(error)
    local ok, err = gco.resume(co, trouble)
    assert.is_false(ok)
    assert.is_true(rawequal(trouble, err))
    assert.equal("dead", gco.status(co))
    ok, err = pcall(gco.wrap(error), trouble)
    assert.is_false(ok)
    assert.is_true(rawequal(trouble, err))
    ok, err = pcall(gco.wrap(function() error("text") end))
    assert.is_false(ok)
    assert.matches("text", err)
  end)

  it("refuses what is no coroutine or function", function()
    for _, name in ipairs {"resume", "status", "close", "create", "wrap"} do
      local ok, err = pcall(gco[name], 42)
      assert.is_false(ok, name)
      assert.matches("argument #1", err)
      assert.matches(name, err)
    end
  end)

  it("closes a suspended one, running its <close> variables", function()
    local closed = false
    local co = gco.create(function()
      local _ <close> = helper.defer(function() closed = true end)
      gco.yield()
    end)
    gco.resume(co)
    assert.same({true, n = 1}, table.pack(gco.close(co)))
    assert.is_true(closed)
    assert.equal("dead", gco.status(co))
  end)

  it("closes with the error of a __close", function()
    local trouble = {}
    local co = gco.create(function()
      local _ <close> = helper.defer(function() error(trouble) end)
      gco.yield()
    end)
    gco.resume(co)
    local ok, err = gco.close(co)
    assert.is_false(ok)
    assert.is_true(rawequal(trouble, err))
  end)
end)

describe("a generator that blocks", function()
  it("yields items between blocks, in main and in a greenlet", function()
    local function consume()
      local items = {}
      for item in gco.wrap(function()
        for i = 1, 5 do
          gevent.sleep(0)
          gco.yield(i)
          gevent.sleep(0.001)
        end
      end) do
        items[#items + 1] = item
      end
      return items
    end
    assert.same({1, 2, 3, 4, 5}, consume())
    assert.same({1, 2, 3, 4, 5}, gevent.spawn(consume):get())
  end)

  it("lets other greenlets run meanwhile", function()
    local log = {}
    local function worker(name)
      for item in gco.wrap(function()
        for i = 1, 3 do
          gevent.sleep(0)
          gco.yield(name .. i)
        end
      end) do
        log[#log + 1] = item
      end
    end
    gevent.joinall {gevent.spawn(worker, "a"), gevent.spawn(worker, "b")}
    assert.same({"a1", "b1", "a2", "b2", "a3", "b3"}, log)
  end)

  it("works at great depth", function()
    local function nest(depth)
      if depth == 0 then
        gevent.sleep(0)
        return "bottom"
      end
      return gco.wrap(nest)(depth - 1)
    end
    assert.equal("bottom", nest(100))
    assert.equal("bottom", gevent.spawn(nest, 100):get())
  end)

  it("at any depth goes on where it was, many times", function()
    local function descend(depth)
      if depth == 0 then
        for i = 1, 20 do
          gevent.sleep(0)
          gco.yield(i)
        end
        return
      end
      for item in gco.wrap(descend), depth - 1 do gco.yield(item) end
    end
    local sum = gevent.spawn(function()
      local total = 0
      for item in gco.wrap(descend), 10 do total = total + item end
      return total
    end):get()
    assert.equal(210, sum)
  end)

  it("passes arguments and results through a block", function()
    local co = gco.create(function(...)
      gevent.sleep(0)
      local got = table.pack(gco.yield(...))
      gevent.sleep(0)
      return table.unpack(got, 1, got.n)
    end)
    assert.same({true, 1, nil, 3, n = 4}, table.pack(gco.resume(co, 1, nil, 3)))
    assert.same({true, nil, nil, n = 3}, table.pack(gco.resume(co, nil, nil)))
  end)

  it("raises its error through a block", function()
    local trouble = {}
    local function fail()
      gevent.sleep(0)
      error(trouble)
    end
    local ok, err = gco.resume(gco.create(fail))
    assert.is_false(ok)
    assert.is_true(rawequal(trouble, err))
    ok, err = pcall(gco.wrap(fail))
    assert.is_false(ok)
    assert.is_true(rawequal(trouble, err))
    ok, err = gevent.spawn(function() return pcall(gco.wrap(fail)) end):get()
    assert.is_false(ok)
    assert.is_true(rawequal(trouble, err))
  end)

  it("may be handed from one greenlet to another", function()
    local items = {}
    local next_item = gco.wrap(function()
      for i = 1, 4 do
        gevent.sleep(0)
        gco.yield(i)
      end
    end)
    for _ = 1, 4 do
      gevent.spawn(function() items[#items + 1] = next_item() end):get()
    end
    assert.same({1, 2, 3, 4}, items)
  end)

  it("may be made in main and used in a greenlet, and back", function()
    local co = gco.create(function()
      gevent.sleep(0)
      gco.yield "one"
      gevent.sleep(0)
      return "two"
    end)
    assert.same({true, "one"}, {gevent.spawn(gco.resume, co):get()})
    assert.same({true, "two"}, {gco.resume(co)})
  end)

  it("is closed while suspended after a block", function()
    local closed = false
    local co = gco.create(function()
      local _ <close> = helper.defer(function() closed = true end)
      gevent.sleep(0)
      gco.yield()
    end)
    gco.resume(co)
    assert.is_true(gco.close(co))
    assert.is_true(closed)
  end)

  it("may block in a __close that gco.close runs", function()
    local closed = false
    local co = gco.create(function()
      local _ <close> = helper.defer(function()
        local ok, err = pcall(gevent.sleep, 0)
        closed = ok or tostring(err)
      end)
      gco.yield()
    end)
    gco.resume(co)
    gco.close(co)
    -- Lua cannot yield inside coroutine.close: done, or the named error.
    assert.is_true(closed == true or closed:find("sleep", 1, true) ~= nil)
  end)

  it("is collected when dropped, suspended or finished", function()
    local seen = setmetatable({}, {__mode = "k"})
    gevent.spawn(function()
      local co = gco.create(function()
        gevent.sleep(0)
        gco.yield()
      end)
      seen[co] = true
      gco.resume(co)
      co = gco.create(function() gevent.sleep(0) end)
      seen[co] = true
      gco.resume(co)
    end):get()
    helper.wait_all_blocked()
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(seen))
  end)

  it("is kept while blocked, though nobody else holds it", function()
    local gate = helper.gate()
    local g = helper.spawn_blocked(function()
      return gco.wrap(function()
        return gco.wrap(function()
          gate:wait()
          return "kept"
        end)()
      end)()
    end)
    collectgarbage()
    collectgarbage()
    gate:open()
    assert.equal("kept", g:get())
  end)
end)

describe("a blocked coroutine", function()
  it("is normal to all others", function()
    local gate = helper.gate()
    local co, g = blocked_coroutine(gate)
    assert.equal("normal", gco.status(co))
    assert.equal("normal", gevent.spawn(gco.status, co):get())
    gate:open()
    assert.same({true, "through"}, {g:get()})
    assert.equal("dead", gco.status(co))
  end)

  it("cannot be resumed by another", function()
    local gate = helper.gate()
    local co, g = blocked_coroutine(gate)
    local ok, err = gco.resume(co)
    assert.is_false(ok)
    assert.is_string(err)
    ok, err = gevent.spawn(gco.resume, co):get()
    assert.is_false(ok)
    assert.is_string(err)
    gate:open()
    assert.same({true, "through"}, {g:get()})
  end)

  it("made by wrap cannot be called by another", function()
    local gate = helper.gate()
    local fn = gco.wrap(function()
      gate:wait()
      gco.yield "first"
      return "second"
    end)
    local g = helper.spawn_blocked(fn)
    local ok, err = pcall(fn)
    assert.is_false(ok)
    assert.is_not_nil(err)
    gate:open()
    assert.equal("first", g:get())
    assert.equal("second", fn())
  end)

  it("cannot be closed by another", function()
    local gate = helper.gate()
    local co, g = blocked_coroutine(gate)
    local ok, err = pcall(gco.close, co)
    assert.is_false(ok)
    assert.matches("normal", tostring(err))
    assert.equal("normal", gco.status(co))
    gate:open()
    assert.same({true, "through"}, {g:get()})
  end)

  it("that is a greenlet's own is protected in the same way", function()
    local gate = helper.gate()
    local co
    local g = helper.spawn_blocked(function()
      co = gco.running()
      return gate:wait()
    end)
    assert.equal("normal", gco.status(co))
    assert.is_false((gco.resume(co)))
    assert.is_false((pcall(gco.close, co)))
    gate:open()
    assert.is_true(g:get())
  end)

  it("of a deeper level leaves the outer one normal, too", function()
    local gate = helper.gate()
    local outer
    outer = gco.create(function()
      return gco.wrap(function() gate:wait() end)()
    end)
    local g = helper.spawn_blocked(function() return gco.resume(outer) end)
    assert.equal("normal", gco.status(outer))
    assert.is_false((gco.resume(outer)))
    assert.is_false((pcall(gco.close, outer)))
    gate:open()
    assert.is_true((g:get()))
  end)
end)

describe("a coroutine of the standard library's", function()
  it("is refused by name, and the greenlet goes on", function()
    local g = gevent.spawn(function()
      local co = coroutine.create(function() gevent.sleep(0) end)
      local ok, err = coroutine.resume(co)
      gevent.sleep(0)
      return ok, tostring(err)
    end)
    local ok, text = g:get()
    assert.is_false(ok)
    assert.matches("gevent%.coroutine", text)
    assert.matches("sleep", text)
  end)

  it("is refused between two of ours", function()
    local g = gevent.spawn(function()
      return gco.wrap(function()
        local ok, err = pcall(coroutine.wrap(function()
          return gco.wrap(gevent.sleep)(0)
        end))
        gevent.sleep(0)
        return ok, tostring(err)
      end)()
    end)
    local ok, text = g:get()
    assert.is_false(ok)
    assert.matches("gevent%.coroutine", text)
  end)

  it("that was made there may be resumed through ours", function()
    local co = coroutine.create(function()
      gevent.sleep(0)
      return "slept"
    end)
    assert.same({true, "slept"}, {gco.resume(co)})
    co = coroutine.create(function()
      gevent.sleep(0)
      return "slept"
    end)
    assert.same({true, "slept"}, {gevent.spawn(gco.resume, co):get()})
  end)
end)
