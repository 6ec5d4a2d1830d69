/* io/stream.c - layer: io. See stream.h. The parts of a stream that know no
 * format: input, waiting, recv, closing. Reading by format is in reader.c,
 * writing in writer.c. */
#include "io/stream.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "io/reader.h"
#include "io/writer.h"

void gev_stream_init(struct gev_stream *s, struct gev_hub *h,
                     const struct gev_transport *ops, int fd) {
  memset(s, 0, sizeof *s);
  s->hub = h;
  s->ops = ops;
  s->timeout = -1;
  gev_fd_init(&s->fd, fd);
}

void gev_stream_close(struct gev_hub *h, struct gev_stream *s) {
  s->ops->close(h, s);
  gev_bytes_free(&s->in);
  gev_bytes_free(&s->out);
}

void gev_stream_closed(lua_State *L, struct gev_hub *h,
                       struct gev_stream *s) {
  gev_stream_close(h, s);
  if (luaL_getmetafield(L, 1, "__closed") != LUA_TNIL)
    lua_setmetatable(L, 1);
}

const struct gev_class gev_stream_classes[GEV_STREAM_KINDS] = {
    [GEV_STREAM_SOCKET] = {"socket", NULL, NULL},
    [GEV_STREAM_TLS] = {"TLS socket", NULL, NULL},
    [GEV_STREAM_FILE] = {"file", NULL, NULL}};

void gev_stream_typeerror(lua_State *L, int idx) {
  luaL_typeerror(L, idx, "socket or file");
}

/* --- input --------------------------------------------------------------- */

char *gev_scratch(struct gev_hub *h) {
  if (!h->scratch) h->scratch = malloc(GEV_SCRATCH);
  return h->scratch;
}

/* One read of up to n bytes into buf. */
static ssize_t read_once(struct gev_stream *s, void *buf, size_t n) {
  if (s->fd.fd < 0) return -EBADF;
  if (s->fd.drained) return GEV_WANT_READ;
  return s->ops->read(s, buf, n);
}

ssize_t gev_stream_input(struct gev_hub *h, struct gev_stream *s,
                         const char **data) {
  if (gev_stream_buffered(s)) {
    *data = s->in.data + s->in.off;
    return (ssize_t)gev_stream_buffered(s);
  }
  char *buf = gev_scratch(h);
  if (!buf) return -ENOMEM;
  *data = buf;
  return read_once(s, buf, GEV_SCRATCH);
}

bool gev_stream_used(struct gev_stream *s, const char *data, size_t len,
                     size_t used) {
  if (gev_stream_buffered(s)) {
    gev_bytes_drop(&s->in, used);
    return true;
  }
  return used == len || gev_bytes_add(&s->in, data + used, len - used);
}

ssize_t gev_stream_fill(struct gev_hub *h, struct gev_stream *s) {
  char *buf = gev_scratch(h);
  if (!buf) return -ENOMEM;
  ssize_t got = read_once(s, buf, GEV_SCRATCH);
  if (got > 0 && !gev_bytes_add(&s->in, buf, (size_t)got)) return -ENOMEM;
  return got;
}

/* --- waiting ------------------------------------------------------------- */

int gev_stream_wait(lua_State *L, struct gev_hub *h, struct gev_stream *s,
                    enum gev_dir role, ssize_t want,
                    const struct gev_waitop *op, int64_t deadline,
                    lua_KContext ctx, lua_KFunction k) {
  return gev_fd_wait_as(L, h, &s->fd, role,
                        want == GEV_WANT_READ ? GEV_READ : GEV_WRITE, op,
                        deadline, ctx, k);
}

int gev_stream_fail(lua_State *L, struct gev_stream *s, ssize_t err) {
  if (s->ops->fail) return s->ops->fail(L, s, err);
  return gev_fail(L, (int)-err);
}

int gev_stream_verdict(lua_State *L, enum gev_verdict v) {
  return v == GEV_TIMEDOUT ? gev_failtimeout(L) : gev_fail(L, EBADF);
}

int gev_failclosed(lua_State *L) {
  return gev_failmsg(L, "closed", "closed");
}

/* --- recv ---------------------------------------------------------------- */

static const struct gev_waitop recv_op = {"recv", true, gev_fd_cancel,
                                          gev_fd_describe};

static int recv_k(lua_State *L, int status, lua_KContext ctx);

static int recv_buffered(lua_State *L, struct gev_stream *s, size_t n) {
  size_t have = gev_stream_buffered(s);
  gev_stream_take(L, s, n < have ? n : have);
  return 1;
}

static int recv_now(lua_State *L, struct gev_stream *s, bool once,
                    int64_t deadline) {
  struct gev_hub *h = s->hub;
  char *buf = gev_scratch(h);
  if (!buf) return gev_fail(L, ENOMEM);
  ssize_t got = read_once(s, buf, s->asked);
  if (got >= 0) {
    lua_pushlstring(L, buf, (size_t)got);
    gev_count_bytes(h, (size_t)got);
    return gev_fd_give(L, h, &recv_op, 1);
  }
  if (!gev_stream_must_wait(got)) return gev_stream_fail(L, s, got);
  if (once) return gev_failtimeout(L);
  return gev_stream_wait(L, h, s, GEV_READ, got, &recv_op, deadline,
                         (lua_KContext)s, recv_k);
}

static int recv_k(lua_State *L, int status, lua_KContext ctx) {
  struct gev_stream *s = (struct gev_stream *)ctx; /* it is at index 1 */
  (void)status;
  int64_t deadline = gev_fd_deadline(s->hub);
  enum gev_verdict v = gev_fd_resume(L, s->hub, &s->fd, GEV_READ);
  if (v != GEV_WOKEN) return gev_stream_verdict(L, v);
  return recv_now(L, s, false, deadline);
}

/* s:recv(n [, timeout]) -> data | "" at the end | nil, message, code */
static int m_recv(lua_State *L) {
  struct gev_stream *s = gev_checkstream(L, 1);
  lua_Integer n = gev_checkinteger(L, 2);
  bool once;
  int64_t deadline = gev_stream_deadline(L, s, 3, &once);
  luaL_argcheck(L, n >= 0, 2, "a number of bytes must not be negative");
  gev_fd_claim(L, s->hub, &s->fd, GEV_READ, &recv_op);
  if (s->fd.fd < 0) return gev_fail(L, EBADF);
  if (n == 0) {
    lua_pushliteral(L, "");
    return 1;
  }
  if (gev_stream_buffered(s)) return recv_buffered(L, s, (size_t)n);
  s->asked = n < GEV_SCRATCH ? (uint32_t)n : GEV_SCRATCH;
  if (once)
    s->fd.drained = false;
  else if (s->fd.drained) /* as nearly always */
    return gev_fd_wait(L, s->hub, &s->fd, GEV_READ, &recv_op, deadline,
                       (lua_KContext)s, recv_k);
  return recv_now(L, s, once, deadline);
}

/* --- the rest ------------------------------------------------------------ */

/* s:settimeout(seconds|nil) -> true */
static int m_settimeout(lua_State *L) {
  struct gev_stream *s = gev_checkstream(L, 1);
  double timeout = gev_opttimeout(L, 2);
  if (s->fd.fd < 0) return gev_fail(L, EBADF);
  s->timeout = timeout;
  lua_pushboolean(L, true);
  return 1;
}

static int m_gettimeout(lua_State *L) {
  struct gev_stream *s = gev_checkstream(L, 1);
  if (s->fd.fd < 0) return gev_fail(L, EBADF);
  if (s->timeout < 0)
    lua_pushnil(L);
  else
    lua_pushnumber(L, s->timeout);
  return 1;
}

static int m_fileno(lua_State *L) {
  int fd = gev_checkstream(L, 1)->fd.fd;
  if (fd < 0) return gev_fail(L, EBADF);
  lua_pushinteger(L, fd);
  return 1;
}

static int m_gc(lua_State *L) {
  gev_stream_close(gev_hub(L), gev_checkstream(L, 1));
  return 0;
}

static const luaL_Reg methods[] = {{"recv", m_recv},
                                   {"settimeout", m_settimeout},
                                   {"gettimeout", m_gettimeout},
                                   {"fileno", m_fileno},
                                   {"__gc", m_gc},
                                   {NULL, NULL}};

void gev_stream_methods(lua_State *L, int hub) {
  const luaL_Reg *const tables[] = {methods, gev_reader_methods,
                                    gev_writer_methods};
  for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
    lua_pushvalue(L, hub);
    luaL_setfuncs(L, tables[i], 1);
  }
}
