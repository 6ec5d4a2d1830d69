-- A descriptor whose number is used again at once: who waited for its former owner gets
-- an error, and nothing of what is the new owner's.

local helper = require "helper"
local gevent = require "gevent"
local slope = require "helper_slope"
local tls = require "helper_tls"
local waits = require "helper_waits"
local it = helper.it

local function expect_closed(ok, message, code)
  assert.is_nil(ok)
  assert.equal("string", type(message))
  assert.equal("EBADF", code)
end

--- Pairs until one end has this number; that end, the other, what closes all.
local function pair_with(fd)
  local all = {}
  local finish = helper.defer(function()
    for _, sock in ipairs(all) do sock:close() end
  end)
  for _ = 1, 50 do
    local a, b = helper.pair()
    all[#all + 1], all[#all + 2] = a, b
    if a:fileno() == fd then return a, b, finish end
    if b:fileno() == fd then return b, a, finish end
  end
  error("the number is not used again")
end

describe("the new owner of a descriptor keeps what is his:", function()
  setup(function()
    if tls.have "openssl" then waits.certificate = tls.certificate "localhost" end
  end)

  for _, kind in ipairs(waits.kinds(tls.have "openssl")) do
    -- What is written through another object first would not be in one turn.
    if kind.closable and kind.name ~= "poll" then
      it("somebody was in " .. kind.name, function()
        local wait = kind.make()
        local _ <close> = helper.defer(wait.finish)
        local fd = wait.sock:fileno()
        local g = helper.spawn_blocked(wait.call)
        wait.sock:settimeout(0)
        wait.sock:close()
        local new, other, finish = pair_with(fd) -- before g runs
        local _finish <close> = finish
        assert.is_true(other:sendall("for the new owner"))
        expect_closed(g:get())
        assert.equal("for the new owner", new:recv(100))
        assert.is_true(new:sendall("and back"))
        assert.equal("and back", other:recv(100))
        other:settimeout(0)
        assert.equal("timeout", (select(3, other:recv(100)))) -- nor did g write
      end)
    end
  end
end)

describe("a descriptor that is used again", function()
  it("is not read by who waited for its former owner", function()
    local a <close>, b = helper.pair()
    local _b <close> = b
    local fd = a:fileno()
    local g = helper.spawn_blocked(a.recv, a, 5)
    a:close()
    local c <close>, d = helper.pair() -- before g runs
    local _d <close> = d
    assert.equal(fd, c:fileno())
    d:send("not for g")
    expect_closed(g:get())
    assert.equal("not for g", c:recv(20))
    assert.is_truthy(b)
  end)

  it("is watched anew, many times over", function()
    local _ <close> = helper.defer(collectgarbage)
    for i = 1, 200 do
      local a <close>, b = helper.pair()
      local _b <close> = b
      local g = gevent.spawn(a.recv, a, 5)
      gevent.sleep(0)
      if i % 3 == 0 then
        a:close()
        expect_closed(g:get())
      else
        b:send("x")
        assert.equal("x", g:get())
      end
    end
  end)

  it("is not closed by the second close of its former owner", function()
    local a, b = helper.pair()
    local _b <close> = b
    local fd = a:fileno()
    a:close()
    local c <close>, d = helper.pair()
    local _d <close> = d
    assert.equal(fd, c:fileno())
    a:close()
    assert.is_nil((a:shutdown("rw")))
    d:send("x")
    assert.equal("x", c:recv(1))
    assert.is_truthy(b)
  end)
end)

slope.it("a number that is used again", function()
  return function()
    local a, b = helper.pair()
    local g = gevent.spawn(a.recv, a, 5)
    gevent.sleep(0)
    a:close()
    local c, d = helper.pair()
    d:send("x")
    assert(select(3, g:get()) == "EBADF" and c:recv(5) == "x")
    b:close()
    c:close()
    d:close()
  end
end)
