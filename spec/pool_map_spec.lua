-- gevent.pool: map, imap and their relatives, of a Group and of a Pool.

local helper = require "helper"
local sync = require "helper_sync"
local gevent = require "gevent"
local pool = require "gevent.pool"
local queue = require "gevent.queue"
local it = helper.it
local expect_misuse = sync.expect_misuse

local makers = {
  ["Group"] = pool.Group,
  ["Pool"] = pool.Pool,
  ["Pool(1)"] = function() return pool.Pool(1) end,
  ["Pool(3)"] = function() return pool.Pool(3) end,
}

local function numbers(n)
  return sync.times(n, function(i) return i end)
end

local function square(x) return x * x end

local function squares(n)
  return sync.times(n, function(i) return i * i end)
end

--- An iterator function over 1 .. n; then it raises `err`, if there is one.
local function counter(n, err)
  local i = 0
  return function()
    i = i + 1
    if i <= n then return i end
    if err then error(err, 0) end
    return nil
  end
end

--- `list` has these values and nothing else.
local function expect_list(expected, list) assert.same(expected, list) end

local function sorted(list)
  table.sort(list)
  return list
end

for name, make in pairs(makers) do
  describe(name .. ":map", function()
    it("gives the results in the order of the items", function()
      local p = make()
      expect_list(squares(20), p:map(square, numbers(20)))
      expect_list({3, 2, 1}, p:map(function(x)
        gevent.sleep(0.001 * x)
        return x
      end, {3, 2, 1}))
      helper.wait_all_blocked()
      assert.equal(0, #p)
    end)

    it("tells the number of results where some are nil", function()
      local p = make()
      local list = p:map(function(x) return x ~= 2 and x or nil end, numbers(3))
      assert.same({1, nil, 3, n = 3}, list)
    end)

    it("takes an iterator function, and an empty sequence", function()
      local p = make()
      expect_list(squares(10), p:map(square, counter(10)))
      expect_list({}, p:map(square, {}))
      expect_list({}, p:map(square, counter(0)))
      local two = {1, 2}
      expect_list(squares(2), p:map(square, function(...)
        assert.equal(0, select("#", ...))
        return table.remove(two, 1)
      end))
      local q = queue.Queue(nil, numbers(4))
      q:close()
      expect_list(squares(4), p:map(square, q:iter()))
    end)

    it("raises the first error, and the others run on", function()
      local printed <close> = helper.capture_errors()
      local p = make()
      local done = 0
      local ok, err = pcall(p.map, p, function(x)
        gevent.sleep(0)
        if x % 2 == 0 then error("bad " .. x, 0) end
        done = done + 1
      end, {1, 2, 3, 4, 5})
      assert.is_false(ok)
      assert.equal("bad 2", err)
      p:join()
      assert.equal(3, done)
      assert.is_string(printed:text())
    end)

    it("raises the error of its input", function()
      local p = make()
      local seen = 0
      local ok, err = pcall(p.map, p, function() seen = seen + 1 end,
        counter(3, "bad input"))
      assert.is_false(ok)
      assert.equal("bad input", err)
      p:join()
      assert.equal(3, seen)
      assert.equal("still usable", p:apply(function() return "still usable" end))
    end)

    it("map_n takes several sequences, as long as the shortest", function()
      local p = make()
      expect_list({11, 22}, p:map_n(function(a, b) return a + b end,
        {{1, 2, 3}, {10, 20}}))
      expect_list({11, 22}, p:map_n(function(a, b) return a + b end,
        {counter(2), {10, 20, 30}}))
    end)

    it("map_async returns a greenlet with the list", function()
      local p = make()
      local g = p:map_async(square, numbers(5))
      assert.is_false(g:ready())
      expect_list(squares(5), (g:get()))
    end)

    it("map_async fails with the first error", function()
      local printed <close> = helper.capture_errors()
      local p = make()
      local g = p:map_async(error, {"bad"})
      assert.same({false, "bad"}, {pcall(g.get, g)})
      p:join()
      assert.is_string(printed:text())
    end)

    it("refuses what is no function and no sequence", function()
      local p = make()
      expect_misuse("function expected", p.map, p, 42, {})
      expect_misuse("sequence", p.map, p, square, 42)
      expect_misuse("sequence", p.map, p, square)
      expect_misuse("function expected", p.imap, p, 42, {})
      expect_misuse("sequence", p.imap, p, square, 42)
      expect_misuse("sequence", p.imap, p, square)
      expect_misuse("sequence", p.map_n, p, square, {})
      expect_misuse("sequence", p.map_n, p, square, 42)
      expect_misuse("sequence", p.imap_n, p, square, {1, 2})
    end)
  end)

  for _, how in ipairs {"imap", "imap_unordered"} do
    describe(name .. ":" .. how, function()
      it("gives all results", function()
        local p = make()
        local list = sync.collect(p[how](p, function(x)
          gevent.sleep(0.0005 * (x % 3))
          return x * x
        end, numbers(20)))
        if how == "imap" then expect_list(squares(20), list) end
        expect_list(squares(20), sorted(list))
        assert.is_true(p:join())
      end)

      it("takes an iterator function, and ends with its end", function()
        local p = make()
        expect_list(squares(10),
          sorted(sync.collect(p[how](p, square, counter(10)))))
        expect_list({}, sync.collect(p[how](p, square, {})))
        expect_list({}, sync.collect(p[how](p, square, counter(0))))
        local next_item <const> = p[how](p, square, {1})
        assert.equal(1, next_item())
        assert.is_nil(next_item())
        assert.is_nil(next_item())
      end)

      it("runs at most maxsize ahead of who takes the results", function()
        local p = make()
        for _, maxsize in ipairs {1, 2} do
          local started, taken = 0, 0
          for _ in p[how](p, function(x)
            started = started + 1
            return x
          end, numbers(10), {maxsize = maxsize}) do
            taken = taken + 1
            helper.wait_all_blocked()
            assert.is_true(started <= taken + maxsize)
          end
          assert.equal(10, taken)
        end
      end)

      it("begins before it is asked, as far as maxsize permits", function()
        local p, started = make(), 0
        local next_item, _, _, job = p[how](p, function(x)
          started = started + 1
          return x
        end, numbers(10), {maxsize = 2})
        local _over <close> = job
        helper.wait_all_blocked()
        assert.equal(2, started)
        next_item()
        helper.wait_all_blocked()
        assert.equal(3, started)
      end)

      it("raises an item's error in its place, and goes on", function()
        local printed <close> = helper.capture_errors()
        local p = make()
        local next_item = p[how](p, function(x)
          if x == 2 then error("bad 2", 0) end
          return x
        end, {1, 2, 3})
        local values, failures = {}, 0
        while true do
          local ok, value = pcall(next_item)
          if not ok then
            assert.equal("bad 2", value)
            failures = failures + 1
            if how == "imap" then assert.equal(1, #values) end
          elseif value == nil then
            break
          else
            values[#values + 1] = value
          end
        end
        assert.equal(1, failures)
        expect_list({1, 3}, sorted(values))
        assert.is_string(printed:text())
      end)

      it("raises its input's error after the items before it", function()
        local p = make()
        local next_item = p[how](p, square, counter(3, "bad input"))
        local list = {next_item(), next_item(), next_item()}
        expect_list({1, 4, 9}, sorted(list))
        assert.same({false, "bad input"}, {pcall(next_item)})
        assert.is_nil(next_item())
        assert.is_true(p:join())
      end)

      it("an input that fails at once raises at once", function()
        local p = make()
        local next_item = p[how](p, square, counter(0, "bad input"))
        assert.same({false, "bad input"}, {pcall(next_item)})
        assert.is_nil(next_item())
      end)

      it("takes a slow input: what has come is not held back", function()
        local p = make()
        local gate = helper.gate()
        local i = 0
        local next_item = p[how](p, square, function()
          i = i + 1
          if i == 2 then gate:wait() end
          return i <= 2 and i or nil
        end)
        assert.equal(1, next_item())
        gate:open()
        assert.equal(4, next_item())
        assert.is_nil(next_item())
      end)

      it("left early starts no more, and what runs may end", function()
        local p = make()
        local started = 0
        for x in p[how](p, function(x)
          started = started + 1
          return x
        end, numbers(100), {maxsize = 2}) do
          if x then break end
        end
        assert.is_true(p:join())
        helper.wait_all_blocked()
        assert.is_true(started <= 4)
      end)

      it("a step that a Timeout interrupts loses nothing", function()
        local p = make()
        local gate = helper.gate()
        local next_item = p[how](p, function(x)
          gate:wait()
          return x
        end, numbers(3))
        for _ = 1, 3 do
          sync.expect_timed_out(gevent.with_timeout(0.001, next_item))
        end
        gate:open()
        local list = {next_item(), next_item(), next_item()}
        expect_list({1, 2, 3}, sorted(list))
        assert.is_nil(next_item())
      end)

      it("refuses a maxsize that is none", function()
        local p = make()
        for _, maxsize in ipairs {0, -1, 1.5, "x"} do
          expect_misuse("maxsize", p[how], p, square, {}, {maxsize = maxsize})
        end
      end)
    end)
  end

  describe(name, function()
    it("imap_n takes several sequences", function()
      local p = make()
      local function add(a, b) return a + b end
      expect_list({2, 4}, sync.collect(p:imap_n(add, {{1, 2, 3}, counter(2)})))
      expect_list({11, 22}, sync.collect(
        p:imap_n(add, {{1, 2, 3}, {10, 20}}, {maxsize = 1})))
    end)

    it("maps inside a map of another pool", function()
      local inner, outer = make(), make()
      local list = outer:map(function(x)
        return (inner:map(square, {x}))[1]
      end, numbers(6))
      expect_list(squares(6), list)
    end)

    it("may be used by the function that it maps", function()
      local p = make()
      local list = p:map(function(x)
        return (p:apply(square, x))
      end, numbers(6))
      expect_list(squares(6), list)
    end)

    it("a killed worker's result is its GreenletExit", function()
      local p = make()
      local g = p:map_async(function()
        gevent.sleep(60)
      end, {1})
      helper.wait_all_blocked()
      p:kill()
      assert.is_true(sync.is_exit((g:get())[1]))
    end)

    it("killing the greenlet that maps leaves the pool usable", function()
      local p = make()
      local g = p:map_async(function() gevent.sleep(0.001) end, numbers(10))
      helper.wait_all_blocked()
      g:kill()
      assert.is_true(p:join())
      expect_list(squares(3), p:map(square, numbers(3)))
    end)
  end)
end

describe("imap_unordered", function()
  it("gives results in the order they come", function()
    local p = pool.Pool(3)
    local next_item = p:imap_unordered(function(x)
      gevent.sleep(x)
      return x
    end, {0.02, 0.001, 0.01})
    expect_list({0.001, 0.01, 0.02}, sync.collect(next_item))
  end)
end)

describe("a bounded map", function()
  it("never has more at work than the pool holds", function()
    local p = pool.Pool(3)
    local running, most = 0, 0
    p:map(function()
      running = running + 1
      most = math.max(most, running)
      gevent.sleep(0)
      running = running - 1
    end, numbers(30))
    assert.equal(3, most)
  end)

  it("reads its input no faster than there is room", function()
    local p = pool.Pool(2)
    local gate = helper.gate()
    local read = 0
    local g = p:map_async(function() gate:wait() end, function()
      read = read + 1
      return read <= 50 and read or nil
    end)
    helper.wait_all_blocked()
    assert.is_true(read <= 3)
    gate:open()
    g:get()
  end)
end)

local function list_of(n)
  return function(list) expect_list(squares(n), list) end
end

helper.battery("Pool:map", function()
  local p, gate = pool.Pool(2), helper.gate()
  return {
    call = function()
      return p:map(function(x)
        gate:wait()
        return x * x
      end, numbers(3))
    end,
    release = function() gate:open() end,
    expect = list_of(3),
    fname = "Pool:spawn",
    cleanup = function()
      gate:open()
      p:join()
    end,
  }
end)

for _, how in ipairs {"imap", "imap_unordered"} do
  helper.battery("Group:" .. how, function()
    local p, gate = pool.Group(), helper.gate()
    return {
      call = function()
        return sorted(sync.collect(p[how](p, function(x)
          gate:wait()
          return x * x
        end, numbers(3))))
      end,
      release = function() gate:open() end,
      expect = list_of(3),
      fname = "get",
      cleanup = function()
        gate:open()
        p:join()
      end,
    }
  end)
end

describe("killing a pool", function()
  it("ends an imap over endless input", function()
    local p, drawn = pool.Pool(2), 0
    local consumer = gevent.spawn(function()
      local function endless()
        drawn = drawn + 1
        return drawn
      end
      for _ in p:imap(function(x) gevent.sleep(0) return x end, endless) do
        gevent.sleep(0)
      end
      return "over"
    end)
    while drawn < 10 do gevent.sleep(0) end
    p:kill()
    assert.equal("over", consumer:get(5))
    assert.equal(0, #p)
  end)
end)
