-- bench/peers/luahttp_http_hello.lua - the http_hello figure with lua-http,
-- the HTTP library on cqueues (Debian's runs on Lua 5.1).
-- usage: lua5.1 bench/peers/luahttp_http_hello.lua PORT
local http_headers = require "http.headers"
local http_server = require "http.server"

local function hello(_, stream)
  assert(stream:get_headers())
  local headers = http_headers.new()
  headers:append(":status", "200")
  headers:append("content-type", "text/plain; charset=utf-8")
  headers:append("content-length", "5")
  assert(stream:write_headers(headers, false))
  assert(stream:write_chunk("hello", true))
end

local server = assert(http_server.listen{
  host = "127.0.0.1", port = tonumber(arg[1]), tls = false,
  onstream = hello, onerror = function() end})
assert(server:listen())
assert(server:loop())
