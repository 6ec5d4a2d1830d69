/* proto/http_file.c - layer: proto. Regular files for answers: size and time
 * known, read in pieces. Owns the descriptor: closed by close, __close, __gc.
 * Opening never waits, whatever the path names.
 *
 * With a root, nothing outside of it is opened, whatever links and ".." say:
 * the kernel sees to that (openat2), and where it cannot, the path is resolved,
 * then walked one name at a time. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef SYS_openat2
#include <linux/openat2.h>
#endif

#include "proto/http_conn.h"

static const struct gev_class file_class = {"http file", NULL, NULL};
enum { PIECE = GEV_SCRATCH };
enum { FLAGS = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY };

struct file {
  const struct gev_class *cls;
  int fd;
};

static struct file *check(lua_State *L) {
  return gev_check(L, 1, &file_class);
}

/* --- below a root -------------------------------------------------------- */

/* Opens the first name of *path in the directory `dir`, which it closes. */
static int enter(int dir, const char **path) {
  char name[256];
  size_t len = strcspn(*path, "/");
  int fd = -1;
  if (len < sizeof name) {
    memcpy(name, *path, len);
    name[len] = '\0';
    *path += len;
    *path += strspn(*path, "/");
    fd = openat(dir, name, FLAGS | O_NOFOLLOW);
  } else {
    errno = ENAMETOOLONG;
  }
  int err = errno;
  close(dir);
  errno = err;
  return fd;
}

static int walk(int root, const char *path) {
  int fd = dup(root);
  while (fd >= 0 && *path) fd = enter(fd, &path);
  return fd;
}

/* Without the kernel's help: where does the path lead, and is that below the
 * root? Then it is walked, so that no link put there meanwhile is followed. */
static int open_resolved(int root, const char *base, const char *path) {
  size_t len = strlen(base);
  char full[PATH_MAX], real[PATH_MAX], top[PATH_MAX];
  if (len + strlen(path) + 2 > sizeof full) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(full, base, len);
  full[len] = '/';
  memcpy(full + len + 1, path, strlen(path) + 1);
  if (!realpath(base, top) || !realpath(full, real)) return -1;
  len = strlen(top);
  if (top[len - 1] == '/') len--;
  if (strncmp(real, top, len) == 0 && (real[len] == '/' || !real[len]))
    return walk(root, real + len + strspn(real + len, "/"));
  errno = EACCES;
  return -1;
}

static int open_below(int root, const char *base, const char *path) {
#ifdef SYS_openat2
  struct open_how how = {.flags = FLAGS, .resolve = RESOLVE_BENEATH |
                                                    RESOLVE_NO_MAGICLINKS};
  int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
  if (fd >= 0 || (errno != ENOSYS && errno != EPERM)) return fd;
#endif
  return open_resolved(root, base, path);
}

/* Is there a ".." among the names? */
static bool goes_up(const char *path) {
  for (; path; path = strchr(path, '/')) {
    path += strspn(path, "/");
    if (strncmp(path, "..", 2) == 0 && (path[2] == '/' || path[2] == '\0'))
      return true;
    if (*path == '\0') break;
  }
  return false;
}

static int open_in(const char *root, const char *path) {
  path += strspn(path, "/");
  if (goes_up(path)) {
    errno = EACCES;
    return -1;
  }
  int dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) return -1;
  int fd = open_below(dir, root, *path ? path : "."), err = errno;
  close(dir);
  errno = err == EXDEV ? EACCES : err;
  return fd;
}

/* --- the object ---------------------------------------------------------- */

/* http_file(path [, root]) -> file, size, seconds, nanoseconds (of its last
 * change) | nil, message, code; a directory is "EISDIR" */
static int lib_file(lua_State *L) {
  struct stat st;
  size_t len;
  const char *path = luaL_checklstring(L, 1, &len);
  const char *root = luaL_optstring(L, 2, NULL);
  if (strlen(path) != len) return gev_fail(L, ENOENT); /* NUL inside */
  struct file *f = lua_newuserdatauv(L, sizeof *f, 0);
  *f = (struct file){&file_class, -1};
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  f->fd = root ? open_in(root, path) : open(path, FLAGS);
  if (f->fd < 0) return gev_fail(L, errno);
  if (fstat(f->fd, &st) < 0) return gev_fail(L, errno);
  if (S_ISDIR(st.st_mode)) return gev_fail(L, EISDIR);
  if (!S_ISREG(st.st_mode))
    return gev_failmsg(L, "not a regular file", "ENOENT");
  lua_pushinteger(L, (lua_Integer)st.st_size);
#ifdef __APPLE__
  lua_pushinteger(L, (lua_Integer)st.st_mtimespec.tv_sec);
  lua_pushinteger(L, (lua_Integer)st.st_mtimespec.tv_nsec);
#else
  lua_pushinteger(L, (lua_Integer)st.st_mtim.tv_sec);
  lua_pushinteger(L, (lua_Integer)st.st_mtim.tv_nsec);
#endif
  return 4;
}

/* f:read(offset, max) -> up to 64 KiB | "" at the end | nil, message, code */
static int file_read(lua_State *L) {
  struct file *f = check(L);
  lua_Integer at = luaL_checkinteger(L, 2), max = luaL_checkinteger(L, 3);
  char *room = gev_scratch(gev_hub(L));
  if (f->fd < 0) return gev_fail(L, EBADF);
  if (!room) return gev_fail(L, ENOMEM);
  size_t n = max < 0 ? 0 : max < PIECE ? (size_t)max : (size_t)PIECE;
  ssize_t got = pread(f->fd, room, n, (off_t)at);
  if (got < 0) return gev_fail(L, errno);
  lua_pushlstring(L, room, (size_t)got);
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
