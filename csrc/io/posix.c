/* io/posix.c - layer: io. See posix.h. Owns nothing: the descriptors are the
 * caller's. Reads and writes try once; the Lua half waits. */
#include "io/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include "io/fdwait.h"
#include "io/file.h"
#include "io/quiet.h"

static int check_open(lua_State *L, int idx) {
  int fd = gev_check_fd(L, idx);
  luaL_argcheck(L, fd >= 0, idx, "a closed file");
  return fd;
}

static bool is_blocking(int fd) {
  int flags = fcntl(fd, F_GETFL);
  return flags >= 0 && !(flags & O_NONBLOCK);
}

/* A descriptor that blocks is asked first. False: EAGAIN. */
static bool is_ready(int fd, short event) {
  struct pollfd p = {.fd = fd, .events = event};
  if (!is_blocking(fd) || poll(&p, 1, 0) != 0) return true;
  errno = EAGAIN;
  return false;
}

static ssize_t read_now(int fd, void *buf, size_t n) {
  ssize_t got;
  if (!is_ready(fd, POLLIN)) return -1;
  do {
    got = read(fd, buf, n);
  } while (got < 0 && errno == EINTR);
  return got;
}

/* Neither waits; who calls them again and again is to let others run. */
static const struct gev_waitop read_op = {"nb_read", false, NULL, NULL};
static const struct gev_waitop write_op = {"nb_write", false, NULL, NULL};

/* try_read(fd, n) -> data, "" at the end | nil, message, code */
static int lib_try_read(lua_State *L) {
  int fd = check_open(L, 1);
  lua_Integer n = luaL_checkinteger(L, 2);
  luaL_argcheck(L, n >= 0, 2, "a number of bytes must not be negative");
  char *buf = gev_scratch(gev_hub(L));
  if (!buf) return gev_fail(L, ENOMEM);
  ssize_t got = read_now(fd, buf, n < GEV_SCRATCH ? (size_t)n : GEV_SCRATCH);
  if (got < 0) return gev_fail(L, errno);
  lua_pushlstring(L, buf, (size_t)got);
  gev_count_bytes(gev_hub(L), (size_t)got);
  return gev_fd_give(L, gev_hub(L), &read_op, 1);
}

/* Where it would block, no more is written than has room for certain. */
static ssize_t write_now(int fd, const char *data, size_t len) {
  struct gev_quiet quiet;
  ssize_t put;
  if (!is_ready(fd, POLLOUT)) return -1;
  if (len > PIPE_BUF && is_blocking(fd)) len = PIPE_BUF;
  gev_quiet_begin(&quiet);
  do {
    put = write(fd, data, len);
  } while (put < 0 && errno == EINTR);
  gev_quiet_end(&quiet, put < 0 && errno == EPIPE);
  return put;
}

/* try_write(fd, data) -> bytes | nil, message, code */
static int lib_try_write(lua_State *L) {
  size_t len;
  int fd = check_open(L, 1);
  const char *data = luaL_checklstring(L, 2, &len);
  ssize_t put = write_now(fd, data, len);
  if (put < 0) return gev_fail(L, errno);
  lua_pushinteger(L, put);
  gev_count_bytes(gev_hub(L), (size_t)put);
  return gev_fd_give(L, gev_hub(L), &write_op, 1);
}

/* make_nonblocking(fd) -> was it blocking? | nil, message, code */
static int lib_make_nonblocking(lua_State *L) {
  int fd = check_open(L, 1), flags = fcntl(fd, F_GETFL);
  if (flags < 0) return gev_fail(L, errno);
  if (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
    return gev_fail(L, errno);
  lua_pushboolean(L, !(flags & O_NONBLOCK));
  return 1;
}

#ifdef __linux__
int gev_make_pipe(int *fds, bool nonblocking) {
  return pipe2(fds, O_CLOEXEC | (nonblocking ? O_NONBLOCK : 0));
}
#else
static bool prepare(int fd, bool nonblocking) {
  return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 &&
         (!nonblocking || fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
}

int gev_make_pipe(int *fds, bool nonblocking) {
  if (pipe(fds) < 0) return -1;
  if (prepare(fds[0], nonblocking) && prepare(fds[1], nonblocking)) return 0;
  close(fds[0]);
  close(fds[1]);
  return -1;
}
#endif

/* pipe() -> descriptor to read, to write | nil, message, code: non-blocking,
 * close-on-exec, the caller's. */
static int lib_pipe(lua_State *L) {
  int fds[2];
  if (gev_make_pipe(fds, true) < 0) return gev_fail(L, errno);
  lua_pushinteger(L, fds[0]);
  lua_pushinteger(L, fds[1]);
  return 2;
}

/* close_fd(fd) -> true | nil, message, code */
static int lib_close_fd(lua_State *L) {
  if (close(check_open(L, 1)) < 0) return gev_fail(L, errno);
  lua_pushboolean(L, true);
  return 1;
}

/* fileno(fd|file) -> descriptor */
static int lib_fileno(lua_State *L) {
  lua_pushinteger(L, check_open(L, 1));
  return 1;
}

static int lib_getpid(lua_State *L) {
  lua_pushinteger(L, getpid());
  return 1;
}

static const luaL_Reg functions[] = {
    {"try_read", lib_try_read},
    {"try_write", lib_try_write},
    {"make_nonblocking", lib_make_nonblocking},
    {"pipe", lib_pipe},
    {"close_fd", lib_close_fd},
    {"fileno", lib_fileno},
    {"getpid", lib_getpid},
    {NULL, NULL}};

void gev_open_posix(lua_State *L, int hub) {
  lua_pushvalue(L, hub);
  luaL_setfuncs(L, functions, 1);
}
