-- Defects that a review found, each told by what it did. Most of them took a
-- finalizer, which may run whenever something is made, or an end that came
-- while somebody was waiting.

local helper = require "helper"
local gevent = require "gevent"
local event = require "gevent.event"
local gco = require "gevent.coroutine"
local queue = require "gevent.queue"
local it = helper.it

--- Runs `fn` the next time that the collector finds garbage.
local function at_collection(fn)
  setmetatable({}, {__gc = fn})
end

local function survives(program)
  local code, out, err = helper.run_lua(program)
  assert.equal("", err)
  assert.equal(0, code)
  return out
end

describe("once", function()
  it("the error of main's put went to the stack that the hub stood on", function()
    local q = queue.PriorityQueue(2)
    q:put(1)
    q:put(2)
    local getter = gevent.spawn(function() return q:get() end)
    local ok, err = pcall(q.put, q, {})
    assert.is_false(ok)
    assert.matches("compare", err)
    assert.equal(1, getter:get())
  end)

  it("a put in a finalizer, while the queue grew, lost items", function()
    local out = survives [[
      local q, last, others = require("gevent.queue").Queue(), 0, 0
      local function at_collection(fn) setmetatable({}, {__gc = fn}) end
      local over = false
      local function again()
        q:put("finalizer")
        if not over then at_collection(again) end
      end
      at_collection(again)
      for i = 1, 20000 do
        local _garbage = {{}, {}, {}}
        q:put(i)
      end
      over = true
      while not q:empty() do
        local item = q:get()
        if item == "finalizer" then
          others = others + 1
        else
          assert(item == last + 1, item)
          last = item
        end
      end
      assert(last == 20000)
      print(others)
    ]]
    assert.is_true(tonumber(out) > 0)
  end)

  it("a comparison that took and gave an item doubled another", function()
    local q
    local busy = true
    q = queue.PriorityQueue(nil, nil, function(a, b)
      if not busy then
        busy = true
        q:put(q:get())
        busy = false
      end
      return a < b
    end)
    for i = 1, 5 do q:put(i) end
    busy = false
    local ok = pcall(q.get, q)
    busy = true
    local seen = {}
    while not q:empty() do
      local item = q:get()
      assert.is_nil(seen[item])
      seen[item] = true
    end
    assert.is_boolean(ok)
  end)

  it("a finalizer that closed a socket pulled its input away from read", function()
    for _ = 1, 50 do
      local a, b = helper.pair()
      local lines = {}
      for i = 1, 200 do lines[i] = "line " .. i end
      b:sendall(table.concat(lines, "\n") .. "\n")
      assert.equal("line 1", a:read("l"))
      local closed = false
      at_collection(function()
        a:close()
        closed = true
      end)
      for i = 2, 198, 2 do
        local one, two = a:read("l", "l")
        if not one then break end
        assert.equal("line " .. i, one)
        if two then assert.equal("line " .. i + 1, two) end
        if closed then break end
      end
      a:close()
      b:close()
    end
  end)

  it("wait did not keep what stood for the object", function()
    local object = setmetatable({}, {__waitable = function()
      return event.Event()
    end})
    gevent.spawn(function()
      collectgarbage()
      collectgarbage()
    end)
    assert.same({}, gevent.wait({object}, 0.02))
    collectgarbage()
  end)

  it("a run report read the stack of a coroutine that was gone", function()
    gco.wrap(function() gevent.sleep(0) end)()
    collectgarbage()
    collectgarbage()
    assert.matches("main", require("gevent.util").format_run_info())
  end)

  it("a kept coroutine could be closed under the next greenlet", function()
    local kept
    gevent.spawn(function() kept = gco.running() end):join()
    local later = gevent.spawn(function() return "fine" end)
    pcall(gco.close, kept)
    assert.equal("fine", later:get())
  end)

  it("closing an iterator left the one who waited for it", function()
    local forever = event.Event()
    local take, _, _, closer = gevent.iwait({forever})
    local taker = gevent.spawn(take)
    helper.wait_all_blocked()
    closer:close()
    assert.is_nil(taker:get(5))
  end)

  it("two that took from one iterator hid each other", function()
    local take, _, _, closer = gevent.iwait({event.Event(), event.Event()})
    local first = gevent.spawn(take)
    helper.wait_all_blocked()
    local ok, err = pcall(take)
    assert.is_false(ok)
    assert.is_true(gevent.isinstance(err, gevent.ConcurrentObjectUseError))
    closer:close()
    first:join()
  end)

  it("hub:join(math.huge) was over at once", function()
    local done = false
    gevent.spawn(function()
      gevent.sleep(0.01)
      done = true
    end)
    assert.is_true(gevent.get_hub():join(math.huge))
    assert.is_true(done)
  end, {deadline = false})

  it("destroy unwound coroutines before their waits", function()
    assert.equal("survived\n", survives [[
      local gevent = require "gevent"
      local gco = require "gevent.coroutine"
      local event = require "gevent.event"
      for i = 1, 10 do
        gevent.spawn(function()
          gco.wrap(function()
            local c <close> = setmetatable({}, {__close = function()
              collectgarbage()
              collectgarbage()
            end})
            event.Event():wait()
          end)()
        end)
      end
      gevent.sleep(0)
      gevent.get_hub():destroy()
      print "survived"
    ]])
  end)

  it("a link after destroy found a foreign anchor", function()
    assert.equal("linked\n", survives [[
      local gevent = require "gevent"
      local g = gevent.spawn(gevent.sleep, 10)
      gevent.sleep(0)
      gevent.get_hub():destroy()
      g:rawlink(function() print "linked" end)
      gevent.sleep(0)
    ]])
  end)

  it("exit in a greenlet left main in the timers", function()
    survives [[
      local event
      local old = setmetatable({}, {__gc = function() event:set() end})
      _G.old = old
      local gevent = require "gevent"
      event = require("gevent.event").Event()
      gevent.spawn(function() os.exit(0, true) end)
      event:wait(10)
    ]]
  end)

  it("a class below Timeout had no pending and no seconds", function()
    local Mine = gevent.exception("Mine", gevent.Timeout)
    local t <close> = Mine(3)
    assert.equal(3, t.seconds)
    assert.is_false(t.pending)
    t:start()
    assert.is_true(t.pending)
    assert.is_true(gevent.isinstance(t, gevent.Timeout))
  end)

  it("a circle of classes hung isinstance", function()
    local A = gevent.exception("A")
    A.__parent = A
    assert.is_false(gevent.isinstance(A("x"), gevent.LoopExit))
  end)

  it("a name that is no string broke the report", function()
    local Odd = gevent.Greenlet:subclass("Odd")
    Odd.__name = 5
    function Odd._run() end
    assert.matches("^<Greenlet", tostring(Odd()))
  end)

  it("a write that was cut short while its state closed went on in freed memory", function()
    local path = os.tmpname()
    local _ <close> = helper.defer(function() os.remove(path) end)
    local code, out, err = helper.run_lua([[
      local gevent = require "gevent"
      for _ = 1, 4 do
        local file = assert(require("gevent.fileobject").open(arg[1], "w"))
        local writer = gevent.spawn(file.sendall, file, ("x"):rep(1000000))
        gevent.sleep(0)
        writer:kill()
      end
      collectgarbage()
      collectgarbage()
    ]], {args = {path}, under = [[sh -c 'trap "" XFSZ; ulimit -f 8; exec "$@"' sh]]})
    assert.same({0, "", ""}, {code, out, err})
  end)

  it("descriptors that cannot be polled were left open by wait_read", function()
    local socket = require "gevent.socket"
    local name = os.tmpname()
    local f <close> = assert(io.open(name))
    os.remove(name)
    for number, target in pairs(helper.open_fds()) do
      if target:find(name, 1, true) then
        assert.is_nil((socket.wait_read(math.tointeger(tonumber(number)), 1)))
      end
    end
    assert.is_truthy(f)
  end)
end)
