---@meta gevent.monkey
-- Made by `make types` from lua/gevent/monkey/init.lua: change that.

---Makes code that knows nothing of gevent cooperative.
---The standard library's blocking functions, LuaSocket's and LuaSec's are
---replaced, in place: a module that was loaded before sees the new ones, unless
---it keeps the old functions in locals of its own. So patch first. Nothing is
---patched unless these functions are called; calling them twice is harmless.
---See `docs/monkey.md`.
---@class gevent.monkey
local M = {}

---LuaSocket: `socket.core` and `socket.unix` over gevent's sockets, so that
---`socket.http`, `socket.smtp` and the rest of its Lua half are cooperative. A
---socket that was made before works as before, and blocks.
function M.patch_socket() end

---`socket.select`, also of LuaSocket's own sockets: any number, and whatever
---has a `getfd`. `patch_socket` includes it.
function M.patch_select() end

---LuaSec: `ssl.core` and `ssl.context` over `gevent.ssl`.
function M.patch_ssl() end

---`coroutine.*` become those of `gevent.coroutine`: a blocking call inside a
---coroutine blocks the greenlet, whatever library made the coroutine.
function M.patch_coroutine() end

---`os.execute`.
function M.patch_os() end

---`io.popen`, and reading from standard input, pipes and terminals by
---`io.read`, `io.lines` and the methods of a file. Regular files stay as they
---are, unless asked for.
---@param opts? table `files = true`: reads of regular files go through the thread pool too
function M.patch_io(opts) end

---`require`: a module may block while it loads, and greenlets that ask for the
---same module at once load it once.
function M.patch_require() end

---All of them.
---@param opts? table name of a part -> false to leave it out: `coroutine require os io select socket ssl`; `io = {files = true}` is patch_io's
function M.patch_all(opts) end

---Has anything of a module been replaced?
---@param name string "socket", "socket.core", "socket.unix", "select", "ssl", "ssl.core", "ssl.context", "os", "io", "coroutine", "_G" (`require`)
---@return boolean
function M.is_module_patched(name) end

---What a function was before it was patched; the function, if it was not.
---@param module string
---@param name string|string[]
---@return any # the value; for a list of names, a list of values
function M.get_original(module, name) end

return M
