-- gevent.http.request: methods of requests that need no C (private; the
-- fields, `read` and `body` are in the core). Adds them to the core's class.
local core = require "gevent._core"
local form = require "gevent.http.form"

local URLENCODED = "application/x-www-form-urlencoded"

local methods = core.http_request_methods

--- The lines of the body.
-- @tparam[opt="l"] string|integer format as in `read`
-- @treturn function iterator; as in `io`, a failure raises
function methods:lines(format)
  return function()
    local line, message, code = self:read(format)
    if line == nil and code ~= "closed" then error(message, 2) end
    if line == "" and format and tostring(format):find("^%*?a") then return nil end
    return line
  end
end

--- What the query says.
-- @tparam[opt] boolean all lists of all values instead of the last ones
-- @treturn table name -> value, or name -> list
function methods:args(all)
  return form.parse(self.query or "", all)
end

--- The fields of a form in the body.
-- @tparam[opt] boolean all lists of all values instead of the last ones
-- @treturn[1] table name -> value, or name -> list
-- @return[2] nil, message, code
function methods:form(all)
  local kind = (self.headers["content-type"] or ""):match("^[^;%s]*"):lower()
  if kind ~= URLENCODED then
    return nil, ("not a form: the content type is '%s'"):format(kind), "unsupported"
  end
  local body, message, code = self:body()
  if not body then return nil, message, code end
  return form.parse(body, all)
end

--- The cookies that the client sent.
-- @treturn table name -> value
function methods:cookies()
  return form.cookies(self.headers:get_all("cookie"))
end
