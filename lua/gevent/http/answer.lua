--- What a server answered.
-- Fields: `status`, `reason`, `headers`, `version` ("1.1"), `url` (where it came
-- from in the end), `body` unless it is streamed, `encoding` ("gzip", "deflate")
-- of what was undone. One that is streamed holds its connection until its body
-- has been read to the end or it is closed; when it is collected at the latest.
-- @classmod gevent.http.Response
local lines = require "gevent.http._lines"
local url = require "gevent.http.url"

local PIECE = 65536 -- bytes

local Response = {__name = "http.Response"}
Response.__index = Response

-- Gives the connection back, or ends it: it can be used again if the answer was
-- read to its end and the request was sent to its end.
local function letgo(self)
  local conn = self._conn
  if not conn then return end
  self._conn = nil
  local reusable = self._exchange:release()
  conn.pool:release(conn, reusable and self._state.done)
end

-- What a read of the body gave. Nothing more comes from the connection: it is
-- let go of. The error of a body that is still being sent is the reader's.
local function seen(self, data, message, code)
  if self._conn and (self._exchange:complete() or data == nil and code ~= "timeout") then
    letgo(self)
  end
  if data ~= nil then return data end
  if self._state.raised ~= nil then error(self._state.raised, 0) end
  return nil, message, code
end

--- The body of a streamed one, by the formats of `io`.
-- @tparam[opt="l"] string|integer format number of bytes, "l", "L", "a"
-- @return data; or nil, message, code: "closed" at the end, "truncated",
-- "malformed", "toolarge", "timeout" ...
function Response:read(format)
  if not self._exchange then return nil, "closed", "closed" end
  return seen(self, self._exchange:read(format))
end

--- What has come of the body.
-- @tparam integer n at most so many bytes
-- @return data, "" at the end; or nil, message, code
function Response:recv(n)
  if not self._exchange then return "" end
  return seen(self, self._exchange:recv(n))
end

--- The lines of the body.
-- @tparam[opt="l"] string|integer format as in `read`
-- @treturn function iterator; as in `io`, a failure raises
-- @function Response:lines
Response.lines = lines


--- The body in pieces as they come; an iterator that may be the body of
-- another request, or of a handler's answer.
-- @treturn function as in `io`, a failure raises
function Response:chunks()
  return function()
    local data, message = self:recv(PIECE)
    if data == nil then error(message, 2) end
    if data ~= "" then return data end
  end
end

--- Ends it: what was not read is not wanted. Idempotent.
function Response:close()
  letgo(self)
  if self._exchange then self._exchange:close() end
end

--- The connection itself, after 101 (Switching Protocols): a socket, which is
-- the caller's from now on; what came behind the answer is still in it.
-- @treturn[1] socket
-- @return[2] nil, "closed", "closed"
function Response:takeover()
  local conn = self._conn
  if self.status ~= 101 or not conn then return nil, "closed", "closed" end
  local sock = conn.sock
  self._exchange:release()
  self._conn, conn.sock = nil, nil
  conn.pool:release(conn, false)
  return sock
end

Response.__close = Response.close

function Response:__tostring()
  return ("<http.Response at %p: %d %s>"):format(self, self.status, self.url)
end

-- One that holds a connection is not to be forgotten.
local Streamed = {__gc = Response.close}
for name, value in pairs(Response) do Streamed[name] = value end

-- For the client ---------------------------------------------------------------------

-- What was undone is not to be undone again by whoever hands the body on.
local function undone(self, coding)
  self.encoding = coding
  self.headers["Content-Encoding"] = nil
  self.headers["Content-Length"] = nil
end

-- A response whose body is there.
local function whole(at, status, reason, headers, version, coding, body)
  local self = setmetatable({status = status, reason = reason, headers = headers,
    version = version, url = url.tostring(at), body = body}, Response)
  if coding then undone(self, coding) end
  return self
end

-- One that is streamed; the connection is its own from now on.
local function stream(at, status, reason, headers, version, coding, conn, exchange,
    state)
  local self = setmetatable({status = status, reason = reason, headers = headers,
    version = version, url = url.tostring(at), _conn = conn, _exchange = exchange,
    _state = state}, Streamed)
  if coding then undone(self, coding) end
  if exchange:complete() and status ~= 101 then letgo(self) end
  return self
end

return {whole = whole, stream = stream}
