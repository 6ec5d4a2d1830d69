-- Runs a fresh Lua interpreter for specs that must see a process from
-- outside: its exit code, signals, what it prints when it ends.
-- Uses only io.popen and the shell, nothing of gevent's.

local M = {}

--- `text` as one word of the shell's.
function M.quote(text)
  return "'" .. tostring(text):gsub("'", "'\\''") .. "'"
end

--- The interpreter that runs this, with what stands before its script.
local function interpreter()
  local chosen = os.getenv "GEVENT_SPEC_LUA"
  if chosen then return chosen end
  local first = 0
  while arg and arg[first - 1] do first = first - 1 end
  return first < 0 and M.quote(arg[first]) or "lua5.4"
end

local function write_file(path, text)
  local f <close> = assert(io.open(path, "wb"))
  assert(f:write(text))
end

local function take_file(path)
  local f = assert(io.open(path, "rb"))
  local text = f:read("a")
  f:close()
  os.remove(path)
  return text
end

local function assignments(env)
  local words = {
    "LUA_PATH_5_4=" .. M.quote(package.path),
    "LUA_CPATH_5_4=" .. M.quote(package.cpath),
  }
  for name, value in pairs(env or {}) do
    words[#words + 1] = name .. "=" .. M.quote(value)
  end
  return table.concat(words, " ")
end

local function words(list)
  local quoted = {}
  for i, word in ipairs(list or {}) do quoted[i] = M.quote(word) end
  return table.concat(quoted, " ")
end

--- Reads lines until one contains `text`; returns what was read.
local function read_until(pipe, text)
  local parts = {}
  for line in pipe:lines("L") do
    parts[#parts + 1] = line
    if line:find(text, 1, true) then break end
  end
  return table.concat(parts)
end

--- The command, for a shell, that runs a script with the interpreter, the modules
-- and the environment that run_lua's have. Leaks of a process that forks are not
-- looked for: LeakSanitizer takes the parent's threads for the child's.
function M.command(script, args, env)
  local all = {ASAN_OPTIONS = (os.getenv "ASAN_OPTIONS" or "") .. ":detect_leaks=0"}
  for name, value in pairs(env or {}) do all[name] = value end
  return ("exec env %s %s %s %s"):format(assignments(all), interpreter(),
    M.quote(script), words(args))
end

--- Runs Lua code, or a file if the text ends in ".lua", to its end.
-- @param opts `args` (list), `input`, `env` (name -> value), `timeout`
--   (seconds, then SIGKILL; 20 unless told), `under` (words of the shell's: a
--   program that runs the interpreter, a tracer say), `signals` (list of `{after=,
--   name=}`: "INT", say, is sent once a line that contains `after` was printed)
-- @return the exit code, or "signal N"; what it wrote to stdout, to stderr
function M.run_lua(code_or_file, opts)
  opts = opts or {}
  local is_file = code_or_file:find("^[^\n]+%.lua$")
  local script = is_file and code_or_file or os.tmpname()
  if not is_file then write_file(script, code_or_file) end
  local input, errors = os.tmpname(), os.tmpname()
  write_file(input, opts.input or "")
  local command = ("exec timeout -s KILL %d sh -c 'echo $$; exec \"$@\"' sh "
    .. "env %s %s %s %s %s <%s 2>%s"):format(
    math.ceil(opts.timeout or 20), assignments(opts.env), opts.under or "",
    interpreter(), M.quote(script), words(opts.args), input, errors)
  local pipe = assert(io.popen(command, "r"))
  local pid = pipe:read("n", "L")
  local out = ""
  for _, signal in ipairs(opts.signals or {}) do
    out = out .. read_until(pipe, signal.after)
    os.execute(("kill -%s %d"):format(signal.name, pid))
  end
  out = out .. pipe:read("a")
  local _, how, code = pipe:close()
  if not is_file then os.remove(script) end
  os.remove(input)
  return how == "exit" and code or "signal " .. code, out, take_file(errors)
end

return M
