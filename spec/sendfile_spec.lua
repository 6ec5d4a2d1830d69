-- sendfile: the system call, and what it does not take.

local helper = require "helper"
local gevent = require "gevent"
local it = helper.it

local function file_of(text)
  local f = assert(io.tmpfile())
  f:write(text)
  f:flush()
  return f
end

--- What the other end gets while `body(sock)` runs.
local function received(body)
  local a, b = helper.pair()
  local _a <close> = a
  local _b <close> = b
  local reader = gevent.spawn(function() return b:read("a") end)
  local results = table.pack(body(a))
  a:close()
  return reader:get(), results
end

describe("sendfile", function()
  it("sends a file whole", function()
    local text = ("0123456789"):rep(300000)
    local f <close> = file_of(text)
    local got, results = received(function(s) return s:sendfile(f) end)
    assert.is_true(got == text)
    assert.same({n = 1, #text}, results)
  end)

  it("sends from an offset, and so many bytes", function()
    local f <close> = file_of("hello, world")
    assert.equal("world", (received(function(s) return s:sendfile(f, 7) end)))
    assert.equal("lo", (received(function(s) return s:sendfile(f, 3, 2) end)))
    assert.equal("", (received(function(s) return s:sendfile(f, 3, 0) end)))
    assert.equal("", (received(function(s) return s:sendfile(f, 100) end)))
  end)

  it("sends less where the file has no more", function()
    local f <close> = file_of("short")
    local got, results = received(function(s) return s:sendfile(f, 1, 100) end)
    assert.equal("hort", got)
    assert.same({n = 1, 4}, results)
  end)

  it("does not move the file's own position", function()
    local f <close> = file_of("abcdef")
    f:seek("set", 2)
    received(function(s) return s:sendfile(f) end)
    assert.equal(2, f:seek())
  end)

  it("waits while the peer does not read, and others run", function()
    local text = ("x"):rep(5000000)
    local f <close> = file_of(text)
    local a, b = helper.pair()
    local sender = gevent.spawn(function() return a:sendfile(f) end)
    helper.wait_all_blocked()
    assert.is_false(sender:ready())
    local reader = gevent.spawn(function() return #b:readexactly(#text) end)
    assert.equal(#text, reader:get(20))
    assert.equal(#text, sender:get(5))
    a:close()
    b:close()
  end)

  it("obeys the socket's time-out, and tells what was sent", function()
    local f <close> = file_of(("x"):rep(5000000))
    local a, b = helper.pair()
    a:settimeout(0.02)
    local ok, _, code, sent = a:sendfile(f)
    assert.is_nil(ok)
    assert.equal("timeout", code)
    assert.is_true(sent > 0 and sent < 5000000)
    a:close()
    b:close()
  end)

  it("can be killed, and the socket be closed, while it waits", function()
    local f <close> = file_of(("x"):rep(5000000))
    local a, b = helper.pair()
    local killed = gevent.spawn(function() return a:sendfile(f) end)
    helper.wait_all_blocked()
    killed:kill()
    local closed = gevent.spawn(function() return a:sendfile(f) end)
    helper.wait_all_blocked()
    a:close()
    assert.equal("EBADF", (select(3, closed:get())))
    b:close()
  end)

  it("to a peer that is gone is an error, and no signal", function()
    local f <close> = file_of(("x"):rep(3000000))
    local a, b = helper.pair()
    b:close()
    local ok, _, code = a:sendfile(f)
    assert.is_nil(ok)
    assert.equal("EPIPE", code)
    a:close()
  end)

  it("takes anything that has a fileno, and that has a descriptor", function()
    local before = helper.open_fds()
    local f = file_of("some text")
    local number
    for fd in pairs(helper.open_fds()) do
      if not before[fd] then number = math.tointeger(tonumber(fd)) end
    end
    local object = {fileno = function() return number end}
    assert.equal("some text", (received(function(s) return s:sendfile(object) end)))
    local closed = {fileno = function() return nil, "closed", "EBADF" end}
    local _, results = received(function(s) return s:sendfile(closed) end)
    assert.same({n = 4, nil, results[2], "EBADF", 0}, results)
    f:close()
  end)

  it("comes after what was written before", function()
    local f <close> = file_of(("x"):rep(500000))
    local got = received(function(s)
      s:setvbuf("full", 1 << 20)
      s:write(("a"):rep(500000))
      assert.equal(500000, s:sendfile(f))
      s:write("z")
    end)
    assert.is_true(got == ("a"):rep(500000) .. ("x"):rep(500000) .. "z")
  end)

  it("has one deadline, though others have their turns meanwhile", function()
    local f <close> = file_of(("x"):rep(1 << 20))
    local interval = gevent.getswitchinterval()
    local _interval <close> = helper.defer(function()
      gevent.setswitchinterval(interval)
    end)
    gevent.setswitchinterval(1e-6)
    local a, b = helper.pair()
    local turns, done = 0, false
    local other = gevent.spawn(function()
      while not done do
        turns = turns + 1
        gevent.sleep(0)
      end
    end)
    local reader = gevent.spawn(function() -- reads all but the last byte
      local n = 0
      while n < (2 << 20) - 1 do n = n + #b:recv((2 << 20) - 1 - n) end
    end)
    a:settimeout(0.5 * helper.scale)
    assert.equal(1 << 20, a:sendfile(f))
    assert.equal(1 << 20, a:sendfile(f))
    while true do -- until the way is full
      local ok, _, code = a:sendfile(f)
      if not ok then
        assert.equal("timeout", code)
        break
      end
    end
    done = true
    other:join()
    reader:join()
    assert.is_true(turns > 10)
    a:close()
    b:close()
  end)

  it("a closed socket, file or descriptor is an error", function()
    local f = file_of("x")
    local a, b = helper.pair()
    assert.equal("EBADF", (select(3, a:sendfile(9999))))
    a:close()
    assert.equal("EBADF", (select(3, a:sendfile(f))))
    f:close()
    assert.has_error(function() b:sendfile(f) end)
    assert.has_error(function() b:sendfile("a name") end)
    b:close()
  end)
end)
