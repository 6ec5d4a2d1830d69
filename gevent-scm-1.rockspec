rockspec_format = "3.0"
package = "gevent"
version = "scm-1"
source = {
  url = "git+file://.",
}
description = {
  summary = "Greenlets, cooperative sockets and servers, on libuv",
  detailed = [[
    What gevent is to Python: write plain blocking code, and let thousands of
    greenlets run it at once on one event loop. Sockets, TLS, DNS, HTTP server
    and client, WebSocket, subprocesses, threads, and the command "gevent".
  ]],
  license = "MIT",
}
supported_platforms = {"unix"}
dependencies = {
  "lua >= 5.4, < 5.5",
}
-- llhttp is found by the Makefile: pkg-config libllhttp, or the C files in
-- LLHTTP_DIR (as Debian's node-llhttp has them).
external_dependencies = {
  LIBUV = {header = "uv.h"},
  CARES = {header = "ares.h"},
  OPENSSL = {header = "openssl/ssl.h"},
  ZLIB = {header = "zlib.h"},
  WSLAY = {header = "wslay/wslay.h"},
}
build = {
  type = "make",
  -- The same variables for both passes, or the second would build anew.
  -- Warnings are errors only where the code is written.
  variables = {
    CC = "$(CC)",
    CFLAGS = "$(CFLAGS)",
    LIBFLAG = "$(LIBFLAG)",
    WERROR = "",
    LUA_INCDIR = "$(LUA_INCDIR)",
    LIBUV_INCDIR = "$(LIBUV_INCDIR)",
    LIBUV_LIBDIR = "$(LIBUV_LIBDIR)",
    CARES_INCDIR = "$(CARES_INCDIR)",
    CARES_LIBDIR = "$(CARES_LIBDIR)",
    OPENSSL_INCDIR = "$(OPENSSL_INCDIR)",
    OPENSSL_LIBDIR = "$(OPENSSL_LIBDIR)",
    ZLIB_INCDIR = "$(ZLIB_INCDIR)",
    ZLIB_LIBDIR = "$(ZLIB_LIBDIR)",
    WSLAY_INCDIR = "$(WSLAY_INCDIR)",
    WSLAY_LIBDIR = "$(WSLAY_LIBDIR)",
    INST_LIBDIR = "$(LIBDIR)",
    INST_LUADIR = "$(LUADIR)",
    INST_BINDIR = "$(BINDIR)",
  },
}
