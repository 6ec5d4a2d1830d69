-- receive: patterns, prefixes, the end.
local t = ...
local a, b = t.pair()

a:send("one\ntwo\r\nthr\ree\r\r\n\r\n\nabcdefghij5\n")
for _ = 1, 5 do t.show(b:receive()) end
t.show(b:receive(3))
t.show(b:receive("2"))
t.show(b:receive(1.0, "x"))
t.show(b:receive(3, "x"))
t.show(b:receive(3, "xyz"))
t.show(b:receive(2, "xyz"))
t.show(b:receive(0))
t.show(b:receive(0, "pre"))
t.show(b:receive("*l", "pre"))
a:send("rest\n\rof\r\n it")
t.show(b:dirty(), a:dirty())
t.show(b:receive("*line"))
t.show(b:dirty())
b:settimeout(0)
t.show(b:receive(100))
t.show(b:dirty(), b:receive(0))
a:send("par\rtial")
b:settimeout(0.05)
t.show(b:receive("*l", "pre"))
t.show(b:receive("*l", 42))
a:send("\n")
t.show(b:receive())
a:send("all of\r\nit\n")
a:close()
t.show(b:receive("*a", "pre"))
for _, pattern in ipairs {"*a", "*l", 5, 0} do
  t.show(b:receive(pattern))
  t.show(b:receive(pattern, "pre"))
end
for _, pattern in ipairs {"x", "*x", "l", "", -1, {}, true, "a", "*", "-5"} do
  t.try(b.receive, b, pattern)
end
t.try(b.receive, b, "*l", {})
b:close()
for _, pattern in ipairs {"*a", "*l", 5, 0} do
  t.show(b:receive(pattern))
  t.show(b:receive(pattern, "pre"))
end
-- the end inside a line, inside a number
for _, pattern in ipairs {"*l", 100, "*a"} do
  local c, d = t.pair()
  c:send("in\rcomplete")
  c:close()
  t.show(d:receive(pattern, "p"))
  t.show(d:receive(pattern, "p"))
  d:close()
end
