-- send: ranges, results.
local t = ...
local a, b = t.pair()

for _, range in ipairs {{}, {1}, {2}, {2, 3}, {-2}, {-3, -2}, {3, 2}, {0, 0}, {0, 100},
  {100}, {-100, 2}, {2.0, 3.0}, {"2", "4"}, {6}, {7}} do
  print(select("#", a:send("abcdef", table.unpack(range))),
    a:send("abcdef", table.unpack(range)))
  a:send("\n")
  print(b:receive())
end
print(a:send(12.5), a:send(""), b:receive(4))
t.try(a.send, a)
t.try(a.send, a, {})
t.try(a.send, a, "x", "y")
t.try(a.send, a, "x", 1, {})
b:close()
print(a:receive())
local _, err
for _ = 1, 100 do _, err = a:send(("x"):rep(1000)) end
print(_, err, a:send(""))
print(a:close(), a:send("x"), a:send(""))
-- more than the system takes at once
local c, d = t.pair()
c:settimeout(0)
local last, message, sent = c:send(("x"):rep(20000000))
print(last, message, sent > 0 and sent < 20000000, math.type(sent))
last, message, sent = c:send(("x"):rep(20000000), 11)
print(last, message, sent >= 10)
d:close()
