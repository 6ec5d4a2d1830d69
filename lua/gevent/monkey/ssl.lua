--- LuaSec, cooperative: its connections are made never to wait by themselves,
-- and what would block waits in the loop instead. Contexts, certificates and
-- all that does not wait stay LuaSec's own. Private to `gevent.monkey`.
-- A connection that was made before the patch stays as it was. What LuaSec
-- calls back during a handshake (ALPN, PSK, passwords) may not block.
local core = require "gevent._core"
local new_buffer = require "gevent.monkey._buffer"
local saved = require "gevent.monkey._saved"
local ls = core.luasocket

local CHUNK = 16384 -- bytes asked for at once: a record of TLS
local CLASS = "SSL:Connection" -- as LuaSec calls it

local states = setmetatable({}, {__mode = "k"}) -- connection -> its state
local original = {} -- method -> LuaSec's own

local WANTS = {wantread = "r", wantwrite = "w"}

-- waiting ----------------------------------------------------------------------

-- When an operation that begins now has to be over, by both limits; 0: at once.
local function deadline_of(state)
  local limit = state.block
  if limit < 0 or state.total >= 0 and state.total < limit then limit = state.total end
  return limit >= 0 and core.monotonic() + limit or nil
end

-- Waits for what the connection wants; false when the time is over. A poller
-- for each role, which is closed with the connection: that wakes who waits.
local function wait(connection, role, want, deadline)
  local state = states[connection]
  local letter = WANTS[want]
  if not letter or state.block == 0 or state.total == 0 then return false end
  local left = deadline and math.max(0, deadline - core.monotonic())
  local poller, fd = state[role], math.tointeger(connection:getfd())
  if not poller then
    poller = core.poller()
    if not poller or not poller:add(fd, letter) then return false end
    state[role], state[poller] = poller, letter
  elseif state[poller] ~= letter then
    poller:modify(fd, letter)
    state[poller] = letter
  end
  local events = poller:poll(left)
  return events == nil or events[1] ~= nil
end

-- methods ------------------------------------------------------------------------

local methods = {}

function methods.settimeout(connection, seconds, mode)
  local state = states[connection]
  seconds = seconds == nil and -1 or tonumber(seconds)
  if not seconds then
    error("bad argument #1 to 'settimeout' (number expected)", 2)
  end
  mode = (mode or "b"):sub(1, 1)
  if mode == "b" then
    state.block = seconds
  elseif mode == "t" or mode == "r" then
    state.total = seconds
  else
    error("bad argument #2 to 'settimeout' (invalid timeout mode)", 2)
  end
  return 1.0
end

function methods.dohandshake(connection, ...)
  local deadline = deadline_of(states[connection])
  while true do
    local ok, want = original.dohandshake(connection, ...)
    if ok then return ok end
    if not wait(connection, "reader", want, deadline) then return ok, want end
  end
end

function methods.send(connection, data, first, last)
  local deadline = deadline_of(states[connection])
  while true do
    local index, want, sent = original.send(connection, data, first, last)
    if index or not wait(connection, "writer", want, deadline) then
      return index, want, sent
    end
    first = sent + 1
  end
end

-- Adds what has come to the buffer; nil, error where nothing has.
local function fill(connection, state, deadline)
  while true do
    local data, want, partial = original.receive(connection, CHUNK)
    data = data or partial
    if data ~= "" then
      state.buffer:add(data)
      return true
    end
    if not wait(connection, "reader", want, deadline) then return nil, want end
  end
end

-- Each takes what is asked for; or nil, error and what there is of it.
local function receive_line(connection, state, deadline)
  local buffer, from = state.buffer, 1
  while true do
    local at = buffer:newline(from)
    if at then return (buffer:take(at):gsub("[\r\n]", "")) end
    from = buffer:size() + 1
    local ok, err = fill(connection, state, deadline)
    if not ok then return nil, err, (buffer:take(buffer:size()):gsub("\r", "")) end
  end
end

local function receive_bytes(connection, state, deadline, n)
  local buffer = state.buffer
  while buffer:size() < n or buffer:size() == 0 do
    local ok, err = fill(connection, state, deadline)
    if not ok then return nil, err, buffer:take(n) end
  end
  return buffer:take(n)
end

-- Pieces are joined at the end; what is interrupted keeps them.
local function receive_all(connection, state, deadline)
  local buffer, parts = state.buffer, {}
  local _ <close> = setmetatable({}, {__close = function()
    if parts then buffer:unread(table.concat(parts)) end
  end})
  local ok, err
  repeat
    parts[#parts + 1] = buffer:take(buffer:size())
    ok, err = fill(connection, state, deadline)
  until not ok
  local data = table.concat(parts)
  parts = nil
  if err == "closed" and data ~= "" then return data end
  return nil, err, data
end

local function invalid_pattern()
  error("bad argument #1 to 'receive' (invalid receive pattern)", 3)
end

function methods.receive(connection, pattern, prefix)
  local state = states[connection]
  local deadline = deadline_of(state)
  prefix = prefix or ""
  local n = tonumber(pattern)
  local letter = type(pattern or "*l") == "string" and (pattern or "*l"):match("^%*([la])")
  if n and not (n >= 0) or not n and not letter then invalid_pattern() end
  if n and prefix ~= "" and n <= #prefix then return prefix, nil, nil end
  n = n and n // 1 - #prefix
  local receive = n and receive_bytes or letter == "l" and receive_line or receive_all
  local data, err, partial = receive(connection, state, deadline, n)
  if data then return prefix .. data, nil, nil end
  return nil, err, prefix .. partial
end

function methods.dirty(connection)
  return states[connection].buffer:size() > 0 or original.dirty(connection)
end

function methods.getstats(connection)
  local received, sent, age = original.getstats(connection)
  return received - states[connection].buffer:size(), sent, age
end

-- LuaSec makes the descriptor block, to say goodbye. Where there is no room for
-- that it is cut off instead.
local function make_room(connection)
  local fd = math.tointeger(connection:getfd())
  if not fd or fd < 0 then return end
  local poller <close> = core.poller()
  if poller and poller:add(fd, "w") and poller:poll(0)[1] then return end
  ls.shutdown(fd)
end

function methods.close(connection)
  local state = states[connection]
  make_room(connection)
  local reader, writer = state.reader, state.writer
  state.reader, state.writer, state.buffer = nil, nil, new_buffer()
  original.close(connection)
  if reader then reader:close() end
  if writer then writer:close() end
end

-- the patch ----------------------------------------------------------------------

local function create(make)
  return function(...)
    local connection, err = make(...)
    if not connection then return connection, err end
    original.settimeout(connection, 0)
    states[connection] = {
      block = -1, total = -1, -- settimeout's, seconds
      buffer = new_buffer(), -- received, not asked for
      reader = nil, writer = nil, -- pollers; each is also a key: what it watches for
    }
    return connection
  end
end

-- A method that leaves the connections of before the patch to LuaSec.
local function either(ours, theirs)
  return function(connection, ...)
    if states[connection] then return ours(connection, ...) end
    return theirs(connection, ...)
  end
end

local function patch_module(module)
  local index = debug.getregistry()[CLASS].__index
  local replaced = {}
  for name, method in pairs(methods) do
    original[name] = index[name]
    replaced[name] = either(method, index[name])
  end
  saved.replace(CLASS, index, replaced)
  saved.replace("ssl.core", module, {create = create(module.create)})
end

local function patch()
  if saved.is_patched "ssl" then return end
  saved.mark "ssl"
  saved.mark "ssl.core"
  saved.when_loaded("ssl.core", patch_module, "no LuaSec for gevent.monkey to patch")
end

return {patch = patch}
