/* net/luasocket_io.c - layer: net. See luasocket.h. LuaSocket's receive and
 * send. Owns nothing: what has come stays in the stream's input until a result
 * takes it, so a receive that is killed loses nothing. */
#include <errno.h>
#include <string.h>

#include "io/reader.h"
#include "net/luasocket.h"

static bool is_once(const struct gev_luasocket *ls) {
  return ls->block == 0 || ls->total == 0;
}

/* When the next wait of an operation that began at `start` must end. With
 * both limits, that for a block counts anew for each wait; alone, from the
 * beginning, as in LuaSocket. */
static int64_t wait_deadline(const struct gev_luasocket *ls, int64_t start) {
  int64_t ago = gev_now() - start;
  int64_t total = gev_deadline(ls->total), block = gev_deadline(ls->block);
  if (total != GEV_NEVER) total -= ago;
  if (block != GEV_NEVER && total == GEV_NEVER) block -= ago;
  return block < total ? block : total;
}

/* --- failures ------------------------------------------------------------ */

/* Pushes the words for a failure of the transport. */
static void push_error(lua_State *L, ssize_t err) {
  int number = (int)-err;
  bool gone = number == EPIPE || number == EBADF;
  lua_pushstring(L, gone ? "closed" : gev_luasocket_strerror(number));
}

/* --- receive ------------------------------------------------------------- */

/* On the stack: the object, what is asked for, prefix, stream, start. */
enum { OBJECT = 1, WANTED, PREFIX, STREAM, START };
/* WANTED is a number of bytes, or one of these. */
enum { LINE = -1, ALL = -2 };

static struct gev_stream *stream_at(lua_State *L, int idx) {
  return lua_isnil(L, idx) ? NULL : gev_checkstream(L, idx);
}

/* Takes `used` bytes out of the input and pushes them, but for the last
 * `cut`: before the string is there a finalizer cannot run. */
static void take(lua_State *L, struct gev_luasocket *ls, struct gev_stream *s,
                 size_t used, size_t cut) {
  const char *data = gev_bytes_front(&s->in);
  s->in.off += used;
  lua_pushlstring(L, data, used - cut);
  gev_bytes_trim(&s->in);
  ls->received += (double)used;
}

/* Takes every \r out of the string on the top. */
static void strip(lua_State *L) {
  size_t len, kept = 0;
  const char *line = lua_tolstring(L, -1, &len);
  if (!memchr(line, '\r', len)) return;
  luaL_Buffer b;
  char *to = luaL_buffinitsize(L, &b, len);
  for (size_t i = 0; i < len; i++)
    if (line[i] != '\r') to[kept++] = line[i];
  luaL_pushresultsize(&b, kept);
  lua_remove(L, -2);
}

/* Pushes the prefix and `used` bytes of the input, without the last `cut`. */
static void push_data(lua_State *L, struct gev_luasocket *ls,
                      struct gev_stream *s, size_t used, size_t cut) {
  lua_pushvalue(L, PREFIX);
  if (!s || used == 0) return;
  take(L, ls, s, used, cut);
  if (lua_tointeger(L, WANTED) == LINE) strip(L);
  lua_concat(L, 2);
}

static int received(lua_State *L, struct gev_luasocket *ls,
                    struct gev_stream *s, size_t used, size_t cut) {
  push_data(L, ls, s, used, cut);
  lua_pushnil(L);
  lua_pushnil(L);
  return 3;
}

/* The words are on the top: nil, words, all that has come. */
static int not_received(lua_State *L, struct gev_luasocket *ls,
                        struct gev_stream *s) {
  lua_pushnil(L);
  lua_insert(L, -2);
  push_data(L, ls, s, s ? gev_stream_buffered(s) : 0, 0);
  return 3;
}

static int receive_k(lua_State *L, int status, lua_KContext scanned);
static const struct gev_waitop receive_op = {"receive", true, gev_fd_cancel,
                                             gev_fd_describe};

/* Is what is wanted in the input? Then *used bytes are it, the last *cut of
 * them not to be returned. *scanned bytes are known to hold no newline. */
static bool is_complete(lua_State *L, const struct gev_stream *s,
                        size_t *used, size_t *cut, size_t *scanned) {
  size_t len = gev_stream_buffered(s);
  lua_Integer wanted = lua_tointeger(L, WANTED);
  if (len == 0 || wanted == ALL) return false;
  *used = (size_t)wanted;
  *cut = 0;
  if (wanted != LINE) return len >= *used;
  const char *data = gev_bytes_front(&s->in);
  const char *end = memchr(data + *scanned, '\n', len - *scanned);
  *scanned = len;
  if (!end) return false;
  *used = (size_t)(end - data) + 1;
  *cut = 1;
  return true;
}

/* Input keeps coming, or is asked for again and again: the others' turn. */
static int yield_turn(lua_State *L, struct gev_stream *s, enum gev_dir dir,
                      const struct gev_waitop *op, lua_KContext ctx,
                      lua_KFunction k) {
  struct gev_greenlet *g = gev_park_begin(L, s->hub, op);
  s->fd.user[dir] = g;
  return gev_park_ready(L, s->hub, g, op, &s->fd, ctx, k);
}

static int receive_blocked(lua_State *L, struct gev_luasocket *ls,
                           struct gev_stream *s, ssize_t want,
                           size_t scanned) {
  if (!is_once(ls))
    return gev_stream_wait(L, s->hub, s, GEV_READ, want, &receive_op,
                           wait_deadline(ls, lua_tointeger(L, START)),
                           (lua_KContext)scanned, receive_k);
  if (gev_must_yield(L, s->hub))
    return yield_turn(L, s, GEV_READ, &receive_op, (lua_KContext)scanned,
                      receive_k);
  lua_pushliteral(L, "timeout");
  return not_received(L, ls, s);
}

static int receive_run(lua_State *L, struct gev_luasocket *ls,
                       size_t scanned) {
  struct gev_stream *s = stream_at(L, STREAM);
  size_t used, cut;
  for (;;) {
    if (s && is_complete(L, s, &used, &cut, &scanned))
      return received(L, ls, s, used, cut);
    if (s && is_once(ls)) s->fd.drained = false;
    ssize_t got = s && s->fd.fd >= 0 ? gev_stream_fill(s->hub, s) : 0;
    if (got == 0) {
      if (s && lua_tointeger(L, WANTED) == ALL && gev_stream_buffered(s))
        return received(L, ls, s, gev_stream_buffered(s), 0);
      lua_pushliteral(L, "closed");
      return not_received(L, ls, s);
    }
    if (gev_stream_must_wait(got))
      return receive_blocked(L, ls, s, got, scanned);
    if (got < 0) {
      push_error(L, got);
      return not_received(L, ls, s);
    }
    gev_count_bytes(s->hub, (size_t)got);
    if (!is_once(ls) && gev_must_yield(L, s->hub))
      return yield_turn(L, s, GEV_READ, &receive_op, (lua_KContext)scanned,
                        receive_k);
  }
}

static int receive_k(lua_State *L, int status, lua_KContext scanned) {
  (void)status;
  struct gev_luasocket *ls = lua_touserdata(L, OBJECT);
  struct gev_stream *s = gev_checkstream(L, STREAM);
  enum gev_verdict v = gev_fd_resume(L, s->hub, &s->fd, GEV_READ);
  if (v == GEV_WOKEN) return receive_run(L, ls, (size_t)scanned);
  lua_pushstring(L, v == GEV_TIMEDOUT ? "timeout" : "closed");
  return not_received(L, ls, s);
}

/* What argument 2 asks for; `have` bytes of a number are in the prefix. */
static lua_Integer check_pattern(lua_State *L, size_t have) {
  if (lua_isnumber(L, 2)) {
    lua_Number n = lua_tonumber(L, 2);
    luaL_argcheck(L, n >= 0, 2, "invalid receive pattern");
    return n > (lua_Number)have ? (lua_Integer)n - (lua_Integer)have : 0;
  }
  const char *pattern = luaL_optstring(L, 2, "*l");
  if (pattern[0] == '*' && pattern[1] == 'l') return LINE;
  if (pattern[0] == '*' && pattern[1] == 'a') return ALL;
  return luaL_argerror(L, 2, "invalid receive pattern");
}

/* o:receive([pattern [, prefix]]) -> data, nil, nil | nil, error, partial */
static int m_receive(lua_State *L) {
  size_t have;
  struct gev_luasocket *ls = gev_luasocket_check(L);
  luaL_optlstring(L, PREFIX, "", &have);
  lua_Integer wanted = check_pattern(L, have);
  lua_settop(L, PREFIX);
  if (lua_isnil(L, PREFIX)) {
    lua_pushliteral(L, "");
    lua_replace(L, PREFIX);
  }
  lua_pushinteger(L, wanted);
  lua_replace(L, WANTED);
  struct gev_stream *s = gev_luasocket_stream(L, OBJECT);
  lua_pushinteger(L, gev_now());
  if (wanted == 0 && have > 0) return received(L, ls, s, 0, 0);
  if (s) gev_fd_claim(L, s->hub, &s->fd, GEV_READ, &receive_op);
  return receive_run(L, ls, 0);
}

/* --- send ---------------------------------------------------------------- */

/* On the stack: the object, data, first and last byte, stream, start. */
enum { DATA = 2, FIRST, LAST, TO, SINCE };

static const struct gev_waitop send_op = {"send", true, gev_fd_cancel,
                                          gev_fd_describe};
static int send_k(lua_State *L, int status, lua_KContext sent);

/* What was sent is reported as the index of the last byte. */
static void push_index(lua_State *L, size_t sent) {
  lua_pushnumber(L, (lua_Number)sent + lua_tonumber(L, FIRST) - 1);
}

static int all_sent(lua_State *L, size_t sent) {
  push_index(L, sent);
  lua_pushnil(L);
  lua_pushnil(L);
  return 3;
}

static int not_sent(lua_State *L, size_t sent) { /* words on the top */
  lua_pushnil(L);
  lua_insert(L, -2);
  push_index(L, sent);
  return 3;
}

static int send_blocked(lua_State *L, struct gev_luasocket *ls,
                        struct gev_stream *s, ssize_t want, size_t sent) {
  if (!is_once(ls))
    return gev_stream_wait(L, s->hub, s, GEV_WRITE, want, &send_op,
                           wait_deadline(ls, lua_tointeger(L, SINCE)),
                           (lua_KContext)sent, send_k);
  if (gev_must_yield(L, s->hub))
    return yield_turn(L, s, GEV_WRITE, &send_op, (lua_KContext)sent, send_k);
  lua_pushliteral(L, "timeout");
  return not_sent(L, sent);
}

static int send_run(lua_State *L, struct gev_luasocket *ls, size_t sent) {
  struct gev_stream *s = stream_at(L, TO);
  const char *data = lua_tostring(L, DATA) + lua_tointeger(L, FIRST) - 1;
  lua_Integer count = lua_tointeger(L, LAST) - lua_tointeger(L, FIRST) + 1;
  size_t total = count > 0 ? (size_t)count : 0;
  while (sent < total) {
    if (!s || s->fd.fd < 0) {
      lua_pushliteral(L, "closed");
      return not_sent(L, sent);
    }
    struct iovec iov = {.iov_base = (void *)(uintptr_t)(data + sent),
                        .iov_len = total - sent};
    ssize_t put = s->ops->write(s, &iov, 1);
    if (gev_stream_must_wait(put)) return send_blocked(L, ls, s, put, sent);
    if (put < 0) {
      push_error(L, put);
      return not_sent(L, sent);
    }
    sent += (size_t)put;
    ls->sent += (double)put;
    gev_count_bytes(s->hub, (size_t)put);
  }
  if (s && total && gev_must_yield(L, s->hub))
    return yield_turn(L, s, GEV_WRITE, &send_op, (lua_KContext)sent, send_k);
  return all_sent(L, sent);
}

static int send_k(lua_State *L, int status, lua_KContext sent) {
  (void)status;
  struct gev_luasocket *ls = lua_touserdata(L, OBJECT);
  struct gev_stream *s = gev_checkstream(L, TO);
  enum gev_verdict v = gev_fd_resume(L, s->hub, &s->fd, GEV_WRITE);
  if (v == GEV_WOKEN) return send_run(L, ls, (size_t)sent);
  lua_pushstring(L, v == GEV_TIMEDOUT ? "timeout" : "closed");
  return not_sent(L, (size_t)sent);
}

/* Replaces the index at idx, which counts from the end where it is negative,
 * by one that counts from the start. */
static lua_Integer check_index(lua_State *L, int idx, size_t size,
                               lua_Integer fallback) {
  lua_Integer i = (lua_Integer)luaL_optnumber(L, idx, (lua_Number)fallback);
  return i < 0 ? (lua_Integer)size + i + 1 : i;
}

/* o:send(data [, i [, j]]) -> last, nil, nil | nil, error, last */
static int m_send(lua_State *L) {
  size_t size;
  struct gev_luasocket *ls = gev_luasocket_check(L);
  luaL_checklstring(L, DATA, &size);
  lua_Integer first = check_index(L, FIRST, size, 1);
  lua_Integer last = check_index(L, LAST, size, -1);
  lua_settop(L, DATA);
  lua_pushinteger(L, first < 1 ? 1 : first);
  lua_pushinteger(L, last > (lua_Integer)size ? (lua_Integer)size : last);
  struct gev_stream *s = gev_luasocket_stream(L, OBJECT);
  lua_pushinteger(L, gev_now());
  if (s) gev_fd_claim(L, s->hub, &s->fd, GEV_WRITE, &send_op);
  return send_run(L, ls, 0);
}

const luaL_Reg gev_luasocket_io[] = {
    {"receive", m_receive}, {"send", m_send}, {NULL, NULL}};
