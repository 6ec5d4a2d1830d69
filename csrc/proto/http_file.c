/* proto/http_file.c - layer: proto. Regular files for answers: size and time
 * known, read in pieces. Owns the descriptor: closed by close, __close, __gc.
 * Opening never waits, whatever the path names. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/http_conn.h"

static const struct gev_class file_class = {"http file", NULL, NULL};
enum { PIECE = 65536 };

struct file {
  const struct gev_class *cls;
  int fd;
  off_t at;
};

static struct file *check(lua_State *L) {
  return gev_check(L, 1, &file_class);
}

/* http_file(path) -> file, size, mtime | nil, message, code */
static int lib_file(lua_State *L) {
  struct stat st;
  const char *path = luaL_checkstring(L, 1);
  struct file *f = lua_newuserdatauv(L, sizeof *f, 0);
  *f = (struct file){&file_class, -1, 0};
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  f->fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (f->fd < 0) return gev_fail(L, errno);
  if (fstat(f->fd, &st) < 0) return gev_fail(L, errno);
  if (!S_ISREG(st.st_mode))
    return gev_failmsg(L, "not a regular file", "EISDIR");
  lua_pushinteger(L, (lua_Integer)st.st_size);
  lua_pushinteger(L, (lua_Integer)st.st_mtime);
  return 3;
}

/* f:read(max) -> the next piece | "" at the end | nil, message, code */
static int file_read(lua_State *L) {
  struct file *f = check(L);
  lua_Integer max = luaL_checkinteger(L, 2);
  luaL_Buffer b;
  if (f->fd < 0) return gev_fail(L, EBADF);
  size_t n = max < 0 ? 0 : max < PIECE ? (size_t)max : (size_t)PIECE;
  char *room = luaL_buffinitsize(L, &b, n);
  ssize_t got = pread(f->fd, room, n, f->at);
  if (got < 0) return gev_fail(L, errno);
  f->at += got;
  luaL_pushresultsize(&b, (size_t)got);
  return 1;
}

static int file_close(lua_State *L) {
  struct file *f = check(L);
  if (f->fd >= 0) close(f->fd);
  f->fd = -1;
  return 0;
}

static const luaL_Reg methods[] = {{"read", file_read},
                                   {"close", file_close},
                                   {"__close", file_close},
                                   {"__gc", file_close},
                                   {NULL, NULL}};

void gev_open_http_file(lua_State *L, int hub) {
  lua_pushvalue(L, hub);
  lua_pushvalue(L, hub);
  gev_newclass(L, "http file", methods, 1);
  lua_pushcclosure(L, lib_file, 2);
  lua_setfield(L, -2, "http_file");
}
