-- Spawns in spawns, joins of joins, links of links: no overflow of the C stack, in order,
-- and the memory comes back. Each measurement runs in a fresh interpreter, which prints
-- what it found; hostile modes take smaller numbers.

local helper = require "helper"
local gevent = require "gevent"
local scale = require "helper_scale"
local it = helper.it
local scaled, measure, expect_back = scale.scaled, scale.measure, scale.expect_back
local NO_DEADLINE = scale.NO_DEADLINE

describe("depth", function()
  it("spawn in spawn, 100,000 deep, in order", function()
    expect_back(measure(scaled(100000), [[
      local before, order = used(), 0
      local function descend(n)
        order = order + 1
        assert(order == N - n + 1)
        if n > 1 then gevent.spawn(descend, n - 1) end
      end
      gevent.spawn(descend, N)
      gevent.wait()
      assert(order == N)
      local after = used()
      stats_are_zero()
      print(before, after)
    ]]))
  end, NO_DEADLINE)

  it("each joins the next, 20,000 deep", function()
    expect_back(measure(scaled(20000), [[
      local before = used()
      local function descend(n)
        if n == 0 then return 0 end
        return 1 + gevent.spawn(descend, n - 1):get()
      end
      assert(gevent.spawn(descend, N):get() == N)
      local after = used()
      stats_are_zero()
      print(before, after)
    ]]))
  end, NO_DEADLINE)

  it("links that spawn and link, 20,000 in a row", function()
    expect_back(measure(scaled(20000), [[
      local before, n = used(), 0
      local finished = require("gevent.event").Event()
      local function again()
        n = n + 1
        if n == N then return finished:set() end
        gevent.spawn(function() end):link(again)
      end
      again()
      finished:wait()
      finished = nil
      local after = used()
      stats_are_zero()
      print(before, after)
    ]]))
  end, NO_DEADLINE)

  it("failures through nested nurseries, 100 deep", function()
    local function descend(n)
      local scope <close> = gevent.nursery()
      if n == 0 then error("at the bottom", 0) end
      scope:spawn(descend, n - 1)
    end
    assert.same({false, "at the bottom"}, {pcall(descend, 100)})
  end)
end)

describe("no C stack is used up by", function()
  local function runs(name, program)
    it(name, function()
      expect_back(measure(scaled(20000), program))
    end, NO_DEADLINE)
  end

  runs("kills in the clean-up of kills", [[
    local before = used()
    local list = {}
    for i = 1, N do
      list[i] = gevent.spawn(function()
        local _ <close> = setmetatable({}, {__close = function()
          if list[i + 1] then list[i + 1]:kill() end
        end})
        gevent.sleep(3600)
      end)
    end
    gevent.sleep(0)
    list[1]:kill()
    for i = 1, N do assert(list[i].dead) end
    list = nil
    collectgarbage()
    local after = used()
    stats_are_zero()
    print(before, after)
  ]])

  runs("a chain of queues, each of which wakes the next", [[
    local queue = require "gevent.queue"
    local before = used()
    local first = queue.Channel()
    local last = first
    for _ = 1, N // 10 do
      local from, to = last, queue.Channel()
      gevent.spawn(function() to:put(from:get() + 1) end)
      last = to
    end
    gevent.spawn(first.put, first, 0)
    assert(last:get() == N // 10)
    first, last = nil, nil
    gevent.sleep(0)
    local after = used()
    stats_are_zero()
    print(before, after)
  ]])

  runs("generators in generators, to Lua's own limit", [[
    local gco = require "gevent.coroutine"
    local before = used()
    local function descend(n)
      if n == 0 then gevent.sleep(0) return 0 end
      return 1 + gco.wrap(descend)(n - 1)
    end
    assert(gevent.spawn(descend, 100):get() == 100)
    gevent.get_hub().exception_stream = false
    local ok, err = pcall(function() return gevent.spawn(descend, 1000):get() end)
    assert(not ok and tostring(err):find "C stack overflow", err)
    assert(descend(100) == 100)
    err = nil
    local after = used()
    stats_are_zero()
    print(before, after)
  ]])
end)
