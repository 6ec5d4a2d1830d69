/* net/sendfile.c - layer: net. See sendfile.h. The job, a userdata on the
 * stack of the call, owns a copy of the file's descriptor: who closes the
 * file meanwhile does no harm. Reading a regular file may block the thread
 * for as long as the disk does. */
#include "net/sendfile.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/sendfile.h>
#endif

#include "io/quiet.h"
#include "io/writer.h"
#include "net/fdpass.h"
#include "net/socket.h"

enum { JOB = 5, CHUNK = 1 << 20 };

struct job {
  const struct gev_class *cls;
  struct gev_stream *s; /* at index 1 */
  int fd;
  bool by_hand; /* the system call does not take this file */
  off_t offset;
  off_t left; /* bytes to send; -1: to the end of the file */
  off_t sent;
  bool once;
  int64_t deadline;
};
static const struct gev_class job_class = {"sendfile", NULL, NULL};

static int job_gc(lua_State *L) {
  struct job *j = gev_check(L, 1, &job_class);
  if (j->fd >= 0) close(j->fd);
  j->fd = -1;
  return 0;
}

/* --- one step ------------------------------------------------------------ */

static size_t step_size(const struct job *j, size_t most) {
  return j->left >= 0 && (size_t)j->left < most ? (size_t)j->left : most;
}

/* Reads a piece and sends what the socket takes of it. */
static ssize_t step_by_hand(struct job *j) {
  char *buf = gev_scratch(j->s->hub);
  if (!buf) return -ENOMEM;
  ssize_t got = pread(j->fd, buf, step_size(j, GEV_SCRATCH), j->offset);
  if (got < 0) return -errno;
  if (got == 0) return 0;
  struct iovec iov = {buf, (size_t)got};
  ssize_t put = j->s->ops->write(j->s, &iov, 1);
  if (put > 0) j->offset += put;
  return put;
}

#ifdef __linux__
static ssize_t quiet_sendfile(struct job *j) {
  struct gev_quiet quiet;
  gev_quiet_begin(&quiet);
  ssize_t put = sendfile(j->s->fd.fd, j->fd, &j->offset,
                         step_size(j, CHUNK));
  gev_quiet_end(&quiet, put < 0 && errno == EPIPE);
  return put;
}
#endif

/* As a transport's write; 0 at the end of the file. */
static ssize_t step(struct job *j) {
  ssize_t err = gev_stream_flush(j->s); /* that was written before */
  if (err || j->left == 0) return err;
#ifdef __linux__
  if (!j->by_hand) {
    ssize_t put = quiet_sendfile(j);
    if (put >= 0) return put;
    if (errno == EAGAIN) return GEV_WANT_WRITE;
    if (errno == EINTR) return step(j);
    if (errno != EINVAL && errno != ENOSYS) return -errno;
    j->by_hand = true;
  }
#endif
  return step_by_hand(j);
}

/* --- the call ------------------------------------------------------------ */

static const struct gev_waitop sendfile_op = {"sendfile", true, gev_fd_cancel,
                                              gev_fd_describe};

static int finish(lua_State *L, struct job *j, int results) {
  close(j->fd);
  j->fd = -1;
  lua_pushinteger(L, (lua_Integer)j->sent);
  return results + 1;
}

static int sendfile_k(lua_State *L, int status, lua_KContext ctx);

/* The greenlet has had its slice. The stream stays ours meanwhile. */
static int yield_turn(lua_State *L, struct gev_hub *h, struct job *j) {
  struct gev_greenlet *g = gev_park_begin(L, h, &sendfile_op);
  j->s->fd.user[GEV_WRITE] = g;
  return gev_park_ready(L, h, g, &sendfile_op, &j->s->fd, (lua_KContext)j,
                        sendfile_k);
}

static int run(lua_State *L, struct job *j) {
  struct gev_stream *s = j->s;
  struct gev_hub *h = s->hub;
  for (;;) {
    if (s->fd.fd < 0) return finish(L, j, gev_fail(L, EBADF));
    ssize_t put = step(j);
    if (put == 0) return finish(L, j, 0);
    if (gev_stream_must_wait(put))
      return j->once ? finish(L, j, gev_failtimeout(L))
                     : gev_stream_wait(L, h, s, GEV_WRITE, put, &sendfile_op,
                                       j->deadline, (lua_KContext)j,
                                       sendfile_k);
    if (put < 0) return finish(L, j, gev_stream_fail(L, s, put));
    j->sent += put;
    if (j->left > 0) j->left -= put;
    gev_count_bytes(h, (size_t)put);
    if (gev_must_yield(L, h)) return yield_turn(L, h, j);
  }
}

static int sendfile_k(lua_State *L, int status, lua_KContext ctx) {
  struct job *j = (struct job *)ctx;
  (void)status;
  enum gev_verdict v = gev_fd_resume(L, j->s->hub, &j->s->fd, GEV_WRITE);
  if (v != GEV_WOKEN) return finish(L, j, gev_stream_verdict(L, v));
  return run(L, j);
}

static off_t opt_offset(lua_State *L, int idx, lua_Integer fallback) {
  lua_Integer n = luaL_optinteger(L, idx, fallback);
  luaL_argcheck(L, n >= 0 || lua_isnoneornil(L, idx), idx,
                "must not be negative");
  return (off_t)n;
}

/* s:sendfile(file|fd [, offset=0 [, count]]) -> bytes | nil, message, code,
 * bytes sent */
static int m_sendfile(lua_State *L) {
  struct gev_stream *s = gev_checkstream(L, 1);
  int fd = gev_checkfd(L, 2, 2);
  off_t offset = opt_offset(L, 3, 0), count = opt_offset(L, 4, -1);
  gev_fd_claim(L, s->hub, &s->fd, GEV_WRITE, &sendfile_op);
  lua_settop(L, JOB - 1);
  struct job *j = lua_newuserdatauv(L, sizeof *j, 0);
  *j = (struct job){.cls = &job_class, .s = s, .fd = -1,
                    .offset = offset, .left = count,
                    .once = s->timeout == 0,
                    .deadline = gev_deadline(s->timeout)};
  j->by_hand = !gev_test(L, 1, &gev_socket_class);
  luaL_getmetafield(L, 1, "__sendfile");
  lua_setmetatable(L, JOB);
  j->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (j->fd < 0) {
    int n = gev_fail(L, errno);
    lua_pushinteger(L, 0);
    return n + 1;
  }
  return run(L, j);
}

const luaL_Reg gev_sendfile_methods[] = {{"sendfile", m_sendfile},
                                         {NULL, NULL}};
const luaL_Reg gev_sendfile_job[] = {{"__gc", job_gc}, {NULL, NULL}};
