-- select: shapes, order, objects that only have a descriptor.
local t = ...
local socket = require "socket"

local function shape(...)
  local r, w, err = ...
  print(select("#", ...), #r, #w, err)
  for _, list in ipairs {r, w} do
    for i, object in ipairs(list) do print(i, list[object], type(object)) end
  end
end

local a, b, listener = t.pair()
shape(socket.select(nil, nil, 0))
shape(socket.select({}, {}, 0.01))
shape(socket.select({a, b}, nil, 0))
shape(socket.select({a, b}, {}, 0.01))
shape(socket.select(nil, {a, b}, 1))
shape(socket.select({a, b}, {a, b}))
a:send("one\ntwo\n")
shape(socket.select({a, b}, nil, 1))
shape(socket.select({a, b}, nil, -1))
b:receive()
print(b:dirty())
shape(socket.select({a, b}, {a}, 1)) -- the second line was read already
b:receive()
shape(socket.select({a, b}, nil, 0))
local c = socket.connect(listener:getsockname(), (select(2, listener:getsockname())))
shape(socket.select({listener}, nil, 1))
listener:accept()
a:close()
shape(socket.select({b}, nil, 1)) -- the end can be read
shape(socket.select({a}, {a}, 0.01)) -- closed: ignored
local only = {getfd = function() return b:getfd() end}
shape(socket.select({only}, nil, 1))
local dirty = {getfd = function() return c:getfd() end, dirty = function() return true end}
shape(socket.select({dirty}, nil, 1))
shape(socket.select({{}, {getfd = function() return "x" end},
  {getfd = function() return -1 end}}, nil, 0.01))
local source = socket.source("until-closed", b)
shape(socket.select({source}, nil, 1))
shape(socket.select({b, b}, {b}, 1))
t.try(socket.select, 1, nil, 0)
t.try(socket.select, nil, "x", 0)
t.try(socket.select, nil, nil, "x")
for _, object in ipairs {b, c, listener} do object:close() end
