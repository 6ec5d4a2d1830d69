/* io/file.c - layer: io. See file.h. Making files of descriptors, the
 * transport of those that can be polled, and seek. Owns the descriptors of
 * these; filejob.c those of the others. */
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/filejob.h"
#include "io/posix.h"
#include "io/quiet.h"
#include "io/reader.h"
#include "io/writer.h"

/* --- the transport of what is polled ------------------------------------- */

static ssize_t result(ssize_t n, int want) {
  if (n >= 0) return n;
  return errno == EAGAIN || errno == EWOULDBLOCK ? want : -errno;
}

static ssize_t fd_read(struct gev_stream *s, void *buf, size_t n) {
  ssize_t got;
  do {
    got = read(s->fd.fd, buf, n);
  } while (got < 0 && errno == EINTR);
  if (got > 0 && (size_t)got < n) gev_fd_drained(&s->fd);
  return result(got, GEV_WANT_READ);
}

static ssize_t fd_write(struct gev_stream *s, const struct iovec *iov,
                        int n) {
  struct gev_quiet quiet;
  ssize_t put;
  gev_quiet_begin(&quiet);
  do {
    put = writev(s->fd.fd, iov, n);
  } while (put < 0 && errno == EINTR);
  gev_quiet_end(&quiet, put < 0 && errno == EPIPE);
  return result(put, GEV_WANT_WRITE);
}

static int fd_shutdown(struct gev_stream *s, int how) {
  (void)s;
  (void)how;
  return -ENOTSOCK;
}

static void fd_close(struct gev_hub *h, struct gev_stream *s) {
  struct gev_file *f = gev_stream_file(s);
  struct iovec rest;
  if (s->fd.fd < 0) return;
  rest.iov_base = s->out.data ? s->out.data + s->out.off : NULL;
  rest.iov_len = s->out.len - s->out.off;
  if (rest.iov_len && !gev_file_inherited(f)) fd_write(s, &rest, 1);
  if (f->flags >= 0) fcntl(s->fd.fd, F_SETFL, f->flags);
  f->flags = -1;
  gev_fd_close(h, &s->fd);
}

static const struct gev_transport fd_transport = {.read = fd_read,
                                                  .write = fd_write,
                                                  .shutdown = fd_shutdown,
                                                  .close = fd_close};

/* --- making -------------------------------------------------------------- */

struct gev_file *gev_file_new(lua_State *L) {
  struct gev_file *f = lua_newuserdatauv(L, sizeof *f, 1);
  memset(f, 0, sizeof *f);
  f->cls = &gev_file_class;
  f->flags = f->number = -1;
  gev_stream_init(&f->s, gev_hub(L), &fd_transport, -1);
  f->forks = f->s.hub->forks;
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  return f;
}

/* Can the loop poll it? 0, UV_EPERM if not, or another error. */
static int try_poll(lua_State *L, struct gev_file *f, mode_t mode) {
  if (S_ISREG(mode) || S_ISDIR(mode) || S_ISBLK(mode)) return UV_EPERM;
  if (S_ISFIFO(mode) || S_ISSOCK(mode)) return 0;
  return gev_fd_prepare(L, f->s.hub, &f->s.fd);
}

int gev_file_adopt(lua_State *L, struct gev_file *f, int fd, bool shared) {
  struct stat st;
  int flags = fcntl(fd, F_GETFL);
  gev_loop(L, f->s.hub); /* may raise, and the descriptor is not ours yet */
  if (flags < 0 || fstat(fd, &st) < 0) return errno;
  f->s.fd.fd = fd;
  int err = try_poll(L, f, st.st_mode);
  if (err == UV_EPERM) {
    err = gev_filejob_init(f) ? 0 : -ENOMEM;
  } else if (err == 0 && !(flags & O_NONBLOCK)) {
    if (shared) f->flags = flags;
    err = fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
  }
  if (err) f->s.fd.fd = -1;
  if (f->number < 0) f->number = fd;
  return -err;
}

int gev_check_mode(lua_State *L, int idx) {
  const char *mode = luaL_optstring(L, idx, "r"), *end = mode + 1;
  int access = *mode == 'r' ? O_RDONLY : O_WRONLY;
  if (*mode && *end == '+') {
    access = O_RDWR;
    end++;
  }
  luaL_argcheck(L, *mode && strchr("rwa", *mode) && !end[strspn(end, "b")],
                idx, "invalid mode");
  if (*mode == 'r') return access;
  return access | O_CREAT | (*mode == 'a' ? O_APPEND : O_TRUNC);
}

int gev_check_fd(lua_State *L, int idx) {
  if (lua_isinteger(L, idx)) {
    lua_Integer fd = lua_tointeger(L, idx);
    luaL_argcheck(L, fd >= 0 && fd <= INT_MAX, idx, "not a descriptor");
    return (int)fd;
  }
  luaL_Stream *stream = luaL_testudata(L, idx, LUA_FILEHANDLE);
  if (stream) return stream->closef ? fileno(stream->f) : -1;
  struct gev_file *f = gev_test(L, idx, &gev_file_class);
  if (f) return f->s.fd.fd < 0 ? -1 : f->number;
  return gev_checkstream(L, idx)->fd.fd;
}

/* fdopen's rule: the mode may not ask for more than the descriptor gives. */
static int apply_mode(int fd, int wanted) {
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0) return errno;
  int has = flags & O_ACCMODE;
  if (has != O_RDWR && has != (wanted & O_ACCMODE)) return EINVAL;
  if (!(wanted & O_APPEND) || (flags & O_APPEND)) return 0;
  return fcntl(fd, F_SETFL, flags | O_APPEND) < 0 ? errno : 0;
}

/* FileObject(fd|file [, mode]) -> file | nil, message, code. A number is
 * taken over; of an object a copy is made. */
static int lib_adopt(lua_State *L) {
  bool object = !lua_isinteger(L, 1), moded = !lua_isnoneornil(L, 2);
  int fd = gev_check_fd(L, 1), wanted = gev_check_mode(L, 2);
  struct gev_file *f = gev_file_new(L);
  if (fd < 0) return gev_fail(L, EBADF);
  int err = moded ? apply_mode(fd, wanted) : 0;
  if (!err && object && (fd = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0)
    err = errno;
  if (err) return gev_fail(L, err);
  err = gev_file_adopt(L, f, fd, true);
  if (err && object) close(fd);
  return err ? gev_fail(L, err) : 1;
}

/* pipe_file("r"|"w") -> file that reads or writes, file of the other end | nil,
 * message, code. The other end blocks: it is for a child, and only to be
 * closed. */
static int lib_pipe_file(lua_State *L) {
  bool reading = *luaL_checkstring(L, 1) == 'r';
  int fds[2];
  struct gev_file *ours = gev_file_new(L), *other = gev_file_new(L);
  gev_loop(L, ours->s.hub);
  if (gev_make_pipe(fds, false) < 0) return gev_fail(L, errno);
  other->s.fd.fd = other->number = fds[reading];
  int err = gev_file_adopt(L, ours, fds[!reading], false);
  if (err) close(fds[!reading]);
  return err ? gev_fail(L, err) : 2;
}

/* --- descriptors of others ----------------------------------------------- */

static bool same_file(const struct stat *a, int fd) {
  struct stat b;
  return fstat(fd, &b) == 0 && a->st_dev == b.st_dev &&
         a->st_ino == b.st_ino && a->st_rdev == b.st_rdev;
}

/* May it be opened anew without a side effect? A pipe, a terminal; but the
 * master of a terminal would be another one. */
static bool reopens(int fd, const struct stat *st) {
  if (S_ISFIFO(st->st_mode)) return true;
  if (!S_ISCHR(st->st_mode) || !isatty(fd)) return false;
#ifdef TIOCGPTN
  unsigned n;
  if (ioctl(fd, TIOCGPTN, &n) == 0) return false;
#endif
  return true;
}

/* The same file under a description of our own, so that making it
 * non-blocking is nobody else's business; -1 where that is impossible. */
static int reopen(int fd) {
  struct stat st;
  char path[32];
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fstat(fd, &st) < 0 || !reopens(fd, &st)) return -1;
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  int copy = open(path, (flags & (O_ACCMODE | O_APPEND)) | O_NONBLOCK |
                            O_NOCTTY | O_CLOEXEC);
  if (copy >= 0 && !same_file(&st, copy)) {
    close(copy);
    copy = -1;
  }
  return copy;
}

/* file_borrow(fd, name) -> file | nil, message, code: closing it leaves the
 * descriptor open and as it was. */
static int lib_borrow(lua_State *L) {
  int fd = gev_check_fd(L, 1);
  struct gev_file *f = gev_file_new(L);
  f->number = fd;
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, -2, 1);
  int copy = reopen(fd);
  if (copy < 0) copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return gev_fail(L, errno);
  int err = gev_file_adopt(L, f, copy, true);
  if (err) close(copy);
  return err ? gev_fail(L, err) : 1;
}

/* file_for_child(file) -> file: of a pipe that the loop polls, one of its own
 * that blocks, for a child that knows nothing of ours; else the same. */
static int lib_for_child(lua_State *L) {
  struct gev_file *f = gev_test(L, 1, &gev_file_class);
  if (!f || f->job || f->s.fd.fd < 0 || f->number != f->s.fd.fd)
    return lua_settop(L, 1), 1;
  struct gev_file *copy = gev_file_new(L);
  int fd = reopen(f->number);
  if (fd < 0) return lua_settop(L, 1), 1;
  copy->s.fd.fd = copy->number = fd;
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
  return 1;
}

/* --- seek ---------------------------------------------------------------- */

static const struct gev_waitop seek_op = {"seek", true, gev_fd_cancel,
                                          gev_fd_describe};
static const char *const whences[] = {"set", "cur", "end", NULL};

static int move(lua_State *L, struct gev_file *f) {
  static const int whence_of[] = {SEEK_SET, SEEK_CUR, SEEK_END};
  int whence = whence_of[luaL_checkoption(L, 2, "cur", whences)];
  off_t offset = (off_t)lua_tointeger(L, 3);
  size_t ahead = gev_filejob_ahead(f);
  off_t from = whence == SEEK_CUR ? offset - (off_t)ahead : offset;
  off_t at = lseek(f->s.fd.fd, from, whence);
  if (at < 0) return gev_fail(L, errno);
  gev_filejob_forget(f);
  lua_pushinteger(L, (lua_Integer)at);
  return 1;
}

static int seek_k(lua_State *L, int status, lua_KContext ctx);

/* Output goes out first, and a request under way has its end, for both move
 * the position. */
static int seek_run(lua_State *L, struct gev_file *f, bool once,
                    int64_t deadline) {
  struct gev_stream *s = &f->s;
  if (s->fd.fd < 0) return gev_fail(L, EBADF);
  ssize_t err = gev_filejob_busy(f) ? GEV_WANT_WRITE : gev_stream_flush(s);
  if (err == 0) return move(L, f);
  if (!gev_stream_must_wait(err)) return gev_stream_fail(L, s, err);
  if (once) return gev_failtimeout(L);
  return gev_stream_wait(L, s->hub, s, GEV_WRITE, err, &seek_op, deadline,
                         (lua_KContext)f, seek_k);
}

static int seek_k(lua_State *L, int status, lua_KContext ctx) {
  struct gev_file *f = (struct gev_file *)ctx; /* it is at index 1 */
  struct gev_hub *h = f->s.hub;
  (void)status;
  int64_t deadline = gev_fd_deadline(h);
  enum gev_verdict v = gev_fd_resume(L, h, &f->s.fd, GEV_WRITE);
  if (v != GEV_WOKEN) return gev_stream_verdict(L, v);
  return seek_run(L, f, false, deadline);
}

/* f:seek(["set"|"cur"|"end" [, offset]]) -> position | nil, message, code */
static int m_seek(lua_State *L) {
  struct gev_file *f = gev_check(L, 1, &gev_file_class);
  luaL_checkoption(L, 2, "cur", whences);
  luaL_optinteger(L, 3, 0);
  lua_settop(L, 3);
  gev_fd_claim(L, f->s.hub, &f->s.fd, GEV_READ, &seek_op);
  gev_fd_claim(L, f->s.hub, &f->s.fd, GEV_WRITE, &seek_op);
  if (f->s.fd.fd < 0) return gev_fail(L, EBADF);
  if (!f->job) return gev_fail(L, ESPIPE);
  return seek_run(L, f, f->s.timeout == 0, gev_deadline(f->s.timeout));
}

/* --- the class ----------------------------------------------------------- */

/* f:fileno() -> descriptor | nil, message, code */
static int m_fileno(lua_State *L) {
  int fd = gev_check_fd(L, 1);
  if (fd < 0) return gev_fail(L, EBADF);
  lua_pushinteger(L, fd);
  return 1;
}

/* "<file fd 7 notes.txt>", "<file closed>" */
static int m_tostring(lua_State *L) {
  struct gev_file *f = gev_check(L, 1, &gev_file_class);
  if (f->s.fd.fd < 0) {
    lua_pushliteral(L, "<file closed>");
  } else if (lua_getiuservalue(L, 1, 1) == LUA_TSTRING) {
    lua_pushfstring(L, "<file fd %d %s>", f->number, lua_tostring(L, -1));
  } else {
    lua_pushfstring(L, "<file fd %d>", f->number);
  }
  return 1;
}

static const luaL_Reg methods[] = {{"seek", m_seek},
                                   {"fileno", m_fileno},
                                   {"__tostring", m_tostring},
                                   {NULL, NULL}};

static void make_class(lua_State *L, int hub, bool closed) {
  gev_newclass(L, "file", (luaL_Reg[]){{NULL, NULL}}, 0);
  gev_stream_methods(L, hub);
  lua_pushvalue(L, hub);
  luaL_setfuncs(L, methods, 1);
  lua_pushnil(L);
  lua_setfield(L, -2, "shutdown");
  lua_pushboolean(L, closed);
  lua_setfield(L, -2, "closed");
}

static const luaL_Reg functions[] = {
    {"FileObject", lib_adopt}, {"file_borrow", lib_borrow},
    {"pipe_file", lib_pipe_file}, {"file_for_child", lib_for_child},
    {NULL, NULL}};

void gev_open_file(lua_State *L, int hub) {
  make_class(L, hub, false);
  make_class(L, hub, true);
  lua_setfield(L, -2, "__closed");
  int cls = lua_gettop(L);
  lua_pushvalue(L, -2);
  lua_pushvalue(L, hub);
  lua_pushvalue(L, cls);
  luaL_setfuncs(L, functions, 2);
  gev_open_fileopen(L, hub, cls);
  lua_pop(L, 2);
}
