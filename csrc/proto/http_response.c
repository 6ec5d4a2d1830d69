/* proto/http_response.c - layer: proto. See http_conn.h. The answer: what the
 * handler calls on `res`, and the writing that conn:serve shares with it.
 * Strings that are being written stay on the stack of the call; the few bytes
 * of framing that a full socket did not take go to the connection's buffer. */
#include "proto/http_conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io/reader.h"

const struct gev_class gev_http_res_class = {"http response", NULL, NULL};
static const char class_key = 0;

/* --- writing ------------------------------------------------------------- */

static void drop(struct gev_http_conn *c, size_t n) {
  size_t have = gev_bytes_count(&c->held), k = n < have ? n : have;
  if (k) gev_bytes_drop(&c->held, k);
  n -= k;
  have = c->out.len - c->out.off;
  k = n < have ? n : have;
  if (k) gev_bytes_drop(&c->out, k);
  n -= k;
  have = c->text_len - c->text_off;
  k = n < have ? n : have;
  c->text_off += k;
  n -= k;
  if (n) c->tail += n;
  c->tail_len -= n;
}

static int add_piece(struct iovec *iov, int n, const char *data, size_t len) {
  if (len == 0) return n;
  iov[n].iov_base = (void *)(uintptr_t)data;
  iov[n].iov_len = len;
  return n + 1;
}

ssize_t gev_http_flush(lua_State *L, struct gev_http_conn *c) {
  struct iovec iov[4];
  for (;;) {
    int n = add_piece(iov, 0, gev_bytes_front(&c->held),
                      gev_bytes_count(&c->held));
    n = add_piece(iov, n, gev_bytes_front(&c->out),
                  gev_bytes_count(&c->out));
    if (c->text_off < c->text_len)
      n = add_piece(iov, n, lua_tostring(L, c->text) + c->text_off,
                    c->text_len - c->text_off);
    n = add_piece(iov, n, c->tail, c->tail_len);
    if (n == 0 && !c->s->unsent) break;
    ssize_t put = c->s->ops->write(c->s, iov, n);
    if (put < 0) return put;
    gev_count_bytes(c->s->hub, (size_t)put);
    drop(c, (size_t)put);
  }
  c->writing = false;
  return 0;
}

/* The head is in c->out already: what is in it is written from there. */
static ssize_t put_rest(lua_State *L, struct gev_http_head *o, size_t put) {
  struct gev_http_conn *c = o->c;
  size_t len = (size_t)(o->at - o->base);
  c->writing = true;
  if (o->base == c->out.data) {
    c->out.off = 0;
    c->out.len = len;
  } else if (put < len) {
    if (!gev_bytes_add(&c->out, o->base + put, len - put)) return -ENOMEM;
    put = 0;
  } else {
    put -= len;
  }
  drop(c, put);
  return gev_http_flush(L, c);
}

ssize_t gev_http_put(lua_State *L, struct gev_http_head *o, int text,
                     const char *tail, size_t tail_len) {
  struct gev_http_conn *c = o->c;
  struct iovec iov[3];
  size_t total = (size_t)(o->at - o->base) + tail_len;
  int n = add_piece(iov, 0, o->base, (size_t)(o->at - o->base));
  c->text = text;
  c->text_off = c->text_len = 0;
  if (text) {
    const char *s = lua_tolstring(L, text, &c->text_len);
    n = add_piece(iov, n, s, c->text_len);
    total += c->text_len;
  }
  n = add_piece(iov, n, tail, tail_len);
  if (n == 0) return 0;
  /* Answers that are held go first: gev_http_flush. */
  ssize_t put = c->held.data ? 0 : c->s->ops->write(c->s, iov, n);
  if (put == (ssize_t)total && o->base == o->room && !c->s->unsent) return 0;
  c->tail = tail;
  c->tail_len = tail_len;
  if (put >= 0) return put_rest(L, o, (size_t)put);
  if (!gev_stream_must_wait(put)) return put;
  return put_rest(L, o, 0);
}

int64_t gev_http_write_deadline(const struct gev_http_conn *c) {
  if (c->set->write_timeout == GEV_NEVER) return GEV_NEVER;
  return gev_now() + c->set->write_timeout;
}

/* Appends the string at `text` to the head if that spares a piece. */
static int merge(lua_State *L, struct gev_http_head *o, int text) {
  size_t len;
  if (!text) return 0;
  const char *s = lua_tolstring(L, text, &len);
  if (len > (size_t)(o->end - o->at)) return text;
  memcpy(o->at, s, len);
  o->at += len;
  return 0;
}

ssize_t gev_http_answer_whole(lua_State *L, struct gev_http_conn *c,
                              struct gev_http_answer *a, int body) {
  struct gev_http_head o;
  a->length = body ? (int64_t)lua_rawlen(L, body) : 0;
  if (c->set->compress) body = gev_http_encode_whole(L, c, a, body);
  if (!gev_http_compose(&o, L, c, a)) {
    lua_pushstring(L, o.error);
    return GEV_HTTP_FAILED;
  }
  c->finished = true;
  if (c->bodyless) body = 0;
  if (body) c->sent = (uint64_t)a->length;
  if (gev_stream_buffered(c->s) && gev_http_hold(L, &o, body)) return 0;
  return gev_http_put(L, &o, merge(L, &o, body), NULL, 0);
}

/* --- the object ---------------------------------------------------------- */

void gev_http_push_res_class(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &class_key);
}

void gev_http_res_new(lua_State *L, struct gev_http_conn *c, int class,
                      int req) {
  struct gev_http_res *r = lua_newuserdatauv(L, sizeof *r, 3);
  r->cls = &gev_http_res_class;
  r->c = c;
  r->serial = c->serial;
  r->status = 200;
  r->has_headers = r->has_extra = false;
  lua_pushvalue(L, class);
  lua_setmetatable(L, -2);
  lua_pushvalue(L, req);
  lua_setiuservalue(L, -2, GEV_HTTP_UV_CONN);
}

static struct gev_http_res *check(lua_State *L) {
  return gev_check(L, 1, &gev_http_res_class);
}

static bool is_live(const struct gev_http_res *r) {
  return r->serial == r->c->serial;
}

static void push_headers(lua_State *L, struct gev_http_res *r) {
  if (r->has_headers) {
    lua_getiuservalue(L, 1, GEV_HTTP_UV_HEADERS);
    return;
  }
  gev_http_headers_new(L, 0);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, 1, GEV_HTTP_UV_HEADERS);
  r->has_headers = true;
}

enum { F_STATUS, F_HEADERS, F_STARTED, F_FINISHED };

static void push_field(lua_State *L, struct gev_http_res *r, int field) {
  switch (field) {
    case F_STATUS: lua_pushinteger(L, r->status); break;
    case F_HEADERS: push_headers(L, r); break;
    case F_STARTED: lua_pushboolean(L, !is_live(r) || r->c->begun); break;
    default: lua_pushboolean(L, !is_live(r) || r->c->finished); break;
  }
}

/* upvalue 2: names of fields -> numbers, names of methods -> functions */
static int m_index(lua_State *L) {
  struct gev_http_res *r = check(L);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(2)) == LUA_TNUMBER) {
    push_field(L, r, (int)lua_tointeger(L, -1));
  } else if (lua_isnil(L, -1) && r->has_extra) {
    lua_getiuservalue(L, 1, GEV_HTTP_UV_EXTRA);
    lua_pushvalue(L, 2);
    lua_rawget(L, -2);
  }
  return 1;
}

static uint16_t check_status(lua_State *L, int idx) {
  lua_Integer status = luaL_checkinteger(L, idx);
  if (status < 200 || status > 599)
    luaL_error(L, "bad status %I (200 to 599 expected)", status);
  return (uint16_t)status;
}

static void check_reason(lua_State *L, int idx) {
  size_t len;
  const char *s = luaL_checklstring(L, idx, &len);
  if (!gev_h1_is_value(s, len))
    luaL_error(L, "bad reason phrase (control characters are not allowed)");
}

static void set_headers(lua_State *L, struct gev_http_res *r, int idx) {
  if (gev_test(L, idx, &gev_http_headers_class)) {
    lua_pushvalue(L, idx);
  } else {
    luaL_checktype(L, idx, LUA_TTABLE);
    gev_http_headers_from(L, idx);
  }
  lua_setiuservalue(L, 1, GEV_HTTP_UV_HEADERS);
  r->has_headers = true;
}

static int m_newindex(lua_State *L) {
  struct gev_http_res *r = check(L);
  lua_settop(L, 3);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(2)) == LUA_TNUMBER) {
    switch (lua_tointeger(L, -1)) {
      case F_STATUS: r->status = check_status(L, 3); return 0;
      case F_HEADERS: set_headers(L, r, 3); return 0;
      default: return luaL_error(L, "this field cannot be set");
    }
  }
  lua_settop(L, 3);
  if (lua_type(L, 2) == LUA_TSTRING && !lua_isnil(L, 3) &&
      strcmp(lua_tostring(L, 2), "reason") == 0)
    check_reason(L, 3);
  r->has_extra = true;
  return gev_http_set_extra(L);
}

static int m_tostring(lua_State *L) {
  struct gev_http_res *r = check(L);
  const char *state = !is_live(r) ? "over"
                      : r->c->finished ? "finished"
                      : r->c->begun ? "begun" : "not begun";
  lua_pushfstring(L, "<http response at %p: %d %s>", (void *)r,
                  (int)r->status, state);
  return 1;
}

/* --- write, finish, send ------------------------------------------------- */

static const struct gev_waitop write_op = {"response:write", true,
                                           gev_fd_cancel, gev_fd_describe};

static int write_k(lua_State *L, int status, lua_KContext ctx);

static int fail_write(lua_State *L, struct gev_http_conn *c, int n) {
  c->broken = true;
  lua_pushvalue(L, -2);
  gev_http_set_failure(L, c, 1);
  return n;
}

/* After a put or flush: the response, nil and why, or a wait. */
static int after_put(lua_State *L, struct gev_hub *h,
                     struct gev_http_conn *c, ssize_t put) {
  if (put == 0) {
    lua_pushvalue(L, 1);
    return 1;
  }
  c->stale = true;
  if (!gev_stream_must_wait(put))
    return fail_write(L, c, gev_stream_fail(L, c->s, put));
  return gev_stream_wait(L, h, c->s, GEV_WRITE, put, &write_op,
                         gev_http_write_deadline(c), 0, write_k);
}

static int write_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  struct gev_hub *h = gev_hub(L);
  struct gev_http_res *r = lua_touserdata(L, 1);
  enum gev_verdict v = gev_fd_resume(L, h, &r->c->s->fd, GEV_WRITE);
  if (!is_live(r)) return gev_failclosed(L);
  if (v != GEV_WOKEN) return fail_write(L, r->c, gev_stream_verdict(L, v));
  return after_put(L, h, r->c, gev_http_flush(L, r->c));
}

void gev_http_describe(lua_State *L, int res, struct gev_http_answer *a) {
  struct gev_http_res *r = lua_touserdata(L, res);
  *a = (struct gev_http_answer){.status = r->status, .length = -1};
  if (r->has_headers) {
    lua_getiuservalue(L, res, GEV_HTTP_UV_HEADERS);
    a->own = lua_gettop(L);
  }
  if (r->has_extra) {
    lua_getiuservalue(L, res, GEV_HTTP_UV_EXTRA);
    lua_getfield(L, -1, "reason");
    if (!lua_isnil(L, -1)) a->reason = lua_gettop(L);
  }
}

/* Counts n bytes of body against the Content-Length that was told. */
static void check_count(lua_State *L, struct gev_http_conn *c, size_t n) {
  if (!c->counted || c->bodyless) return;
  if (n > c->declared)
    luaL_error(L, "the body is longer than its Content-Length");
  c->declared -= n;
}

/* Composes the head of a body of unknown length. */
static void begin_stream(lua_State *L, struct gev_http_res *r,
                         struct gev_http_head *o) {
  struct gev_http_answer a;
  gev_http_describe(L, 1, &a);
  if (r->c->set->compress) gev_http_encode_stream(L, r->c, &a);
  if (!gev_http_compose(o, L, r->c, &a)) luaL_error(L, "%s", o->error);
}

ssize_t gev_http_put_part(lua_State *L, struct gev_http_conn *c,
                          struct gev_http_head *o, int idx, bool last) {
  char line[GEV_H1_CHUNK_LINE_MAX];
  const char *tail = NULL;
  size_t len = lua_rawlen(L, idx), tail_len = 0;
  check_count(L, c, len);
  if (last && c->counted && !c->bodyless && c->declared > 0)
    luaL_error(L, "the body is shorter than its Content-Length");
  if (c->z) {
    gev_http_encode(L, c, idx, last);
    idx = lua_gettop(L);
    len = lua_rawlen(L, idx);
  }
  if (c->bodyless) len = 0;
  if (c->chunked && len) {
    gev_http_add(o, line, gev_h1_chunk_line(line, len));
    tail = last ? "\r\n0\r\n\r\n" : "\r\n";
    tail_len = last ? 7 : 2;
  } else if (c->chunked && last) {
    tail = "0\r\n\r\n";
    tail_len = 5;
  }
  if (c->chunked && last && o->trailers) {
    lua_pushfstring(L, "%s0\r\n%s\r\n", len ? "\r\n" : "",
                    lua_tostring(L, o->trailers));
    tail = lua_tolstring(L, -1, &tail_len);
  }
  c->sent += len;
  c->finished = last;
  c->stale = true;
  int text = len ? merge(L, o, idx) : 0;
  if (!text && tail_len && tail_len <= (size_t)(o->end - o->at)) {
    gev_http_add(o, tail, tail_len);
    tail_len = 0;
  }
  return gev_http_put(L, o, text, tail, tail_len);
}

/* Writes the string at index 2, as a part of the body; the last one if so. */
static int write_part(lua_State *L, struct gev_http_res *r, bool last) {
  struct gev_http_head o;
  gev_http_head_init(&o, L, r->c);
  if (!r->c->begun) begin_stream(L, r, &o);
  if (last && !lua_isnil(L, 3)) o.trailers = 3;
  return after_put(L, gev_hub(L), r->c,
                   gev_http_put_part(L, r->c, &o, 2, last));
}

/* May something be written now? Else pushes why not and returns false. */
static bool may_write(lua_State *L, struct gev_http_res *r) {
  struct gev_http_conn *c = r->c;
  if (is_live(r)) {
    gev_fd_claim(L, gev_hub(L), &c->s->fd, GEV_WRITE, &write_op);
    if (!c->finished && !c->broken && !c->writing && (!c->fail || c->begun))
      return true;
  }
  gev_failclosed(L);
  return false;
}

/* res:write(chunk) -> res | nil, message, code */
static int m_write(lua_State *L) {
  struct gev_http_res *r = check(L);
  luaL_checkstring(L, 2);
  lua_settop(L, 2);
  lua_tostring(L, 2);
  return may_write(L, r) ? write_part(L, r, false) : 3;
}

/* Pushes a, with the string at `body` as all there is of it. */
static int send_whole(lua_State *L, struct gev_http_res *r,
                      struct gev_http_answer *a, int body) {
  struct gev_http_conn *c = r->c;
  ssize_t put = gev_http_answer_whole(L, c, a, body);
  if (put == GEV_HTTP_FAILED)
    return luaL_error(L, "%s", lua_tostring(L, -1));
  return after_put(L, gev_hub(L), c, put);
}

/* res:finish([chunk [, trailers]]) -> res | nil, message, code. Again: does
 * nothing. */
static int m_finish(lua_State *L) {
  struct gev_http_res *r = check(L);
  lua_settop(L, 3);
  if (!lua_isnil(L, 3)) gev_http_trailers(L, 3);
  if (lua_isnil(L, 2)) {
    lua_pushliteral(L, "");
    lua_replace(L, 2);
  }
  luaL_checkstring(L, 2);
  lua_tostring(L, 2);
  if (is_live(r) && r->c->finished && !r->c->broken && !lua_rawlen(L, 2)) {
    lua_settop(L, 1);
    return 1;
  }
  if (!may_write(L, r)) return 3;
  if (r->c->begun || !lua_isnil(L, 3)) return write_part(L, r, true);
  struct gev_http_answer a;
  gev_http_describe(L, 1, &a);
  return send_whole(L, r, &a, lua_rawlen(L, 2) ? 2 : 0);
}

/* res:_send(status or nil, headers or nil, string or nil): a whole answer;
 * res:send is this once the body is a string. */
static int m_send(lua_State *L) {
  struct gev_http_res *r = check(L);
  struct gev_http_answer a;
  lua_settop(L, 4);
  if (!lua_isnil(L, 2)) r->status = check_status(L, 2);
  if (!lua_isnil(L, 3) && !gev_test(L, 3, &gev_http_headers_class))
    luaL_checktype(L, 3, LUA_TTABLE);
  if (!lua_isnil(L, 4)) {
    luaL_checkstring(L, 4);
    lua_tostring(L, 4);
  }
  if (is_live(r) && r->c->begun && !r->c->broken && !r->c->writing)
    return luaL_error(L, "the answer has begun already");
  if (!may_write(L, r)) return 3;
  gev_http_describe(L, 1, &a);
  a.headers = lua_isnil(L, 3) ? 0 : 3;
  return send_whole(L, r, &a, lua_isnil(L, 4) ? 0 : 4);
}

/* res:_request() -> the request */
static int m_request(lua_State *L) {
  check(L);
  lua_getiuservalue(L, 1, GEV_HTTP_UV_CONN);
  return 1;
}

static const luaL_Reg methods[] = {{"write", m_write},
                                   {"finish", m_finish},
                                   {"_send", m_send},
                                   {"_request", m_request},
                                   {NULL, NULL}};

void gev_open_http_response(lua_State *L, int hub) {
  static const luaL_Reg meta[] = {{"__tostring", m_tostring}, {NULL, NULL}};
  static const char *const fields[] = {"status", "headers", "started",
                                       "finished"};
  lua_pushvalue(L, hub);
  gev_newclass(L, "http response", meta, 1);
  lua_newtable(L); /* core, class, names */
  lua_pushvalue(L, hub);
  luaL_setfuncs(L, methods, 1);
  for (int i = 0; i < 4; i++) {
    lua_pushinteger(L, i);
    lua_setfield(L, -2, fields[i]);
  }
  static const luaL_Reg access[] = {
      {"__index", m_index}, {"__newindex", m_newindex}, {NULL, NULL}};
  lua_pushvalue(L, -2);
  lua_pushvalue(L, hub);
  lua_pushvalue(L, -3); /* core, class, names, class, hub, names */
  luaL_setfuncs(L, access, 2);
  lua_pop(L, 1);
  lua_setfield(L, -3, "http_response_methods");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &class_key);
}
