-- TLS: contexts, handshakes, data both ways, sessions, the end.
require "gevent"
local server = require "gevent.server"
local socket = require "gevent.socket"
local ssl = require "gevent.ssl"

local dir = assert(os.getenv "MEMERR_TLS", "MEMERR_TLS: the directory of a.pem, a.key, ca.pem")
local silent = {write = function() end}

local function echo(sock)
  while true do
    local data = sock:recv(65536)
    if not data or data == "" then return end
    if not sock:sendall(data) then return end
  end
end

return _G.guarded(function()
  local of_server = assert(ssl.create_default_context{role = "server",
    cert = dir .. "/a.pem", key = dir .. "/a.key"})
  of_server:set_alpn_protocols{"one", "two"}
  local of_client = assert(ssl.create_default_context{cafile = dir .. "/ca.pem"})
  of_client:set_alpn_protocols{"two"}
  local srv <close> = server.StreamServer("127.0.0.1:0", echo,
    {ssl_context = of_server, error_log = silent})
  srv._patience = 0.02
  assert(srv:start())
  local session
  for _ = 1, 2 do
    local sock <close> = assert(socket.create_connection("127.0.0.1", srv.port,
      {ssl = of_client, server_hostname = "localhost", session = session}))
    assert(sock:sendall(("x"):rep(40000)))
    assert(sock:readexactly(40000))
    assert(sock:write("line\n") and sock:read("l") == "line")
    assert(sock:version() and sock:cipher())
    assert(sock:getpeercert().subject and sock:getpeercert(true))
    assert(sock:selected_alpn_protocol() == "two")
    session = sock:session()
  end
  local a, b = assert(socket.socketpair())
  local first <close> = a
  local second <close> = b
  local other = _G.task(function()
    local _ <close> = second
    local wrapped <close> = assert(of_server:wrap_socket(second, {server_side = true}))
    wrapped:sendall("hello")
    wrapped:unwrap()
  end)
  local wrapped <close> = assert(of_client:wrap_socket(first, {server_hostname = "localhost"}))
  assert(wrapped:read(5) == "hello")
  wrapped:unwrap()
  other:join()
  assert(not ssl.create_default_context{cafile = "no such file"})
end)
