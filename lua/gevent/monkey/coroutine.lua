--- `coroutine.*` become those of `gevent.coroutine`. Private to
-- `gevent.monkey`.
local gco = require "gevent.coroutine"
local saved = require "gevent.monkey._saved"

local function patch()
  saved.replace("coroutine", coroutine, gco)
end

return {patch = patch}
