-- gevent.http._lines: the lines of a body, of requests and of answers (private).

--- The lines of the body.
-- @tparam[opt="l"] string|integer format as in `read`
-- @treturn function iterator; as in `io`, a failure raises
return function(self, format)
  return function()
    local line, message, code = self:read(format)
    if line == nil and code ~= "closed" then error(message, 2) end
    if line == "" and format and tostring(format):find("^%*?a") then return nil end
    return line
  end
end
