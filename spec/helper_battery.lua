-- The generic battery: what holds for one blocking call holds for all.
-- helper.battery(name, make) generates the tests; `make()` returns a case:
--   call(timeout)   blocks until `release` is called, then returns results
--   release()       lets it return; must not block
--   expect(...)     asserts the results of a call that was released
--   takes_timeout   call obeys its `timeout` argument
--   timeout_result  what it returns at expiry: a list with n, false (it
--                   returns false), "raises" (a Timeout), or a function that
--                   asserts the results; nil, "timed out", "timeout" unless
--                   told
--   direct          release wakes the caller itself, not through another
--                   greenlet, a timer or the kernel
--   fname           the name that errors must mention; the battery's
--                   name unless told
--   cleanup()       optional, after each test
-- Each test makes a case of its own; the leak check of `it` sees the rest.

local busted = require "busted"
local assert = require "luassert"
local gevent = require "gevent"
local gco = require "gevent.coroutine"

local SHORT = 0.01 -- seconds: a timeout that is meant to expire
local LONG = 60 -- seconds: one that is not

local TIMED_OUT = {nil, "timed out", "timeout", n = 3}

return function(helper, name, make)
  local function it(text, body)
    return helper.it(text, function()
      local case = make()
      local _ <close> = helper.defer(case.cleanup or function() end)
      body(case)
    end)
  end

  local fname = name:match("[%w_]+$")
  local takes_timeout -- by the cases of this battery

  local function expect_name(case, err)
    local text = tostring(err)
    assert.is_truthy(text:find(case.fname or fname, 1, true),
      "does not name the function: " .. text)
  end

  --- The error of a foreign coroutine says what to use.
  local function expect_foreign(ok, err)
    assert.is_false(ok, "it was not refused")
    assert.is_truthy(tostring(err):find("gevent.coroutine", 1, true),
      tostring(err))
  end

  --- Runs `fn`, which makes the call, in a greenlet; releases it there.
  local function in_greenlet(case, fn)
    local g = helper.spawn_blocked(fn)
    case.release()
    return g:get()
  end

  --- The same in the main greenlet, released by another.
  local function in_main(case, fn)
    local releaser = gevent.spawn(case.release)
    local results = table.pack(fn())
    releaser:get()
    return table.unpack(results, 1, results.n)
  end

  local places = {
    {"a greenlet", in_greenlet}, {"the main greenlet", in_main},
  }

  --- The case can be used as if nothing had happened to it.
  local function still_works(case)
    case.expect(in_greenlet(case, case.call))
  end

  --- Asserts that a call, made by pcall, has run into its own timeout.
  local function expect_expiry(case, ok, ...)
    local expected = case.timeout_result
    if expected == "raises" then
      assert.is_false(ok)
      assert.is_true(gevent.isinstance((...), gevent.Timeout), tostring(...))
      return
    end
    assert.is_true(ok, tostring(...))
    if type(expected) == "function" then return expected(...) end
    if expected == false then expected = {false, n = 1} end
    assert.same(expected or TIMED_OUT, table.pack(...))
  end

  local function check_expiry(case, timeout)
    expect_expiry(case, pcall(case.call, timeout))
  end

  -- Where it may block ----------------------------------------------------

  local function normal_tests()
    for _, place in ipairs(places) do
      local where, run = place[1], place[2]

      it("returns in " .. where, function(case)
        case.expect(run(case, case.call))
      end)

      it("returns inside pcall and xpcall in " .. where, function(case)
        local results = table.pack(run(case, function()
          return pcall(xpcall, case.call, debug.traceback)
        end))
        assert.is_true(results[1])
        assert.is_true(results[2])
        case.expect(table.unpack(results, 3, results.n))
      end)

      it("returns inside gevent.pcall in " .. where, function(case)
        local results = table.pack(run(case, function()
          return gevent.pcall(case.call)
        end))
        assert.is_true(results[1])
        case.expect(table.unpack(results, 2, results.n))
      end)

      it("returns inside a generator in " .. where, function(case)
        local results = table.pack(run(case, function()
          local next_item = gco.wrap(function()
            gco.yield("first")
            gco.yield(case.call())
            return "last"
          end)
          assert.equal("first", next_item())
          local item = table.pack(next_item())
          assert.equal("last", next_item())
          return table.unpack(item, 1, item.n)
        end))
        case.expect(table.unpack(results, 1, results.n))
      end)

      it("returns inside nested generators in " .. where, function(case)
        case.expect(run(case, function()
          return gco.wrap(function()
            return gco.wrap(function() return case.call() end)()
          end)()
        end))
      end)
    end
  end

  -- Metamethods truncate results; each of these hands them out by `keep`.
  local ways = {
    __index = function(obj) return obj.field end,
    __newindex = function(obj) obj.field = 1 end,
    __add = function(obj) return obj + 1 end,
    __lt = function(obj) return obj < {} end,
    __concat = function(obj) return obj .. "" end,
    __call = function(obj) return obj() end,
    __close = function(obj) local _ <close> = obj end,
    iterator = function(obj) for item in obj do assert(item) end end,
  }

  local function metamethod_tests()
    for event, use in pairs(ways) do
      for _, place in ipairs(places) do
        it(("returns inside %s in %s"):format(event, place[1]), function(case)
          local results
          local metatable = {}
          metatable[event == "iterator" and "__call" or event] = function()
            if results then return nil end -- the iterator's end
            results = table.pack(case.call())
            return true
          end
          place[2](case, function() use(setmetatable({}, metatable)) end)
          case.expect(table.unpack(results, 1, results.n))
        end)
      end
    end
  end

  -- Where it may not ------------------------------------------------------

  local no_yield = {
    ["a table.sort comparator"] = function(fn)
      table.sort({3, 1, 2}, function(a, b) fn() return a < b end)
    end,
    ["a string.gsub callback"] = function(fn)
      return (("x"):gsub("x", function() fn() end))
    end,
  }

  local function forbidden_tests()
    for where, enter in pairs(no_yield) do
      it("is refused in " .. where, function(case)
        local g = helper.spawn_blocked(function()
          local ok, err = pcall(enter, case.call)
          assert.is_false(ok, "it was not refused")
          expect_name(case, err)
          assert.is_truthy(tostring(err):find("yield"), tostring(err))
          return case.call() -- nothing was left half-waiting
        end)
        case.release()
        case.expect(g:get())
      end)
    end

    it("is refused in a foreign coroutine in a greenlet", function(case)
      local g = helper.spawn_blocked(function()
        expect_foreign(pcall(coroutine.wrap(case.call)))
        return case.call()
      end)
      case.release()
      case.expect(g:get())
    end)

    it("is refused in a foreign coroutine in main", function(case)
      expect_foreign(pcall(coroutine.wrap(case.call)))
      still_works(case)
    end)

    it("is refused in a generator in a foreign coroutine", function(case)
      local g = helper.spawn_blocked(function()
        expect_foreign(pcall(coroutine.wrap(function()
          return gco.wrap(case.call)()
        end)))
        return case.call()
      end)
      case.release()
      case.expect(g:get())
    end)
  end

  -- Its own timeout -------------------------------------------------------

  local function timeout_tests()
    for _, timeout in ipairs {SHORT, 0} do
      it(("times out after %g s in a greenlet"):format(timeout),
        function(case)
          local g = gevent.spawn(function()
            local start = helper.now()
            check_expiry(case, timeout)
            assert.is_true(helper.now() - start >= timeout, "early")
          end)
          g:get()
          still_works(case)
        end)

      it(("times out after %g s in main"):format(timeout), function(case)
        local start = helper.now()
        check_expiry(case, timeout)
        assert.is_true(helper.now() - start >= timeout, "early")
        still_works(case)
      end)
    end

    it("times out in a generator", function(case)
      gevent.spawn(function()
        gco.wrap(function() check_expiry(case, SHORT) end)()
      end):get()
      still_works(case)
    end)

    it("returns before its timeout", function(case)
      case.expect(in_greenlet(case, function() return case.call(LONG) end))
    end)

    it("takes an expiry of its own for its own", function(case)
      gevent.spawn(function()
        local outer <close> = gevent.Timeout.start_new(LONG)
        check_expiry(case, SHORT)
        assert.is_true(outer.pending)
      end):get()
      still_works(case)
    end)

    it("lets a foreign Timeout through its own timeout", function(case)
      gevent.spawn(function()
        local foreign <close> = gevent.Timeout.start_new(SHORT)
        local ok, err = pcall(case.call, LONG)
        assert.is_false(ok)
        assert.is_true(rawequal(err, foreign), tostring(err))
      end):get()
      still_works(case)
    end)

    it("refuses a negative timeout", function(case)
      local ok, err = pcall(case.call, -1)
      assert.is_false(ok)
      assert.is_truthy(tostring(err):find("argument"), tostring(err))
      still_works(case)
    end)
  end

  -- Released and interrupted at once --------------------------------------

  --- Keeps the processor until `seconds` are over: timers fall due meanwhile.
  local function spin(seconds)
    local stop = helper.now() + seconds
    while helper.now() < stop do assert(true) end
  end

  local function expect_result(case, ok, ...)
    assert.is_true(ok, tostring(...))
    case.expect(...)
  end

  -- On a busy machine the timeout may be past before the release.
  local function race_tests()
    it("is released when a foreign Timeout is due: one wins", function(case)
      local foreign
      local g = gevent.spawn(function()
        foreign = gevent.Timeout.start_new(SHORT)
        local results = table.pack(pcall(case.call))
        foreign:close()
        gevent.sleep(0.001) -- nothing comes late
        return table.unpack(results, 1, results.n)
      end)
      helper.wait_all_blocked()
      spin(2 * SHORT)
      case.release()
      local results = table.pack(g:get())
      if results[1] then
        expect_result(case, table.unpack(results, 1, results.n))
      else
        assert.is_true(rawequal(results[2], foreign), tostring(results[2]))
      end
    end)

    if not takes_timeout then return end
    it("is released when its own timeout is due: one wins", function(case)
      local g = gevent.spawn(function() return pcall(case.call, SHORT) end)
      helper.wait_all_blocked()
      spin(2 * SHORT)
      case.release()
      local results = table.pack(g:get())
      if not pcall(expect_result, case, table.unpack(results, 1, results.n))
      then
        expect_expiry(case, table.unpack(results, 1, results.n))
      end
    end)
  end

  -- Interrupted -----------------------------------------------------------

  local function interruption_tests()
    for _, place in ipairs {{"a greenlet", function(fn)
      return gevent.spawn(fn):get()
    end}, {"main", function(fn) return fn() end}} do
      it("is interrupted by a foreign Timeout in " .. place[1], function(case)
        place[2](function()
          local foreign <close> = gevent.Timeout.start_new(SHORT)
          local ok, err = pcall(case.call)
          assert.is_false(ok)
          assert.is_true(rawequal(err, foreign), tostring(err))
          assert.is_false(foreign.pending)
        end)
        still_works(case)
      end)

      it("is interrupted by with_timeout in " .. place[1], function(case)
        local results = table.pack(place[2](function()
          return gevent.with_timeout(SHORT, case.call)
        end))
        assert.same(TIMED_OUT, results)
        still_works(case)
      end)
    end

    it("is interrupted through generators and gevent.pcall", function(case)
      local foreign
      local ok, err = pcall(function()
        foreign = gevent.Timeout.start_new(SHORT)
        gevent.pcall(gco.wrap(function() gevent.pcall(case.call) end))
      end)
      foreign:close()
      assert.is_false(ok)
      assert.is_true(rawequal(err, foreign), tostring(err))
      still_works(case)
    end)
  end

  -- Killed ----------------------------------------------------------------

  --- A greenlet in the call; `log` tells how far it came.
  local function start_victim(case, wrap)
    local log = {}
    local g = helper.spawn_blocked(function()
      local _ <close> = helper.defer(function(err) log.closed = err end)
      local call = wrap and wrap(case.call) or case.call
      log.results = table.pack(call())
      gevent.sleep(0)
      log.survived = true
    end)
    return g, log
  end

  local function expect_killed_in_call(g, log)
    assert.is_nil(log.results, "the call returned")
    assert.is_true(gevent.isinstance(log.closed, gevent.GreenletExit),
      tostring(log.closed))
    assert.is_true(g.dead)
    assert.is_true(g:successful())
    assert.is_true(gevent.isinstance(g:get(), gevent.GreenletExit))
  end

  local wrappings = {
    ["directly"] = false,
    ["inside gevent.pcall"] = function(call)
      return function() return gevent.pcall(call) end
    end,
    ["inside a generator"] = function(call) return gco.wrap(call) end,
  }

  local function kill_tests()
    for how, wrap in pairs(wrappings) do
      it("is killed " .. how, function(case)
        local g, log = start_victim(case, wrap)
        assert.is_true(g:kill())
        expect_killed_in_call(g, log)
        still_works(case)
      end)
    end

    it("is killed with an error of the killer's", function(case)
      local g, log = start_victim(case)
      local printed <close> = helper.capture_errors()
      local reason = setmetatable({}, {__tostring = function() return "R" end})
      g:kill(reason)
      assert.is_true(rawequal(log.closed, reason))
      assert.is_true(rawequal(g.exception, reason))
      assert.is_truthy(printed:text():find("failed with R", 1, true))
      still_works(case)
    end)

    it("survives a kill that its caller catches", function(case)
      local log = {}
      local g = helper.spawn_blocked(function()
        log.ok, log.err = pcall(case.call)
        return case.call()
      end)
      gevent.kill(g)
      helper.wait_all_blocked()
      assert.is_false(log.ok)
      assert.is_true(gevent.isinstance(log.err, gevent.GreenletExit))
      assert.is_false(g:ready())
      case.release()
      case.expect(g:get())
    end)

    it("never begins when killed before", function(case)
      local began = false
      local g = gevent.spawn(function() began = true case.call() end)
      g:kill()
      helper.wait_all_blocked()
      assert.is_false(began)
      assert.is_true(gevent.isinstance(g:get(), gevent.GreenletExit))
      still_works(case)
    end)

    it("is killed, then released in the same turn", function(case)
      local g, log = start_victim(case)
      gevent.kill(g)
      case.release()
      assert.is_true(g:join(5 * helper.scale))
      expect_killed_in_call(g, log)
    end)

    it("is released, then killed in the same turn", function(case)
      local g, log = start_victim(case)
      case.release()
      gevent.kill(g)
      assert.is_true(g:join(5 * helper.scale))
      assert.is_nil(log.survived, "the kill was lost")
      if case.direct then
        assert.is_truthy(log.results, "the release was lost")
      end
      if log.results then
        case.expect(table.unpack(log.results, 1, log.results.n))
      end
      assert.is_true(gevent.isinstance(g:get(), gevent.GreenletExit))
    end)

    it("is killed twice in the same turn", function(case)
      local g, log = start_victim(case)
      gevent.kill(g)
      gevent.kill(g)
      g:join()
      expect_killed_in_call(g, log)
      still_works(case)
    end)
  end

  return busted.describe("battery: " .. name, function()
    local probe = make() -- only asked what kind of call it is
    takes_timeout = probe.takes_timeout
    if probe.cleanup then probe.cleanup() end
    normal_tests()
    metamethod_tests()
    forbidden_tests()
    if takes_timeout then timeout_tests() end
    race_tests()
    interruption_tests()
    kill_tests()
  end)
end
