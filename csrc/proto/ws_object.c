/* proto/ws_object.c - layer: proto. See ws_object.h. A WebSocket over a
 * stream: waiting, and the calls that are made for each message. What is rare
 * (taking turns, the closing handshake, messages in parts) is Lua, in
 * gevent.websocket, which puts its functions into the class.
 *
 * Owns the memory of the frame layer, which goes with the object; the stream
 * belongs to user value 1. Who reads has the stream's read side; all that goes
 * out is in one buffer that ends with a whole frame, and whoever has come to
 * write writes what is there, in its order. */
#include "proto/ws_object.h"

#include <errno.h>
#include <lauxlib.h>
#include <string.h>
#include <sys/socket.h>

#include "io/stream.h"
#include "proto/websocket.h"

static const struct gev_class ws_class = {"WebSocket", NULL, NULL};

/* User values: 1 the stream, 2 a table of its fields, the user's included. */
enum { STREAM_VALUE = 1, FIELDS_VALUE };
struct websocket {
  const struct gev_class *cls;
  struct gev_stream *s;
  struct gev_ws ws;
  uint16_t code;  /* how it ends: of a Close */
  bool ending;    /* nothing more is received or sent */
  bool turn;      /* somebody has the turn to send, in Lua */
};

static struct websocket *check(lua_State *L) {
  return gev_check(L, 1, &ws_class);
}

static bool must_wait(ssize_t r) {
  return r == GEV_WANT_READ || r == GEV_WANT_WRITE;
}

/* Calls a function of the class with the object at 1; it does not block. */
static void call_hook(lua_State *L, const char *name) {
  if (luaL_getmetafield(L, 1, name) == LUA_TNIL) return;
  lua_pushvalue(L, 1);
  lua_call(L, 1, 0);
}

/* --- ends ---------------------------------------------------------------- */

static void set_field(lua_State *L, const char *name) { /* pops the value */
  lua_getiuservalue(L, 1, FIELDS_VALUE);
  lua_insert(L, -2);
  lua_setfield(L, -2, name);
  lua_pop(L, 1);
}

/* Nothing comes after it; the reason is on the top (popped). */
static void set_end(lua_State *L, struct websocket *w, unsigned code) {
  w->ending = true;
  w->code = (uint16_t)code;
  set_field(L, "close_reason");
  lua_pushinteger(L, code);
  set_field(L, "close_code");
}

/* nil, reason, "closed", code */
static int push_end(lua_State *L, struct websocket *w) {
  lua_pushnil(L);
  lua_getiuservalue(L, 1, FIELDS_VALUE);
  lua_getfield(L, -1, "close_reason");
  lua_remove(L, -2);
  lua_pushliteral(L, "closed");
  lua_pushinteger(L, w->code);
  return 4;
}

/* The stream has ended, or failed. */
static int cut(lua_State *L, struct websocket *w, ssize_t err) {
  if (err == 0) {
    lua_pushliteral(L, "connection closed without a close frame");
  } else {
    gev_stream_fail(L, w->s, err);
    lua_pop(L, 1);
    lua_remove(L, -2);
  }
  set_end(L, w, WSLAY_CODE_ABNORMAL_CLOSURE);
  call_hook(L, "_ended");
  return push_end(L, w);
}

/* The peer has closed, or must be refused. */
static int ended(lua_State *L, struct websocket *w, enum gev_ws_event ev) {
  if (ev == GEV_WS_CLOSED)
    lua_pushlstring(L, w->ws.reason, w->ws.reason_len);
  else
    lua_pushstring(L, w->ws.error);
  set_end(L, w, w->ws.code);
  call_hook(L, "_ended");
  return push_end(L, w);
}

/* --- output -------------------------------------------------------------- */

static size_t pending(const struct websocket *w) {
  return gev_bytes_count(&w->ws.out);
}

/* Writes what is in the output. 0: all of it; else as a transport's write. */
static ssize_t pump(struct websocket *w) {
  while (pending(w)) {
    struct iovec iov = {w->ws.out.data + w->ws.out.off, pending(w)};
    if (w->s->fd.fd < 0) return -EBADF;
    ssize_t put = w->s->ops->write(w->s, &iov, 1);
    if (put < 0) return put;
    gev_count_bytes(w->s->hub, (size_t)put);
    gev_ws_written(&w->ws, (size_t)put);
  }
  return 0;
}

/* What reading has added to the output: if it cannot go out at once somebody
 * must wait for that, but not who reads. */
static void settle(lua_State *L, struct websocket *w) {
  if (pending(w) && must_wait(pump(w)) && !w->turn)
    call_hook(L, "_flush_later");
}

static const struct gev_waitop flush_ops[] = {
    {"send", true, gev_fd_cancel, gev_fd_describe},
    {"ping", true, gev_fd_cancel, gev_fd_describe},
    {"close", true, gev_fd_cancel, gev_fd_describe}};
static const char *const op_names[] = {"send", "ping", "close", NULL};
enum { OP_SEND, OP_PING, OP_CLOSE };

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

static int flush_rk(lua_State *L, int status, lua_KContext op);
static int flush_wk(lua_State *L, int status, lua_KContext op);

static int flush_run(lua_State *L, struct websocket *w, int op, bool once,
                     int64_t deadline) {
  struct gev_hub *h = gev_hub(L);
  ssize_t r = pump(w);
  if (r == 0) return sent(L, h, op);
  if (!must_wait(r)) return gev_stream_fail(L, w->s, r);
  if (once) return gev_failtimeout(L);
  return gev_stream_wait(L, h, w->s, (int)r, &flush_ops[op], deadline, op,
                         r == GEV_WANT_READ ? flush_rk : flush_wk);
}

static int flush_resumed(lua_State *L, lua_KContext op, int want) {
  struct gev_hub *h = gev_hub(L);
  struct websocket *w = check(L);
  int64_t deadline = gev_fd_deadline(h);
  enum gev_verdict v = gev_stream_resume(L, h, w->s, want);
  if (v == GEV_CLOSED && w->ending) return push_end(L, w);
  if (v != GEV_WOKEN) return gev_stream_verdict(L, v);
  return flush_run(L, w, (int)op, false, deadline);
}

static int flush_rk(lua_State *L, int status, lua_KContext op) {
  (void)status;
  return flush_resumed(L, op, GEV_WANT_READ);
}
static int flush_wk(lua_State *L, int status, lua_KContext op) {
  (void)status;
  return flush_resumed(L, op, GEV_WANT_WRITE);
}

/* ws:_flush(caller, timeout) -> true | nil, message, code */
static int m_flush(lua_State *L) {
  struct websocket *w = check(L);
  int op = luaL_checkoption(L, 2, NULL, op_names);
  double timeout = gev_opttimeout(L, 3);
  return flush_run(L, w, op, timeout == 0, gev_deadline(timeout));
}

/* --- sending ------------------------------------------------------------- */

static const char *const kinds[] = {"text", "binary", NULL};

/* Adds frames to the output; 0, or the results of a failure. */
static int add(lua_State *L, struct websocket *w, bool last) {
  size_t len;
  const char *data = luaL_checklstring(L, 2, &len);
  bool text = luaL_checkoption(L, 3, "text", kinds) == 0;
  if (w->ending) return push_end(L, w);
  switch (gev_ws_send(&w->ws, text, data, len, last)) {
    case GEV_WS_NOT_UTF8:
      return gev_argerror(L, 1, "send", "text must be UTF-8; other data can be "
                          "sent as \"binary\"");
    case GEV_WS_CLOSING: return push_end(L, w);
    case GEV_WS_NOMEM: return luaL_error(L, "not enough memory");
    default: return 0;
  }
}

/* ws:_add(data, kind, last) -> true | nil, message, code: a part of a message
 * into the output, for a flush to come. */
static int m_add(lua_State *L) {
  struct websocket *w = check(L);
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
static int write_out(lua_State *L, struct websocket *w, int op) {
  ssize_t r = w->turn ? GEV_WANT_WRITE : pump(w);
  if (r == 0) return sent(L, gev_hub(L), op);
  if (!must_wait(r)) return gev_stream_fail(L, w->s, r);
  lua_settop(L, 1);
  lua_pushstring(L, op_names[op]);
  return call_slow(L, "_drain", 2);
}

/* ws:send(data [, kind]) -> true | nil, message, code. Data that is no string
 * is an iterator over the parts of a message. */
static int m_send(lua_State *L) {
  struct websocket *w = check(L);
  if (lua_type(L, 2) == LUA_TNUMBER) lua_tostring(L, 2);
  if (lua_type(L, 2) != LUA_TSTRING) gev_checkcallable(L, 2);
  luaL_checkoption(L, 3, "text", kinds);
  if (w->ending) return push_end(L, w);
  if (w->turn || pending(w) || lua_type(L, 2) != LUA_TSTRING)
    return call_slow(L, "_send", 3);
  int n = add(L, w, true);
  return n ? n : write_out(L, w, OP_SEND);
}

/* ws:ping([data]) -> true | nil, message, code */
static int m_ping(lua_State *L) {
  struct websocket *w = check(L);
  size_t len;
  const char *data = luaL_optlstring(L, 2, "", &len);
  luaL_argcheck(L, len <= GEV_WS_CONTROL_MAX, 2,
                "a ping has room for 125 bytes");
  if (w->ending) return push_end(L, w);
  if (gev_ws_ping(&w->ws, data, len) != GEV_WS_SENT)
    return luaL_error(L, "not enough memory");
  return write_out(L, w, OP_PING);
}

/* ws:_pending() -> bytes that are to go out */
static int m_pending(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)pending(check(L)));
  return 1;
}

/* ws:_hold(turn): does anybody have the turn to send? */
static int m_hold(lua_State *L) {
  check(L)->turn = lua_toboolean(L, 2);
  return 0;
}

/* --- receiving ----------------------------------------------------------- */

static const struct gev_waitop receive_op = {"receive", true, gev_fd_cancel,
                                             gev_fd_describe};

/* What reading is for. `event` is called for all events but MORE; GO: read
 * on. */
enum { GO = -1 };
struct purpose {
  const struct gev_waitop *op;
  int (*event)(lua_State *L, struct websocket *w, enum gev_ws_event ev);
  int (*ended)(lua_State *L, struct websocket *w, ssize_t err);
  bool closing; /* goes on though the object is ending */
  lua_KFunction k[3]; /* by what was waited for: input, room, a turn */
};

static int read_run(lua_State *L, struct websocket *w,
                    const struct purpose *p, bool once, int64_t deadline);

/* Input kept coming for a whole slice: the others' turn. The read side stays
 * ours meanwhile. */
static int yield_turn(lua_State *L, struct gev_hub *h, struct websocket *w,
                      const struct purpose *p, bool once, int64_t deadline) {
  struct gev_greenlet *g = gev_park_begin(L, h, p->op);
  w->s->fd.user[GEV_READ] = g;
  g->timer.node.key = deadline; /* where gev_fd_deadline finds it */
  return gev_park_ready(L, h, g, p->op, &w->s->fd, once, p->k[2]);
}

/* Feeds what there is; GO, or the results of the call. */
static int read_step(lua_State *L, struct websocket *w,
                     const struct purpose *p, const char *data, size_t len) {
  size_t used;
  enum gev_ws_event ev = gev_ws_feed(&w->ws, data, len, &used);
  if (!gev_stream_used(w->s, data, len, used))
    return p->ended(L, w, -ENOMEM);
  gev_count_bytes(w->s->hub, used);
  settle(L, w);
  return ev == GEV_WS_MORE ? GO : p->event(L, w, ev);
}

static int read_run(lua_State *L, struct websocket *w,
                    const struct purpose *p, bool once, int64_t deadline) {
  struct gev_hub *h = gev_hub(L);
  while (!w->ending || p->closing) {
    const char *data;
    if (once) w->s->fd.drained = false;
    ssize_t got = gev_stream_input(h, w->s, &data);
    if (must_wait(got)) {
      if (once) return gev_failtimeout(L);
      return gev_stream_wait(L, h, w->s, (int)got, p->op, deadline, 0,
                             p->k[got == GEV_WANT_WRITE]);
    }
    if (got <= 0) return p->ended(L, w, got);
    int n = read_step(L, w, p, data, (size_t)got);
    if (n != GO) return n;
    if (gev_must_yield(L, h)) return yield_turn(L, h, w, p, once, deadline);
  }
  return push_end(L, w);
}

static int read_resumed(lua_State *L, const struct purpose *p, int want,
                        bool once) {
  struct gev_hub *h = gev_hub(L);
  struct websocket *w = check(L);
  int64_t deadline = gev_fd_deadline(h);
  enum gev_verdict v = gev_stream_resume(L, h, w->s, want);
  if (v == GEV_CLOSED) return w->ending ? push_end(L, w) : cut(L, w, -EBADF);
  if (v != GEV_WOKEN) return gev_stream_verdict(L, v);
  return read_run(L, w, p, once, deadline);
}

/* Defines a purpose and its continuations. */
#define PURPOSE(var, wait_op, on_event, on_end, to_close)                   \
  static const struct purpose var;                                          \
  static int var##_rk(lua_State *L, int status, lua_KContext ctx) {         \
    (void)status, (void)ctx;                                                \
    return read_resumed(L, &var, GEV_WANT_READ, false);                     \
  }                                                                         \
  static int var##_wk(lua_State *L, int status, lua_KContext ctx) {         \
    (void)status, (void)ctx;                                                \
    return read_resumed(L, &var, GEV_WANT_WRITE, false);                    \
  }                                                                         \
  static int var##_yk(lua_State *L, int status, lua_KContext once) {        \
    (void)status;                                                           \
    return read_resumed(L, &var, GEV_WANT_READ, once);                      \
  }                                                                         \
  static const struct purpose var = {wait_op, on_event, on_end, to_close,   \
                                     {var##_rk, var##_wk, var##_yk}}

static int message_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  gev_unpark(L, gev_hub(L));
  return 2;
}

static int received(lua_State *L, struct websocket *w,
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
  struct websocket *w = check(L);
  double timeout = gev_opttimeout(L, 2);
  if (w->ending) return push_end(L, w);
  gev_fd_claim(L, gev_hub(L), &w->s->fd, GEV_READ, &receive_op);
  return read_run(L, w, &receiving, timeout == 0, gev_deadline(timeout));
}

/* --- closing ------------------------------------------------------------- */

/* ws:_shut(code, reason) -> bool: a Close into the output, for a flush to
 * come; who receives hears of the end. False: it is ending already. */
static int m_shut(lua_State *L) {
  struct websocket *w = check(L);
  struct gev_fd *fd = &w->s->fd;
  unsigned code = (unsigned)luaL_checkinteger(L, 2);
  size_t len;
  const char *reason = luaL_checklstring(L, 3, &len);
  lua_settop(L, 3);
  if (w->ending) {
    lua_pushboolean(L, false);
    return 1;
  }
  gev_ws_close(&w->ws, code, reason, len);
  set_end(L, w, code);
  gev_fd_wake(gev_hub(L), fd, GEV_READ, GEV_CLOSED);
  fd->user[GEV_READ] = NULL;
  return push_true(L);
}

/* Messages that come now are nobody's; after an error all is thrown away. */
static int answered(lua_State *L, struct websocket *w, enum gev_ws_event ev) {
  if (ev == GEV_WS_MESSAGE) return GO;
  if (ev == GEV_WS_CLOSED) return push_true(L);
  w->s->ops->shutdown(w->s, SHUT_WR);
  return GO;
}

static int answered_by_end(lua_State *L, struct websocket *w, ssize_t err) {
  (void)w, (void)err;
  return push_true(L);
}

PURPOSE(awaiting, &flush_ops[OP_CLOSE], answered, answered_by_end, true);

/* ws:_await(timeout) -> true | nil, message, code: until the peer has answered
 * our Close, or is gone. */
static int m_await(lua_State *L) {
  struct websocket *w = check(L);
  double timeout = gev_opttimeout(L, 2);
  gev_fd_claim(L, gev_hub(L), &w->s->fd, GEV_READ, awaiting.op);
  if (w->ws.close_received) return push_true(L);
  if (w->ws.failed) w->s->ops->shutdown(w->s, SHUT_WR);
  return read_run(L, w, &awaiting, timeout == 0, gev_deadline(timeout));
}

/* ws:_refused() -> has the peer broken the rules? */
static int m_refused(lua_State *L) {
  lua_pushboolean(L, check(L)->ws.failed);
  return 1;
}

static int m_gc(lua_State *L) {
  gev_ws_free(&check(L)->ws);
  return 0;
}

/* --- the object ---------------------------------------------------------- */

static int m_tostring(lua_State *L) {
  struct websocket *w = check(L);
  const char *state = w->s->fd.fd < 0 ? "closed"
                      : w->ending     ? "closing"
                                      : "open";
  lua_pushfstring(L, "<WebSocket at %p %s fd %d %s>", (void *)w,
                  w->ws.server ? "server" : "client", w->s->fd.fd, state);
  return 1;
}

/* ws.name: a method, or a field. Upvalue 2: the class. */
static int m_index(lua_State *L) {
  check(L);
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(2)) != LUA_TNIL) return 1;
  lua_getiuservalue(L, 1, FIELDS_VALUE);
  lua_pushvalue(L, 2);
  lua_rawget(L, -2);
  return 1;
}

static int m_newindex(lua_State *L) {
  check(L);
  lua_settop(L, 3);
  lua_getiuservalue(L, 1, FIELDS_VALUE);
  lua_insert(L, 2);
  lua_rawset(L, 2);
  return 0;
}

static lua_Integer get_integer(lua_State *L, const char *name) {
  lua_getfield(L, -1, name);
  lua_Integer n = lua_tointeger(L, -1);
  lua_pop(L, 1);
  return n;
}

static bool get_flag(lua_State *L, const char *name) {
  lua_getfield(L, -1, name);
  bool flag = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return flag;
}

/* The table on the top. */
static void read_deflate(lua_State *L, struct gev_ws_deflate_config *d) {
  d->own_bits = (int)get_integer(L, "own_bits");
  d->peer_bits = (int)get_integer(L, "peer_bits");
  d->own_reset = get_flag(L, "own_reset");
  d->peer_reset = get_flag(L, "peer_reset");
  d->level = (int)get_integer(L, "level");
}

static bool init(lua_State *L, struct websocket *w) { /* options at 3 */
  struct gev_ws_deflate_config deflate;
  struct gev_ws_config config = {0};
  lua_settop(L, 4);
  lua_pushvalue(L, 3);
  config.server = get_flag(L, "server");
  config.max_message = (uint64_t)get_integer(L, "max_message");
  config.fragment = (size_t)get_integer(L, "fragment");
  if (lua_getfield(L, 3, "deflate") == LUA_TTABLE) {
    read_deflate(L, &deflate);
    config.deflate = &deflate;
  }
  lua_settop(L, 4);
  return gev_ws_init(&w->ws, &config);
}

/* websocket(stream, fields, options) -> WebSocket. Options, all checked by the
 * caller: server, max_message, fragment, deflate. */
static int lib_websocket(lua_State *L) {
  struct gev_stream *s = gev_checkstream(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, 3);
  struct websocket *w = lua_newuserdatauv(L, sizeof *w, 2);
  memset(w, 0, sizeof *w);
  w->cls = &ws_class;
  w->s = s;
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, 4);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, 4, STREAM_VALUE);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, 4, FIELDS_VALUE);
  if (!init(L, w)) return luaL_error(L, "not enough memory");
  return 1;
}

static const luaL_Reg methods[] = {
    {"receive", m_receive}, {"send", m_send},         {"ping", m_ping},
    {"_flush", m_flush},    {"_add", m_add},          {"_pending", m_pending},
    {"_hold", m_hold},      {"_shut", m_shut},        {"_await", m_await},
    {"_refused", m_refused}, {"__newindex", m_newindex},
    {"__tostring", m_tostring}, {"__gc", m_gc},       {NULL, NULL}};

void gev_open_websocket(lua_State *L, int hub) {
  lua_pushvalue(L, hub);
  lua_pushvalue(L, hub);
  gev_newclass(L, "WebSocket", methods, 1);
  lua_pushvalue(L, hub);
  lua_pushvalue(L, -2);
  lua_pushcclosure(L, m_index, 2);
  lua_setfield(L, -2, "__index");
  lua_pushvalue(L, -1);
  lua_setfield(L, -4, "websocket_class");
  lua_pushcclosure(L, lib_websocket, 2);
  lua_setfield(L, -2, "websocket");
  gev_open_ws_handshake(L, hub);
}
