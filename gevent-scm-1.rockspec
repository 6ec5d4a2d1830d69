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
    greenlets run it at once on one event loop. Has TCP and HTTP servers.
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
    INST_LIBDIR = "$(LIBDIR)",
    INST_LUADIR = "$(LUADIR)",
  },
}
