/* proto/http_exchange.c - layer: proto. The answer to one request, as the
 * client reads it: interim answers skipped, the head, the body by the formats
 * of io, decoded if it was compressed. The request was written, or is being
 * written by another greenlet, to the same stream.
 *
 * An exchange owns its parser's block, its buffers and its decoder, which are
 * freed when it is closed or collected; the stream belongs to whoever made it,
 * and is let go of by release(), which also says whether a further request may
 * go out on it. What was read before that can still be had. */
#include "proto/http_exchange.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io/reader.h"
#include "proto/http_conn.h"
#include "proto/http_format.h"
#include "proto/zstream.h"

enum { MAX_INTERIM = 32 };    /* interim answers to one request */
enum { INFLATE_STEP = 16384 }; /* bytes decoded at a time */
enum { FAILED = -100020 };    /* beside GEV_WANT_*: see x->code */

static const struct gev_class class = {"http exchange", NULL, NULL};

/* User value 1: the stream's userdata. */
struct exchange {
  const struct gev_class *cls;
  struct gev_stream *s;     /* NULL: let go of */
  int64_t due;              /* deadline of the whole */
  int64_t idle;             /* ns the peer may be silent; GEV_NEVER */
  uint64_t max_body;        /* bytes, decoded */
  uint64_t max_buffer;      /* bytes in `in` */
  uint64_t total;           /* bytes of the body so far, decoded */
  struct gev_bytes in;      /* of the body: not asked for yet */
  struct gev_bytes raw;     /* of the body: not decoded yet */
  struct gev_zstream *z;    /* NULL: the body is as it was sent */
  const char *coding;       /* that is being undone, or NULL */
  const char *error, *code; /* the answer is no good; constant strings */
  unsigned interim;
  bool decode;    /* undo a compression */
  bool heard;     /* something of the answer has come */
  bool headed;    /* its head has */
  bool wire_done; /* all of it has */
  bool full;      /* the decoder has more to give */
  bool done;      /* `in` holds the rest of the body */
  struct gev_h1_limits limits;
  struct gev_h1 h1;
};

static struct exchange *check(lua_State *L) { return gev_check(L, 1, &class); }

/* --- failures ------------------------------------------------------------ */

static ssize_t fail(struct exchange *x, const char *code, const char *error) {
  x->code = code;
  x->error = error;
  return FAILED;
}

static ssize_t fail_parse(struct exchange *x) {
  switch (x->h1.status) {
    case 413:
    case 414:
    case 431: return fail(x, "toolarge", x->h1.error);
    case 503: return -ENOMEM;
    default: return fail(x, "malformed", x->h1.error);
  }
}

static ssize_t fail_large(struct exchange *x) {
  return fail(x, "toolarge", "body too large");
}

/* --- input --------------------------------------------------------------- */

/* Has everything come, and does it make a whole? */
static ssize_t look_at_end(struct exchange *x) {
  if (!x->wire_done || x->raw.len > x->raw.off || x->full) return 1;
  if (x->z && !gev_inflate_is_whole(x->z))
    return fail(x, "truncated", "the compressed body was cut off");
  x->done = true;
  return 1;
}

/* Decodes a bounded piece of what waits for it. */
static ssize_t inflate_some(struct exchange *x) {
  char room[INFLATE_STEP];
  size_t len = x->raw.len - x->raw.off;
  struct gev_z_io io = {gev_bytes_front(&x->raw), len, room, sizeof room};
  enum gev_z_result r = gev_inflate(x->z, &io);
  size_t made = sizeof room - io.out_len;
  if (len) gev_bytes_drop(&x->raw, len - io.in_len);
  if (r == GEV_Z_NOMEM || (made && !gev_bytes_add(&x->in, room, made)))
    return -ENOMEM;
  if (r == GEV_Z_BAD) return fail(x, "malformed", "bad compressed data");
  x->total += made;
  if (x->total > x->max_body) return fail_large(x);
  x->full = r == GEV_Z_FULL;
  return look_at_end(x);
}

static bool is_word(const char *s, size_t len, const char *word) {
  return len == strlen(word) && gev_http_same(s, word, len);
}

/* The head is there: is its body to be decoded? */
static bool begin_body(struct exchange *x) {
  size_t len;
  x->headed = true;
  int i = x->decode && x->h1.has_body
              ? gev_h1_find(&x->h1, "content-encoding", 0) : -1;
  if (i < 0) return true;
  if (gev_h1_find(&x->h1, "content-encoding", (uint32_t)i + 1) >= 0)
    return true; /* several: not what we asked for, and not undone */
  const char *s = gev_h1_value(&x->h1, (uint32_t)i, &len);
  if (is_word(s, len, "gzip") || is_word(s, len, "x-gzip")) {
    x->coding = "gzip";
    x->z = gev_inflate_new(GEV_Z_GZIP);
  } else if (is_word(s, len, "deflate")) {
    x->coding = "deflate";
    x->z = gev_inflate_new(GEV_Z_DEFLATE);
  }
  return !x->coding || x->z;
}

static ssize_t take_body(struct exchange *x) {
  struct gev_bytes *to = x->z ? &x->raw : &x->in;
  if (!gev_bytes_add(to, x->h1.chunk, x->h1.chunk_len)) return -ENOMEM;
  if (!x->z) x->total += x->h1.chunk_len;
  return 1;
}

static ssize_t take_head(struct exchange *x) {
  if (x->h1.code >= 200 || x->h1.code == 101)
    return begin_body(x) ? 1 : -ENOMEM;
  if (++x->interim > MAX_INTERIM)
    return fail(x, "toolarge", "too many interim answers");
  gev_h1_next(&x->h1);
  return 1;
}

/* Parses a piece of the answer; *used: how much of it was of the answer. */
static ssize_t take(struct exchange *x, const char *data, size_t len,
                    size_t *used) {
  *used = 0;
  for (;;) {
    size_t n;
    ssize_t r = 1;
    enum gev_h1_event ev = gev_h1_feed(&x->h1, data + *used, len - *used, &n);
    *used += n;
    switch (ev) {
      case GEV_H1_HEAD: r = take_head(x); break;
      case GEV_H1_BODY: r = take_body(x); break;
      case GEV_H1_DONE: x->wire_done = true; return look_at_end(x);
      case GEV_H1_MORE: return 1;
      case GEV_H1_ERROR: return fail_parse(x);
    }
    if (r != 1) return r;
  }
}

static ssize_t take_end(struct exchange *x) {
  if (!x->heard) return fail(x, "closed", "closed before an answer came");
  if (gev_h1_end(&x->h1) != GEV_H1_DONE)
    return fail(x, "truncated", "the answer was cut off");
  x->wire_done = true;
  return look_at_end(x);
}

/* One step: 1, FAILED, GEV_WANT_*, or what the transport said. */
static ssize_t fill(struct gev_hub *h, struct exchange *x) {
  const char *data;
  size_t used;
  if (x->raw.len > x->raw.off || x->full) return inflate_some(x);
  ssize_t got = gev_stream_input(h, x->s, &data);
  if (got == 0) return take_end(x);
  if (got < 0) return got;
  x->heard = true;
  ssize_t r = take(x, data, (size_t)got, &used);
  gev_count_bytes(h, used);
  return gev_stream_used(x->s, data, (size_t)got, used) ? r : -ENOMEM;
}

/* --- waiting ------------------------------------------------------------- */

static const struct gev_waitop head_op = {"http answer", true, gev_fd_cancel,
                                          gev_fd_describe};
static const struct gev_waitop read_op = {"response:read", true,
                                          gev_fd_cancel, gev_fd_describe};

/* The stack while we wait: 1 exchange, 2 format, 3 the stream's userdata,
 * which must not go while we are in its queue. */
enum { FORMAT = 2, STREAM };

typedef int (*run_fn)(lua_State *L, struct gev_hub *h, struct exchange *x);

static int64_t deadline_of(const struct exchange *x) {
  if (x->idle == GEV_NEVER) return x->due;
  int64_t due = gev_now() + x->idle;
  return due < x->due ? due : x->due;
}

/* Input kept coming for a whole slice: the others' turn. */
static int yield_turn(lua_State *L, struct gev_hub *h, struct exchange *x,
                      const struct gev_waitop *op, lua_KFunction k) {
  struct gev_greenlet *g = gev_park_begin(L, h, op);
  x->s->fd.user[GEV_READ] = g;
  return gev_park_ready(L, h, g, op, &x->s->fd, 0, k);
}

/* Nothing more can be had now: waits, or gives the failure; without a stream,
 * memory has failed while what had come was decoded. */
static int not_filled(lua_State *L, struct gev_hub *h, struct exchange *x,
                      ssize_t got, const struct gev_waitop *op,
                      lua_KFunction k) {
  if (gev_stream_must_wait(got))
    return gev_stream_wait(L, h, x->s, GEV_READ, got, op, deadline_of(x), 0,
                           k);
  return x->s ? gev_stream_fail(L, x->s, got) : gev_fail(L, (int)-got);
}

static int resumed(lua_State *L, run_fn run) {
  struct gev_hub *h = gev_hub(L);
  struct exchange *x = lua_touserdata(L, 1);
  struct gev_stream *s = &((struct gev_stream_object *)
                           lua_touserdata(L, STREAM))->s;
  enum gev_verdict v = gev_fd_resume(L, h, &s->fd, GEV_READ);
  if (x->s != s) return gev_failclosed(L);
  if (v != GEV_WOKEN) return gev_stream_verdict(L, v);
  return run(L, h, x);
}

static int start(lua_State *L, struct exchange *x,
                 const struct gev_waitop *op, run_fn run) {
  struct gev_hub *h = gev_hub(L);
  lua_settop(L, FORMAT);
  lua_getiuservalue(L, 1, 1);
  if (x->s) gev_fd_claim(L, h, &x->s->fd, GEV_READ, op);
  return run(L, h, x);
}

/* --- head ---------------------------------------------------------------- */

static int push_head(lua_State *L, struct exchange *x) {
  size_t len;
  const char *phrase = gev_h1_phrase(&x->h1, &len);
  lua_pushinteger(L, x->h1.code);
  lua_pushlstring(L, phrase, len);
  gev_http_headers_copy(L, &x->h1);
  lua_pushstring(L, x->h1.minor ? "1.1" : "1.0");
  lua_pushstring(L, x->coding);
  return 5;
}

static int run_head(lua_State *L, struct gev_hub *h, struct exchange *x);

static int head_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  return resumed(L, run_head);
}

static int run_head(lua_State *L, struct gev_hub *h, struct exchange *x) {
  while (!x->headed) {
    if (x->code) return gev_failmsg(L, x->error, x->code);
    if (!x->s) return gev_failclosed(L);
    ssize_t got = fill(h, x);
    if (got != 1 && got != FAILED)
      return not_filled(L, h, x, got, &head_op, head_k);
  }
  return push_head(L, x);
}

/* x:head() -> status, reason, headers, version, coding that is being undone */
static int m_head(lua_State *L) {
  return start(L, check(L), &head_op, run_head);
}

/* --- body ---------------------------------------------------------------- */

static int run_read(lua_State *L, struct gev_hub *h, struct exchange *x);
static int run_recv(lua_State *L, struct gev_hub *h, struct exchange *x);

static int read_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  return resumed(L, run_read);
}
static int recv_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  return resumed(L, run_recv);
}

/* More of the body; MORE: look again. */
enum { MORE = -1 };
static int more(lua_State *L, struct gev_hub *h, struct exchange *x,
                lua_KFunction k) {
  if (!x->code && x->in.len - x->in.off > x->max_buffer) fail_large(x);
  if (x->code) return gev_failmsg(L, x->error, x->code);
  if (!x->s && !x->wire_done) return gev_failclosed(L);
  ssize_t got = fill(h, x);
  if (got != 1 && got != FAILED) return not_filled(L, h, x, got, &read_op, k);
  if (x->s && gev_must_yield(L, h)) return yield_turn(L, h, x, &read_op, k);
  return MORE;
}

static int run_read(lua_State *L, struct gev_hub *h, struct exchange *x) {
  for (;;) {
    int n = gev_http_parse(L, &x->in, x->done);
    if (n) return n;
    n = more(L, h, x, read_k);
    if (n != MORE) return n;
  }
}

/* x:read([n|"a"|"l"|"L"]) -> data | nil, message, code */
static int m_read(lua_State *L) {
  struct exchange *x = check(L);
  gev_http_check_format(L);
  return start(L, x, &read_op, run_read);
}

static int run_recv(lua_State *L, struct gev_hub *h, struct exchange *x) {
  while (x->in.len == x->in.off && !x->done) {
    int n = more(L, h, x, recv_k);
    if (n != MORE) return n;
  }
  size_t n = (size_t)lua_tointeger(L, FORMAT), have = x->in.len - x->in.off;
  if (n > have) {
    lua_pushinteger(L, (lua_Integer)have);
    lua_replace(L, FORMAT);
  }
  if (have == 0) return lua_pushliteral(L, ""), 1;
  return gev_http_parse(L, &x->in, x->done);
}

/* x:recv(n) -> what is there, up to n bytes; "" at the end */
static int m_recv(lua_State *L) {
  struct exchange *x = check(L);
  luaL_argcheck(L, luaL_checkinteger(L, 2) > 0, 2,
                "a number of bytes must be positive");
  return start(L, x, &read_op, run_recv);
}

/* --- life ---------------------------------------------------------------- */

static uint64_t bytes_at(lua_State *L, int idx) {
  return lua_isnoneornil(L, idx) ? GEV_H1_NO_LIMIT
                                 : (uint64_t)luaL_checkinteger(L, idx);
}

/* The method tells what kind of answer comes. */
static enum gev_h1_kind kind_at(lua_State *L, int idx) {
  size_t len;
  const char *method = luaL_checklstring(L, idx, &len);
  if (len == 4 && !memcmp(method, "HEAD", 4)) return GEV_H1_TO_HEAD;
  if (len == 7 && !memcmp(method, "CONNECT", 7)) return GEV_H1_TO_CONNECT;
  return GEV_H1_RESPONSE;
}

/* http_exchange(stream, method, timeout, idle timeout, decode, max_body,
 * max_buffer, max_header_bytes, max_headers) -> exchange; nil: no limit */
static int lib_exchange(lua_State *L) {
  struct gev_stream *s = gev_checkstream(L, 1);
  enum gev_h1_kind kind = kind_at(L, 2);
  double timeout = gev_opttimeout(L, 3), idle = gev_opttimeout(L, 4);
  lua_settop(L, 9);
  struct exchange *x = lua_newuserdatauv(L, sizeof *x, 1);
  memset(x, 0, sizeof *x);
  x->cls = &class;
  x->due = gev_deadline(timeout);
  x->idle = idle < 0 || idle > 1e9 ? GEV_NEVER : (int64_t)(idle * 1e9);
  x->decode = lua_toboolean(L, 5);
  x->max_body = bytes_at(L, 6);
  x->max_buffer = bytes_at(L, 7);
  x->limits = gev_h1_default_limits;
  x->limits.max_body = x->max_body;
  x->limits.max_head = (uint32_t)luaL_checkinteger(L, 8);
  x->limits.max_field = x->limits.max_trailers = x->limits.max_head;
  x->limits.max_fields = (uint32_t)luaL_checkinteger(L, 9);
  gev_h1_init_response(&x->h1, kind, &x->limits);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  x->s = s;
  return 1;
}

/* x:heard() -> has anything of the answer come? */
static int m_heard(lua_State *L) {
  lua_pushboolean(L, check(L)->heard);
  return 1;
}

/* x:complete() -> has all of the answer come? */
static int m_complete(lua_State *L) {
  lua_pushboolean(L, check(L)->wire_done);
  return 1;
}

/* x:release() -> may the stream be used for another request? It may if the
 * answer was delimited and has been read to its end, and nothing came after
 * it. The stream is not the exchange's any more; again: false. */
static int m_release(lua_State *L) {
  struct exchange *x = check(L);
  lua_pushboolean(L, x->s && x->wire_done && !x->code && x->h1.keep_alive &&
                         !x->h1.upgrade && !gev_stream_buffered(x->s));
  x->s = NULL;
  lua_pushnil(L);
  lua_setiuservalue(L, 1, 1);
  return 1;
}

static void free_all(struct exchange *x) {
  x->s = NULL;
  gev_h1_free(&x->h1);
  gev_zstream_free(x->z);
  x->z = NULL;
  free(x->in.data);
  free(x->raw.data);
  x->in = x->raw = (struct gev_bytes){0};
}

/* x:close(): what is left of the answer is not wanted. Idempotent. */
static int m_close(lua_State *L) {
  struct exchange *x = check(L);
  free_all(x);
  x->full = x->done = false;
  x->code = x->error = "closed";
  lua_pushnil(L);
  lua_setiuservalue(L, 1, 1);
  return 0;
}

static int m_gc(lua_State *L) {
  free_all(check(L));
  return 0;
}

/* http_is_quiet(stream) -> is it open, and has nothing come on it? Neither
 * bytes nor the end are to come while nothing was asked: the bytes would be
 * taken for an answer to the next request. So it looks, whatever the last poll
 * said. */
static int lib_is_quiet(lua_State *L) {
  struct gev_stream *s = gev_checkstream(L, 1);
  bool quiet = s->fd.fd >= 0 && !gev_stream_buffered(s);
  if (quiet) {
    char byte;
    ssize_t got = s->ops->read(s, &byte, 1);
    quiet = gev_stream_must_wait(got);
  }
  lua_pushboolean(L, quiet);
  return 1;
}

static const luaL_Reg methods[] = {
    {"head", m_head},       {"read", m_read},         {"recv", m_recv},
    {"heard", m_heard},     {"complete", m_complete}, {"release", m_release},
    {"close", m_close},     {"__gc", m_gc},           {NULL, NULL}};

void gev_open_http_exchange(lua_State *L, int hub) {
  lua_pushvalue(L, hub);
  lua_pushvalue(L, hub);
  gev_newclass(L, "http exchange", methods, 1);
  lua_pushcclosure(L, lib_exchange, 2);
  lua_setfield(L, -2, "http_exchange");
  lua_pushvalue(L, hub);
  lua_pushcclosure(L, lib_is_quiet, 1);
  lua_setfield(L, -2, "http_is_quiet");
}
