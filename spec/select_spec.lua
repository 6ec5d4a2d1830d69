-- gevent.select: select and poll.

local helper = require "helper"
local gevent = require "gevent"
local select = require "gevent.select"
local socket = require "gevent.socket"
local it = helper.it

--- Two connected sockets, closed at the end of the scope of the third value.
local function pair()
  local a, b = helper.pair()
  return a, b, helper.defer(function()
    a:close()
    b:close()
  end)
end

describe("select", function()
  it("tells who is readable, writable", function()
    local a, b, done = pair()
    local _done <close> = done
    b:sendall("x")
    assert.same({{a}, {a, b}, {}}, {select.select({a, b}, {a, b}, {}, 1)})
  end)

  it("is empty at expiry, at once for 0", function()
    local a, _, done = pair()
    local _done <close> = done
    local start = helper.now()
    assert.same({{}, {}, {}}, {select.select({a}, {}, {}, 0.02)})
    assert.is_true(helper.now() - start >= 0.02)
    assert.same({{}, {}, {}}, {select.select({a}, nil, nil, 0)})
  end)

  it("wakes for one of many", function()
    local a, b, done = pair()
    local c, d, done2 = pair()
    local _done <close> = done
    local _done2 <close> = done2
    gevent.spawn(function() d:sendall("x") end)
    assert.same({{c}, {}, {}}, {select.select({a, b, c}, nil, nil, 5)})
  end)

  it("takes descriptors, and gives back what it was given", function()
    local a, b, done = pair()
    local _done <close> = done
    b:sendall("x")
    assert.same({{a:fileno()}, {}, {}}, {select.select({a:fileno()}, nil, nil, 1)})
  end)

  it("sees input that was read already", function()
    local a, b, done = pair()
    local _done <close> = done
    b:sendall("one\ntwo\n")
    assert.equal("one", a:read("l"))
    assert.same({{a}, {}, {}}, {select.select({a}, nil, nil, 0)})
    assert.equal("two", a:read("l"))
    assert.same({{}, {}, {}}, {select.select({a}, nil, nil, 0)})
  end)

  it("sees the end of a stream", function()
    local a, b, done = pair()
    local _done <close> = done
    b:close()
    assert.same({{a}, {}, {}}, {select.select({a}, nil, nil, 1)})
  end)

  it("does not disturb whoever waits on the same socket", function()
    local a, b, done = pair()
    local _done <close> = done
    local reader = gevent.spawn(function() return a:recv(10) end)
    helper.wait_all_blocked()
    local selecting = gevent.spawn(select.select, {a}, nil, nil, 5)
    helper.wait_all_blocked()
    b:sendall("data")
    assert.equal("data", reader:get(5))
    selecting:get(5)
  end)

  it("regular files are always ready", function()
    local poll <close> = assert(select.poll())
    local text = helper.slurp("/proc/self/stat")
    assert.is_string(text)
    local name = os.tmpname()
    local f <close> = assert(io.open(name))
    os.remove(name)
    local fd
    for number, target in pairs(helper.open_fds()) do
      if target:find(name, 1, true) then fd = math.tointeger(tonumber(number)) end
    end
    assert.is_truthy(f and fd)
    assert.same({{fd}, {fd}, {}}, {select.select({fd}, {fd}, nil, 5)})
    assert.is_true(poll:register(fd, "r"))
    assert.is_true(poll:poll(5)[1].readable)
    assert.is_true(poll:unregister(fd))
  end)

  it("a closed socket or descriptor is EBADF", function()
    local a, _, done = pair()
    local _done <close> = done
    a:close()
    assert.equal("EBADF", (select.select({a}, nil, nil, 0) == nil)
      and (_G.select(3, select.select({a}, nil, nil, 0))))
    assert.equal("EBADF", (_G.select(3, select.select({9999}, nil, nil, 0))))
  end)

  it("misuse raises", function()
    assert.has_error(function() select.select({}, {}, {}, -1) end)
    assert.has_error(function() select.select(42) end)
    assert.has_error(function() select.select({"x"}) end)
  end)

  it("two thousand descriptors are no problem", function()
    local limit = helper.slurp("/proc/self/limits"):match("Max open files%s+(%d+)")
    local n = math.floor(2000 / helper.scale)
    n = math.min(n, ((tonumber(limit) or n * 4) - 100) // 2)
    local list, others = {}, {}
    for i = 1, n do list[i], others[i] = assert(socket.socketpair()) end
    others[n]:sendall("x")
    assert.same({{list[n]}, {}, {}}, {select.select(list, nil, nil, 5)})
    for i = 1, n do
      list[i]:close()
      others[i]:close()
    end
  end)
end)

helper.battery("select", function()
  local a, b = helper.pair()
  return {
    call = function(timeout) return select.select({a}, nil, nil, timeout) end,
    release = function() b:sendall("x") end,
    expect = function(readable) assert.same({a}, readable) end,
    timeout_result = table.pack({}, {}, {}),
    takes_timeout = true,
    cleanup = function()
      a:close()
      b:close()
    end,
  }
end)

describe("poll", function()
  it("tells what has come, again and again", function()
    local a, b, done = pair()
    local _done <close> = done
    local poll <close> = assert(select.poll())
    assert.is_true(poll:register(a, "r"))
    assert.same({}, poll:poll(0))
    b:sendall("x")
    for _ = 1, 2 do
      local list = poll:poll(1)
      assert.equal(1, #list)
      assert.equal(a:fileno(), list[1].fd)
      assert.equal(a, list[1].object)
      assert.is_true(list[1].readable)
      assert.is_false(list[1].writable)
    end
    a:recv(10)
    assert.same({}, poll:poll(0))
  end)

  it("register again and modify change what is waited for", function()
    local a, _, done = pair()
    local _done <close> = done
    local poll <close> = assert(select.poll())
    poll:register(a, "r")
    assert.same({}, poll:poll(0))
    poll:modify(a, "w")
    assert.is_true(poll:poll(1)[1].writable)
    poll:register(a)
    assert.is_true(poll:poll(1)[1].writable)
    poll:unregister(a)
    assert.same({}, poll:poll(0))
    assert.has_error(function() poll:unregister(a) end)
    assert.has_error(function() poll:modify(a, "r") end)
  end)

  it("tells hang-ups", function()
    local a, b, done = pair()
    local _done <close> = done
    local poll <close> = assert(select.poll())
    poll:register(a, "r")
    b:close()
    assert.is_true(poll:poll(1)[1].hangup)
  end)

  it("survives that a registered socket is closed", function()
    local a, b, done = pair()
    local _done <close> = done
    local poll <close> = assert(select.poll())
    poll:register(a, "r")
    local waiting = gevent.spawn(function() return poll:poll(0.05) end)
    helper.wait_all_blocked()
    a:close()
    b:close()
    assert.same({}, waiting:get(5))
  end)

  it("is closed once and for all; who waits is told", function()
    local a, _, done = pair()
    local _done <close> = done
    local poll = assert(select.poll())
    poll:register(a, "r")
    local waiting = gevent.spawn(function() return poll:poll() end)
    helper.wait_all_blocked()
    poll:close()
    poll:close()
    assert.equal("EBADF", (_G.select(3, waiting:get(5))))
  end)

  -- Its yield came at the end of the slice, but then nobody looked at I/O and
  -- timers: the call took the hub's cue to poll.
  it("lets timers and I/O come in a loop that always finds something", function()
    local function busy()
      local a, b, done = pair()
      local _done <close> = done
      local poll <close> = assert(select.poll())
      poll:register(a, "w")
      local over, heard = false, nil
      local reader = gevent.spawn(function() heard = a:recv(1) end)
      gevent.spawn_later(0.02, function() over = true end)
      b:sendall("x")
      repeat poll:poll(0) until over and heard
      reader:get()
    end
    busy()
    gevent.spawn(busy):get()
  end)
end)

helper.battery("poll", function()
  local a, b = helper.pair()
  local poll = assert(select.poll())
  poll:register(a, "r")
  return {
    call = function(timeout) return poll:poll(timeout) end,
    release = function() b:sendall("x") end,
    expect = function(list) assert.is_true(list[1].readable) end,
    timeout_result = table.pack({}),
    takes_timeout = true,
    cleanup = function()
      poll:close()
      a:close()
      b:close()
    end,
  }
end)
