---@meta gevent.http.cookies
-- Made by `make types` from lua/gevent/http/cookies.lua: change that.

---A client's cookies (RFC 6265).
---There is no list of public suffixes here: a server may set a cookie for the
---domain above its own, but not for a name without a dot.
---@class gevent.http.cookies
local M = {}

---Cookies of several servers.
---@class gevent.http.cookies.CookieJar
local CookieJar = {}

---Goes through the cookies: tables with `name value domain path host_only
---secure http_only expires` (seconds since 1970; nil: until the end).
---@return function # iterator
function CookieJar:each() end

---Forgets all, or those of a domain.
---@param domain? string
function CookieJar:clear(domain) end

---Is it one?
---@param value any anything
---@return boolean
function M.isjar(value) end

---@type gevent.http.cookies.CookieJar|fun(...): gevent.http.cookies.CookieJar
M.CookieJar = nil

return M
