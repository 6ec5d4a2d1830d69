-- For the specs of gevent.ssl: certificates made by the openssl program, once
-- for the process, in a directory that goes with it; pairs of TLS sockets.

local helper = require "helper"
local gevent = require "gevent"
local ssl = require "gevent.ssl"
local quote = require "helper_process".quote

local KEEP = "gevent.spec.tls" -- registry key; survives busted's insulation
local registry = debug.getregistry()

local tls = {}

--- Is the program there?
function tls.have(program)
  return (os.execute("command -v " .. program .. " >/dev/null 2>&1"))
end

--- helper.it where the program is there; pending otherwise.
function tls.with(program)
  return tls.have(program) and helper.it or function(text)
    require "busted".pending(text .. " (no " .. program .. ")")
  end
end

-- Certificates ------------------------------------------------------------------

--- The directory of the certificates; removed when the state is closed.
function tls.dir()
  local kept = registry[KEEP]
  if not kept then
    local pipe <close> = assert(io.popen("mktemp -d"))
    kept = setmetatable({dir = assert(pipe:read("l"))}, {__gc = function(self)
      os.execute("rm -rf " .. quote(self.dir))
    end})
    registry[KEEP] = kept
  end
  return kept.dir
end

--- Runs a shell command in that directory; raises what it has printed if it
-- fails.
function tls.run(command, ...)
  local words = table.pack(...)
  for i = 1, words.n do words[i] = quote(words[i]) end
  local pipe = assert(io.popen(("cd %s && (%s) 2>&1"):format(quote(tls.dir()),
    command:format(table.unpack(words)))))
  local out = pipe:read("a")
  if not pipe:close() then error(command .. " failed:\n" .. out, 2) end
  return out
end

function tls.write(name, text)
  local path = tls.dir() .. "/" .. name
  local f <close> = assert(io.open(path, "wb"))
  f:write(text)
  return path
end

local function described(name)
  local dir = tls.dir()
  local made = {name = name, cert = ("%s/%s.pem"):format(dir, name),
    key = ("%s/%s.key"):format(dir, name)}
  made.cert_pem, made.key_pem = helper.slurp(made.cert), helper.slurp(made.key)
  return made
end

local EC = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"

--- An authority: its own certificate, the key. Made once for each name.
function tls.authority(name)
  if not helper.slurp(tls.dir() .. "/" .. name .. ".pem") then
    tls.run("openssl req -x509 " .. EC .. " -keyout %s -out %s -subj %s -days 30",
      name .. ".key", name .. ".pem", "/O=gevent specs/CN=" .. name)
  end
  return described(name)
end

--- A certificate `{name=, cert=, key=, cert_pem=, key_pem=}`: two paths, and
-- what is there.
-- @param opts `authority` ("ca"), `subject`, `alt` (subjectAltName), `newkey`
function tls.certificate(name, opts)
  opts = opts or {}
  local authority = tls.authority(opts.authority or "ca")
  if not helper.slurp(tls.dir() .. "/" .. name .. ".pem") then
    tls.write(name .. ".ext", "subjectAltName=" .. (opts.alt or "DNS:localhost,IP:127.0.0.1"))
    tls.run("openssl req " .. (opts.newkey or EC) .. " -keyout %s -out %s -subj %s",
      name .. ".key", name .. ".csr", opts.subject or "/O=gevent specs/CN=" .. name)
    tls.run("openssl x509 -req -in %s -CA %s -CAkey %s -CAcreateserial -days 30 "
      .. "-extfile %s -out %s", name .. ".csr", authority.cert, authority.key,
      name .. ".ext", name .. ".pem")
  end
  return described(name)
end

-- Contexts and sockets -------------------------------------------------------------

--- A server's context: certificate for localhost and 127.0.0.1.
function tls.server(opts)
  opts = opts or {}
  local own = opts.own or tls.certificate "localhost"
  local all = {role = "server", cert = own.cert, key = own.key}
  for name, value in pairs(opts) do
    if name ~= "own" then all[name] = value end
  end
  return assert(ssl.create_default_context(all))
end

--- A client's, which trusts the authority.
function tls.client(opts)
  local all = {cafile = tls.authority("ca").cert}
  for name, value in pairs(opts or {}) do all[name] = value end
  return assert(ssl.create_default_context(all))
end

--- Wraps both ends at once: the results of either, as lists.
-- @param opts `client`, `server` (contexts), `client_opts`, `server_opts`
function tls.wrap(a, b, opts)
  opts = opts or {}
  local client_opts = {server_hostname = "localhost"}
  for name, value in pairs(opts.client_opts or {}) do client_opts[name] = value end
  local server_opts = {server_side = true}
  for name, value in pairs(opts.server_opts or {}) do server_opts[name] = value end
  local server = gevent.spawn(function()
    return table.pack((opts.server or tls.server()):wrap_socket(b, server_opts))
  end)
  local client = table.pack((opts.client or tls.client()):wrap_socket(a, client_opts))
  return client, server:get()
end

--- Two TLS sockets that are connected: client, server.
-- @param opts as wrap's, and `tcp` (true: over TCP), `over` (function that gives two
-- streams)
function tls.pair(opts)
  local a, b
  if opts and opts.over then
    a, b = opts.over()
  elseif opts and opts.tcp then
    a, b = helper.tcp_pair()
  else
    a, b = helper.pair()
  end
  local client, server = tls.wrap(a, b, opts)
  if not client[1] then error("client: " .. client[2], 2) end
  if not server[1] then error("server: " .. server[2], 2) end
  return client[1], server[1]
end

--- Connects by these contexts: client, server; a failed one is `{message, code}`.
function tls.connect(client, server, client_opts)
  local a, b = helper.pair()
  local one, two = tls.wrap(a, b,
    {client = client, server = server, client_opts = client_opts})
  return one[1] or {one[2], one[3]}, two[1] or {two[2], two[3]}
end

--- Does a connection come about? It is closed again.
-- @return boolean, the message of the client's failure, of the server's
function tls.connects(client, server, client_opts)
  local one, two = tls.connect(client, server, client_opts)
  local ok = type(one) == "userdata" and type(two) == "userdata"
  -- In TLS 1.3 the client hears of a refusal of its certificate when it reads.
  if ok then
    two:sendall("x")
    ok = one:recv(1) == "x"
  end
  for _, sock in ipairs {one, two} do
    if type(sock) == "userdata" then sock:close() end
  end
  return ok, type(one) == "table" and one[1] or nil, type(two) == "table" and two[1] or nil
end

--- What an operation returned that was to fail: its code, its message.
function tls.failure(first, message, code)
  if first ~= nil then error("it did not fail but gave " .. tostring(first), 2) end
  return code, message
end

--- For `local _ <close> = tls.closer(sock, ...)`.
function tls.closer(...)
  local all = {...}
  return helper.defer(function()
    for _, sock in ipairs(all) do sock:close() end
  end)
end

return tls
