/* io/writer.c - layer: io. See writer.h. Owns nothing: what is being written
 * stays on the Lua stack of the call, or in the stream's `out`. */
#include "io/writer.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>

#include "base/except.h"
#include "core/scope.h"
#include "io/reader.h"

enum { BATCH = 64, VBUF_DEFAULT = 8192 };

/* A call that writes: where its bytes are, what it gives back when all are
 * out. The count of bytes sent so far travels as the continuation's context,
 * so a wait keeps no state anywhere else. */
struct writer {
  struct gev_waitop op;
  /* The pieces from offset `sent` on, at most BATCH; 0: nothing is left. */
  int (*pieces)(lua_State *L, struct gev_stream *s, size_t sent,
                struct iovec *iov);
  int (*done)(lua_State *L, struct gev_stream *s, size_t sent);
  lua_KFunction k;
};

/* --- the loop that all of them run --------------------------------------- */

/* A failure, with the number of bytes that are out as the fourth value. */
static int failed(lua_State *L, int n, size_t sent) {
  lua_pushinteger(L, (lua_Integer)sent);
  return n + 1;
}

/* The greenlet has had its slice: the others' turn, then `run` goes on, with no
 * time left where it was to try once. The stream stays ours meanwhile. */
static int yield_turn(lua_State *L, struct gev_hub *h, struct gev_stream *s,
                      const struct writer *w, size_t sent, bool once,
                      int64_t deadline) {
  struct gev_greenlet *g = gev_park_begin(L, h, &w->op);
  s->fd.user[GEV_WRITE] = g;
  g->timer.node.key = once ? 0 : deadline; /* for gev_fd_deadline */
  return gev_park_ready(L, h, g, &w->op, &s->fd, (lua_KContext)sent, w->k);
}

/* What setvbuf has collected. */
static int pieces_out(struct gev_stream *s, struct iovec *iov) {
  if (s->out.len == s->out.off) return 0;
  iov->iov_base = s->out.data + s->out.off;
  iov->iov_len = s->out.len - s->out.off;
  return 1;
}

static int run(lua_State *L, struct gev_hub *h, struct gev_stream *s,
               const struct writer *w, size_t sent, bool once,
               int64_t deadline) {
  struct iovec iov[BATCH];
  for (;;) {
    int n = pieces_out(s, iov); /* what was written before goes first */
    bool before = n > 0;
    if (!before) n = w->pieces(L, s, sent, iov);
    if (n == 0 && !s->unsent) return w->done(L, s, sent);
    if (s->fd.fd < 0) return failed(L, gev_fail(L, EBADF), sent);
    ssize_t put = s->ops->write(s, iov, n);
    if (put >= 0 && before) {
      gev_bytes_drop(&s->out, (size_t)put);
    } else if (put >= 0) {
      sent += (size_t)put;
    } else if (!gev_stream_must_wait(put)) {
      int results = gev_stream_fail(L, s, put);
      return s->fd.by_request ? results : failed(L, results, sent);
    } else if (once) {
      return failed(L, gev_failtimeout(L), sent);
    } else {
      return gev_stream_wait(L, h, s, GEV_WRITE, put, &w->op, deadline,
                             (lua_KContext)sent, w->k);
    }
    gev_count_bytes(h, (size_t)put);
    if (gev_must_yield(L, h))
      return yield_turn(L, h, s, w, sent, once, deadline);
  }
}

static int resumed(lua_State *L, const struct writer *w, lua_KContext sent) {
  struct gev_hub *h = gev_hub(L);
  struct gev_stream *s = gev_checkstream(L, 1);
  int64_t deadline = gev_fd_deadline(h);
  enum gev_verdict v = gev_fd_resume(L, h, &s->fd, GEV_WRITE);
  if (v != GEV_WOKEN)
    return failed(L, gev_stream_verdict(L, v), (size_t)sent);
  return run(L, h, s, w, (size_t)sent, false, deadline);
}

static int start(lua_State *L, const struct writer *w, bool once,
                 int64_t deadline) {
  struct gev_hub *h = gev_hub(L);
  struct gev_stream *s = gev_checkstream(L, 1);
  gev_fd_claim(L, h, &s->fd, GEV_WRITE, &w->op);
  if (s->fd.fd < 0) return failed(L, gev_fail(L, EBADF), 0);
  return run(L, h, s, w, 0, once, deadline);
}

static int64_t own_deadline(lua_State *L, bool *once) {
  struct gev_stream *s = gev_checkstream(L, 1);
  *once = s->timeout == 0;
  return gev_deadline(s->timeout);
}

/* Defines the continuation and the description of a writer. */
#define WRITER(var, op_name, pieces_fn, done_fn)                            \
  static const struct writer var;                                           \
  static int var##_k(lua_State *L, int status, lua_KContext sent) {         \
    (void)status;                                                           \
    return resumed(L, &var, sent);                                          \
  }                                                                         \
  static const struct writer var = {                                        \
      .op = {op_name, true, gev_fd_cancel, gev_fd_describe},                \
      .pieces = pieces_fn, .done = done_fn, .k = var##_k}

/* --- pieces -------------------------------------------------------------- */

/* Adds a piece unless `*skip` bytes cover it. */
static int add_piece(struct iovec *iov, int n, const char *data, size_t len,
                     size_t *skip) {
  if (*skip >= len) {
    *skip -= len;
    return n;
  }
  iov[n].iov_base = (void *)(uintptr_t)(data + *skip);
  iov[n].iov_len = len - *skip;
  *skip = 0;
  return n + 1;
}

/* Arguments from index 2 to `last`. */
static int pieces_of_args(lua_State *L, size_t sent, struct iovec *iov,
                          int last) {
  int n = 0;
  for (int i = 2; i <= last && n < BATCH; i++) {
    size_t len;
    const char *data = lua_tolstring(L, i, &len);
    n = add_piece(iov, n, data, len, &sent);
  }
  return n;
}

static int pieces_data(lua_State *L, struct gev_stream *s, size_t sent,
                       struct iovec *iov) {
  (void)s;
  return pieces_of_args(L, sent, iov, 2);
}

static int pieces_all(lua_State *L, struct gev_stream *s, size_t sent,
                      struct iovec *iov) {
  (void)s;
  return pieces_of_args(L, sent, iov, lua_gettop(L));
}

/* --- results ------------------------------------------------------------- */

static int done_true(lua_State *L, struct gev_stream *s, size_t sent) {
  (void)s;
  (void)sent;
  lua_pushboolean(L, true);
  return 1;
}

static int done_self(lua_State *L, struct gev_stream *s, size_t sent) {
  (void)s;
  (void)sent;
  lua_pushvalue(L, 1);
  return 1;
}

/* --- sendall, sendv, write ----------------------------------------------- */

WRITER(sendall_writer, "sendall", pieces_data, done_true);
WRITER(sendv_writer, "sendv", pieces_all, done_true);
WRITER(write_writer, "write", pieces_all, done_self);

/* s:sendall(data [, timeout]) -> true | nil, message, code, bytes sent */
static int m_sendall(lua_State *L) {
  bool once;
  struct gev_stream *s = gev_checkstream(L, 1);
  struct iovec iov;
  iov.iov_base = (void *)(uintptr_t)gev_checklstring(L, 2, &iov.iov_len);
  int64_t deadline = gev_stream_deadline(L, s, 3, &once);
  gev_fd_claim(L, s->hub, &s->fd, GEV_WRITE, &sendall_writer.op);
  if (s->fd.fd < 0) return failed(L, gev_fail(L, EBADF), 0);
  ssize_t put = 0;
  if (iov.iov_len && !s->out.data) put = s->ops->write(s, &iov, 1);
  if (put < 0 && !gev_stream_must_wait(put))
    return failed(L, gev_stream_fail(L, s, put), 0);
  size_t sent = put > 0 ? (size_t)put : 0;
  gev_count_bytes(s->hub, sent);
  if (gev_must_yield(L, s->hub))
    return yield_turn(L, s->hub, s, &sendall_writer, sent, once, deadline);
  if (sent == iov.iov_len && !s->out.data && !s->unsent) /* nearly always */
    return done_true(L, s, 0);
  return run(L, s->hub, s, &sendall_writer, sent, once, deadline);
}

/* Pushes part i of the list at 2. */
static void push_part(lua_State *L, int i) {
  lua_rawgeti(L, 2, i);
  if (!lua_isstring(L, -1))
    luaL_error(L, "bad argument #1 to 'sendv' (part %d is a %s, not a "
               "string)", i, luaL_typename(L, -1));
}

/* Replaces the list at 2 by its strings as arguments; what are too many, or
 * not all strings, are joined into one. */
static void spread(lua_State *L) {
  luaL_Buffer b;
  int n = (int)lua_rawlen(L, 2);
  lua_settop(L, 2);
  if (n <= 4 * BATCH && lua_checkstack(L, n)) {
    for (int i = 1; i <= n; i++) {
      push_part(L, i);
      lua_tostring(L, -1);
    }
    lua_remove(L, 2);
    return;
  }
  luaL_buffinit(L, &b);
  for (int i = 1; i <= n; i++) {
    push_part(L, i);
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
  lua_replace(L, 2);
}

/* s:sendv{part, ...} -> true | nil, message, code, bytes sent */
static int m_sendv(lua_State *L) {
  bool once;
  int64_t deadline = own_deadline(L, &once);
  luaL_checktype(L, 2, LUA_TTABLE);
  spread(L);
  return start(L, &sendv_writer, once, deadline);
}

/* --- buffered writing ---------------------------------------------------- */

/* What the transport took leaves the buffer at once, so that a flush which
 * fails or is killed can be taken up again. */
static int flush_run(lua_State *L, struct gev_hub *h, struct gev_stream *s,
                     bool once, int64_t deadline, lua_KContext after);

static int finish_close(lua_State *L, struct gev_hub *h,
                        struct gev_stream *s) {
  gev_stream_closed(L, h, s);
  lua_pushboolean(L, true);
  return 1;
}

/* What comes after a flush: THEN_SHUTDOWN + SHUT_*; AT_ONCE is without one. */
enum { THEN_SELF, THEN_TRUE, THEN_CLOSE, THEN_SHUTDOWN, AT_ONCE = 16 };

/* What could not be written is an error of close, as in io, where it had
 * been taken already. */
static int close_failed(lua_State *L, struct gev_hub *h,
                        struct gev_stream *s, ssize_t err) {
  finish_close(L, h, s);
  return s->fd.by_request ? gev_stream_fail(L, s, err) : 1;
}

static const struct gev_waitop flush_op = {"flush", true, gev_fd_cancel,
                                           gev_fd_describe};
static const struct gev_waitop shutdown_op = {"shutdown", true, gev_fd_cancel,
                                              gev_fd_describe};

static int flush_k(lua_State *L, int status, lua_KContext after) {
  (void)status;
  struct gev_hub *h = gev_hub(L);
  struct gev_stream *s = gev_checkstream(L, 1);
  int64_t deadline = gev_fd_deadline(h);
  if (after == THEN_CLOSE && h->current->verdict == GEV_RAISED)
    gev_stream_closed(L, h, s); /* a kill: close all the same */
  enum gev_verdict v = gev_fd_resume(L, h, &s->fd, GEV_WRITE);
  if (v == GEV_WOKEN) return flush_run(L, h, s, false, deadline, after);
  if (after == THEN_CLOSE) return finish_close(L, h, s);
  return gev_stream_verdict(L, v);
}

ssize_t gev_stream_flush(struct gev_stream *s) {
  struct iovec iov;
  int n;
  while ((n = pieces_out(s, &iov)) || s->unsent) {
    ssize_t put = s->ops->write(s, &iov, n);
    if (put < 0) return put;
    gev_bytes_drop(&s->out, (size_t)put);
  }
  return 0;
}

/* The flush and what comes after it: 0, or as transport write. */
static ssize_t flush_step(struct gev_stream *s, lua_KContext after) {
  if (s->fd.fd < 0) return -EBADF;
  ssize_t err = after & AT_ONCE ? 0 : gev_stream_flush(s);
  if (err || after < THEN_SHUTDOWN) return err;
  return s->ops->shutdown(s, ((int)after & ~AT_ONCE) - THEN_SHUTDOWN);
}

static int flush_run(lua_State *L, struct gev_hub *h, struct gev_stream *s,
                     bool once, int64_t deadline, lua_KContext after) {
  ssize_t err = flush_step(s, after);
  bool wait = gev_stream_must_wait(err);
  if (wait && !once)
    return gev_stream_wait(
        L, h, s, GEV_WRITE, err,
        after < THEN_SHUTDOWN ? &flush_op : &shutdown_op, deadline, after,
        flush_k);
  if (after == THEN_CLOSE)
    return err && !wait ? close_failed(L, h, s, err) : finish_close(L, h, s);
  if (wait) return gev_failtimeout(L);
  if (err) return gev_stream_fail(L, s, err);
  if (after == THEN_SELF)
    lua_pushvalue(L, 1);
  else
    lua_pushboolean(L, true);
  return 1;
}

/* s:flush() -> s (of a file true, as in io) | nil, message, code */
static int m_flush(lua_State *L) {
  struct gev_hub *h = gev_hub(L);
  struct gev_stream *s = gev_checkstream(L, 1);
  bool once;
  int64_t deadline = own_deadline(L, &once);
  gev_fd_claim(L, h, &s->fd, GEV_WRITE, &flush_op);
  if (s->fd.fd < 0) return gev_fail(L, EBADF);
  bool file = gev_test(L, 1, &gev_stream_classes[GEV_STREAM_FILE]) != NULL;
  return flush_run(L, h, s, once, deadline, file ? THEN_TRUE : THEN_SELF);
}

/* Collects the arguments in the buffer; should it be flushed now? */
static bool collect(lua_State *L, struct gev_stream *s, int nargs) {
  bool newline = false;
  for (int i = 2; i <= nargs; i++) {
    size_t len;
    const char *data = lua_tolstring(L, i, &len);
    if (!gev_bytes_add(&s->out, data, len))
      luaL_error(L, "not enough memory");
    newline = newline || memchr(data, '\n', len);
  }
  return s->out.len - s->out.off >= s->vbuf || (s->vbuf_line && newline);
}

/* s:write(...) -> s | nil, message, code */
static int m_write(lua_State *L) {
  struct gev_stream *s = gev_checkstream(L, 1);
  int nargs = lua_gettop(L);
  bool once;
  int64_t deadline = own_deadline(L, &once);
  for (int i = 2; i <= nargs; i++) luaL_checkstring(L, i);
  if (s->vbuf == 0) return start(L, &write_writer, once, deadline);
  if (s->fd.fd < 0) return gev_fail(L, EBADF);
  gev_fd_claim(L, gev_hub(L), &s->fd, GEV_WRITE, &write_writer.op);
  if (collect(L, s, nargs))
    return flush_run(L, gev_hub(L), s, once, deadline, THEN_SELF);
  lua_settop(L, 1);
  return 1;
}

/* s:setvbuf("no"|"full"|"line" [, size]) -> true */
static int m_setvbuf(lua_State *L) {
  static const char *const modes[] = {"no", "full", "line", NULL};
  struct gev_stream *s = gev_checkstream(L, 1);
  int mode = luaL_checkoption(L, 2, NULL, modes);
  lua_Integer size = luaL_optinteger(L, 3, VBUF_DEFAULT);
  luaL_argcheck(L, size > 0, 3, "a size must be positive");
  if (s->fd.fd < 0) return gev_fail(L, EBADF);
  s->vbuf = mode == 0 ? 0 : (size_t)size;
  s->vbuf_line = mode == 2;
  lua_pushboolean(L, true);
  return 1;
}

/* --- send ---------------------------------------------------------------- */

static const struct gev_waitop send_op = {"send", true, gev_fd_cancel,
                                          gev_fd_describe};

static int send_k(lua_State *L, int status, lua_KContext sent);

/* One write of the data; what setvbuf has collected goes before. */
static ssize_t send_once(lua_State *L, struct gev_stream *s) {
  struct iovec iov;
  ssize_t err = gev_stream_flush(s);
  if (err) return err;
  iov.iov_base = (void *)(uintptr_t)lua_tolstring(L, 2, &iov.iov_len);
  return iov.iov_len || s->messages ? s->ops->write(s, &iov, 1) : 0;
}

static int count_sent(lua_State *L, struct gev_hub *h, size_t sent) {
  lua_pushinteger(L, (lua_Integer)sent);
  gev_count_bytes(h, sent);
  return gev_fd_give(L, h, &send_op, 1);
}

/* With `sent` bytes taken, all that is left is to see them out. */
static int send_run(lua_State *L, struct gev_hub *h, struct gev_stream *s,
                    size_t sent, bool once, int64_t deadline) {
  if (s->fd.fd < 0) return gev_fail(L, EBADF);
  ssize_t put = sent ? 0 : send_once(L, s);
  if (put > 0) sent = (size_t)put;
  if (put >= 0 && s->unsent) put = s->ops->write(s, NULL, 0);
  if (gev_stream_must_wait(put) && !once)
    return gev_stream_wait(L, h, s, GEV_WRITE, put, &send_op, deadline,
                           (lua_KContext)sent, send_k);
  if (put >= 0 || sent) return count_sent(L, h, sent);
  return gev_stream_must_wait(put) ? gev_failtimeout(L)
                                   : gev_stream_fail(L, s, put);
}

static int send_k(lua_State *L, int status, lua_KContext sent) {
  (void)status;
  struct gev_hub *h = gev_hub(L);
  struct gev_stream *s = gev_checkstream(L, 1);
  int64_t deadline = gev_fd_deadline(h);
  enum gev_verdict v = gev_fd_resume(L, h, &s->fd, GEV_WRITE);
  if (v == GEV_TIMEDOUT && sent) return count_sent(L, h, (size_t)sent);
  if (v != GEV_WOKEN) return gev_stream_verdict(L, v);
  return send_run(L, h, s, (size_t)sent, false, deadline);
}

/* s:send(data) -> bytes | nil, message, code */
static int m_send(lua_State *L) {
  struct gev_hub *h = gev_hub(L);
  struct gev_stream *s = gev_checkstream(L, 1);
  bool once;
  int64_t deadline = own_deadline(L, &once);
  luaL_checkstring(L, 2);
  gev_fd_claim(L, h, &s->fd, GEV_WRITE, &send_op);
  return send_run(L, h, s, 0, once, deadline);
}

/* --- shutdown, close ----------------------------------------------------- */

/* s:shutdown("r"|"w"|"rw") -> true | nil, message, code. What setvbuf has
 * collected goes out before a shutdown of the writing half, unless another
 * greenlet is just writing: that one is to be woken. */
static int m_shutdown(lua_State *L) {
  static const char *const modes[] = {"r", "w", "rw", NULL};
  static const int how[] = {SHUT_RD, SHUT_WR, SHUT_RDWR};
  struct gev_hub *h = gev_hub(L);
  struct gev_stream *s = gev_checkstream(L, 1);
  int after = THEN_SHUTDOWN + how[luaL_checkoption(L, 2, "rw", modes)];
  bool once;
  int64_t deadline = own_deadline(L, &once);
  struct gev_greenlet *writer = s->fd.user[GEV_WRITE];
  if (after == THEN_SHUTDOWN + SHUT_RD || (writer && writer != h->current))
    after |= AT_ONCE;
  return flush_run(L, h, s, once, deadline, after);
}

/* s:close() -> true: idempotent. What setvbuf has collected goes out first,
 * under the stream's time-out, where a wait is possible. */
static int m_close(lua_State *L) {
  struct gev_hub *h = gev_hub(L);
  struct gev_stream *s = gev_checkstream(L, 1);
  lua_settop(L, 1);
  bool waits = s->out.data || (s->unsent && s->fd.by_request);
  if (!waits || s->fd.fd < 0) return finish_close(L, h, s);
  bool once = s->timeout == 0 || s->fd.user[GEV_WRITE] || !h->current ||
              (L != h->L && !lua_isyieldable(L)) || L != h->running ||
              gev_has_pending(h->current) || h->closing;
  return flush_run(L, h, s, once, gev_deadline(s->timeout), THEN_CLOSE);
}

/* <close>: as close. */
static int m_leave(lua_State *L) {
  bool killed = gev_exc_is(L, 2, GEV_EXC_GREENLETEXIT);
  lua_settop(L, 1);
  return killed ? gev_unwind(L, m_close, 1) : m_close(L);
}

const luaL_Reg gev_writer_methods[] = {
    {"send", m_send},         {"sendall", m_sendall}, {"sendv", m_sendv},
    {"write", m_write},       {"flush", m_flush},     {"setvbuf", m_setvbuf},
    {"shutdown", m_shutdown}, {"close", m_close},     {"__close", m_leave},
    {NULL, NULL}};
