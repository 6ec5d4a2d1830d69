-- Sources and sinks.
local t = ...
local socket = require "socket"
local ltn12 = require "ltn12"

local a, b = t.pair()
print(ltn12.pump.all(ltn12.source.string(("0123456789"):rep(500)), socket.sink("keep-open", a)))
local got = {}
print(ltn12.pump.all(socket.source("by-length", b, 5000), (ltn12.sink.table(got))))
print(#table.concat(got), a:getfd() > 0)
print(ltn12.pump.all(ltn12.source.string("the end"), socket.sink("close-when-done", a)))
print(a:getfd())
got = {}
print(ltn12.pump.all(socket.source("until-closed", b), (ltn12.sink.table(got))))
print(table.concat(got), b:getfd())
print(pcall(socket.source, "nonsense", b))
