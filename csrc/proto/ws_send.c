/* proto/ws_send.c - layer: proto. See ws_int.h. What goes out. A call that
 * cannot write all at once, or that finds others before it, goes on in Lua,
 * where turns are taken. */
#include <errno.h>

#include "proto/ws_int.h"

/* --- output -------------------------------------------------------------- */

static size_t pending(const struct gev_websocket *w) {
  return gev_bytes_count(&w->ws.out);
}
static bool has_output(const struct gev_websocket *w) {
  return pending(w) || w->s->unsent;
}

/* Writes what is in the output. 0: all of it; else as a transport's write. */
static ssize_t pump(struct gev_websocket *w) {
  while (has_output(w)) {
    struct iovec iov = {(char *)(uintptr_t)gev_bytes_front(&w->ws.out),
                        pending(w)};
    if (w->s->fd.fd < 0) return -EBADF;
    ssize_t put = w->s->ops->write(w->s, &iov, pending(w) ? 1 : 0);
    if (put < 0) return put;
    gev_count_bytes(w->s->hub, (size_t)put);
    gev_ws_written(&w->ws, (size_t)put);
  }
  return 0;
}

/* If it cannot go out at once somebody must wait for that, but not who
 * reads. */
void gev_websocket_settle(lua_State *L, struct gev_websocket *w) {
  if (has_output(w) && gev_stream_must_wait(pump(w)) && !w->turn)
    gev_websocket_hook(L, "_flush_later");
}

static const struct gev_waitop flush_ops[] = {
    {"send", true, gev_fd_cancel, gev_fd_describe},
    {"ping", true, gev_fd_cancel, gev_fd_describe},
    {"close", true, gev_fd_cancel, gev_fd_describe}};
static const char *const op_names[] = {"send", "ping", "close", NULL};
enum { OP_SEND, OP_PING };

static int push_true(lua_State *L) {
  lua_pushboolean(L, true);
  return 1;
}

static int true_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  gev_unpark(L, gev_hub(L));
  return push_true(L);
}

/* All is out; but others may be due. */
static int sent(lua_State *L, struct gev_hub *h, int op) {
  if (!gev_must_yield(L, h)) return push_true(L);
  struct gev_greenlet *g = gev_park_begin(L, h, &flush_ops[op]);
  return gev_park_ready(L, h, g, &flush_ops[op], NULL, 0, true_k);
}

static int flush_k(lua_State *L, int status, lua_KContext op);

static int flush_run(lua_State *L, struct gev_websocket *w, int op, bool once,
                     int64_t deadline) {
  struct gev_hub *h = gev_hub(L);
  ssize_t r = pump(w);
  if (r == 0) return sent(L, h, op);
  if (!gev_stream_must_wait(r)) return gev_stream_fail(L, w->s, r);
  if (once) return gev_failtimeout(L);
  return gev_stream_wait(L, h, w->s, GEV_WRITE, r, &flush_ops[op], deadline,
                         op, flush_k);
}

static int flush_k(lua_State *L, int status, lua_KContext op) {
  (void)status;
  struct gev_hub *h = gev_hub(L);
  struct gev_websocket *w = gev_websocket_check(L);
  int64_t deadline = gev_fd_deadline(h);
  enum gev_verdict v = gev_fd_resume(L, h, &w->s->fd, GEV_WRITE);
  if (v == GEV_CLOSED && !pending(w)) return push_true(L); /* by another */
  if (v == GEV_CLOSED && w->ending) return gev_websocket_push_end(L, w);
  if (v != GEV_WOKEN) return gev_stream_verdict(L, v);
  return flush_run(L, w, (int)op, false, deadline);
}

/* ws:_flush(caller, timeout) -> true | nil, message, code */
static int m_flush(lua_State *L) {
  struct gev_websocket *w = gev_websocket_check(L);
  int op = luaL_checkoption(L, 2, NULL, op_names);
  double timeout = gev_opttimeout(L, 3);
  return flush_run(L, w, op, timeout == 0, gev_deadline(timeout));
}

/* --- sending ------------------------------------------------------------- */

static const char *const kinds[] = {"text", "binary", NULL};

/* Adds frames to the output; 0, or the results of a failure. */
static int add(lua_State *L, struct gev_websocket *w, bool last) {
  size_t len;
  const char *data = luaL_checklstring(L, 2, &len);
  bool text = luaL_checkoption(L, 3, "text", kinds) == 0;
  if (w->ending) return gev_websocket_push_end(L, w);
  switch (gev_ws_send(&w->ws, text, data, len, last)) {
    case GEV_WS_NOT_UTF8:
      return gev_argerror(L, 1, "send", "text must be UTF-8; other data can be "
                          "sent as \"binary\"");
    case GEV_WS_CLOSING: return gev_websocket_push_end(L, w);
    case GEV_WS_NOMEM: return luaL_error(L, "not enough memory");
    default: return 0;
  }
}

/* ws:_add(data, kind, last) -> true | nil, message, code: a part of a message
 * into the output, for a flush to come. */
static int m_add(lua_State *L) {
  struct gev_websocket *w = gev_websocket_check(L);
  int n = add(L, w, lua_toboolean(L, 4));
  return n ? n : push_true(L);
}

static int results_k(lua_State *L, int status, lua_KContext base) {
  (void)status;
  return lua_gettop(L) - (int)base;
}

/* The same call by the function of the class, which takes turns. */
static int call_slow(lua_State *L, const char *name, int nargs) {
  lua_settop(L, nargs);
  luaL_getmetafield(L, 1, name);
  lua_insert(L, 1);
  lua_callk(L, nargs, LUA_MULTRET, 0, results_k);
  return lua_gettop(L);
}

/* The output has something new: writes it, or has it written. */
static int write_out(lua_State *L, struct gev_websocket *w, int op) {
  ssize_t r = w->turn ? GEV_WANT_WRITE : pump(w);
  if (r == 0) return sent(L, gev_hub(L), op);
  if (!gev_stream_must_wait(r)) return gev_stream_fail(L, w->s, r);
  lua_settop(L, 1);
  lua_pushstring(L, op_names[op]);
  return call_slow(L, "_drain", 2);
}

/* ws:send(data [, kind]) -> true | nil, message, code. Data that is no string
 * is an iterator over the parts of a message. */
static int m_send(lua_State *L) {
  struct gev_websocket *w = gev_websocket_check(L);
  if (lua_type(L, 2) == LUA_TNUMBER) lua_tostring(L, 2);
  if (lua_type(L, 2) != LUA_TSTRING) {
    if (lua_isnoneornil(L, 2)) luaL_typeerror(L, 2, "string or iterator");
    gev_checkcallable(L, 2);
  }
  luaL_checkoption(L, 3, "text", kinds);
  if (w->ending) return gev_websocket_push_end(L, w);
  if (w->turn || has_output(w) || lua_type(L, 2) != LUA_TSTRING)
    return call_slow(L, "_send", 3);
  int n = add(L, w, true);
  return n ? n : write_out(L, w, OP_SEND);
}

/* ws:ping([data]) -> true | nil, message, code */
static int m_ping(lua_State *L) {
  struct gev_websocket *w = gev_websocket_check(L);
  size_t len;
  const char *data = luaL_optlstring(L, 2, "", &len);
  luaL_argcheck(L, len <= GEV_WS_CONTROL_MAX, 2,
                "a ping has room for 125 bytes");
  if (w->ending) return gev_websocket_push_end(L, w);
  if (gev_ws_ping(&w->ws, data, len) != GEV_WS_SENT)
    return luaL_error(L, "not enough memory");
  return write_out(L, w, OP_PING);
}

/* ws:_pending() -> bytes that are to go out; 1 where the transport has them. */
static int m_pending(lua_State *L) {
  struct gev_websocket *w = gev_websocket_check(L);
  size_t n = pending(w);
  lua_pushinteger(L, n ? (lua_Integer)n : has_output(w));
  return 1;
}

/* ws:_hold(turn): does anybody have the turn to send? */
static int m_hold(lua_State *L) {
  gev_websocket_check(L)->turn = lua_toboolean(L, 2);
  return 0;
}

const luaL_Reg gev_websocket_send_methods[] = {
    {"send", m_send},         {"ping", m_ping}, {"_flush", m_flush},
    {"_add", m_add},          {"_hold", m_hold},
    {"_pending", m_pending},  {NULL, NULL}};
