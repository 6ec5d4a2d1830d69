---@meta gevent.pool
-- Made by `make types` from lua/gevent/pool.lua: change that.

---Groups of greenlets, and pools: groups of bounded size.
---@class gevent.pool
local M = {}

---A set of greenlets; each leaves it when it is done.
---@class gevent.pool.Group
local Group = {}

---Takes a greenlet in. A pool that is full waits for room.
---@param greenlet gevent.Greenlet
---@param timeout? number seconds
---@return boolean # true
function Group:add(greenlet, timeout) end

---Takes a greenlet in and starts it.
---@param greenlet gevent.Greenlet
---@param timeout? number seconds
---@return any # as `add`
function Group:start(greenlet, timeout) end

---Starts a new greenlet in the group. A pool that is full waits for room.
---@param fn function
---@param ... any its arguments
---@return gevent.Greenlet
function Group:spawn(fn, ...) end

---Lets a greenlet go, as if it were done.
function Group:discard() end

---The members, as an iterator.
function Group:iter() end

---Is the greenlet a member?
function Group:contains() end

---Waits until the group is empty, or was so once.
---@param timeout? number seconds
---@param raise_error? boolean raise the failure of a present member
---@return boolean
function Group:join(timeout, raise_error) end

---Kills all members, also those that come meanwhile; each once. An imap
---that is under way draws no more items.
---@param exception? any
---@param block? boolean wait for their end
---@param timeout? number seconds
function Group:kill(exception, block, timeout) end

---Kills one member.
function Group:killone() end

---Is there no room?
function Group.full() end

---Waits until there is room.
---@param timeout? number seconds
---@return boolean
function Group.wait_available(timeout) end

---How many more may come in: for a group always at least one.
function Group.free_count() end

---Calls a function in a greenlet of the group, and waits for its results. In
---a member of the group it is called at once: it must not wait for itself.
function Group:apply() end

---The same without waiting, also not for room.
---@return gevent.Greenlet # whose outcome is that of the function
function Group:apply_async() end

---Calls a function for each item, in the group's greenlets.
---@param fn function
---@param seq any list, or iterator function
---@return table # the results in the order of the items; raises the first error
function Group:map(fn, seq) end

---The same with several sequences: `fn(item1, item2, ...)`.
function Group:map_n() end

---`map` without waiting.
---@return gevent.Greenlet # whose value is the list
function Group:map_async() end

---The results one by one, in the order of the items. An item that failed
---raises at its place; the iteration can go on after it.
---@param fn function
---@param seq any list, or iterator function
---@param opts? table `maxsize`: how many results may wait to be taken
---@return function # iterator
function Group:imap(fn, seq, opts) end

---The same with several sequences.
function Group:imap_n() end

---The results one by one, in the order they come.
function Group:imap_unordered() end

---The end of the scope, as without an error: join.
function Group:close() end

---Makes a group of the greenlets given.
function M.newgroup() end

---A group that holds so many greenlets and no more.
---@class gevent.pool.Pool
local Pool = {}

---Waits until there is room. Others may take it first.
function Pool:wait_available() end

---Makes a pool.
---@param size? integer how many greenlets it holds; nil: any number
---@param greenlet_class? any what `spawn` makes
function M.newpool(size, greenlet_class) end

---@type gevent.pool.Group|fun(...): gevent.pool.Group
M.Group = nil

---@type gevent.pool.Pool|fun(...): gevent.pool.Pool
M.Pool = nil

return M
