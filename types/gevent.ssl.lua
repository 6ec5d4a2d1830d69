---@meta gevent.ssl
-- Made by `make types` from lua/gevent/ssl.lua: change that.

---TLS: contexts, and sockets that are wrapped in them.
---A TLS socket is a socket (see `gevent.socket`) with a few methods more. What
---fails returns nil, message, code: "ESSL" with OpenSSL's words, or what
---sockets have. All is told in `docs/tls.md`.
---@class gevent.ssl
local M = {}

---What connections have in common. Fields: `verify_mode` ("none", "optional",
---"required"), `check_hostname`, `minimum_version`, `maximum_version`
---("TLSv1.2", "TLSv1.3"), `crl_check` ("none", "leaf", "chain"),
---`verify_depth`, `session_tickets`, `ktls` (booleans).
---@class gevent.ssl.SSLContext
local SSLContext = {}

---Is it an SSLContext?
function M.iscontext() end

---Is it an SSLSession?
function M.issession() end

---Makes a context with safe defaults: TLS 1.2 or newer; a client verifies peer
---and host name against the system's trust store, a server asks for no
---certificate.
---@param opts? table `role` ("client", or "server": what we are), `cafile`, `capath`, `cadata` (whom to trust, instead of the system's store: file, directory, PEM), `crl` (file or PEM), `cert`, `key` (file or PEM), `password`, `ciphers`, `curves`, `alpn_protocols`, `servername_callback`, and the fields
---@return gevent.ssl.SSLContext?
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function M.SSLContext(opts) end

---The same.
---@param opts? table
---@return gevent.ssl.SSLContext
function M.create_default_context(opts) end

---The context of `create_connection{ssl=true}`.
---@return gevent.ssl.SSLContext
function M.default_client_context() end

---Wraps a connected socket, which is closed by that: its descriptor belongs to
---the TLS socket. Any other stream (TLS itself) is kept below.
---@param sock gevent.socket.socket
---@param opts? table `server_side` (false), `server_hostname` (name or address that the certificate must have), `session` (of an earlier connection), `do_handshake` (true; the socket is closed if that fails), `timeout` (of the handshake, in seconds; else the socket's)
---@return gevent.socket.socket?
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function SSLContext:wrap_socket(sock, opts) end

---Loads what we prove ourselves with; connections made afterwards have it.
---@param cert string PEM file, or PEM: ours first, then those that issued it
---@param key? string
---@param password? string of the key
---@return boolean? # true; or nil, message, code, and nothing has changed
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function SSLContext:load_cert_chain(cert, key, password) end

---Loads whom to trust, and CRLs.
---@param where string PEM file, directory, or PEM
---@return boolean? # true; or nil, message, code
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function SSLContext:load_verify_locations(where) end

---Trusts whom the system trusts, as well.
---@return boolean? # true; or nil, message, code
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function SSLContext:load_default_certs() end

---Chooses ciphers.
---@param list string OpenSSL's for TLS 1.2; names that begin with TLS_ are suites of TLS 1.3
---@return boolean? # true; or nil, message, "ESSL"
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function SSLContext:set_ciphers(list) end

---Chooses the groups for the exchange of keys.
---@param list string "X25519:P-256", best first
---@return boolean? # true; or nil, message, "ESSL"
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function SSLContext:set_curves(list) end

---Chooses protocols for ALPN.
---@param names string[] best first
---@return boolean # true
function SSLContext:set_alpn_protocols(names) end

---Lets a server choose a context by the name that a client asks for.
---@param fn? function `fn(sock, name, context)`: another context, nil for this one, false to refuse; it may block
function SSLContext:set_servername_callback(fn) end

---A TLS socket: a socket (see `gevent.socket`), and this.
---@class gevent.ssl.TLSSocket
local TLSSocket = {}

---Does the handshake, unless it is done.
---@param timeout? number seconds
---@return boolean? # true; or nil, message, code
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function TLSSocket:do_handshake(timeout) end

---The peer's certificate.
---@param binary? boolean in DER
---@return table|string? # `{subject=, issuer=, subjectAltName=, version=, serialNumber=, notBefore=, notAfter=}`; nil if it has none
function TLSSocket:getpeercert(binary) end

---All certificates that the peer has sent, its own first.
---@param binary? boolean in DER
---@return table
function TLSSocket:getpeerchain(binary) end

---What the verification of the peer has found, even where it did not count.
---@return boolean # true; or false, message
function TLSSocket:getpeerverification() end

---The cipher in use.
---@return any # name, version of TLS it belongs to, bits
function TLSSocket:cipher() end

---The version in use.
---@return string? # "TLSv1.2", "TLSv1.3"
function TLSSocket:version() end

---The protocol that ALPN agreed on.
---@return string?
function TLSSocket:selected_alpn_protocol() end

---A session to resume later; in TLS 1.3 it is there after the first read.
---@return any?
function TLSSocket:session() end

---Was a session resumed?
---@return boolean
function TLSSocket:session_reused() end

---Ends TLS, as the peer has to do too.
---@param timeout? number seconds
---@return any # the socket below; or nil, message, code
---@return string? message # for people
---@return string? code # for programs: see docs/errors.md
function TLSSocket:unwrap(timeout) end

---@type string
M.OPENSSL_VERSION = nil

return M
