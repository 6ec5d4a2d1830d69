-- gevent.pcall and gevent.xpcall: catch errors, stay killable.

local helper = require "helper"
local gevent = require "gevent"
local it = helper.it

describe("gevent.pcall", function()
  it("returns true and all results", function()
    assert.same({true, 1, nil, 3, n = 4},
      table.pack(gevent.pcall(function(...) return ... end, 1, nil, 3)))
    assert.same({true, n = 1}, table.pack(gevent.pcall(function() end)))
  end)

  it("catches every other error, as it is", function()
    for _, trouble in ipairs {{}, "text", 42, false} do
      local ok, err = gevent.pcall(error, trouble, 0)
      assert.is_false(ok)
      assert.is_true(rawequal(trouble, err))
    end
    assert.same({false, nil, n = 2}, table.pack(gevent.pcall(error)))
  end)

  it("catches what is called though it cannot be", function()
    local ok, err = gevent.pcall(42)
    assert.is_false(ok)
    assert.matches("call a number value", err)
  end)

  it("catches exceptions of the user's", function()
    local Mine = gevent.exception "Mine"
    local ok, err = gevent.pcall(error, Mine "m")
    assert.is_false(ok)
    assert.is_true(gevent.isinstance(err, Mine))
  end)

  it("catches LoopExit", function()
    local ok, err = gevent.pcall(function() helper.gate():wait() end)
    assert.is_false(ok)
    assert.is_true(gevent.isinstance(err, gevent.LoopExit))
  end, {deadline = false})

  it("lets GreenletExit and what derives from it pass", function()
    local Quiet = gevent.exception("Quiet", gevent.GreenletExit)
    for _, class in ipairs {gevent.GreenletExit, Quiet} do
      local instance = class "bye"
      local ok, err = pcall(gevent.pcall, error, instance)
      assert.is_false(ok)
      assert.is_true(rawequal(instance, err))
    end
  end)

  it("lets Timeout pass, thrown by hand or fired", function()
    local t = gevent.Timeout(60)
    local ok, err = pcall(gevent.pcall, error, t)
    assert.is_false(ok)
    assert.is_true(rawequal(t, err))
    local fired <close> = gevent.Timeout.start_new(0.005)
    ok, err = pcall(gevent.pcall, gevent.sleep, 60)
    assert.is_false(ok)
    assert.is_true(rawequal(fired, err))
  end)

  it("lets a kill pass through any depth, blocked or not", function()
    local caught = false
    local g = helper.spawn_blocked(function()
      gevent.pcall(gevent.pcall, function()
        gevent.pcall(gevent.sleep, 60)
        caught = true
      end)
      caught = true
    end)
    g:kill()
    assert.is_false(caught)
    assert.is_true(gevent.isinstance(g.value, gevent.GreenletExit))
  end)

  it("runs <close> variables before it returns", function()
    local log = {}
    gevent.pcall(function()
      local _ <close> = helper.defer(function() log[#log + 1] = "closed" end)
      gevent.sleep(0)
      error("x")
    end)
    log[#log + 1] = "returned"
    assert.same({"closed", "returned"}, log)
  end)

  it("does not catch what a plain pcall has caught", function()
    local g = helper.spawn_blocked(function()
      return gevent.pcall(pcall, gevent.sleep, 60)
    end)
    g:kill()
    local ok, inner, err = g:get()
    assert.is_true(ok)
    assert.is_false(inner)
    assert.is_true(gevent.isinstance(err, gevent.GreenletExit))
  end)

  it("needs a function", function()
    assert.is_false((pcall(gevent.pcall)))
  end)
end)

describe("gevent.xpcall", function()
  local function handler(err) return {handled = err} end

  it("returns true and all results", function()
    assert.same({true, 1, nil, 3, n = 4}, table.pack(
      gevent.xpcall(function(...) return ... end, handler, 1, nil, 3)))
  end)

  it("hands an error to the handler, at the place of the error", function()
    local ok, trace = gevent.xpcall(function()
      local function culprit() error("trouble") end
      culprit()
    end, debug.traceback)
    assert.is_false(ok)
    assert.matches("trouble", trace)
    assert.matches("culprit", trace)
    local trouble = {}
    local _, result = gevent.xpcall(error, handler, trouble)
    assert.is_true(rawequal(trouble, result.handled))
  end)

  it("does so across a block", function()
    local g = gevent.spawn(function()
      return gevent.xpcall(function()
        gevent.sleep(0)
        error("trouble")
      end, debug.traceback)
    end)
    local ok, trace = g:get()
    assert.is_false(ok)
    assert.matches("trouble", trace)
    assert.matches("pcall_spec%.lua", trace)
  end)

  it("lets GreenletExit and Timeout pass unhandled", function()
    for _, instance in ipairs {gevent.GreenletExit "x", gevent.Timeout(1)} do
      local ok, err = pcall(gevent.xpcall, error, handler, instance)
      assert.is_false(ok)
      assert.is_true(rawequal(instance, err))
    end
    local g = helper.spawn_blocked(function()
      return gevent.xpcall(gevent.sleep, handler, 60)
    end)
    g:kill()
    assert.is_true(gevent.isinstance(g.value, gevent.GreenletExit))
  end)

  it("needs a function and a handler", function()
    assert.is_false((pcall(gevent.xpcall)))
    local ok, err = pcall(gevent.xpcall, print)
    assert.is_false(ok)
    assert.matches("argument #2", err)
  end)
end)

describe("plain pcall", function()
  it("catches all, kills and Timeouts too", function()
    local g = helper.spawn_blocked(function()
      local ok, err = pcall(gevent.sleep, 60)
      return ok, err
    end)
    g:kill()
    local ok, err = g:get()
    assert.is_false(ok)
    assert.is_true(gevent.isinstance(err, gevent.GreenletExit))
  end)
end)
