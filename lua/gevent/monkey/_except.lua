--- LuaSocket's `newtry` and `protect`. Private to `gevent.monkey`.
-- An error of `try` is a table with a metatable of its own. Where LuaSocket's
-- C half is loaded too, that metatable is used: a function that was protected
-- before the patch then knows the errors of those made after it.

--- Makes the functions.
-- @tparam ?function original LuaSocket's own newtry
return function(original)
  local mark = {__metatable = false}
  if original then
    local _, err = pcall(original(), nil, "probe")
    mark = debug.getmetatable(err) or mark
  end

  --- Unlike LuaSocket's, the finalizer may block.
  local function newtry(finalizer)
    return function(...)
      if ... then return ... end
      if finalizer then finalizer() end
      error(setmetatable({(select(2, ...))}, mark), 0)
    end
  end

  local function finish(ok, ...)
    if ok then return ... end
    local err = ...
    if type(err) == "table" and rawequal(debug.getmetatable(err), mark) then
      return nil, err[1]
    end
    error(err, 0)
  end

  local function protect(fn)
    return function(...) return finish(pcall(fn, ...)) end
  end

  return {newtry = newtry, protect = protect}
end
