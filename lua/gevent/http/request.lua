-- gevent.http.request: methods of requests that need no C (private; the
-- fields, `read` and `body` are in the core). Adds them to the core's class.
-- Returns the function that is called when a request is over which has files.
local core = require "gevent._core"
local form = require "gevent.http.form"
local lines = require "gevent.http._lines"
local misuse = require "gevent._misuse"
local multipart = require "gevent.http.multipart"

local URLENCODED = "application/x-www-form-urlencoded"
local MULTIPART = "multipart/form-data"

local methods = core.http_request_methods

--- The lines of the body.
-- @tparam[opt="l"] string|integer format as in `read`
-- @treturn function iterator; as in `io`, a failure raises
-- @function methods:lines
methods.lines = lines


--- What the query says.
-- @tparam[opt] boolean all lists of all values instead of the last ones
-- @treturn table name -> value, or name -> list
function methods:args(all)
  return (form.parse(self.query or "", all))
end

-- The body cannot be used: the server answers so unless the handler does.
local function refuse(req, message, code)
  req:_refuse(code == "toolarge" and 413 or 400, message)
  return nil, message, code
end

local function urlencoded(req, opts)
  local body, message, code = req:body()
  if not body then return nil, message, code end
  local fields
  fields, message = form.parse(body, true, opts.max_fields or multipart.MAX_FIELDS)
  if not fields then return refuse(req, message, "toolarge") end
  return fields
end

local function multiple(req, kind, opts)
  local files = {}
  req._files = files
  req:_note() -- now: the reading may be interrupted
  local fields, message, code = multipart.read(req, kind, opts, files)
  if fields then return fields end
  if code == "malformed" or code == "toolarge" then return refuse(req, message, code) end
  return nil, message, code
end

local function readform(req, opts)
  local value = req.headers["content-type"] or ""
  local kind = value:match("^[^;%s]*"):lower()
  if kind == URLENCODED then return urlencoded(req, opts) end
  if kind == MULTIPART then return multiple(req, value, opts) end
  return nil, ("not a form: the content type is '%s'"):format(kind), "unsupported"
end

local OPTIONS = misuse.names [[
  all max_fields max_memory max_file_memory max_file_bytes]]

--- The fields of a form in the body: urlencoded, or multipart, where files are
-- `Upload`s, which are closed when the request is over. May be called again.
-- @tparam[opt] boolean|table opts true, or `all = true`: lists of all values
-- instead of the last ones; `max_fields`, `max_memory` (bytes of the values that
-- are no files), `max_file_memory` (larger files go to disk), `max_file_bytes`
-- @treturn[1] table name -> value, or name -> list
-- @return[2] nil, message, code: "unsupported", "malformed", "toolarge", or
-- those of `body`
function methods:form(opts)
  if type(opts) ~= "table" then opts = {all = opts} end
  misuse.options(1, "form", opts, OPTIONS)
  local fields = self._form
  if not fields then
    local message, code
    fields, message, code = readform(self, opts)
    if not fields then return nil, message, code end
    self._form = fields
  end
  if opts.all then return fields end
  local last = {}
  for name, values in pairs(fields) do last[name] = values[#values] end
  return last
end

--- The cookies that the client sent.
-- @treturn table name -> value
function methods:cookies()
  return form.cookies(self.headers:get_all("cookie"))
end

return function(req)
  for _, file in ipairs(req._files or {}) do file:close() end
end
