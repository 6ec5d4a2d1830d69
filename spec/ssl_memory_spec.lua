-- No memory, for once, at any place within OpenSSL or outside: an error then, no
-- crash, and what comes after works. A library for LD_PRELOAD lets one call of
-- malloc fail; GEVENT_SPEC_POSITIONS=all tries each, not one in some.

local helper = require "helper"
local tls = require "helper_tls"
local it = helper.it

local MALLOC = [[
#include <errno.h>
#include <stddef.h>

void *__libc_malloc(size_t n);
void *__libc_realloc(void *p, size_t n);
void *__libc_calloc(size_t n, size_t size);
long long luaL_checkinteger(void *L, int arg);
void lua_pushboolean(void *L, int b);

static long long left = -1;
static int failed;

static int fails(void) {
  if (left < 0 || left-- > 0) return 0;
  failed = 1;
  errno = ENOMEM;
  return 1;
}

void *malloc(size_t n) { return fails() ? NULL : __libc_malloc(n); }
void *realloc(void *p, size_t n) {
  return fails() ? NULL : __libc_realloc(p, n);
}
void *calloc(size_t n, size_t size) {
  return fails() ? NULL : __libc_calloc(n, size);
}

int fail_after(void *L) {
  failed = 0;
  left = luaL_checkinteger(L, 1);
  return 0;
}
int has_failed(void *L) {
  left = -1;
  lua_pushboolean(L, failed);
  return 1;
}
]]

local PROGRAM = [[
  local gevent = require "gevent"
  local socket = require "gevent.socket"
  local ssl = require "gevent.ssl"
  local library, step, cert, key, ca = %q, %d, %q, %q, %q
  local fail_after = assert(package.loadlib(library, "fail_after"))
  local has_failed = assert(package.loadlib(library, "has_failed"))
  gevent.get_hub().handle_error = function() end

  local function contexts()
    return assert(ssl.SSLContext {cafile = ca, alpn_protocols = {"a", "b"}}),
      assert(ssl.SSLContext {role = "server", cert = cert, key = key, curves = "X25519:P-256",
        alpn_protocols = {"b"}, servername_callback = function() end})
  end

  local client, server = contexts()
  local function connection()
    local a, b = socket.socketpair()
    local peer = gevent.spawn(function()
      local sock <close> = assert(server:wrap_socket(b, {server_side = true, timeout = 0.2}))
      sock:settimeout(0.2)
      assert(sock:sendall(assert(sock:read("l")) .. "\n"))
    end)
    local _ <close> = setmetatable({}, {__close = function()
      peer:kill()
      a:close()
      b:close()
    end})
    local sock <close> = assert(client:wrap_socket(a, {server_hostname = "localhost",
      timeout = 0.2}))
    sock:settimeout(0.2)
    assert(sock:sendall("hello\n"))
    assert(sock:read("l") == "hello")
    assert(sock:session() and sock:getpeercert().subject and sock:getpeerchain(true)[1])
    assert(sock:selected_alpn_protocol() == "b")
  end

  for _, f in ipairs {contexts, connection} do
    f()
    local n, failures = 0, 0
    repeat
      fail_after(n)
      local ok, message = pcall(f)
      local failed = has_failed()
      if not ok then failures = failures + 1 end
      if not ok and not failed then error(message) end
      if tostring(message):find "attempt to" then error(message) end
      n = n + step
    until not failed
    assert(failures > 0)
    f()
  end
  print "ok"
]]

local function library()
  tls.write("malloc.c", MALLOC)
  local ok = pcall(tls.run, "cc -shared -fPIC -o malloc.so malloc.c && LD_PRELOAD=%s true",
    tls.dir() .. "/malloc.so")
  return ok and tls.dir() .. "/malloc.so"
end

describe("a handshake for which there is no memory", function()
  it("fails, wherever that is, and the next one does not", function()
    if (os.getenv "GEVENT_SPEC_MODE" or "plain") ~= "plain" then
      return pending "needs LD_PRELOAD for itself"
    end
    local malloc = library()
    if not malloc then return pending "no compiler, or another C library" end
    local own = tls.certificate "localhost"
    local step = os.getenv "GEVENT_SPEC_POSITIONS" == "all" and 1 or 23
    local status, out, err = helper.run_lua(PROGRAM:format(malloc, step, own.cert, own.key,
      tls.authority("ca").cert), {env = {LD_PRELOAD = malloc}})
    assert.same({0, "ok\n"}, {status, out}, err)
  end, {deadline = 60})
end)
