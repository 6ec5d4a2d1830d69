-- gevent.http.file: res:sendfile, and the handler that serves a directory
-- (private; see gevent.http). Opening and reading are the core's.
local core = require "gevent._core"
local misuse = require "gevent._misuse"
local conditional = require "gevent.http.conditional"
local typeof = require "gevent.http.types"

local PIECE = 65536 -- bytes of a file in memory at a time

local file = {}

-- What a client may be told about a path that cannot be had.
local missing = {ENOENT = true, ENOTDIR = true, EISDIR = true, ENAMETOOLONG = true,
  EACCES = true, ELOOP = true}

-- Calls `put` with the bytes first .. last of a file, piece by piece.
local function eachpiece(opened, first, last, put)
  while first <= last do
    local piece, message, code = opened:read(first, math.min(last - first + 1, PIECE))
    if not piece then return nil, message, code end
    if piece == "" then return nil, "the file has become shorter", "truncated" end
    first = first + #piece
    local ok
    ok, message, code = put(piece, first > last)
    if not ok then return nil, message, code end
  end
  return true
end

-- Reading failed, or the client is gone. What was begun is cut by the server.
local function fail(res, message, code)
  if not res.started then
    res.headers = {}
    res:_send(500, nil, "Internal Server Error\n")
  end
  return nil, message, code
end

-- For an answer that goes out in parts.
local function sethead(res, fields, length)
  local headers = res.headers
  for name, value in pairs(fields) do headers[name] = value end
  headers["Content-Length"] = length
end

-- Sends first .. last as the body: at once if it is one piece.
local function sendrange(res, fields, opened, first, last)
  local length = last - first + 1
  if length == 0 or res:_request().method == "HEAD" then
    fields["Content-Length"] = length
    return res:_send(nil, fields)
  end
  local ok, message, code = eachpiece(opened, first, last, function(piece, islast)
    if #piece == length then return res:_send(nil, fields, piece) end
    if not res.started then sethead(res, fields, length) end
    if islast then return res:finish(piece) end
    return res:write(piece)
  end)
  if not ok then return fail(res, message, code) end
  return res
end

local function contentrange(range, size)
  return ("bytes %d-%d/%d"):format(range[1], range[2], size)
end

-- Several ranges: multipart/byteranges.
local function sendranges(res, fields, opened, ranges, size)
  local kind = fields["Content-Type"] or res.headers["content-type"]
  local boundary = ("%016x%016x"):format(math.random(0), math.random(0))
  local heads, total = {}, 0
  for i, range in ipairs(ranges) do
    heads[i] = ("%s--%s\r\nContent-Type: %s\r\nContent-Range: %s\r\n\r\n"):format(
      i > 1 and "\r\n" or "", boundary, kind, contentrange(range, size))
    total = total + #heads[i] + range[2] - range[1] + 1
  end
  local tail = ("\r\n--%s--\r\n"):format(boundary)
  fields["Content-Type"] = "multipart/byteranges; boundary=" .. boundary
  sethead(res, fields, total + #tail)
  local function put(piece) return res:write(piece) end
  for i, range in ipairs(ranges) do
    local ok, message, code = put(heads[i])
    if ok then ok, message, code = eachpiece(opened, range[1], range[2], put) end
    if not ok then return fail(res, message, code) end
  end
  return res:finish(tail)
end

-- The name of a file for "save as": in ASCII, and as it is.
local function disposition(name)
  local plain = name:gsub('[%c"\\\127-\255]', "_")
  local value = ('attachment; filename="%s"'):format(plain)
  if plain == name then return value end
  return value .. "; filename*=UTF-8''" .. name:gsub("[^%w!#$&+%-.^_`|~]", function(c)
    return ("%%%02X"):format(c:byte())
  end)
end

-- The fields that go with a file, without those that the handler has set, and its
-- tag.
local function describe(res, path, opts, tag, time)
  local own = res.headers
  local kind, owntag
  if #own > 0 then kind, owntag = own["content-type"], own["etag"] end
  local fields = {
    ["Content-Type"] = not kind and (opts.type or typeof(path)) or nil,
    ["ETag"] = not owntag and tag or nil,
    ["Last-Modified"] = core.http_date(math.min(time, os.time())),
    ["Accept-Ranges"] = "bytes",
  }
  if opts.max_age then fields["Cache-Control"] = ("max-age=%d"):format(opts.max_age) end
  if opts.filename then fields["Content-Disposition"] = disposition(opts.filename) end
  return fields, owntag or tag
end

-- An answer that has the file's fields but is none of it.
local function refuse(res, fields, status, text)
  fields["Content-Type"], fields["Content-Disposition"] = nil, nil
  return res:_send(status, fields, text)
end

-- Sends what the request asks for.
local function answer(res, fields, opened, size, tag, time)
  local req = res:_request()
  local status = conditional.status(req, tag, time)
  if status == 304 then return refuse(res, fields, 304) end
  if status then return refuse(res, fields, status, "Precondition Failed\n") end
  local ranges = conditional.ranges(req, tag, time, size)
  if ranges == nil then return sendrange(res, fields, opened, 0, size - 1) end
  if not ranges then
    fields["Content-Range"] = ("bytes */%d"):format(size)
    return refuse(res, fields, 416, "Range Not Satisfiable\n")
  end
  res.status = 206
  if #ranges > 1 then return sendranges(res, fields, opened, ranges, size) end
  fields["Content-Range"] = contentrange(ranges[1], size)
  return sendrange(res, fields, opened, ranges[1][1], ranges[1][2])
end

--- Answers for a file that could not be opened; nil, message, code.
function file.missing(res, message, code)
  local status = missing[code] and 404 or 500
  res:_send(status, nil, status == 404 and "Not Found\n" or "Internal Server Error\n")
  return nil, message, code
end

--- Sends what was opened; see res:sendfile.
function file.send(res, path, opts, opened, size, time, nanoseconds)
  local tag = ('"%x-%x"'):format(time * 1000000000 + nanoseconds, size)
  local fields
  fields, tag = describe(res, path, opts, tag, time)
  if res.status ~= 200 then return sendrange(res, fields, opened, 0, size - 1) end
  return answer(res, fields, opened, size, tag, time)
end

-- Directories ---------------------------------------------------------------------

-- A directory's name without the slash at its end: relative links would go astray.
local function redirect(req, res)
  local path = req.raw_path:gsub("^/+", "/")
  local query = req.query
  return res:redirect(path .. "/" .. (query and "?" .. query or ""), 301)
end

local OPTIONS = misuse.names "index hidden max_age"

--- Makes a handler that serves the files below a directory, by the path of the
-- request; see `docs/http.md`.
-- @tparam string root
-- @tparam[opt] table opts `index` ("index.html"; false: none), `hidden` (true: names
-- that begin with a dot, too), `max_age` (seconds)
-- @treturn function handler
function file.files(root, opts)
  if type(root) ~= "string" then
    misuse.bad(1, "files", misuse.expected("string", root))
  end
  opts = misuse.options(2, "files", opts, OPTIONS)
  local index, hidden = opts.index == nil and "index.html" or opts.index, opts.hidden
  local how = {root = root, max_age = opts.max_age}
  return function(req, res)
    local method, path = req.method, req.path
    if method ~= "GET" and method ~= "HEAD" then
      return 405, {Allow = "GET, HEAD"}, "Method Not Allowed\n"
    end
    if not hidden and path:find("/.", 1, true) then return file.missing(res, "", "ENOENT") end
    if index and path:sub(-1) == "/" then path = path .. index end
    local opened <close>, size, time, nanoseconds = core.http_file(path, root)
    if opened then return file.send(res, path, how, opened, size, time, nanoseconds) end
    if time == "EISDIR" and index then return redirect(req, res) end
    return file.missing(res, size, time)
  end
end

return file
