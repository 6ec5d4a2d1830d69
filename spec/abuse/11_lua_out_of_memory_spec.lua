-- Lua has no memory, at any allocation: "not enough memory", or success; nothing is
-- lost, and what is done later works. GEVENT_SPEC_MEMERR=all tries each request, and the
-- next ten after it too.

local memerr = require "helper_memerr"

local SAMPLES = 25
-- Once a stop that had no memory for a greenlet of its own left the server accepting:
-- at two requests of three hundred, so all are tried.
local WHOLE = {stop = true}

describe("where Lua has no memory while", function()
  memerr.each(not memerr.available() and "its program is not built", function(script)
    memerr.run(script, (memerr.all or WHOLE[script]) and 0 or SAMPLES, 2)
    if memerr.all then memerr.run(script, 0, 12) end
  end)
end)
