--- TLS: contexts, and sockets that are wrapped in them.
-- A TLS socket is a socket (see `gevent.socket`) with a few methods more. What
-- fails returns nil, message, code: "ESSL" with OpenSSL's words, or what
-- sockets have. All is told in `docs/tls.md`.
-- @module gevent.ssl
local core = require "gevent._core"
local misuse = require "gevent._misuse"

local bad, expected = misuse.bad, misuse.expected

local ssl = {
  --- Which OpenSSL this is.
  OPENSSL_VERSION = core.openssl_version,
}

-- SSLContext ------------------------------------------------------------------------

--- What connections have in common. Fields: `verify_mode` ("none", "optional",
-- "required"), `check_hostname`, `minimum_version`, `maximum_version`
-- ("TLSv1.2", "TLSv1.3"), `crl_check` ("none", "leaf", "chain"),
-- `verify_depth`, `session_tickets`, `ktls` (booleans).
-- @type SSLContext
local Context = core.tls_context_methods

--- Is it an SSLContext?
function ssl.iscontext(value)
  return type(value) == "userdata" and (getmetatable(value) or {}).__name == "SSLContext"
end

--- Is it an SSLSession?
function ssl.issession(value)
  return type(value) == "userdata" and (getmetatable(value) or {}).__name == "SSLSession"
end

local FIELDS = {"verify_mode", "check_hostname", "minimum_version", "maximum_version",
  "crl_check", "verify_depth", "session_tickets", "ktls"}

-- Loads what the options name, in this order.
local LOADS = {
  {"cafile", Context.load_verify_locations},
  {"capath", Context.load_verify_locations},
  {"cadata", Context.load_verify_locations},
  {"crl", Context.load_verify_locations},
  {"ciphers", Context.set_ciphers},
  {"curves", Context.set_curves},
  {"alpn_protocols", Context.set_alpn_protocols},
}

local KNOWN = {role = true, cert = true, key = true, password = true,
  servername_callback = true}
for _, name in ipairs(FIELDS) do KNOWN[name] = true end
for _, load in ipairs(LOADS) do KNOWN[load[1]] = true end

-- Options that are not checked by their field.
local TYPES = {cert = "string", key = "string", password = "string", cafile = "string",
  capath = "string", cadata = "string", crl = "string", ciphers = "string",
  curves = "string", alpn_protocols = "table"}

local function checkoptions(opts)
  opts = misuse.options(1, "SSLContext", opts, KNOWN)
  for name, value in pairs(opts) do
    local wanted = TYPES[name]
    if wanted and type(value) ~= wanted then
      bad(1, "SSLContext", name .. ": " .. expected(wanted, value))
    end
  end
  if opts.cert == nil and (opts.key or opts.password) then
    bad(1, "SSLContext", "a key without a cert")
  end
  local role = opts.role
  if role ~= nil and role ~= "client" and role ~= "server" then
    bad(1, "SSLContext", ('role: "client" or "server" expected, got %s'):format(tostring(role)))
  end
  return opts
end

local function apply(context, opts)
  for _, name in ipairs(FIELDS) do
    if opts[name] ~= nil then context[name] = opts[name] end
  end
  for _, load in ipairs(LOADS) do
    local value = opts[load[1]]
    if value ~= nil then
      local ok, message, code = load[2](context, value)
      if not ok then return nil, message, code end
    end
  end
  if opts.cert ~= nil then
    local ok, message, code = context:load_cert_chain(opts.cert, opts.key, opts.password)
    if not ok then return nil, message, code end
  end
  if opts.servername_callback then
    context:set_servername_callback(opts.servername_callback)
  end
  return context
end

--- Makes a context with safe defaults: TLS 1.2 or newer; a client verifies peer
-- and host name against the system's trust store, a server asks for no
-- certificate.
-- @tparam[opt] table opts `role` ("client", or "server": what we are), `cafile`,
-- `capath`, `cadata` (whom to trust, instead of the system's store: file,
-- directory, PEM), `crl` (file or PEM), `cert`, `key` (file or PEM), `password`,
-- `ciphers`, `curves`, `alpn_protocols`, `servername_callback`, and the fields
-- @treturn[1] SSLContext
-- @return[2] nil, message, code
function ssl.SSLContext(opts)
  opts = checkoptions(opts)
  local context, why, errcode = core.tls_context(opts.role == "server")
  if not context then return nil, why, errcode end
  local ok, result, message, code = pcall(apply, context, opts)
  if not ok then error(result:gsub("^.-:%d+: ", ""), 2) end -- of a value that is misuse
  if result then return result end
  return nil, message, code
end

--- The same.
-- @function create_default_context
-- @tparam[opt] table opts
-- @treturn SSLContext
ssl.create_default_context = ssl.SSLContext

local default

--- The context of `create_connection{ssl=true}`.
-- @treturn SSLContext
function ssl.default_client_context()
  default = default or ssl.create_default_context()
  return default
end

-- The handshake ----------------------------------------------------------------------

-- What the callback says of the name. An error is sent as an alert, then raised.
local function choose(sock, name)
  local context, callback = sock:_context()
  local ok, chosen = pcall(callback, sock, name, context)
  if ok and chosen and not ssl.iscontext(chosen) then
    ok, chosen = false, ("bad result of the servername callback (SSLContext, nil or "
      .. "false expected, got %s)"):format(type(chosen))
  end
  if ok then
    sock:_choose(chosen)
  else
    sock:_choose("error")
    sock:_handshake(0)
    error(chosen, 0)
  end
end

local function do_handshake(sock, timeout)
  local seconds = misuse.seconds(1, "do_handshake", timeout) or sock:gettimeout()
  local deadline = seconds and seconds > 0 and core.monotonic() + seconds
  local ok, message, code = sock:_handshake(timeout)
  while ok == "servername" do
    choose(sock, message)
    ok, message, code = sock:_handshake(
      deadline and math.max(0, deadline - core.monotonic()) or timeout)
  end
  if ok then return true end
  return nil, message, code
end

local function addmethods(class)
  class.do_handshake = do_handshake
  if class.__closed and class.__closed ~= class then addmethods(class.__closed) end
end
for _, class in pairs(core.tls_classes) do addmethods(class) end

local WRAPPING = misuse.names "server_side server_hostname session do_handshake timeout"

local function checkwrap(context, sock, opts)
  if not ssl.iscontext(context) then
    bad(1, "wrap_socket", expected("SSLContext", context) .. "; methods are called with ':'")
  elseif not pcall(core.buffered, sock) then
    bad(1, "wrap_socket", expected("socket or file", sock))
  end
  opts = misuse.options(2, "wrap_socket", opts, WRAPPING)
  local timeout, host, session = opts.timeout, opts.server_hostname, opts.session
  if timeout ~= nil and (type(timeout) ~= "number" or not (timeout >= 0)) then
    bad(2, "wrap_socket", "timeout must be a number of seconds >= 0")
  elseif opts.server_side then
    if host or session then
      bad(2, "wrap_socket", "server_hostname and session are a client's")
    end
  elseif host == nil and context:_checks_host() then
    bad(2, "wrap_socket", "server_hostname is needed to check it")
  elseif host ~= nil and (type(host) ~= "string" or host == "" or host:find "^%."
      or host:find "[%c%s]") then -- to OpenSSL, ".a" is any name below a
    bad(2, "wrap_socket", "server_hostname must be a host name")
  elseif session ~= nil and not ssl.issession(session) then
    bad(2, "wrap_socket", "session: " .. expected("SSLSession", session))
  end
  return opts
end

local closing = {__close = function(guard)
  if guard.sock then guard.sock:close() end
end}

--- Wraps a connected socket, which is closed by that: its descriptor belongs to
-- the TLS socket. Any other stream (TLS itself) is kept below.
-- @tparam socket sock
-- @tparam[opt] table opts `server_side` (false), `server_hostname` (name or
-- address that the certificate must have), `session` (of an earlier
-- connection), `do_handshake` (true; the socket is closed if that fails),
-- `timeout` (of the handshake, in seconds; else the socket's)
-- @treturn[1] socket
-- @return[2] nil, message, code
function Context:wrap_socket(sock, opts)
  opts = checkwrap(self, sock, opts)
  local guard <close> = setmetatable({sock = false}, closing)
  local tls, message, code = core.tls_wrap(sock, self, opts.server_side and true or false,
    opts.server_hostname, opts.session)
  if not tls then return nil, message, code end
  if opts.do_handshake == false then return tls end
  guard.sock = tls
  local ok
  ok, message, code = tls:do_handshake(opts.timeout)
  if not ok then return nil, message, code end
  guard.sock = false
  return tls
end

-- What is written in C, for LDoc -------------------------------------------------------

--- Loads what we prove ourselves with; connections made afterwards have it.
-- @function SSLContext:load_cert_chain
-- @tparam string cert PEM file, or PEM: ours first, then those that issued it
-- @tparam[opt=cert] string key
-- @tparam[opt] string password of the key
-- @return true; or nil, message, code, and nothing has changed

--- Loads whom to trust, and CRLs.
-- @function SSLContext:load_verify_locations
-- @tparam string where PEM file, directory, or PEM
-- @return true; or nil, message, code

--- Trusts whom the system trusts, as well.
-- @function SSLContext:load_default_certs
-- @return true; or nil, message, code

--- Chooses ciphers.
-- @function SSLContext:set_ciphers
-- @tparam string list OpenSSL's for TLS 1.2; names that begin with TLS_ are
-- suites of TLS 1.3
-- @return true; or nil, message, "ESSL"

--- Chooses the groups for the exchange of keys.
-- @function SSLContext:set_curves
-- @tparam string list "X25519:P-256", best first
-- @return true; or nil, message, "ESSL"

--- Chooses protocols for ALPN.
-- @function SSLContext:set_alpn_protocols
-- @tparam {string,...} names best first
-- @return true

--- Lets a server choose a context by the name that a client asks for.
-- @function SSLContext:set_servername_callback
-- @tparam ?function fn `fn(sock, name, context)`: another context, nil for this
-- one, false to refuse; it may block

--- A TLS socket: a socket (see `gevent.socket`), and this.
-- @type TLSSocket

--- Does the handshake, unless it is done.
-- @function TLSSocket:do_handshake
-- @tparam[opt] number timeout seconds
-- @return true; or nil, message, code

--- The peer's certificate.
-- @function TLSSocket:getpeercert
-- @tparam[opt] boolean binary in DER
-- @treturn ?table|string `{subject=, issuer=, subjectAltName=, version=,
-- serialNumber=, notBefore=, notAfter=}`; nil if it has none

--- All certificates that the peer has sent, its own first.
-- @function TLSSocket:getpeerchain
-- @tparam[opt] boolean binary in DER
-- @treturn table

--- What the verification of the peer has found, even where it did not count.
-- @function TLSSocket:getpeerverification
-- @return true; or false, message

--- The cipher in use.
-- @function TLSSocket:cipher
-- @return name, version of TLS it belongs to, bits

--- The version in use.
-- @function TLSSocket:version
-- @treturn ?string "TLSv1.2", "TLSv1.3"

--- The protocol that ALPN agreed on.
-- @function TLSSocket:selected_alpn_protocol
-- @treturn ?string

--- A session to resume later; in TLS 1.3 it is there after the first read.
-- @function TLSSocket:session
-- @treturn ?SSLSession

--- Was a session resumed?
-- @function TLSSocket:session_reused
-- @treturn boolean

--- Ends TLS, as the peer has to do too.
-- @function TLSSocket:unwrap
-- @tparam[opt] number timeout seconds
-- @return the socket below; or nil, message, code

return ssl
