-- gevent.http.send: writes requests (private; see gevent.http.client).
local core = require "gevent._core"
local plans = require "gevent.http.plan"

local INLINE = 65536 -- bytes of a body that are written before reading begins

local function sendpiece(sock, piece, chunked, timeout)
  if chunked then piece = ("%x\r\n%s\r\n"):format(#piece, piece) end
  return sock:sendall(piece, timeout)
end

-- Sends what the iterator gives. True; or nil, message, code, true where it was
-- the iterator which failed.
local function sendparts(sock, body, length, timeout)
  local left = length
  while true do
    local part, message, code = body()
    if part == nil then
      if message ~= nil and code ~= "closed" then return nil, message, code, true end
      break
    end
    if type(part) == "number" then part = tostring(part) end
    if type(part) ~= "string" then
      error(("part of the body is a %s, not a string"):format(type(part)), 0)
    end
    if left then
      left = left - #part
      if left < 0 then error("the body is longer than its Content-Length", 0) end
    end
    if part ~= "" then
      local ok
      ok, message, code = sendpiece(sock, part, not left, timeout)
      if not ok then return nil, message, code end
    end
  end
  if left and left > 0 then error("the body is shorter than its Content-Length", 0) end
  if left then return true end
  return sock:sendall("0\r\n\r\n", timeout)
end

-- The pieces of a string, so that each has its own time-out.
local function pieces(text)
  local at = 1
  return function()
    if at > #text then return nil end
    local piece = text:sub(at, at + INLINE - 1)
    at = at + #piece
    return piece
  end
end

-- Writes a body while its answer is being read: a server may answer before it
-- has read all, or while it reads. `state` tells how it went.
local function writebody(state, sock, plan, timeout)
  local body, length = plan.body, plan.length
  if type(body) == "string" then body, length = pieces(body), #body end
  local ok, sent, message, code, ours = pcall(sendparts, sock, body, length, timeout)
  if ok and sent then
    state.done = true
    return
  end
  if not ok then
    state.raised = sent
  else
    state.message, state.code, state.ours = message, code, ours
  end
  if not ok or ours then sock:close() end -- wakes the reader: there is no answer
end

local SENT = {done = true}

--- Writes a request, or begins to. The state of the writer: `done`, or
-- `message` and `code` of what went wrong, `raised` by the iterator, `ours` if
-- the iterator returned it.
-- @param self the client
-- @param plan what to send
-- @param conn where
-- @param route how it led there
-- @tparam ?number timeout seconds for the head
-- @tparam ?number idle seconds for each piece of the body
return function(self, plan, conn, route, timeout, idle)
  local head = plans.head(plan, route, self.oneshot)
  local body = plan.body
  local sock = conn.sock
  if type(body) == "string" and #body <= INLINE then
    head, body = head .. body, nil
  end
  local ok, message, code = sock:sendall(head, timeout)
  if ok and body == nil then return SENT end
  local state = {done = false, message = message, code = code}
  if ok then
    plan.consumed = type(body) ~= "string"
    state.greenlet = core.spawn(writebody, state, sock, plan, idle)
    conn.writer = state.greenlet
  end
  return state
end
