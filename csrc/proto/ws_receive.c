/* proto/ws_receive.c - layer: proto. See ws_int.h. What comes in, and the
 * closing handshake. What has come of a message stays in the frame layer, so a
 * call that is ended from outside loses nothing. */
#include <errno.h>
#include <sys/socket.h>

#include "proto/ws_int.h"

/* --- ends ---------------------------------------------------------------- */

/* The stream has ended, or failed. */
static int cut(lua_State *L, struct gev_websocket *w, ssize_t err) {
  if (err == 0) {
    lua_pushliteral(L, "connection closed without a close frame");
  } else {
    gev_stream_fail(L, w->s, err);
    lua_pop(L, 1);
    lua_remove(L, -2);
  }
  gev_websocket_end(L, w, WSLAY_CODE_ABNORMAL_CLOSURE);
  gev_websocket_hook(L, "_ended");
  return gev_websocket_push_end(L, w);
}

/* The peer has closed, or must be refused. */
static int ended(lua_State *L, struct gev_websocket *w, enum gev_ws_event ev) {
  if (ev == GEV_WS_CLOSED)
    lua_pushlstring(L, w->ws.reason, w->ws.reason_len);
  else
    lua_pushstring(L, w->ws.error);
  gev_websocket_end(L, w, w->ws.code);
  gev_websocket_hook(L, "_ended");
  return gev_websocket_push_end(L, w);
}

/* --- receiving ----------------------------------------------------------- */

static const struct gev_waitop receive_op = {"receive", true, gev_fd_cancel,
                                             gev_fd_describe};

/* What reading is for. `event` is called for all events but MORE; GO: read
 * on. */
enum { GO = -1 };
struct purpose {
  const struct gev_waitop *op;
  int (*event)(lua_State *L, struct gev_websocket *w, enum gev_ws_event ev);
  int (*ended)(lua_State *L, struct gev_websocket *w, ssize_t err);
  bool closing; /* goes on though the object is ending */
  lua_KFunction k;
};

static int read_run(lua_State *L, struct gev_websocket *w,
                    const struct purpose *p, bool once, int64_t deadline);

/* Input kept coming for a whole slice: the others' turn. The read side stays
 * ours meanwhile. */
static int yield_turn(lua_State *L, struct gev_hub *h, struct gev_websocket *w,
                      const struct purpose *p, bool once, int64_t deadline) {
  struct gev_greenlet *g = gev_park_begin(L, h, p->op);
  w->s->fd.user[GEV_READ] = g;
  g->timer.node.key = deadline; /* where gev_fd_deadline finds it */
  return gev_park_ready(L, h, g, p->op, &w->s->fd, once, p->k);
}

/* Feeds what there is; GO, or the results of the call. */
static int read_step(lua_State *L, struct gev_websocket *w,
                     const struct purpose *p, const char *data, size_t len) {
  size_t used;
  enum gev_ws_event ev = gev_ws_feed(&w->ws, data, len, &used);
  if (!gev_stream_used(w->s, data, len, used))
    return p->ended(L, w, -ENOMEM);
  gev_count_bytes(w->s->hub, used);
  gev_websocket_settle(L, w);
  return ev == GEV_WS_MORE ? GO : p->event(L, w, ev);
}

static int read_run(lua_State *L, struct gev_websocket *w,
                    const struct purpose *p, bool once, int64_t deadline) {
  struct gev_hub *h = gev_hub(L);
  while (!w->ending || p->closing) {
    const char *data;
    if (once) w->s->fd.drained = false;
    ssize_t got = gev_stream_input(h, w->s, &data);
    if (gev_stream_must_wait(got)) {
      if (once) return gev_failtimeout(L);
      return gev_stream_wait(L, h, w->s, GEV_READ, got, p->op, deadline,
                             false, p->k);
    }
    if (got <= 0) return p->ended(L, w, got);
    int n = read_step(L, w, p, data, (size_t)got);
    if (n != GO) return n;
    if (gev_must_yield(L, h)) return yield_turn(L, h, w, p, once, deadline);
  }
  return gev_websocket_push_end(L, w);
}

static int read_resumed(lua_State *L, const struct purpose *p, bool once) {
  struct gev_hub *h = gev_hub(L);
  struct gev_websocket *w = gev_websocket_check(L);
  int64_t deadline = gev_fd_deadline(h);
  enum gev_verdict v = gev_fd_resume(L, h, &w->s->fd, GEV_READ);
  if (v == GEV_CLOSED && !w->ending) return cut(L, w, -EBADF);
  if (v == GEV_CLOSED) return gev_websocket_push_end(L, w);
  if (v != GEV_WOKEN) return gev_stream_verdict(L, v);
  return read_run(L, w, p, once, deadline);
}

/* Defines a purpose and its continuation. */
#define PURPOSE(var, wait_op, on_event, on_end, to_close)                   \
  static const struct purpose var;                                          \
  static int var##_k(lua_State *L, int status, lua_KContext once) {         \
    (void)status;                                                           \
    return read_resumed(L, &var, once);                                     \
  }                                                                         \
  static const struct purpose var = {wait_op, on_event, on_end, to_close,   \
                                     var##_k}

static int message_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  gev_unpark(L, gev_hub(L));
  return 2;
}

static int received(lua_State *L, struct gev_websocket *w,
                    enum gev_ws_event ev) {
  struct gev_hub *h = gev_hub(L);
  if (ev != GEV_WS_MESSAGE) return ended(L, w, ev);
  lua_pushlstring(L, w->ws.data, w->ws.data_len);
  if (w->ws.text)
    lua_pushliteral(L, "text");
  else
    lua_pushliteral(L, "binary");
  if (!gev_must_yield(L, h)) return 2;
  struct gev_greenlet *g = gev_park_begin(L, h, &receive_op);
  return gev_park_ready(L, h, g, &receive_op, NULL, 0, message_k);
}

PURPOSE(receiving, &receive_op, received, cut, false);

/* ws:receive([timeout]) -> data, kind | nil, reason, "closed", code | nil,
 * message, code. What has come of a message stays for the next call. */
static int m_receive(lua_State *L) {
  struct gev_websocket *w = gev_websocket_check(L);
  double timeout = gev_opttimeout(L, 2);
  if (w->ending) return gev_websocket_push_end(L, w);
  gev_fd_claim(L, gev_hub(L), &w->s->fd, GEV_READ, &receive_op);
  return read_run(L, w, &receiving, timeout == 0, gev_deadline(timeout));
}

/* --- closing ------------------------------------------------------------- */

static int push_boolean(lua_State *L, bool value) {
  lua_pushboolean(L, value);
  return 1;
}

/* ws:_shut(code, reason) -> bool: a Close into the output, for a flush to
 * come; who receives hears of the end. False: it is ending already. */
static int m_shut(lua_State *L) {
  struct gev_websocket *w = gev_websocket_check(L);
  struct gev_fd *fd = &w->s->fd;
  unsigned code = (unsigned)luaL_checkinteger(L, 2);
  size_t len;
  const char *reason = luaL_checklstring(L, 3, &len);
  lua_settop(L, 3);
  if (w->ending) return push_boolean(L, false);
  gev_ws_close(&w->ws, code, reason, len);
  gev_websocket_end(L, w, code);
  gev_fd_wake(gev_hub(L), fd, GEV_READ, GEV_CLOSED);
  fd->user[GEV_READ] = NULL;
  return push_boolean(L, true);
}

static const struct gev_waitop close_op = {"close", true, gev_fd_cancel,
                                           gev_fd_describe};

/* Messages that come now are nobody's; after an error all is thrown away. */
static int answered(lua_State *L, struct gev_websocket *w,
                    enum gev_ws_event ev) {
  if (ev == GEV_WS_MESSAGE) return GO;
  if (ev == GEV_WS_CLOSED) return push_boolean(L, true);
  w->s->ops->shutdown(w->s, SHUT_WR);
  return GO;
}

static int answered_by_end(lua_State *L, struct gev_websocket *w, ssize_t err) {
  (void)w, (void)err;
  return push_boolean(L, true);
}

PURPOSE(awaiting, &close_op, answered, answered_by_end, true);

/* ws:_await(timeout) -> true | nil, message, code: until the peer has answered
 * our Close, or is gone. */
static int m_await(lua_State *L) {
  struct gev_websocket *w = gev_websocket_check(L);
  double timeout = gev_opttimeout(L, 2);
  gev_fd_claim(L, gev_hub(L), &w->s->fd, GEV_READ, awaiting.op);
  if (w->ws.close_received) return push_boolean(L, true);
  if (w->ws.failed) w->s->ops->shutdown(w->s, SHUT_WR);
  return read_run(L, w, &awaiting, timeout == 0, gev_deadline(timeout));
}

/* ws:_refused() -> has the peer broken the rules? */
static int m_refused(lua_State *L) {
  return push_boolean(L, gev_websocket_check(L)->ws.failed);
}

const luaL_Reg gev_websocket_receive_methods[] = {
    {"receive", m_receive}, {"_shut", m_shut}, {"_await", m_await},
    {"_refused", m_refused}, {NULL, NULL}};
