---@meta gevent.util
-- Made by `make types` from lua/gevent/util.lua: change that.

---Looking inside.
---@class gevent.util
local M = {}

---What every greenlet is doing: the tree of who spawned whom, what each waits
---on, and its stack.
---@return string
function M.format_run_info() end

---Prints it.
---@param stream? any anything with a `:write` method
function M.print_run_info(stream) end

---Asserts that a piece of code lets others run.
---`local _ <close> = util.assert_switches()` checks the rest of the block;
---with a function, checks its call.
---@param fn? function
---@param ... any its arguments
---@return any # the function's results, or the value for `<close>`
function M.assert_switches(fn, ...) end

return M
