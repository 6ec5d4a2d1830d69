---@meta
-- What a handler of gevent.http gets: made in C. Written by hand.

---@class gevent.http.Headers
---@field [string] string? the value, several joined by ", "; set by assignment, a list sets several
local Headers = {}

---@param name string
---@return string[]
function Headers:get_all(name) end

---@param name string
---@param value string
function Headers:add(name, value) end

---@return fun(): string?, string? name, value
function Headers:each() end

---A request. Any other field may be set on it.
---@class gevent.http.Request
---@field method string
---@field target string as it was sent
---@field path string decoded
---@field raw_path string
---@field query string? after `?`, as it was sent
---@field version "1.0"|"1.1"
---@field headers gevent.http.Headers
---@field host string with its port
---@field remote_host string?
---@field remote_port integer?
---@field scheme "http"|"https"
---@field params table<string, string> what the router found in the path
---@field [any] any
local Request = {}

---@param what? integer|"a"|"l"|"L"
---@return string? data
---@return string? message
---@return string? code
function Request:read(what) end

---@param max? integer bytes
---@return string? body
---@return string? message
---@return string? code
function Request:body(max) end

---@param format? string
---@return fun(): string?
function Request:lines(format) end

---@param all? boolean lists of all values
---@return table<string, any>
function Request:args(all) end

---@param opts? boolean|table
---@return table<string, any>? fields
---@return string? message
---@return string? code
function Request:form(opts) end

---@return table<string, string>
function Request:cookies() end

---@return gevent.socket.socket? the stream, for another protocol
---@return string? message
---@return string? code
function Request:takeover() end

---What is to be answered.
---@class gevent.http.Answer
---@field status integer
---@field reason string?
---@field headers gevent.http.Headers
---@field started boolean
---@field finished boolean
local Answer = {}

---@param chunk string
---@return gevent.http.Answer?
---@return string? message
---@return string? code
function Answer:write(chunk) end

---@param chunk? string
---@param trailers? table<string, string>
---@return gevent.http.Answer?
---@return string? message
---@return string? code
function Answer:finish(chunk, trailers) end

---@param status integer
---@param headers? table<string, string|string[]>
---@param body? string|string[]|fun(): string?
---@return gevent.http.Answer?
---@return string? message
---@return string? code
function Answer:send(status, headers, body) end

---@param path string
---@param opts? {root: string?, type: string?, max_age: number?, filename: string?}
---@return gevent.http.Answer?
---@return string? message
---@return string? code
function Answer:sendfile(path, opts) end

---@param url string
---@param status? integer 302 unless told
---@return gevent.http.Answer?
function Answer:redirect(url, status) end

---@param name string
---@param value string
---@param opts? {path: string?, domain: string?, max_age: number?, expires: number?, secure: boolean?, http_only: boolean?, same_site: string?, partitioned: boolean?}
function Answer:set_cookie(name, value, opts) end

---@return gevent.http.events.Events
function Answer:events() end
