-- gevent._misuse: the texts of wrong arguments (private).
local misuse = {}

--- "host expected, got nil".
function misuse.expected(what, value)
  return ("%s expected, got %s"):format(what, type(value))
end

--- "bad argument #1 to 'connect' (host expected, got nil)".
function misuse.text(n, fname, text)
  return ("bad argument #%d to '%s' (%s)"):format(n, fname, text)
end

--- Raises that at the call of a public function, by a check that it calls: from the
-- public function that is three levels up.
function misuse.bad(n, fname, text)
  error(misuse.text(n, fname, text), 4)
end

return misuse
