-- gevent.http.response: methods of responses that need no C (private; `write`
-- and `finish` are in the core). Adds them to the core's class.
local core = require "gevent._core"
local misuse = require "gevent._misuse"
local events = require "gevent.http.events"
local file = require "gevent.http.file"

local SAME_SITE = {strict = "Strict", lax = "Lax", none = "None"}
local REDIRECTS = {
  [300] = true, [301] = true, [302] = true, [303] = true, [307] = true, [308] = true,
}

local methods = core.http_response_methods

-- Writes what an iterator gives, until it ends or the client is gone.
local function writeall(res, body)
  if type(body) == "string" then return res:write(body) end
  if type(body) == "table" and not (getmetatable(body) or {}).__call then
    body = table.concat(body)
    return res:write(body)
  end
  for part in body do
    if type(part) ~= "string" and type(part) ~= "number" then
      error(("part of the body is a %s, not a string"):format(type(part)), 0)
    end
    local ok, message, code = res:write(part)
    if not ok then return nil, message, code end
  end
  return res
end

-- Takes over what a handler or `send` gave for status and headers.
local function begin(res, status, headers)
  if status then res.status = status end
  if not headers then return end
  local own = res.headers
  if type(headers) == "table" then
    for name, value in pairs(headers) do own[name] = value end
    return
  end
  local lists = {}
  for name, value in headers:each() do
    local key = name:lower()
    lists[key] = lists[key] or {}
    table.insert(lists[key], value)
  end
  for name, values in pairs(lists) do own[name] = values end
end

--- Sends a whole answer.
-- @tparam[opt=200] integer status
-- @tparam[opt] table headers
-- @tparam[opt] string|table|function body string, list of strings, or
-- iterator, which may block
-- @return the response; or nil, message, code where the client is gone
function methods:send(status, headers, body)
  if type(body) == "table" and not (getmetatable(body) or {}).__call then
    body = table.concat(body)
  end
  if body == nil or type(body) == "string" or type(body) == "number" then
    return self:_send(status, headers, body)
  end
  if type(body) ~= "function" and type(body) ~= "table" then
    error("bad argument #3 to 'send' (string, list or iterator expected, got "
      .. type(body) .. ")", 2)
  end
  if self.started then error("the answer has begun already", 2) end
  begin(self, status, headers)
  local ok, message, code = writeall(self, body)
  if not ok then return nil, message, code end
  return self:finish()
end

local SENDING = misuse.names "root type max_age filename"

--- Sends a regular file, or the parts of it that the client asks for. One that
-- is not there, or not to be read, is answered with 404. ETag and Last-Modified
-- are sent, and the conditions of the request obeyed, unless `res.status` was set
-- to something else than 200.
-- @tparam string path
-- @tparam[opt] table opts `root`: the directory that `path` is in, and cannot leave;
-- `type` (content type; else by the extension), `max_age` (seconds, Cache-Control),
-- `filename` (the client is to save it under that name)
-- @return the response; or nil, message, code
function methods:sendfile(path, opts)
  if self.started then error("the answer has begun already", 2) end
  opts = misuse.options(2, "sendfile", opts, SENDING)
  local opened <close>, size, time, nanoseconds = core.http_file(path, opts.root)
  if not opened then return file.missing(self, size, time) end
  return file.send(self, path, opts, opened, size, time, nanoseconds)
end

--- Begins an answer of server-sent events: `events:send(data [, {event=, id=,
-- retry=}])`, `events:comment([text])`.
-- @return the events; or nil, message, code where the client is gone
function methods:events()
  if self.started then error("the answer has begun already", 2) end
  return events(self)
end

--- Sends the client elsewhere.
-- @tparam string url
-- @tparam[opt=302] integer status 300 to 303, 307 or 308
-- @return the response; or nil, message, code where the client is gone
function methods:redirect(url, status)
  status = status or 302
  if not REDIRECTS[status] then
    error("bad argument #2 to 'redirect' (status of a redirection expected)", 2)
  end
  self.headers["Location"] = url
  return self:_send(status)
end

local function checkpart(what, text, pattern)
  if type(text) ~= "string" or text:find(pattern) then
    error(("bad %s of a cookie: %s"):format(what, tostring(text)), 3)
  end
  return text
end

-- Names by which browsers know how a cookie was set; they drop it otherwise.
local function checkprefix(name, opts)
  local prefix = name:lower():match("^__%a+%-")
  if prefix == "__secure-" and not opts.secure
    or prefix == "__host-" and not (opts.secure and opts.path == "/" and not opts.domain) then
    error(("bad name of a cookie: '%s' needs other attributes"):format(name), 3)
  end
end

local COOKIE = misuse.names [[
  path domain max_age expires secure http_only same_site partitioned]]

--- Adds a Set-Cookie field.
-- @tparam string name
-- @tparam string value without spaces, quotes, commas, semicolons, backslashes
-- @tparam[opt] table opts `path`, `domain`, `max_age` (seconds), `expires` (time
-- as of `os.time`), `secure`, `http_only`, `same_site` ("strict", "lax", "none"),
-- `partitioned`
function methods:set_cookie(name, value, opts)
  if self.started then error("the answer has begun already", 2) end
  opts = misuse.options(3, "set_cookie", opts, COOKIE)
  checkpart("name", name, "[^%w!#$%%&'*+%-.^_`|~]")
  if name == "" then error("bad name of a cookie: it is empty", 2) end
  checkpart("value", value, '[%c%s",;\\\127-\255]')
  checkprefix(name, opts)
  local parts = {name .. "=" .. value}
  local function add(attribute, text)
    parts[#parts + 1] = text and attribute .. "=" .. text or attribute
  end
  if opts.path then add("Path", checkpart("path", opts.path, "[%c;]")) end
  if opts.domain then add("Domain", checkpart("domain", opts.domain, "[^%w.:%-]")) end
  if opts.max_age then add("Max-Age", ("%d"):format(opts.max_age)) end
  if opts.expires then
    add("Expires", core.http_date(opts.expires))
  end
  if opts.secure then add("Secure") end
  if opts.http_only then add("HttpOnly") end
  if opts.same_site then
    local word = SAME_SITE[tostring(opts.same_site):lower()]
    if not word then error("bad same_site of a cookie: " .. tostring(opts.same_site), 2) end
    add("SameSite", word)
  end
  if opts.partitioned then add("Partitioned") end
  self.headers:add("Set-Cookie", table.concat(parts, "; "))
end

--- What the core calls for a body that comes in parts.
return function(res, body, status, headers)
  if not res.started then begin(res, status, headers) end
  writeall(res, body)
end
