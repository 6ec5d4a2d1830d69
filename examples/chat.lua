-- usage: lua5.4 examples/chat.lua 127.0.0.1:7003
-- A chat: what one says all the others hear. Each client has a greenlet that
-- reads and one that writes; between them is a queue, so that a client who
-- does not read holds up nobody: when its queue is full, or nothing can be
-- sent to it for some seconds, it is dismissed.
-- It runs until Ctrl-C. The argument is the address to listen on.
-- spec: 127.0.0.1:0
-- and in other terminals, two at least: nc 127.0.0.1 7003
local gevent = require "gevent"
local Queue = require "gevent.queue".Queue
local StreamServer = require "gevent.server".StreamServer

local BACKLOG, LONGEST = 100, 1000 -- lines that wait for a client; bytes of one
local PATIENCE = 10 -- seconds for a client to take a line

local clients = {} -- name -> queue of lines

local function tell_others(name, line)
  for other, queue in pairs(clients) do
    if other ~= name and not queue:put_nowait(line) then queue:close() end
  end
end

-- Sends what is in the queue until that is closed and empty.
local function writer(sock, queue)
  for line in queue:iter() do
    if not sock:sendall(line .. "\n", PATIENCE) then break end
  end
  sock:shutdown("rw") -- which ends the reader, too
end

local function read_line(sock)
  local line = sock:readuntil("\n", LONGEST)
  return line and line:match("^(.-)\r?\n$")
end

local function serve(sock)
  sock:sendall("your name? ")
  local name = read_line(sock)
  if not name or name == "" or clients[name] then
    return sock:sendall("not that one\n")
  end
  local queue <close> = Queue(BACKLOG)
  clients[name] = queue
  local _gone <close> = setmetatable({}, {__close = function()
    clients[name] = nil
    tell_others(name, name .. " has left")
  end})
  gevent.spawn(writer, sock, queue)
  tell_others(name, name .. " has come")
  for line in read_line, sock do tell_others(name, name .. ": " .. line) end
end

local server = StreamServer(arg[1] or "127.0.0.1:7003", serve)
assert(server:start())
print("listening on port " .. server.port)
io.stdout:flush()
server:serve_forever()
