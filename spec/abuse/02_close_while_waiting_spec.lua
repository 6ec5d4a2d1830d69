-- A close while another greenlet waits: who waits is woken in the same turn of the loop,
-- with the error of a closed socket.

local helper = require "helper"
local gevent = require "gevent"
local slope = require "helper_slope"
local socket = require "gevent.socket"
local tls = require "helper_tls"
local waits = require "helper_waits"
local it = helper.it
local fill = waits.fill

local KINDS = {}
for _, kind in ipairs(waits.kinds(tls.have "openssl")) do
  if kind.closable then KINDS[#KINDS + 1] = kind end
end

local function expect_closed(...)
  local results = table.pack(...)
  assert.is_nil(results[1])
  assert.equal("string", type(results[2]))
  assert.equal("EBADF", results[3])
end

-- poll has a place for it in its answer.
local function expect_error_event(list)
  assert.equal(1, #list)
  assert.is_true(list[1].error)
end

describe("a socket that another greenlet closes", function()
  setup(function()
    if tls.have "openssl" then waits.certificate = tls.certificate "localhost" end
  end)

  for _, kind in ipairs(KINDS) do
    it("wakes whoever is in " .. kind.name, function()
      local wait = kind.make()
      local _ <close> = helper.defer(wait.finish)
      local g = helper.spawn_blocked(wait.call)
      wait.sock:settimeout(0) -- what it has to write first is not waited for
      wait.sock:close()
      assert.is_false(g:ready())
      gevent.sleep(0)
      assert.is_true(g:ready(), "it was not woken at once")
      local expect = kind.name == "poll" and expect_error_event or expect_closed
      expect(g:get())
      assert.is_true(wait.sock.closed)
    end)
  end

  for _, kind in ipairs(KINDS) do
    if kind.name == "recv" or kind.name == "sendall" or kind.name == "accept" then
      it("by detach wakes whoever is in " .. kind.name, function()
        local wait = kind.make()
        local _ <close> = helper.defer(wait.finish)
        local g = helper.spawn_blocked(wait.call)
        local owner <close> = assert(socket.fromfd(wait.sock:detach()))
        expect_closed(g:get())
        assert.is_true(wait.sock.closed)
        assert.is_false(owner.closed)
      end)
    end
  end

  it("wakes reader and writer", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    fill(a)
    local reader = helper.spawn_blocked(a.recv, a, 1)
    local writer = helper.spawn_blocked(a.send, a, "x")
    a:close()
    expect_closed(reader:get())
    expect_closed(writer:get())
    assert.is_truthy(b)
  end)

  it("gives its data to nobody, even when data comes first", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    local g = helper.spawn_blocked(a.recv, a, 5)
    b:send("late")
    a:close()
    expect_closed(g:get())
  end)

  it("and kills in the same turn: the kill is not lost", function()
    for _, first in ipairs {"close", "kill"} do
      local a <close>, b = helper.pair()
      local _b <close> = b
      local g = helper.spawn_blocked(function()
        a:recv(1)
        gevent.sleep(60)
      end)
      if first == "close" then a:close() end
      gevent.kill(g)
      a:close()
      assert.is_true(g:join(5))
      assert.is_true(gevent.isinstance(g.value, gevent.GreenletExit))
      assert.is_truthy(b)
    end
  end)

  for _, kind in ipairs(KINDS) do
    slope.it("while somebody is in " .. kind.name .. ",", function()
      return function()
        local wait = kind.make()
        local g = gevent.spawn(wait.call)
        gevent.sleep(0)
        wait.sock:settimeout(0)
        wait.sock:close()
        g:join()
        wait.finish()
      end
    end, {times = kind.slow and 50 or 4})
  end
end)
