---@meta gevent.local
-- Made by `make types` from lua/gevent/local.lua: change that.

---A table whose fields each greenlet has for itself.
---`local mine = require("gevent.local")()`: what one greenlet writes no other
---sees; it goes when the greenlet ends, or when nobody has the table any more.
---@class gevent.local
local M = {}

return M
