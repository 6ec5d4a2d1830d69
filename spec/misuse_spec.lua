-- Misuse raises at once, names the argument, and leaves nothing behind.

local helper = require "helper"
local gevent = require "gevent"
local it = helper.it

local function noop() end

local greenlet, timeout = gevent.Greenlet(noop), gevent.Timeout(1)

--- Misuse: function's name, argument at fault, call. None may be a tail call,
-- which would hide the name from Lua.
local misuses = {
  {"sleep", 1, function() gevent.sleep "soon" end},
  {"sleep", 1, function() gevent.sleep(-1) end},
  {"sleep", 1, function() gevent.sleep {} end},
  {"spawn", 1, function() gevent.spawn() end},
  {"spawn", 1, function() gevent.spawn {} end},
  {"spawn_raw", 1, function() gevent.spawn_raw "f" end},
  {"spawn_later", 1, function() gevent.spawn_later(-1, noop) end},
  {"spawn_later", 1, function() gevent.spawn_later(noop) end},
  {"spawn_later", 2, function() gevent.spawn_later(0, "f") end},
  {"joinall", 1, function() gevent.joinall(greenlet) end},
  {"joinall", 1, function() gevent.joinall(42) end},
  {"joinall", 1, function() gevent.joinall {1} end},
  {"joinall", 2, function() gevent.joinall({}, -1) end},
  {"joinall", 2, function() gevent.joinall({}, "x") end},
  {"joinall", 3, function() gevent.joinall({}, nil, 42) end},
  {"killall", 1, function() gevent.killall(42) end},
  {"killall", 1, function() gevent.killall {1} end},
  {"killall", 4, function() gevent.killall({}, nil, true, -1) end},
  {"kill", 1, function() gevent.kill() end},
  {"kill", 1, function() gevent.kill(42) end},
  {"with_timeout", 1, function() gevent.with_timeout(-1, noop) end},
  {"with_timeout", 2, function() gevent.with_timeout(1, 42) end},
  {"Timeout", 1, function() gevent.Timeout(-1) end},
  {"Timeout", 1, function() gevent.Timeout "x" end},
  {"start_new", 1, function() gevent.Timeout.start_new(-1) end},
  {"isinstance", 2, function() gevent.isinstance({}, 42) end},
  {"exception", 1, function() gevent.exception {} end},
  {"exception", 2, function() gevent.exception("A", 42) end},
  {"setswitchinterval", 1, function() gevent.setswitchinterval(-1) end},
  {"setswitchinterval", 1, function() gevent.setswitchinterval {} end},
  {"Greenlet", 1, function() gevent.Greenlet(42) end},
  {"join", 1, function() greenlet:join(-1) end},
  {"join", 1, function() greenlet:join "x" end},
  {"get", 1, function() greenlet:get(-1) end},
  {"kill", 3, function() greenlet:kill(nil, true, -1) end},
  {"start_later", 1, function() greenlet:start_later(-1) end},
  {"start_later", 1, function() greenlet:start_later {} end},
  {"link", 1, function() greenlet:link(42) end},
  {"rawlink", 1, function() greenlet:rawlink {} end},
  {"link_value", 1, function() greenlet:link_value() end},
  {"link_exception", 1, function() greenlet:link_exception "f" end},
  {"subclass", 1, function() gevent.Greenlet:subclass {} end},
  {"start", 1, function() timeout.start {} end},
  {"cancel", 1, function() timeout.cancel(42) end},
  {"join", 1, function() greenlet.join {} end},
  {"get", 1, function() greenlet.get(timeout) end},
  {"ready", 1, function() greenlet.ready() end},
}

describe("misuse", function()
  for i, case in ipairs(misuses) do
    local name, position, call = table.unpack(case)
    it(("of %s, argument %d (%d)"):format(name, position, i), function()
      local before = gevent.get_hub():stats()
      local ok, err = pcall(call)
      assert.is_false(ok, "was accepted")
      assert.is_string(err)
      assert.matches(("bad argument #%d to '[%%w_.:]*%s'"):format(
        position, name), err)
      assert.matches("^.-misuse_spec%.lua:%d+: ", err)
      local after = gevent.get_hub():stats()
      for _, what in ipairs {"greenlets", "timers", "ready"} do
        assert.equal(before[what], after[what], what)
      end
    end)
  end

  it("carries the caller's place", function()
    local ok, err = pcall(function() gevent.sleep(-1) end)
    assert.is_false(ok)
    assert.matches("^.-misuse_spec%.lua:%d+: bad argument #1 to 'sleep'", err)
  end)

  it("of a method counts arguments without self", function()
    local g = gevent.Greenlet(noop)
    local ok, err = pcall(function() g:join(-1) end)
    assert.is_false(ok)
    assert.matches("bad argument #1 to 'join'", err)
  end)

  it("in a greenlet is that greenlet's error only", function()
    local printed <close> = helper.capture_errors()
    local g = gevent.spawn(gevent.sleep, -1)
    local ok, err = pcall(g.get, g)
    assert.is_false(ok)
    assert.matches("argument #1", err)
    assert.is_string(printed:text())
  end)
end)

describe("unknown fields", function()
  it("of the hub, a greenlet, a Timeout are nil", function()
    assert.is_nil(gevent.get_hub().no_such_field)
    assert.is_nil(gevent.Greenlet(noop).no_such_field)
    assert.is_nil(gevent.Timeout(1).no_such_field)
  end)
end)

describe("read-only fields", function()
  it("of a greenlet cannot be broken", function()
    local g = gevent.spawn(function() return "right" end)
    for _, name in ipairs {"value", "dead", "started", "exception"} do
      pcall(function() g[name] = "wrong" end)
    end
    g:join()
    assert.equal("right", g:get())
    assert.is_true(g:ready())
  end)

  it("name refuses what is no string", function()
    local g = gevent.Greenlet(noop)
    assert.is_false((pcall(function() g.name = {} end)))
    assert.is_string(g.name)
  end)
end)

describe("tables of the library", function()
  it("refuse methods on a wrong self everywhere", function()
    local g = gevent.Greenlet(noop)
    local foreign = {io.stdout, gevent.get_hub(), gevent.Timeout(1)}
    for _, self in ipairs(foreign) do
      for _, name in ipairs {"start", "join", "get", "kill", "link", "ready"}
      do
        assert.is_false((pcall(g[name], self)), name)
      end
    end
  end)

  it("survive finalizers that are called by hand", function()
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      gevent.sleep(0)
      local timeout = gevent.Timeout.start_new(60)
      local fresh = gevent.Greenlet(print)
      for _, object in ipairs {
        fresh, timeout, gevent.getcurrent(), gevent.get_hub(),
      } do
        local finalize = getmetatable(object).__gc
        if finalize then
          for _, argument in ipairs {object, object, {}, io.stdout} do
            pcall(finalize, argument)
          end
          pcall(finalize)
        end
        assert(tostring(object))
      end
      pcall(timeout.cancel, timeout)
      pcall(timeout.start, timeout)
      pcall(fresh.start, fresh)
      pcall(gevent.spawn, print)
      pcall(gevent.sleep, 0)
      print "survived"
    ]]
    assert.equal(0, code, err)
    assert.equal("survived\n", out)
  end)
end)
