/* proto/http_body.c - layer: proto. See http_conn.h. Reading the body of a
 * request, by the formats of io. What was decoded and not asked for stays in
 * the connection.
 *
 * The time-out of a body is a budget: only waiting uses it up, and each KiB
 * that comes gives a second back. So a handler may take its time, an upload of
 * any size may come at 1 KiB a second, and one that trickles may not. */
#include "proto/http_conn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "io/reader.h"
#include "proto/http_format.h"

enum { NS_PER_BYTE = 1000000000 / 1024 };

/* --- input --------------------------------------------------------------- */

static ssize_t fail(struct gev_http_conn *c, unsigned status) {
  c->fail = (uint16_t)status;
  c->close = true;
  return GEV_HTTP_FAILED;
}

/* "100 Continue", once, before the first wait for the body. */
static ssize_t send_continue(struct gev_http_conn *c) {
  static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
  struct iovec iov = {(void *)(uintptr_t)line, sizeof line - 1};
  ssize_t put = gev_http_send_held(c);
  if (put == 0) put = c->s->ops->write(c->s, &iov, 1);
  if (gev_stream_must_wait(put)) return put;
  c->expect = false;
  if (put == sizeof line - 1) return 0;
  c->broken = true;
  return put < 0 ? put : -EPIPE;
}

static void earn(struct gev_http_conn *c, size_t bytes) {
  if (c->budget == GEV_NEVER) return;
  c->budget += (int64_t)bytes * NS_PER_BYTE;
  if (c->budget > c->set->body_timeout) c->budget = c->set->body_timeout;
}

ssize_t gev_http_fill(struct gev_hub *h, struct gev_http_conn *c) {
  const char *data;
  size_t at = 0, used;
  enum gev_h1_event ev;
  if (c->expect && !c->begun) {
    ssize_t put = send_continue(c);
    if (put < 0) return put;
  }
  ssize_t got = gev_stream_input(h, c->s, &data);
  if (got == 0) return fail(c, 400);
  if (got < 0) return got;
  do {
    ev = gev_h1_feed(&c->h1, data + at, (size_t)got - at, &used);
    at += used;
    if (ev == GEV_H1_BODY &&
        !gev_bytes_add(&c->in, c->h1.chunk, c->h1.chunk_len))
      return -ENOMEM;
  } while (ev == GEV_H1_BODY);
  if (!gev_stream_used(c->s, data, (size_t)got, at)) return -ENOMEM;
  earn(c, at);
  c->body_done = ev == GEV_H1_DONE;
  return ev == GEV_H1_ERROR ? fail(c, c->h1.status) : 1;
}

/* --- failures ------------------------------------------------------------ */

static int fail_with(lua_State *L, struct gev_http_conn *c, const char *msg,
                     const char *code) {
  lua_pushstring(L, msg);
  gev_http_set_failure(L, c, 1);
  return gev_failmsg(L, msg, code);
}

static int push_failure(lua_State *L, struct gev_http_conn *c) {
  switch (c->fail) {
    case 408: return fail_with(L, c, "timed out", "timeout");
    case 413: return fail_with(L, c, "request body too large", "toolarge");
    default:
      return fail_with(L, c, c->h1.error ? c->h1.error
                                         : "the request body was cut off",
                       "malformed");
  }
}

/* The transport failed: the client is gone. */
static int push_broken(lua_State *L, struct gev_http_conn *c, ssize_t err) {
  c->broken = true;
  int n = gev_stream_fail(L, c->s, err);
  lua_pushvalue(L, -2);
  gev_http_set_failure(L, c, 1);
  return n;
}

/* --- read ---------------------------------------------------------------- */

/* Is it more than the maximum at index 3? */
static bool is_too_large(lua_State *L, const struct gev_http_conn *c) {
  if (lua_isnil(L, 3)) return false;
  uint64_t max = (uint64_t)lua_tointeger(L, 3);
  return c->in.len - c->in.off > max ||
         (!c->body_done && c->h1.has_length && c->h1.content_length > max);
}

static const struct gev_waitop read_op = {"request:read", true,
                                          gev_fd_cancel, gev_fd_describe};

static int read_k(lua_State *L, int status, lua_KContext ctx);

/* The results of a read that came to an end; body() keeps its string. */
static int deliver(lua_State *L, int n) {
  if (lua_toboolean(L, 4) && n == 1) {
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 1, GEV_HTTP_UV_BODY);
  }
  return n;
}

static int run(lua_State *L, struct gev_hub *h, struct gev_http_conn *c) {
  for (;;) {
    if (is_too_large(L, c)) {
      fail(c, 413);
      return push_failure(L, c);
    }
    int n = gev_http_parse(L, &c->in, c->body_done);
    if (n) return deliver(L, n);
    ssize_t got = gev_http_fill(h, c);
    if (got > 0) continue;
    if (got == GEV_HTTP_FAILED) return push_failure(L, c);
    if (!gev_stream_must_wait(got))
      return push_broken(L, c, got);
    int64_t due = GEV_NEVER;
    if (c->budget != GEV_NEVER) due = (c->waiting = gev_now()) + c->budget;
    return gev_stream_wait(L, h, c->s, GEV_READ, got, &read_op, due, 0,
                           read_k);
  }
}

static int read_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  struct gev_hub *h = gev_hub(L);
  struct gev_http_req *r = lua_touserdata(L, 1);
  struct gev_http_conn *c = r->c;
  enum gev_verdict v = gev_fd_resume(L, h, &c->s->fd, GEV_READ);
  if (r->serial != c->serial) return gev_failclosed(L);
  if (v == GEV_TIMEDOUT) {
    fail(c, 408);
    return push_failure(L, c);
  }
  if (v != GEV_WOKEN) return push_broken(L, c, -EBADF);
  if (c->budget != GEV_NEVER) c->budget -= gev_now() - c->waiting;
  if (c->budget < 0) c->budget = 0;
  return run(L, h, c);
}

/* Stack: 1 request, 2 format, 3 maximum or nil, 4 keep the result? */
static int start(lua_State *L, struct gev_http_req *r) {
  struct gev_http_conn *c = r->c;
  struct gev_hub *h = gev_hub(L);
  if (r->serial != c->serial) return gev_failclosed(L);
  if (c->fail) return push_failure(L, c);
  gev_fd_claim(L, h, &c->s->fd, GEV_READ, &read_op);
  return run(L, h, c);
}

/* req:read([n|"a"|"l"|"L"]) -> data | nil, message, code */
static int m_read(lua_State *L) {
  struct gev_http_req *r = gev_check(L, 1, &gev_http_req_class);
  gev_http_check_format(L);
  lua_pushnil(L);
  lua_pushboolean(L, false);
  return start(L, r);
}

/* req:body([max]) -> what has not been read of it, the same each time */
static int m_body(lua_State *L) {
  struct gev_http_req *r = gev_check(L, 1, &gev_http_req_class);
  if (!lua_isnoneornil(L, 2))
    luaL_argcheck(L, luaL_checkinteger(L, 2) >= 0, 2,
                  "a maximum must not be negative");
  lua_settop(L, 2);
  if (lua_getiuservalue(L, 1, GEV_HTTP_UV_BODY) == LUA_TSTRING) return 1;
  lua_settop(L, 2);
  lua_pushliteral(L, "a");
  lua_insert(L, 2);
  lua_pushboolean(L, true);
  return start(L, r);
}

const luaL_Reg gev_http_body_methods[] = {
    {"read", m_read}, {"body", m_body}, {NULL, NULL}};
