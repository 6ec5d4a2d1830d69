-- usage: lua5.4 examples/timeout.lua
-- Three ways to give up: on a function, on one call, and on everything that a
-- scope does. A time-out that is not one's own passes through all of them.
local gevent = require "gevent"
local socket = require "gevent.socket"

-- 1. On a function: its results, or nil, "timed out", "timeout".
local function slow(seconds)
  gevent.sleep(seconds)
  return "done"
end
print("in time: ", gevent.with_timeout(0.5, slow, 0.01))
print("too late:", gevent.with_timeout(0.02, slow, 0.5))

-- 2. On one call: a failure like any other, returned. Nobody writes here.
local reader <close>, writer = socket.socketpair()
print("recv:    ", reader:recv(100, 0.02))
reader:settimeout(0.02) -- of every call from now on
print("read:    ", reader:read("l"))
reader:settimeout(nil)

-- 3. On a scope: the Timeout is raised inside whatever call blocks when its
-- time comes, and cancelled by leaving the scope.
local function patient()
  local _limit <close> = gevent.Timeout.start_new(0.05)
  while true do
    writer:sendall("x")
    reader:recv(1)
    gevent.sleep(0.01)
  end
end
local ok, err = pcall(patient)
print("scope:   ", ok, err, gevent.isinstance(err, gevent.Timeout))

-- gevent.pcall catches errors, but no Timeout: the outer limit ends the loop
-- although everything in it is "protected".
local tries = 0
local function stubborn()
  while true do
    tries = tries + 1
    gevent.pcall(function()
      gevent.sleep(0.01)
      error("try again")
    end)
  end
end
print("outer:   ", gevent.with_timeout(0.05, stubborn))
print("it tried more than once:", tries > 1)
writer:close()
