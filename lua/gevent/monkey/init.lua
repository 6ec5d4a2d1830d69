--- Makes code that knows nothing of gevent cooperative.
-- The standard library's blocking functions, LuaSocket's and LuaSec's are
-- replaced, in place: a module that was loaded before sees the new ones, unless
-- it keeps the old functions in locals of its own. So patch first. Nothing is
-- patched unless these functions are called; calling them twice is harmless.
-- See `docs/monkey.md`.
-- @module gevent.monkey
local saved = require "gevent.monkey._saved"

local monkey = {}

-- Whoever wants to hear of it has loaded gevent.events.
local function notify(event, name)
  local events = package.loaded["gevent.events"]
  if events then events.notify {name = event, module_name = name} end
end

-- Runs the patch of a part; `name` is the module that it is for.
local function run(name, part, opts)
  local isnew = not saved.is_patched(name)
  if isnew then notify("GeventWillPatchModule", name) end
  require("gevent.monkey." .. part).patch(opts)
  if isnew then notify("GeventDidPatchModule", name) end
end

--- LuaSocket: `socket.core` and `socket.unix` over gevent's sockets, so that
-- `socket.http`, `socket.smtp` and the rest of its Lua half are cooperative. A
-- socket that was made before works as before, and blocks.
function monkey.patch_socket()
  run("socket", "socket")
end

--- `socket.select`, also of LuaSocket's own sockets: any number, and whatever
-- has a `getfd`. `patch_socket` includes it.
function monkey.patch_select()
  run("select", "select")
end

--- LuaSec: `ssl.core` and `ssl.context` over `gevent.ssl`.
function monkey.patch_ssl()
  run("ssl", "ssl")
end

--- `coroutine.*` become those of `gevent.coroutine`: a blocking call inside a
-- coroutine blocks the greenlet, whatever library made the coroutine.
function monkey.patch_coroutine()
  run("coroutine", "coroutine")
end

--- `os.execute`.
function monkey.patch_os()
  run("os", "os")
end

--- `io.popen`, and reading from standard input, pipes and terminals by
-- `io.read`, `io.lines` and the methods of a file. Regular files stay as they
-- are, unless asked for.
-- @tparam[opt] table opts `files = true`: reads of regular files go through the
-- thread pool too
function monkey.patch_io(opts)
  run("io", "io", opts)
end

--- `require`: a module may block while it loads, and greenlets that ask for the
-- same module at once load it once.
function monkey.patch_require()
  run("_G", "_require")
end

-- In this order: what a later one loads is found patched.
local PARTS = {"coroutine", "require", "os", "io", "select", "socket", "ssl"}

--- All of them.
-- @tparam[opt] table opts name of a part -> false to leave it out: `coroutine
-- require os io select socket ssl`; `io = {files = true}` is patch_io's
function monkey.patch_all(opts)
  opts = opts or {}
  if type(opts) ~= "table" then
    error(("bad argument #1 to 'patch_all' (table expected, got %s)"):format(
      type(opts)), 2)
  end
  for name in pairs(opts) do
    if not monkey["patch_" .. tostring(name)] or name == "all" then
      error(("bad argument #1 to 'patch_all' (no part '%s')"):format(
        tostring(name)), 2)
    end
  end
  for _, name in ipairs(PARTS) do
    if opts[name] ~= false then
      monkey["patch_" .. name](type(opts[name]) == "table" and opts[name] or nil)
    end
  end
end

--- Has anything of a module been replaced?
-- @tparam string name "socket", "socket.core", "socket.unix", "select", "ssl",
-- "ssl.core", "ssl.context", "os", "io", "coroutine", "_G" (`require`)
-- @treturn boolean
function monkey.is_module_patched(name)
  if type(name) ~= "string" then
    error(("bad argument #1 to 'is_module_patched' (string expected, got %s)")
      :format(type(name)), 2)
  end
  return saved.is_patched(name)
end

--- What a function was before it was patched; the function, if it was not.
-- @tparam string module
-- @tparam string|{string,...} name
-- @return the value; for a list of names, a list of values
function monkey.get_original(module, name)
  if type(module) ~= "string" then
    error(("bad argument #1 to 'get_original' (string expected, got %s)"):format(
      type(module)), 2)
  end
  if type(name) ~= "table" then return saved.original(module, name) end
  local values = {}
  for i, item in ipairs(name) do values[i] = saved.original(module, item) end
  return values
end

return monkey
