/* io/reader.c - layer: io. See reader.h. Owns nothing: what is read but not
 * complete stays in the stream's input, where the next call finds it. */
#include "io/reader.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A parser looks at the input and either takes from it what the arguments on
 * the Lua stack ask for, pushes it and returns how many values, or returns
 * MORE. At the end of the stream (`eof`) it must come to a result. What it has
 * looked at already it notes in the stream's `scan`. */
enum { MORE = -1 };
typedef int (*parse_fn)(lua_State *L, struct gev_stream *s, bool eof);

struct reader {
  struct gev_waitop op;
  parse_fn parse;
  int timeout_arg; /* index of the call's own time-out; 0: it has none */
  lua_KFunction k;
};

/* --- the loop that all of them run --------------------------------------- */

/* Input kept coming for a whole slice: the others' turn. The stream stays
 * ours meanwhile. */
static int yield_turn(lua_State *L, struct gev_hub *h, struct gev_stream *s,
                      const struct reader *r, int64_t deadline) {
  struct gev_greenlet *g = gev_park_begin(L, h, &r->op);
  s->fd.user[GEV_READ] = g;
  g->timer.node.key = deadline; /* where gev_fd_deadline finds it */
  return gev_park_ready(L, h, g, &r->op, &s->fd, (lua_KContext)r, r->k);
}

static int run(lua_State *L, struct gev_hub *h, struct gev_stream *s,
               const struct reader *r, bool once, int64_t deadline) {
  int top = lua_gettop(L);
  bool eof = false;
  for (;;) {
    int n = r->parse(L, s, eof);
    if (n != MORE) return n;
    lua_settop(L, top);
    if (once) s->fd.drained = false;
    ssize_t got = gev_stream_fill(h, s);
    if (got > 0) {
      gev_count_bytes(h, (size_t)got);
      if (!once && gev_must_yield(L, h))
        return yield_turn(L, h, s, r, deadline);
    } else if (got == 0) {
      eof = true;
    } else if (!gev_stream_must_wait(got)) {
      return gev_stream_fail(L, s, got);
    } else if (once) {
      return gev_failtimeout(L);
    } else {
      return gev_stream_wait(L, h, s, GEV_READ, got, &r->op, deadline,
                             (lua_KContext)r, r->k);
    }
  }
}

static int run_k(lua_State *L, int status, lua_KContext ctx) {
  const struct reader *r = (const struct reader *)ctx;
  (void)status;
  struct gev_hub *h = gev_hub(L);
  struct gev_stream *s = gev_checkstream(L, 1);
  int64_t deadline = gev_fd_deadline(h);
  enum gev_verdict v = gev_fd_resume(L, h, &s->fd, GEV_READ);
  if (v != GEV_WOKEN) return gev_stream_verdict(L, v);
  return run(L, h, s, r, false, deadline);
}

static int start(lua_State *L, const struct reader *r) {
  struct gev_hub *h = gev_hub(L);
  struct gev_stream *s = gev_checkstream(L, 1);
  bool once = s->timeout == 0;
  int64_t deadline = r->timeout_arg
                         ? gev_stream_deadline(L, s, r->timeout_arg, &once)
                         : gev_deadline(s->timeout);
  gev_fd_claim(L, h, &s->fd, GEV_READ, &r->op);
  if (s->fd.fd < 0) return gev_fail(L, EBADF);
  s->scan = (struct gev_scan){0};
  return run(L, h, s, r, once, deadline);
}

#define READER(op_name, parser, timeout_index)                              \
  {                                                                         \
    .op = {op_name, true, gev_fd_cancel, gev_fd_describe}, .parse = parser, \
    .timeout_arg = timeout_index, .k = run_k                                \
  }

/* --- read(format...) ----------------------------------------------------- */

/* What a format asks for, at the start of some input. */
struct item {
  size_t used; /* bytes of the input */
  size_t len;  /* of those, bytes of the result */
  bool ended;  /* nothing is left, or no number: the result is nil */
};

/* Each measures an item at data[0 .. len); false where it is not complete.
 * The first `seen` bytes have no newline. */
static bool measure_line(struct item *item, const char *data, size_t len,
                         size_t seen, bool eof, bool keep) {
  const char *end =
      len > seen ? memchr(data + seen, '\n', len - seen) : NULL;
  if (!end && !eof) return false;
  item->used = end ? (size_t)(end - data) + 1 : len;
  item->len = item->used - (end && !keep);
  item->ended = !end && len == 0;
  return true;
}

static bool measure_bytes(struct item *item, size_t len, bool eof, size_t n) {
  if (len < n && !eof) return false;
  item->used = item->len = len < n ? len : n;
  item->ended = len == 0 && eof;
  return true;
}

/* A numeral is at most so long, as in io. */
enum { NUMERAL = 200 };

/* Where a numeral that begins at the start of the input goes on. */
struct scan {
  const char *at, *end;
  bool more; /* it was the input that ended, not the numeral */
};

static bool take(struct scan *s, const char *set) {
  if (s->at == s->end) s->more = true;
  if (s->at == s->end || !*s->at || !strchr(set, *s->at)) return false;
  s->at++;
  return true;
}

static int take_all(struct scan *s, const char *set) {
  int n = 0;
  while (take(s, set)) n++;
  return n;
}

static void scan_numeral(struct scan *s) {
  const char *digits = "0123456789", *exponent = "eE";
  take(s, "+-");
  int n = take(s, "0");
  if (n && take(s, "xX")) {
    digits = "0123456789abcdefABCDEF";
    exponent = "pP";
    n = 0;
  }
  n += take_all(s, digits);
  if (take(s, ".")) n += take_all(s, digits);
  if (n > 0 && take(s, exponent)) {
    take(s, "+-");
    take_all(s, "0123456789");
  }
}

/* Pushes the numeral as a number; false, and nothing, if it is none. */
static bool push_number(lua_State *L, const char *data, size_t len) {
  char text[NUMERAL + 1];
  if (len > NUMERAL) return false;
  memcpy(text, data, len);
  text[len] = 0;
  return lua_stringtonumber(L, text) != 0;
}

static bool measure_number(lua_State *L, struct item *item, const char *data,
                           size_t len, bool eof) {
  struct scan s = {data, data + len, false};
  take_all(&s, " \t\n\v\f\r");
  const char *first = s.at;
  scan_numeral(&s);
  bool too_long = s.at - first > NUMERAL;
  if (too_long) s.at = first + NUMERAL;
  else if (s.more && !eof) return false;
  item->used = (size_t)(s.at - data);
  item->len = (size_t)(s.at - first);
  item->ended = too_long || !push_number(L, first, item->len);
  if (!item->ended) lua_pop(L, 1);
  return true;
}

static bool is_number(lua_State *L, int idx) {
  if (lua_type(L, idx) == LUA_TNUMBER) return false;
  const char *format = lua_tostring(L, idx);
  return format[*format == '*'] == 'n';
}

static bool measure(lua_State *L, int idx, struct item *item,
                    const char *data, size_t len, size_t seen, bool eof) {
  if (lua_type(L, idx) == LUA_TNUMBER)
    return measure_bytes(item, len, eof, (size_t)lua_tointeger(L, idx));
  const char *format = lua_tostring(L, idx);
  if (*format == '*') format++;
  if (*format == 'l' || *format == 'L')
    return measure_line(item, data, len, seen, eof, *format == 'L');
  if (*format == 'n') return measure_number(L, item, data, len, eof);
  *item = (struct item){len, len, false};
  return eof;
}

/* Pushes the first n bytes of the input, and takes `used` out of it. A
 * finalizer may run while a string is made, and do with the stream what it
 * likes: so the bytes are taken first, and copied before it can. */
static void push_input(lua_State *L, struct gev_stream *s, size_t used,
                       size_t n) {
  const char *data = gev_bytes_front(&s->in);
  s->in.off += used;
  lua_pushlstring(L, data, n);
  gev_bytes_trim(&s->in);
}

void gev_stream_take(lua_State *L, struct gev_stream *s, size_t n) {
  push_input(L, s, n, n);
}

static void check_format(lua_State *L, int idx) {
  if (lua_type(L, idx) == LUA_TNUMBER) {
    luaL_argcheck(L, luaL_checkinteger(L, idx) >= 0, idx,
                  "a number of bytes must not be negative");
    return;
  }
  const char *format = luaL_checkstring(L, idx);
  if (*format == '*') format++;
  luaL_argcheck(L, *format && strchr("lLan", *format), idx, "invalid format "
                "(a number, \"n\", \"l\", \"L\" or \"a\" expected)");
}

/* Measures the formats from index 2 to `last`; false: not all are there. The
 * scan says how many have a result, and what these use: it stops where the
 * stream has ended. *item: the last one. */
static bool measure_all(lua_State *L, struct gev_stream *s, bool eof,
                        int last, struct item *item) {
  const char *data = gev_bytes_front(&s->in);
  size_t len = gev_stream_buffered(s);
  if (eof) s->scan = (struct gev_scan){0}; /* what "" is may have changed */
  struct gev_scan *at = &s->scan;
  for (; at->items < last - 1; at->items++) {
    if (!measure(L, at->items + 2, item, data + at->total, len - at->total,
                 at->seen, eof)) {
      at->seen = len - at->total;
      return false;
    }
    at->total += item->used;
    at->seen = 0;
    if (item->ended) break;
  }
  return true;
}

/* Several items: the input is copied to one string first, and cut there. */
static void push_items(lua_State *L, struct gev_stream *s, size_t total,
                       int count) {
  push_input(L, s, total, total);
  int whole = lua_gettop(L);
  const char *data = lua_tostring(L, whole);
  for (int i = 0; i < count; i++) {
    struct item item;
    measure(L, i + 2, &item, data, total, 0, true); /* of what was measured */
    if (is_number(L, i + 2))
      push_number(L, data + item.used - item.len, item.len);
    else
      lua_pushlstring(L, data, item.len);
    data += item.used;
    total -= item.used;
  }
  lua_remove(L, whole);
}

/* Arguments from index 2 on are formats. Only when all are satisfied is
 * anything taken out of the input. After the end all are nil, and after what
 * is no number. */
static int parse_formats(lua_State *L, struct gev_stream *s, bool eof) {
  int last = lua_gettop(L);
  struct item item = {0};
  luaL_checkstack(L, last + 3, "too many formats");
  if (!measure_all(L, s, eof, last, &item)) return MORE;
  int count = s->scan.items;
  size_t total = s->scan.total;
  if (count == 0 && total == 0 && eof) return gev_failclosed(L);
  if (last == 2 && !is_number(L, 2)) {
    push_input(L, s, item.used, item.len);
    return 1;
  }
  push_items(L, s, total, count);
  if (count < last - 1) lua_pushnil(L);
  return count + (count < last - 1);
}

static const struct reader read_reader = READER("read", parse_formats, 0);

static int parse_nothing(lua_State *L, struct gev_stream *s, bool eof) {
  if (!gev_stream_buffered(s)) return eof ? gev_failclosed(L) : MORE;
  lua_pushliteral(L, "");
  return 1;
}

static const struct reader nothing_reader = READER("read", parse_nothing, 0);

/* read(0): "" unless the stream has ended. Unlike io it does not wait to
 * know, except of a regular file, which will soon tell. */
static int read_nothing(lua_State *L) {
  struct gev_stream *s = gev_checkstream(L, 1);
  if (s->fd.by_request) return start(L, &nothing_reader);
  gev_fd_claim(L, gev_hub(L), &s->fd, GEV_READ, &read_reader.op);
  if (s->fd.fd < 0) return gev_fail(L, EBADF);
  if (!gev_stream_buffered(s)) {
    s->fd.drained = false; /* try, whatever was there before */
    ssize_t got = gev_stream_fill(gev_hub(L), s);
    if (got == 0) return gev_failclosed(L);
    if (got < 0 && !gev_stream_must_wait(got))
      return gev_stream_fail(L, s, got);
  }
  lua_pushliteral(L, "");
  return 1;
}

/* s:read(format...) -> values | nil, message, code */
static int m_read(lua_State *L) {
  int nargs = lua_gettop(L);
  if (nargs < 2) lua_pushliteral(L, "l");
  for (int i = 2; i <= nargs; i++) check_format(L, i);
  if (nargs == 2 && lua_type(L, 2) == LUA_TNUMBER && lua_tointeger(L, 2) == 0)
    return read_nothing(L);
  return start(L, &read_reader);
}

/* --- lines(format...) ---------------------------------------------------- */

/* Upvalues: hub, number of formats, the read method, stream, formats. */
static int lines_next_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  if (!lua_isnil(L, 1)) return lua_gettop(L);
  const char *code = lua_tostring(L, 3); /* none: "n" found no number */
  if (!code || !strcmp(code, "closed")) return lua_pushnil(L), 1;
  return luaL_error(L, "%s", lua_tostring(L, 2));
}

static int lines_next(lua_State *L) {
  int n = (int)lua_tointeger(L, lua_upvalueindex(2));
  lua_settop(L, 0);
  luaL_checkstack(L, n + 3, "too many formats");
  lua_pushvalue(L, lua_upvalueindex(3));
  lua_pushvalue(L, lua_upvalueindex(4));
  for (int i = 0; i < n; i++) lua_pushvalue(L, lua_upvalueindex(5 + i));
  lua_callk(L, n + 1, LUA_MULTRET, 0, lines_next_k);
  return lines_next_k(L, LUA_OK, 0);
}

/* s:lines(format...) -> iterator; as in io, a failure raises */
static int m_lines(lua_State *L) {
  gev_checkstream(L, 1);
  int n = lua_gettop(L) - 1;
  luaL_argcheck(L, n <= 200, 202, "too many formats");
  for (int i = 2; i <= n + 1; i++) check_format(L, i);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushinteger(L, n);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushcclosure(L, m_read, 1);
  lua_rotate(L, 1, 3);
  lua_pushcclosure(L, lines_next, 4 + n);
  return 1;
}

/* --- readuntil, readexactly ---------------------------------------------- */

static int too_long(lua_State *L, lua_Integer max) {
  char message[64];
  snprintf(message, sizeof message, "no delimiter in %lld bytes",
           (long long)max);
  return gev_failmsg(L, message, "toolong");
}

static int parse_until(lua_State *L, struct gev_stream *s, bool eof) {
  size_t dlen, len = gev_stream_buffered(s);
  const char *delimiter = lua_tolstring(L, 2, &dlen);
  lua_Integer max = lua_isnoneornil(L, 3) ? 0 : lua_tointeger(L, 3);
  const char *data = gev_bytes_front(&s->in);
  size_t seen = s->scan.seen < dlen ? 0 : s->scan.seen - dlen + 1;
  const char *found =
      len ? memmem(data + seen, len - seen, delimiter, dlen) : NULL;
  s->scan.seen = len;
  size_t used = found ? (size_t)(found - data) + dlen : len;
  if (max && used > (size_t)max) return too_long(L, max);
  if (!found) return eof ? gev_failclosed(L) : MORE;
  push_input(L, s, used, used);
  return 1;
}

static const struct reader until_reader =
    READER("readuntil", parse_until, 4);

/* s:readuntil(delimiter [, max [, timeout]]) -> data with the delimiter */
static int m_readuntil(lua_State *L) {
  size_t len;
  luaL_checklstring(L, 2, &len);
  luaL_argcheck(L, len > 0, 2, "an empty delimiter");
  if (!lua_isnoneornil(L, 3))
    luaL_argcheck(L, luaL_checkinteger(L, 3) > 0, 3,
                  "a maximum must be positive");
  lua_settop(L, 4);
  return start(L, &until_reader);
}

static int parse_exactly(lua_State *L, struct gev_stream *s, bool eof) {
  size_t n = (size_t)lua_tointeger(L, 2), len = gev_stream_buffered(s);
  if (len < n) return eof ? gev_failclosed(L) : MORE;
  push_input(L, s, n, n);
  return 1;
}

static const struct reader exactly_reader =
    READER("readexactly", parse_exactly, 3);

/* s:readexactly(n [, timeout]) -> n bytes | nil, message, code */
static int m_readexactly(lua_State *L) {
  lua_Integer n = luaL_checkinteger(L, 2);
  luaL_argcheck(L, n >= 0, 2, "a number of bytes must not be negative");
  lua_settop(L, 3);
  return start(L, &exactly_reader);
}

const luaL_Reg gev_reader_methods[] = {{"read", m_read},
                                       {"lines", m_lines},
                                       {"readuntil", m_readuntil},
                                       {"readexactly", m_readexactly},
                                       {NULL, NULL}};
