-- malloc fails, in our C, in libuv, c-ares, OpenSSL, zlib: an error, or success; nothing
-- is lost, and what is done later works.

local faults = require "helper_faults"
local memerr = require "helper_memerr"

local SAMPLES = 12

describe("where malloc fails while", function()
  local preload = memerr.available() and faults.preload "nomem"
  teardown(function() if preload then os.remove(preload) end end)
  memerr.each(not preload and "needs cc, plain", function(script)
    memerr.run(script, memerr.all and 2000 or SAMPLES, 1, preload)
  end)
end)
