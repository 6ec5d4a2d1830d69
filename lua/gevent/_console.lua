-- gevent._console: a prompt of Lua, over whatever it is read from and written to.
-- For gevent.backdoor and the command line.
local core = require "gevent._core"

local console = {}

console.LONGEST = 65536 -- bytes of what is not complete

local Quit = core.exception("Quit")

--- For the environment of a session: ends it.
function console.quit() error(Quit("quit"), 0) end

--- What print would print, without the newline.
function console.texts(...)
  local list = table.pack(...)
  for i = 1, list.n do list[i] = tostring(list[i]) end
  return table.concat(list, "\t")
end

-- The code as a function, else the message; `more` if it is not complete.
local function compile(code, chunk, env)
  local expression = code:gsub("^%s*=", "", 1)
  local fn = load("return " .. expression, chunk, "t", env)
  if fn then return fn end
  local message
  fn, message = load(code, chunk, "t", env)
  return fn, message, not fn and message:find("<eof>'?$") ~= nil
end

-- What called the code is ours, and tells nothing.
local function tracer(chunk)
  return function(err)
    if core.isinstance(err, Quit) then return err end
    local text = debug.traceback(tostring(err), 2)
    return (text:gsub("(\n\t" .. chunk .. ":%d+: in main chunk).*$", "%1"))
  end
end

-- Calls it, prints what it returns; false where it wanted to quit.
local function call(opts, fn)
  local results = table.pack(opts.pcall(fn, tracer(opts.name)))
  if results[1] then
    if results.n > 1 then
      opts.write(console.texts(table.unpack(results, 2, results.n)) .. "\n")
    end
  elseif core.isinstance(results[2], Quit) then
    return false
  else
    opts.write(tostring(results[2]) .. "\n")
  end
  return true
end

--- Reads and runs until the input ends or somebody quits.
-- @param opts `readline(prompt)` -> line, or nil at the end; `write(text)`; `env`;
--   `name` of the chunks; `pcall`: xpcall's kind (`core.xpcall`: a kill ends the
--   session)
function console.run(opts)
  opts.pcall = opts.pcall or core.xpcall
  local chunk, code = "=" .. opts.name, ""
  while true do
    local line = opts.readline(code == "" and "> " or ">> ")
    if not line then return end
    code = code .. line:gsub("\r?\n$", "\n")
    local fn, message, more = compile(code, chunk, opts.env)
    if not more or #code > console.LONGEST then
      code = ""
      if fn then
        if not call(opts, fn) then return end
      else
        opts.write(message .. "\n")
      end
    end
  end
end

return console
