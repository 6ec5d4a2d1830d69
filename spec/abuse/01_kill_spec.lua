-- A kill in every call that blocks: the greenlet leaves its wait at once, cleans up, and
-- is over; nothing wakes it later, and what it waited on can be used again.

local helper = require "helper"
local gevent = require "gevent"
local slope = require "helper_slope"
local tls = require "helper_tls"
local waits = require "helper_waits"
local it = helper.it

local KINDS = waits.kinds(tls.have "openssl")

local function is_exit(value) return gevent.isinstance(value, gevent.GreenletExit) end

--- A greenlet in the call, and what its cleanup saw.
local function victim_of(call)
  local log = {}
  local g = helper.spawn_blocked(function()
    local _ <close> = helper.defer(function(err)
      gevent.sleep(0) -- cleanup may block
      log.closed = err
    end)
    local ok, err = pcall(call)
    log.returned, log.caught = ok, err
    if not ok then error(err, 0) end
  end)
  return g, log
end

local function expect_killed(g, log)
  assert.is_true(g.dead)
  assert.is_true(is_exit(g:get()), "its value is no exit")
  assert.is_false(log.returned, "the call returned")
  assert.is_true(rawequal(log.caught, g:get()))
  assert.is_true(rawequal(log.closed, g:get()))
end

describe("a kill", function()
  setup(function()
    if tls.have "openssl" then waits.certificate = tls.certificate "localhost" end
  end)

  for _, kind in ipairs(KINDS) do
    it("ends " .. kind.name, function()
      local wait = kind.make()
      local _ <close> = helper.defer(wait.finish)
      -- The second finds the object as it was.
      for _ = 1, kind.once and 1 or 2 do
        local g, log = victim_of(wait.call)
        g:kill()
        expect_killed(g, log)
      end
    end)
  end

  it("of all of them in one turn ends all of them", function()
    local list, logs, finish = {}, {}, {}
    local _ <close> = helper.defer(function()
      for _, fn in ipairs(finish) do fn() end
    end)
    for i, kind in ipairs(KINDS) do
      local wait = kind.make()
      finish[i] = wait.finish
      list[i], logs[i] = victim_of(wait.call)
    end
    assert.is_true(#list > 50)
    gevent.killall(list)
    for i, g in ipairs(list) do expect_killed(g, logs[i]) end
  end, {deadline = 20})

  for _, kind in ipairs(KINDS) do
    slope.it("of " .. kind.name, function()
      local kept = not kind.once and kind.make()
      return function()
        local wait = kept or kind.make()
        local g = gevent.spawn(wait.call)
        gevent.sleep(0)
        g:kill()
        if not kept then wait.finish() end
      end, kept and kept.finish
    end, {times = kind.slow and 50 or kind.once and 4})
  end
end)
