-- What a newcomer gets wrong, and what the library says to it: the function, the
-- argument, what it got, what it wanted, and the fix where one is common.

local helper = require "helper"
local gevent = require "gevent"
local http = require "gevent.http"
local socket = require "gevent.socket"
local ssl = require "gevent.ssl"
local subprocess = require "gevent.subprocess"
local websocket = require "gevent.websocket"
local Pool = require "gevent.pool".Pool
local Queue = require "gevent.queue".Queue
local StreamServer = require "gevent.server".StreamServer
local it = helper.it

local function nothing() end

local app = http.Router()

local mistakes = {
  ["a call in place of a function"] = {
    function() gevent.spawn(nothing()) end,
    "bad argument #1 to 'spawn' %(function expected, got no value%)"},
  ["the same in a pool"] = {
    function() Pool(2):spawn(nothing()) end,
    "bad argument #1 to 'spawn' %(function expected, got nil%)"},
  ["arguments in the wrong order"] = {
    function() gevent.with_timeout(nothing, 1) end, "'with_timeout'"},
  ["a greenlet where a list is wanted"] = {
    function() gevent.joinall(gevent.getcurrent()) end,
    "'joinall' %(list expected, got userdata%)"},
  ["a sequence that is none"] = {
    function() Pool(2):map(nothing, 2) end, "#2 to 'map' %(a sequence.*got number"},
  ["a function that is none"] = {
    function() Pool(2):imap(1, {}) end, "#1 to 'imap' %(function expected, got number"},
  ["no handler"] = {
    function() http.Server(8080) end, "Server' %(function expected, got nil%)"},
  ["a listener that is none"] = {
    function() StreamServer("localhost", nothing) end,
    "bad listener 'localhost' %(\"host:port\", \":port\", \"unix:/path\" or a port"},
  ["options that are none"] = {
    function() http.Server(0, nothing, 5) end, "#3 to 'http.Server' %(table expected, got number"},
  ["the time-out of LuaSocket's"] = {
    function() socket.create_connection("127.0.0.1", 1, 5) end,
    "table expected, got number; a time%-out is {timeout = seconds}"},
  ["no port"] = {
    function() socket.create_connection("127.0.0.1") end, "port expected, got nil"},
  ["a dot for a colon"] = {
    function()
      local sock <close> = assert(socket.socket())
      sock.recv(10)
    end, "'recv' %(socket or file expected, got number%)"},
  ["nil in a queue"] = {function() Queue():put(nil) end, "'put' %(nil is no item%)"},
  ["a pattern without a slash"] = {
    function() app:get("x", nothing) end, "'get' %(a path begins with '/', got 'x'%)"},
  ["a URL without a scheme"] = {
    function() http.get("localhost:80") end, "bad url 'localhost:80': no scheme"},
  ["http for ws"] = {
    function() websocket.connect("http://x") end, "not a ws:// or wss:// URL.*http://x"},
  ["an option that there is not"] = {
    function() ssl.create_default_context {certt = "x"} end,
    "'SSLContext' %(unknown option 'certt': is 'cert' meant%?%)"},
  ["one of a process"] = {
    function() subprocess.Popen("x", {std_out = 1}) end, "unknown option 'std_out'"},
  ["a slip in an option"] = {
    function() socket.create_connection("127.0.0.1", 1, {timout = 1}) end,
    "#3 to 'create_connection' %(unknown option 'timout': is 'timeout' meant%?%)"},
  ["one of a server"] = {
    function() http.Server(0, nothing, {max_body_byte = 1}) end,
    "#3 to 'http.Server' %(unknown option 'max_body_byte': is 'max_body_bytes' meant%?%)"},
  ["one of a request"] = {
    function() http.get("http://127.0.0.1:1/", {redirect = 1}) end,
    "#2 to 'get' %(unknown option 'redirect': is 'redirects' meant%?%)"},
  ["one of a directory"] = {
    function()
      http.files(".", {hiden = true})
    end, "#2 to 'files' %(unknown option 'hiden': is 'hidden' meant%?%)"},
  ["an option of another function"] = {
    function() gevent.joinall({}, 1, {limit = 2}) end,
    "'joinall' %(unknown option 'limit': there are count, raise_error%)"},
  ["a dot for a colon in a pool"] = {
    function() Pool(2).spawn(nothing) end,
    "'spawn' %(Group or Pool expected, got function; methods are called with ':'%)"},
  ["a closure for a thread"] = {
    function()
      local upvalue = 1
      local pool <close> = require "gevent.threadpool".ThreadPool(1)
      pool:spawn(function() return upvalue end)
    end, "the function has the upvalue 'upvalue', .* pass it as an argument"},
  ["a signal that there is not"] = {
    function() gevent.signal_handler("SIGFOO", nothing) end, "'SIGFOO' is no signal"},
  ["a setting that there is not"] = {
    function() gevent.config.foo = 1 end, "unknown setting 'foo'"},
}

describe("a table of options", function()
  it("may carry what is somebody else's, where it is a server's or a request's", function()
    local srv = http.Server("127.0.0.1:0", nothing, {mine = 1})
    assert.is_false(srv.started)
    local _, _, code = http.get("http://127.0.0.1:1/", {mine = 1})
    assert.equal("ECONNREFUSED", code)
  end)
end)

describe("the message to", function()
  for what, mistake in pairs(mistakes) do
    it(what, function()
      local ok, message = pcall(mistake[1])
      assert.is_false(ok)
      assert.matches(mistake[2], tostring(message))
    end)
  end
end)
