/* io/stdio.c - layer: io. See stdio.h. Owns nothing: files are io's. */
#include "io/stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/lualib.h"

static FILE *check_open(lua_State *L, int idx) {
  luaL_Stream *p = luaL_checkudata(L, idx, LUA_FILEHANDLE);
  luaL_argcheck(L, p->closef, idx, "attempt to use a closed file");
  return p->f;
}

/* stdio_waits(file) -> boolean: a pipe, a socket, a terminal? */
static int lib_waits(lua_State *L) {
  struct stat st;
  int fd = fileno(check_open(L, 1));
  bool waits = fd >= 0 && fstat(fd, &st) == 0 &&
               (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) ||
                (S_ISCHR(st.st_mode) && isatty(fd)));
  lua_pushboolean(L, waits);
  return 1;
}

/* stdio_drain(file) -> string: what the file has in its buffer, and what else
 * is there at once. */
static int lib_drain(lua_State *L) {
  FILE *f = check_open(L, 1);
  int fd = fileno(f), flags = fcntl(fd, F_GETFL);
  size_t got;
  char part[1024];
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  do { /* the flags are put back before anything can raise */
    if (flags >= 0) fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    got = flags >= 0 ? fread(part, 1, sizeof part, f) : 0;
    if (flags >= 0) fcntl(fd, F_SETFL, flags);
    luaL_addlstring(&b, part, got);
  } while (got == sizeof part);
  clearerr(f);
  luaL_pushresult(&b);
  return 1;
}

/* stdio_errno(code) -> the number that io would return with it | nil */
static int lib_errno(lua_State *L) {
  int err = gev_errno(luaL_checkstring(L, 1));
  if (err) lua_pushinteger(L, err);
  return err != 0;
}

/* stdio_new(metatable) -> an empty userdata of that metatable */
static int lib_new(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_newuserdatauv(L, 0, 0);
  lua_pushvalue(L, 1);
  lua_setmetatable(L, -2);
  return 1;
}

static const luaL_Reg functions[] = {{"stdio_waits", lib_waits},
                                     {"stdio_drain", lib_drain},
                                     {"stdio_errno", lib_errno},
                                     {"stdio_new", lib_new},
                                     {NULL, NULL}};

void gev_open_stdio(lua_State *L, int hub) {
  (void)hub;
  luaL_setfuncs(L, functions, 0);
}
