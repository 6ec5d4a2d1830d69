-- Lua has no memory, at any allocation: "not enough memory", or success; nothing is
-- lost, and what is done later works. GEVENT_SPEC_MEMERR=all tries each request, and the
-- next ten after it too.

local memerr = require "helper_memerr"

local SAMPLES = 16
-- Once a stop that had no memory for a greenlet of its own left the server accepting:
-- at four requests in a row, of a hundred and seventy.
local MORE = {stop = 60}

describe("where Lua has no memory while", function()
  memerr.each(not memerr.available() and "its program is not built", function(script)
    memerr.run(script, memerr.all and memerr.every[script] or MORE[script] or SAMPLES, 2)
    if memerr.all then memerr.run(script, memerr.every[script], 12) end
  end)
end)
