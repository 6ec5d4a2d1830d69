--- Looking inside.
-- @module gevent.util
local core = require "gevent._core"
local misuse = require "gevent._misuse"

local util = {}

local function indented(text, indent)
  return (text:gsub("\n", "\n" .. indent))
end

-- Appends the lines of a greenlet and its children.
local function describe(lines, greenlet, children, indent)
  local waits, stack = core.inspect(greenlet)
  lines[#lines + 1] = indent .. tostring(greenlet)
  if waits then lines[#lines + 1] = indent .. "  waits in " .. waits end
  if stack and stack:find("\n", 1, true) then
    lines[#lines + 1] = indent .. "  " .. indented(stack, indent .. "  ")
  end
  for _, child in ipairs(children[greenlet] or {}) do
    describe(lines, child, children, indent .. "  ")
  end
end

--- What every greenlet is doing: the tree of who spawned whom, what each waits
-- on, and its stack.
-- @treturn string
function util.format_run_info()
  local greenlets = core.greenlets()
  local alive, children, roots = {}, {}, {}
  for _, greenlet in ipairs(greenlets) do alive[greenlet] = true end
  for _, greenlet in ipairs(greenlets) do
    local parent = greenlet.spawning_greenlet
    if parent and alive[parent] then
      children[parent] = children[parent] or {}
      table.insert(children[parent], greenlet)
    else
      roots[#roots + 1] = greenlet
    end
  end
  local lines = {("%d greenlets"):format(#greenlets - 1)}
  for _, greenlet in ipairs(roots) do describe(lines, greenlet, children, "") end
  return table.concat(lines, "\n") .. "\n"
end

--- Prints it.
-- @param[opt=stderr] stream anything with a `:write` method
function util.print_run_info(stream)
  (stream or io.stderr):write(util.format_run_info())
end

local Checker = {__name = "assert_switches"}

function Checker:__close(err)
  if err == nil and core.switches() == self.switches then
    error("assert_switches: no other greenlet had a chance to run in "
      .. ("%.3f s"):format(core.monotonic() - self.start), 0)
  end
end

local function newchecker()
  return setmetatable({switches = core.switches(), start = core.monotonic()}, Checker)
end

--- Asserts that a piece of code lets others run.
-- `local _ <close> = util.assert_switches()` checks the rest of the block;
-- with a function, checks its call.
-- @tparam[opt] function fn
-- @param ... its arguments
-- @return the function's results, or the value for `<close>`
function util.assert_switches(fn, ...)
  local checker = newchecker()
  if fn == nil then return checker end
  if type(fn) ~= "function" and not (debug.getmetatable(fn) or {}).__call then
    misuse.bad(1, "assert_switches", misuse.expected("function", fn))
  end
  local results = table.pack(fn(...))
  Checker.__close(checker)
  return table.unpack(results, 1, results.n)
end

return util
