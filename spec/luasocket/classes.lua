-- Classes, their methods, and what a method of the wrong class says.
local t = ...
local socket = require "socket"
local unix = require "socket.unix"

local function describe(object)
  local metatable = getmetatable(object)
  print(type(object), object.class, (tostring(object):gsub("0x%x+", "ADDRESS")))
  print(type(metatable.__index), type(metatable.__tostring), type(metatable.__gc),
    metatable.__name)
  t.names(object.class, metatable.__index)
end

local client, server, listener = t.pair()
local udp = socket.udp()
local objects = {
  socket.tcp(), client, server, listener, udp, unix.stream(), unix.dgram(), unix(),
  unix.tcp(), unix.udp(), socket.tcp4(), socket.udp4(),
}
for _, object in ipairs(objects) do describe(object) end
print(getmetatable(client).__index == getmetatable(server).__index)

local methods = {
  "accept", "bind", "connect", "dirty", "getfamily", "getfd", "getoption",
  "getpeername", "getsockname", "getstats", "gettimeout", "listen", "receive",
  "receivefrom", "send", "sendto", "setfd", "setoption", "setpeername",
  "setsockname", "setstats", "settimeout", "shutdown", "close",
}
for _, object in ipairs {socket.tcp(), listener, unix.stream(), socket.udp(), unix.dgram()} do
  for _, name in ipairs(methods) do
    -- alone, without arguments: wrong classes and missing arguments
    if object[name] and name ~= "accept" and not name:find("^receive")
      and name ~= "listen" and name ~= "close" then
      print(object.class, name)
      if not name:find("^get") then
        t.try(function() return object[name](object) end)
      end
      t.try(object[name])
      t.try(object[name], io.stdout)
      if not name:find("^get") then t.try(object[name], client) end
    end
  end
end
for _, object in ipairs {socket.tcp(), client} do
  t.try(function() return object:accept() end)
end
t.try(function() return listener:send("x") end)
t.try(function() return listener:receive() end)
t.try(function() return client:listen() end)
t.try(function() return client:bind("127.0.0.1", 0) end)
for _, object in ipairs(objects) do print(object:close(), object:close(), object:getfd()) end
