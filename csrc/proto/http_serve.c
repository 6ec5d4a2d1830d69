/* proto/http_serve.c - layer: proto. See http_conn.h. The loop of a
 * connection, as one machine of states: each step either goes on (GO), or
 * returns results, which may be those of a park. What blocks resumes in run_k
 * or, after the handler, in handled_k.
 *
 * Stack of conn:serve: 1 connection, 2 handler, 3 traceback function, 4 and 5
 * the classes, and for each request 6 request, 7 response, and from 8 on what
 * the handler returned. */
#include "proto/http_conn.h"

#include <string.h>
#include <sys/socket.h>

#include "base/except.h"
#include "io/reader.h"

enum { GO = -1 };
enum { CONN = 1, HANDLE, TRACE, REQ_CLASS, RES_CLASS, REQ, RES, FIRST };
enum { DRAIN_MAX = 262144 };                     /* bytes */
static const int64_t linger_time = 2000000000;   /* ns */

static const struct gev_waitop head_op = {"http request", true,
                                          gev_fd_cancel, gev_fd_describe};
static const struct gev_waitop answer_op = {"http answer", true,
                                            gev_fd_cancel, gev_fd_describe};

static int run(lua_State *L, struct gev_hub *h, struct gev_http_conn *c);

static int go(struct gev_http_conn *c, enum gev_http_state state) {
  c->state = (uint8_t)state;
  return GO;
}

/* --- waiting ------------------------------------------------------------- */

static int run_k(lua_State *L, int status, lua_KContext io);

/* The role in which a connection waits in its state. */
static enum gev_dir role(const struct gev_http_conn *c) {
  return c->state == GEV_HTTP_WRITING ? GEV_WRITE : GEV_READ;
}

static int wait_for(lua_State *L, struct gev_hub *h, struct gev_http_conn *c,
                    ssize_t want, int64_t due) {
  const struct gev_waitop *op =
      c->state == GEV_HTTP_WRITING ? &answer_op : &head_op;
  return gev_stream_wait(L, h, c->s, role(c), want, op, due, 1, run_k);
}


/* --- answers of our own -------------------------------------------------- */

/* Writes what the put left; `after` comes next. */
static int written(struct gev_http_conn *c, ssize_t put,
                   enum gev_http_state after) {
  c->after = (uint8_t)after;
  if (put == 0) return go(c, after);
  c->stale = true;
  return go(c, gev_stream_must_wait(put) ? GEV_HTTP_WRITING : GEV_HTTP_OVER);
}

/* Answers with an error and ends the connection. */
static int refuse(lua_State *L, struct gev_http_conn *c, unsigned status) {
  struct gev_http_answer a = {.status = status};
  const char *reason = gev_h1_reason(status);
  c->close = true;
  lua_settop(L, RES_CLASS);
  lua_pushfstring(L, "%s\n", reason ? reason : "Error");
  return written(c, gev_http_answer_whole(L, c, &a, REQ), GEV_HTTP_ANSWERED);
}

/* --- reading a head ------------------------------------------------------ */

/* The rest of a head has its own deadline, from its first byte on. */
static int64_t head_deadline(struct gev_http_conn *c) {
  c->idle = gev_h1_idle(&c->h1);
  if (!c->idle && !c->late_head) {
    c->late_head = true;
    c->due = c->set->header_timeout == GEV_NEVER
                 ? GEV_NEVER : gev_now() + c->set->header_timeout;
  }
  return c->due;
}

static void begin_request(struct gev_http_conn *c) {
  size_t len;
  const char *method = gev_h1_method(&c->h1, &len);
  c->head = len == 4 && memcmp(method, "HEAD", 4) == 0;
  c->http10 = c->h1.minor == 0;
  c->keep_alive = c->h1.keep_alive && !c->h1.connect;
  c->expect = c->h1.expect_continue;
  c->body_done = !c->h1.has_body;
  c->budget = c->set->body_timeout;
  if (c->set->compress) gev_http_accept(c);
}

static int refuse_head(lua_State *L, struct gev_http_conn *c,
                       unsigned status) {
  c->accepts = 0;
  c->head = c->http10 = c->expect = c->keep_alive = false;
  c->body_done = false;
  c->fail = (uint16_t)status;
  return refuse(L, c, status);
}

static int read_head(lua_State *L, struct gev_hub *h,
                     struct gev_http_conn *c) {
  for (;;) {
    const char *data;
    size_t used;
    if (c->held.data && !gev_stream_buffered(c->s)) /* the last of a row */
      return written(c, gev_http_flush(L, c), GEV_HTTP_READING);
    ssize_t got = gev_stream_input(h, c->s, &data);
    if (gev_stream_must_wait(got))
      return wait_for(L, h, c, got, head_deadline(c));
    if (got < 0 || (got == 0 && gev_h1_idle(&c->h1)))
      return go(c, GEV_HTTP_OVER);
    if (got == 0) return refuse_head(L, c, 400); /* cut off */
    enum gev_h1_event ev = gev_h1_feed(&c->h1, data, (size_t)got, &used);
    if (!gev_stream_used(c->s, data, (size_t)got, used))
      return go(c, GEV_HTTP_OVER);
    if (ev == GEV_H1_ERROR) return refuse_head(L, c, c->h1.status);
    if (ev == GEV_H1_HEAD) {
      begin_request(c);
      return go(c, GEV_HTTP_CALLING);
    }
  }
}

/* --- the handler --------------------------------------------------------- */

/* Message handler: {error, traceback}; what is to pass stays as it is. */
static int trace(lua_State *L) {
  lua_settop(L, 1);
  if (gev_exc_is(L, 1, GEV_EXC_GREENLETEXIT)) return 1;
  luaL_traceback(L, L, NULL, 1);
  lua_createtable(L, 2, 0);
  lua_pushvalue(L, 1);
  lua_rawseti(L, -2, 1);
  lua_pushvalue(L, 2);
  lua_rawseti(L, -2, 2);
  return 1;
}

/* "error", what the handler raised, traceback */
static int failed(lua_State *L, struct gev_http_conn *c) {
  if (gev_exc_is(L, -1, GEV_EXC_GREENLETEXIT)) return lua_error(L);
  c->state = GEV_HTTP_CALLING;
  if (lua_istable(L, -1)) {
    lua_rawgeti(L, -1, 1);
    lua_rawgeti(L, -2, 2);
  } else { /* out of memory, or an error in the message handler */
    lua_pushnil(L);
  }
  lua_pushliteral(L, "error");
  lua_insert(L, -3);
  return 3;
}

/* The same for an answer that cannot be sent; the message is on the top. */
static int failed_by(lua_State *L, struct gev_http_conn *c) {
  c->state = GEV_HTTP_CALLING;
  lua_pushliteral(L, "error");
  lua_insert(L, -2);
  return 2;
}

static int handled(lua_State *L, struct gev_hub *h, struct gev_http_conn *c,
                   int status);

static int handled_k(lua_State *L, int status, lua_KContext ctx) {
  (void)ctx;
  struct gev_http_conn *c = lua_touserdata(L, CONN);
  int n = handled(L, gev_hub(L), c, status);
  return n == GO ? run(L, gev_hub(L), c) : n;
}

/* Calls what is on the stack from REQ + 2 on. */
static int call(lua_State *L, struct gev_hub *h, struct gev_http_conn *c,
                int nargs) {
  int status = lua_pcallk(L, nargs, LUA_MULTRET, TRACE, 0, handled_k);
  return handled(L, h, c, status);
}

static int call_handler(lua_State *L, struct gev_hub *h,
                        struct gev_http_conn *c) {
  c->begun = c->finished = false;
  if (!gev_http_req_new(L, c, REQ_CLASS)) return refuse_head(L, c, 400);
  if (c->set->log) {
    lua_pushvalue(L, REQ);
    lua_setiuservalue(L, CONN, GEV_HTTP_UV_LOGGED);
  }
  gev_http_res_new(L, c, RES_CLASS, REQ);
  if (c->body_done) gev_h1_next(&c->h1);
  lua_pushvalue(L, HANDLE);
  lua_pushvalue(L, REQ);
  lua_pushvalue(L, RES);
  return call(L, h, c, 2);
}

/* --- what it returned ---------------------------------------------------- */

/* Hands a body that comes in parts to the function of the settings, with
 * status and headers as the handler gave them; then we are back here. */
static int call_parts(lua_State *L, struct gev_hub *h,
                      struct gev_http_conn *c, int status, int headers,
                      int body) {
  lua_getiuservalue(L, CONN, 2);
  lua_getiuservalue(L, -1, 1);
  lua_remove(L, -2);
  lua_pushvalue(L, RES);
  lua_pushvalue(L, body);
  int given[] = {status, headers};
  for (int i = 0; i < 2; i++)
    if (given[i])
      lua_pushvalue(L, given[i]);
    else
      lua_pushnil(L);
  lua_rotate(L, FIRST, 5);
  lua_settop(L, FIRST + 4);
  return call(L, h, c, 4);
}

/* Sends the string at `body` (0: none) with what else the handler said. */
static int answer(lua_State *L, struct gev_http_conn *c, int status,
                  int headers, int body) {
  struct gev_http_answer a;
  if (body) {
    lua_tostring(L, body);
    if (lua_rawlen(L, body) == 0) body = 0;
  }
  gev_http_describe(L, RES, &a);
  if (status) a.status = (unsigned)lua_tointeger(L, status);
  a.headers = headers;
  ssize_t put = gev_http_answer_whole(L, c, &a, body);
  if (put == GEV_HTTP_FAILED) return failed_by(L, c);
  return written(c, put, GEV_HTTP_ANSWERED);
}

/* The handler has begun an answer by itself: completes it. */
static int complete(lua_State *L, struct gev_http_conn *c) {
  if (c->finished) return go(c, GEV_HTTP_ANSWERED);
  if (c->counted && !c->bodyless && c->declared > 0)
    return go(c, GEV_HTTP_OVER); /* cut: the client must see it */
  if ((!c->chunked && !c->z) || c->bodyless) {
    c->finished = true;
    return go(c, GEV_HTTP_ANSWERED);
  }
  struct gev_http_head o;
  gev_http_head_init(&o, L, c);
  lua_pushliteral(L, "");
  return written(c, gev_http_put_part(L, c, &o, lua_gettop(L), true),
                 GEV_HTTP_ANSWERED);
}

/* The body at idx, after a status at `status` and headers (0: none). */
static int answer_body(lua_State *L, struct gev_hub *h,
                       struct gev_http_conn *c, int status, int headers,
                       int idx) {
  switch (lua_type(L, idx)) {
    case LUA_TNONE:
    case LUA_TNIL:
      return c->begun ? complete(L, c) : answer(L, c, status, headers, 0);
    case LUA_TSTRING:
    case LUA_TNUMBER:
      if (c->begun) return call_parts(L, h, c, status, headers, idx);
      return answer(L, c, status, headers, idx);
    case LUA_TTABLE:
      if (luaL_getmetafield(L, idx, "__call") != LUA_TNIL || c->begun) {
        lua_settop(L, idx);
        return call_parts(L, h, c, status, headers, idx);
      }
      if (!gev_http_join(L, idx)) return failed_by(L, c);
      return answer(L, c, status, headers, idx);
    case LUA_TFUNCTION:
      return call_parts(L, h, c, status, headers, idx);
    default:
      lua_pushfstring(L, "a body is a string, a list of strings or an "
                      "iterator function, not a %s", luaL_typename(L, idx));
      return failed_by(L, c);
  }
}

/* Turns the handler's results, from FIRST on, into an answer. */
static int answer_results(lua_State *L, struct gev_hub *h,
                          struct gev_http_conn *c) {
  luaL_checkstack(L, 16, NULL);
  int type = lua_type(L, FIRST);
  if (type <= LUA_TNIL || (type == LUA_TBOOLEAN && lua_toboolean(L, FIRST)) ||
      (type == LUA_TUSERDATA && lua_rawequal(L, FIRST, RES))) {
    lua_settop(L, RES);
    return c->begun ? complete(L, c) : answer(L, c, 0, 0, 0);
  }
  if (c->finished) return go(c, GEV_HTTP_ANSWERED);
  if (type != LUA_TNUMBER) return answer_body(L, h, c, 0, 0, FIRST);
  lua_settop(L, FIRST + 2);
  int headers = gev_http_as_headers(L, FIRST + 1);
  if (!gev_http_is_status(L, FIRST) || headers < 0) {
    lua_pushfstring(L, "a handler returns a body, or status (200 to 599), "
                    "headers (a table), body; got %s, %s",
                    luaL_tolstring(L, FIRST, NULL),
                    luaL_typename(L, FIRST + 1));
    return failed_by(L, c);
  }
  return answer_body(L, h, c, FIRST, headers, FIRST + 2);
}

static int handled(lua_State *L, struct gev_hub *h, struct gev_http_conn *c,
                   int status) {
  if (c->taken) {
    if (status != LUA_OK && status != LUA_YIELD) return failed(L, c);
    return go(c, GEV_HTTP_OVER);
  }
  if (status != LUA_OK && status != LUA_YIELD) return failed(L, c);
  if (c->broken || c->writing) return go(c, GEV_HTTP_OVER);
  if (c->fail && !c->begun) return refuse(L, c, c->fail);
  return answer_results(L, h, c);
}

/* --- after the answer ---------------------------------------------------- */

/* "log", request or nil (its head was refused), status, bytes */
static int tell(lua_State *L, struct gev_http_conn *c, unsigned status) {
  lua_pushliteral(L, "log");
  lua_getiuservalue(L, CONN, GEV_HTTP_UV_LOGGED);
  lua_pushnil(L);
  lua_setiuservalue(L, CONN, GEV_HTTP_UV_LOGGED);
  lua_pushinteger(L, status);
  lua_pushinteger(L, (lua_Integer)c->sent);
  c->noted = false;
  return 4;
}

/* The request is over: who still holds it, holds it in vain. */
static int answered(lua_State *L, struct gev_http_conn *c) {
  c->serial++;
  c->state = GEV_HTTP_NEXT;
  if (c->z) gev_http_encode_end(c);
  return c->set->log || c->noted ? tell(L, c, c->status) : GO;
}

/* The connection is. A request that was cut short is told of, too: with the
 * status that was begun, 101 for a stream that was taken over, and 499, as
 * others do, where the client went before there was any. */
static int over(lua_State *L, struct gev_http_conn *c) {
  if (c->held.data) gev_http_send_held(c); /* as much as goes */
  if (!c->set->log && !c->noted) return 0;
  bool told = lua_getiuservalue(L, CONN, GEV_HTTP_UV_LOGGED) == LUA_TNIL;
  lua_pop(L, 1);
  if (told) return 0;
  if (!c->begun) c->sent = 0;
  return tell(L, c, c->taken ? 101 : c->begun ? c->status : 499);
}

static void begin_linger(struct gev_http_conn *c) {
  c->s->ops->shutdown(c->s, SHUT_WR);
  c->due = gev_now() + linger_time;
  c->state = GEV_HTTP_LINGERING;
}

/* Gives others their turn if a client sends one request after the other. */
static int yield_turn(lua_State *L, struct gev_hub *h) {
  struct gev_greenlet *g = gev_park_begin(L, h, &head_op);
  return gev_park_ready(L, h, g, &head_op, NULL, 0, run_k);
}

static int next(lua_State *L, struct gev_hub *h, struct gev_http_conn *c) {
  lua_settop(L, RES_CLASS);
  if (c->held.data && c->set->stopping)
    return written(c, gev_http_flush(L, c), GEV_HTTP_NEXT);
  if (c->s->fd.user[GEV_READ] || c->s->fd.user[GEV_WRITE])
    return go(c, GEV_HTTP_OVER); /* a greenlet of the handler's own */
  if (c->close || c->set->stopping) {
    if (c->body_done && !gev_stream_buffered(c->s))
      return go(c, GEV_HTTP_OVER);
    begin_linger(c);
    return GO;
  }
  if (!c->body_done) {
    c->drained = 0;
    c->stale = true;
    c->due = gev_now() + linger_time;
    return go(c, GEV_HTTP_DRAINING);
  }
  if (!gev_h1_idle(&c->h1)) gev_h1_next(&c->h1);
  if (c->in.data) gev_bytes_drop(&c->in, c->in.len - c->in.off);
  c->late_head = false;
  c->fail = 0;
  if (c->stale) c->now = gev_now();
  c->stale = false;
  c->due = c->set->keepalive_timeout == GEV_NEVER
               ? GEV_NEVER : c->now + c->set->keepalive_timeout;
  c->state = GEV_HTTP_READING;
  return gev_must_yield(L, h) ? yield_turn(L, h) : GO;
}

/* Reads the rest of a body that nobody wants, up to a bound. */
static int drain(lua_State *L, struct gev_hub *h, struct gev_http_conn *c) {
  ssize_t got = gev_http_fill(h, c);
  if (gev_stream_must_wait(got)) return wait_for(L, h, c, got, c->due);
  size_t n = c->in.len - c->in.off;
  if (n) gev_bytes_drop(&c->in, n);
  c->drained += n;
  if (got < 0 || c->drained > DRAIN_MAX) {
    begin_linger(c);
  } else if (c->body_done) {
    c->state = GEV_HTTP_NEXT;
  }
  return GO;
}

/* Reads on for a while, so that closing does not reset the connection before
 * the client has read the answer. */
static int linger(lua_State *L, struct gev_hub *h, struct gev_http_conn *c) {
  const char *data;
  ssize_t got = gev_stream_input(h, c->s, &data);
  if (gev_stream_must_wait(got)) return wait_for(L, h, c, got, c->due);
  if (got <= 0 || gev_now() >= c->due) return go(c, GEV_HTTP_OVER);
  gev_stream_used(c->s, data, (size_t)got, (size_t)got);
  return gev_must_yield(L, h) ? yield_turn(L, h) : GO;
}

static int write_on(lua_State *L, struct gev_hub *h,
                    struct gev_http_conn *c) {
  ssize_t put = gev_http_flush(L, c);
  if (gev_stream_must_wait(put))
    return wait_for(L, h, c, put, gev_http_write_deadline(c));
  return go(c, put == 0 ? (enum gev_http_state)c->after : GEV_HTTP_OVER);
}

/* --- the machine --------------------------------------------------------- */

static int step(lua_State *L, struct gev_hub *h, struct gev_http_conn *c) {
  switch (c->state) {
    case GEV_HTTP_READING: return read_head(L, h, c);
    case GEV_HTTP_CALLING: return call_handler(L, h, c);
    case GEV_HTTP_WRITING: return write_on(L, h, c);
    case GEV_HTTP_ANSWERED: return answered(L, c);
    case GEV_HTTP_NEXT: return next(L, h, c);
    case GEV_HTTP_DRAINING: return drain(L, h, c);
    case GEV_HTTP_LINGERING: return linger(L, h, c);
    default: return over(L, c);
  }
}

static int run(lua_State *L, struct gev_hub *h, struct gev_http_conn *c) {
  int n;
  do {
    n = step(L, h, c);
  } while (n == GO);
  return n;
}

/* A wait ended by its deadline or by a close. */
static int not_woken(lua_State *L, struct gev_http_conn *c,
                     enum gev_verdict v) {
  if (v == GEV_TIMEDOUT && c->state == GEV_HTTP_READING && c->late_head) {
    int n = refuse_head(L, c, 408);
    return n == GO ? run(L, gev_hub(L), c) : n;
  }
  c->state = GEV_HTTP_OVER;
  return over(L, c);
}

static int run_k(lua_State *L, int status, lua_KContext io) {
  (void)status;
  struct gev_hub *h = gev_hub(L);
  struct gev_http_conn *c = lua_touserdata(L, CONN);
  c->idle = false;
  enum gev_verdict v = io ? gev_fd_resume(L, h, &c->s->fd, role(c))
                          : gev_unpark(L, h);
  if (v != GEV_WOKEN) return not_woken(L, c, v);
  return run(L, h, c);
}

int gev_http_serve(lua_State *L) {
  struct gev_hub *h = gev_hub(L);
  struct gev_http_conn *c = gev_check(L, CONN, &gev_http_conn_class);
  gev_checkcallable(L, HANDLE);
  unsigned answer_status = (unsigned)luaL_optinteger(L, 3, 0);
  lua_settop(L, HANDLE);
  lua_pushcfunction(L, trace);
  gev_http_push_req_class(L);
  gev_http_push_res_class(L);
  if (answer_status) {
    if (c->begun || c->broken || c->writing || c->taken)
      go(c, GEV_HTTP_OVER);
    else
      refuse(L, c, answer_status);
  }
  return run(L, h, c);
}
