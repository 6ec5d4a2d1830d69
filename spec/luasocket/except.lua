-- newtry, try, protect.
local t = ...
local socket = require "socket"

print(socket.try(1, "two", nil), select("#", socket.try(1, nil, nil)))
local closed = 0
local try = socket.newtry(function() closed = closed + 1 end)
print(select("#", try("a", "b")), try("a", "b"))
local body = socket.protect(function(...) return try(...) end)
print(body("fine", 1, 2))
print(select("#", body(nil, "reason")), body(nil, "reason", "more"))
print(body(false, "reason"), body(), body(nil), body(nil, {} and "x"))
print(closed)
local err = select(2, pcall(try, nil, "reason"))
print(type(err), err[1], getmetatable(err), pcall(setmetatable, err, {}))
print(socket.protect(function() return pcall(try, nil, "caught") end)() == false)
print(pcall(socket.protect(function() error("mine", 0) end)))
local own = {}
print(select(2, pcall(socket.protect(function() error(own) end))) == own)
print(pcall(socket.protect(function() return nil .. "x" end)) == false)
print(socket.protect(function(...) return ... end)(1, nil, nil))
print(socket.protect(function() socket.try(nil, "from try") end)())
print(socket.protect(function()
  return socket.protect(function() try(nil, "inner") end)()
end)())
print(pcall(socket.newtry(function() error("in the finalizer", 0) end), nil, "x"))
print(socket.protect(coroutine.wrap(function() socket.try(nil, "in a coroutine") end))())
print(pcall(socket.newtry(nil), nil, "x") == false)
t.try(socket.protect(function() error("with position") end))
