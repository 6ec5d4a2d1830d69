-- usage: lua5.4 examples/tail.lua /tmp/growing.log 5
-- Follows a file as it grows, as tail -f does, until so many lines have come; and
-- writes the file itself, so that there is something to see. The thread pool does
-- the reading: other greenlets run meanwhile.
-- The arguments are a file and a number of lines.
local gevent = require "gevent"
local fileobject = require "gevent.fileobject"

local path, wanted = arg[1] or os.tmpname(), tonumber(arg[2] or 5)
local PAUSE = 0.02 -- seconds between two looks at the end of the file

-- The end of a regular file is no end for ever: the next read may find more.
local function follow(file)
  local n = 0
  while n < wanted do
    local line = file:read("L")
    if line then
      n = n + 1
      fileobject.stdout:write(("%3d  %s"):format(n, line))
    else
      gevent.sleep(PAUSE)
    end
  end
end

local function write()
  local log <close> = assert(fileobject.open(path, "w"))
  for i = 1, wanted do
    assert(log:write(("line %d of %d\n"):format(i, wanted)))
    gevent.sleep(PAUSE)
  end
end

local writer = gevent.spawn(write)
gevent.sleep(PAUSE)
local file <close> = assert(fileobject.open(path))
follow(file)
writer:join()
if not arg[1] then os.remove(path) end
