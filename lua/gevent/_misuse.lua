-- gevent._misuse: what is said to those who call a function wrongly (private).
--
-- An error is raised where the user has called the library, however many of its own
-- functions are between there and the check.
local type = type

local misuse = {}

local LONG = 6 -- letters of a name that may have two slips of the finger

-- Where this library's files are, to tell its functions from the user's.
local HERE = debug.getinfo(1, "S").source:match("^@.*[/\\]") or "@"

-- The level, for whoever asks, of the first function that is not the library's.
local function outside()
  local level = 2
  repeat
    level = level + 1
    local info = debug.getinfo(level, "S")
  until not info or info.what ~= "C" and info.source:sub(1, #HERE) ~= HERE
  return level - 1
end

--- Raises a text, with the place of the user's call.
function misuse.raise(text)
  error(text, outside())
end

--- "host expected, got nil".
function misuse.expected(what, value)
  return ("%s expected, got %s"):format(what, type(value))
end

--- Raises "bad argument #1 to 'connect' (host expected, got nil)".
function misuse.bad(n, fname, text)
  error(("bad argument #%d to '%s' (%s)"):format(n, fname, text), outside())
end

-- Time-outs, tables -----------------------------------------------------------------------

--- Is it a time-out, in seconds, or nil?
function misuse.seconds(n, fname, value)
  if value == nil or type(value) == "number" and value >= 0 then return value end
  local got = type(value) == "number" and tostring(value) or type(value)
  misuse.bad(n, fname, "seconds must be a number >= 0, got " .. got)
end

-- How many letters are to be changed, added or left out, to make one of the other.
local function distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local corner = row[0]
    row[0] = i
    for j = 1, #b do
      local changed = corner + (a:byte(i) == b:byte(j) and 0 or 1)
      corner, row[j] = row[j], math.min(changed, row[j] + 1, row[j - 1] + 1)
    end
  end
  return row[#b]
end

--- The known name that was meant, if it is one letter away, or two in a long one.
-- @tparam string name
-- @tparam table known set of names
-- @treturn ?string
function misuse.nearest(name, known)
  name = tostring(name):lower()
  local found, least = nil, #name < LONG and 2 or 3
  for word in pairs(known) do
    local n = math.abs(#name - #word) > 2 and 3 or distance(name, word)
    if n < least or n == least and found and word < found then found, least = word, n end
  end
  return found
end

local function all(known)
  local list = {}
  for word in pairs(known) do list[#list + 1] = word end
  table.sort(list)
  return table.concat(list, ", ")
end

--- A set of the words in a text, and of the names in some tables.
function misuse.names(text, ...)
  local set = {}
  for _, known in ipairs {...} do
    for word in pairs(known) do set[word] = true end
  end
  for word in text:gmatch("%S+") do set[word] = true end
  return set
end

local function unknown(n, fname, name, hint)
  misuse.bad(n, fname, ("unknown option '%s': %s"):format(tostring(name), hint))
end

--- Options: nil, or a table whose names are all known; gives a table.
-- @tparam integer n the argument's number
-- @tparam string fname the function's name
-- @param opts
-- @tparam table known set of names
function misuse.options(n, fname, opts, known)
  if opts == nil then return {} end
  if type(opts) ~= "table" then misuse.bad(n, fname, misuse.expected("table", opts)) end
  for name in pairs(opts) do
    if not known[name] then
      local meant = misuse.nearest(name, known)
      unknown(n, fname, name, meant and ("is '%s' meant?"):format(meant)
        or "there are " .. all(known))
    end
  end
  return opts
end

--- The same for a table that may carry what is somebody else's, as those of servers and
-- requests do: only a name that is nearly one of ours is a mistake.
function misuse.ours(n, fname, opts, known)
  if opts == nil then return {} end
  if type(opts) ~= "table" then misuse.bad(n, fname, misuse.expected("table", opts)) end
  for name in pairs(opts) do
    local meant = not known[name] and misuse.nearest(name, known)
    if meant then unknown(n, fname, name, ("is '%s' meant?"):format(meant)) end
  end
  return opts
end

-- Methods ---------------------------------------------------------------------------------

--- Lets the public methods of a class look at their `self` first: a dot in place of a
-- colon is a common slip.
-- @tparam table class
-- @tparam string field that every object has, and nothing else
-- @tparam[opt] string name
function misuse.methods(class, field, name)
  local function complain(fname, self)
    misuse.bad(1, fname, misuse.expected(name or class.__name, self)
      .. "; methods are called with ':'")
  end
  local function checked(fname, method)
    local how = debug.getinfo(method, "u")
    if how.isvararg or how.nparams > 4 then
      return function(self, ...)
        if type(self) ~= "table" or self[field] == nil then complain(fname, self) end
        return method(self, ...)
      end
    end
    return function(self, a, b, c) -- cheaper
      if type(self) ~= "table" or self[field] == nil then complain(fname, self) end
      return method(self, a, b, c)
    end
  end
  for fname, method in pairs(class) do
    if type(method) == "function" and not fname:find("^_") and fname ~= "new" then
      class[fname] = checked(fname, method)
    end
  end
end

return misuse
