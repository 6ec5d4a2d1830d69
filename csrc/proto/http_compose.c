/* proto/http_compose.c - layer: proto. See http_conn.h. The head of an answer:
 * status line, the handler's fields, and those that only the server can know:
 * Date, Content-Length or Transfer-Encoding, Connection. Owns nothing: what
 * does not fit into the caller's room goes to the connection's buffer. */
#include "proto/http_conn.h"

#include <stdlib.h>
#include <string.h>

#include "proto/http1_chars.h"

enum { DRAIN_MAX = 262144 }; /* bytes of a body that are read for nothing */

/* --- room ---------------------------------------------------------------- */

/* Moves to, or enlarges, the connection's buffer. */
static void grow(struct gev_http_head *o, size_t need) {
  struct gev_bytes *out = &o->c->out;
  size_t len = (size_t)(o->at - o->base);
  size_t cap = (size_t)(o->end - o->base) * 2;
  while (cap < len + need) cap *= 2;
  char *data = realloc(out->data, cap);
  if (!data) luaL_error(o->L, "not enough memory");
  if (o->base != out->data) memcpy(data, o->base, len);
  out->data = data;
  out->cap = cap;
  o->base = data;
  o->at = data + len;
  o->end = data + cap;
}

void gev_http_head_init(struct gev_http_head *o, lua_State *L,
                        struct gev_http_conn *c) {
  o->base = o->at = o->room;
  o->end = o->room + sizeof o->room;
  o->c = c;
  o->L = L;
  o->error = NULL;
  o->trailers = 0;
}

void gev_http_add(struct gev_http_head *o, const char *s, size_t n) {
  if ((size_t)(o->end - o->at) < n) grow(o, n);
  memcpy(o->at, s, n);
  o->at += n;
}

#define add_literal(o, s) gev_http_add(o, "" s, sizeof(s) - 1)

static void add_number(struct gev_http_head *o, uint64_t n) {
  char digits[20];
  size_t i = sizeof digits;
  do {
    digits[--i] = (char)('0' + n % 10);
    n /= 10;
  } while (n);
  gev_http_add(o, digits + i, sizeof digits - i);
}

/* --- status line --------------------------------------------------------- */

static bool add_status(struct gev_http_head *o, unsigned status,
                       int reason_idx) {
  if (status == 200 && !reason_idx) {
    add_literal(o, "HTTP/1.1 200 OK\r\n");
    return true;
  }
  size_t len = 0;
  const char *reason;
  if (reason_idx) {
    reason = lua_tolstring(o->L, reason_idx, &len);
    if (!gev_h1_is_value(reason, len)) {
      o->error = "bad reason phrase (control characters are not allowed)";
      return false;
    }
  } else {
    reason = gev_h1_reason(status);
    if (!reason) reason = "";
    len = strlen(reason);
  }
  add_literal(o, "HTTP/1.1 ");
  add_number(o, status);
  add_literal(o, " ");
  gev_http_add(o, reason, len);
  add_literal(o, "\r\n");
  return true;
}

/* --- the handler's fields ------------------------------------------------ */

static bool is_word(const char *s, const char *word, size_t len) {
  return gev_http_same(s, word, len);
}

/* Connection: only "close" concerns us. */
static void note_connection(struct gev_http_head *o, const char *s,
                            size_t len) {
  for (size_t i = 0; i + 5 <= len; i++)
    if (is_word(s + i, "close", 5)) o->close = true;
}

static bool note_length(struct gev_http_head *o, const char *s, size_t len) {
  uint64_t n = 0;
  if (len == 0 || len > 18 || !gev_h1_chars_are(s, len, GEV_H1_DIGIT)) {
    o->error = "bad Content-Length";
    return false;
  }
  for (size_t i = 0; i < len; i++) n = n * 10 + (uint64_t)(s[i] - '0');
  o->has_length = true;
  o->length = n;
  return true;
}

/* The tag is of the body as the handler gave it: of what goes out it holds
 * only weakly. */
static bool add_weak_tag(struct gev_http_head *o, const char *s, size_t len) {
  if (len == 0 || *s != '"') return false;
  add_literal(o, "ETag: W/");
  gev_http_add(o, s, len);
  add_literal(o, "\r\n");
  return true;
}

/* Fields that are the server's own. True: it is dealt with. */
static bool is_ours(struct gev_http_head *o, const char *name, size_t n,
                    const char *value, size_t len) {
  switch (n) {
    case 4:
      if (is_word(name, "date", 4)) o->has_date = true;
      if (o->coding && is_word(name, "etag", 4))
        return add_weak_tag(o, value, len);
      return false;
    case 10:
      if (o->raw || !is_word(name, "connection", 10)) return false;
      note_connection(o, value, len);
      return true;
    case 12:
      if (is_word(name, "content-type", 12)) o->has_type = true;
      return false;
    case 14:
      if (!is_word(name, "content-length", 14)) return false;
      note_length(o, value, len);
      return true;
    case 17:
      return is_word(name, "transfer-encoding", 17);
    default:
      return false;
  }
}

static bool add_field(struct gev_http_head *o, const char *name, size_t n,
                      const char *value, size_t len) {
  if (o->skip && gev_http_headers_has(o->L, o->skip, name, n)) return true;
  if (is_ours(o, name, n, value, len)) return !o->error;
  if ((size_t)(o->end - o->at) < n + len + 4) grow(o, n + len + 4);
  memcpy(o->at, name, n);
  memcpy(o->at + n, ": ", 2);
  memcpy(o->at + n + 2, value, len);
  memcpy(o->at + n + 2 + len, "\r\n", 2);
  o->at += n + len + 4;
  return true;
}

static bool refuse(struct gev_http_head *o, const char *format,
                   const char *name, const char *got) {
  o->error = lua_pushfstring(o->L, format, name, got);
  return false;
}

/* A field of a plain table: its name, and the value at the top. */
static bool add_checked(struct gev_http_head *o, const char *name, size_t n) {
  lua_State *L = o->L;
  size_t len;
  int type = lua_type(L, -1);
  if (type != LUA_TSTRING && type != LUA_TNUMBER)
    return refuse(o, "bad value of header '%s' (string or list of strings "
                  "expected, got %s)", name, luaL_typename(L, -1));
  const char *value = lua_tolstring(L, -1, &len);
  if (!gev_h1_is_token(name, n))
    return refuse(o, "bad header name '%s' (a token expected)%s", name, "");
  if (!gev_h1_is_value(value, len))
    return refuse(o, "bad value of header '%s' (CR, LF, NUL and other "
                  "control characters are not allowed)%s", name, "");
  return add_field(o, name, n, value, len);
}

static bool add_list(struct gev_http_head *o, const char *name, size_t n) {
  lua_State *L = o->L;
  int list = lua_gettop(L);
  lua_Integer count = (lua_Integer)lua_rawlen(L, list);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(L, list, i);
    if (!add_checked(o, name, n)) return false;
    lua_pop(L, 1);
  }
  return true;
}

static bool add_table(struct gev_http_head *o, int idx) {
  lua_State *L = o->L;
  luaL_checkstack(L, 6, NULL);
  for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
    size_t n;
    if (lua_type(L, -2) != LUA_TSTRING)
      return refuse(o, "bad header name (string expected, got %s)%s",
                    luaL_typename(L, -2), "");
    const char *name = lua_tolstring(L, -2, &n);
    bool ok = lua_istable(L, -1) ? add_list(o, name, n)
                                 : add_checked(o, name, n);
    if (!ok) return false;
  }
  return true;
}

static bool add_headers(struct gev_http_head *o, int idx) {
  const char *name, *value;
  size_t n, len;
  if (lua_istable(o->L, idx)) return add_table(o, idx);
  for (lua_Integer i = 1;
       gev_http_headers_at(o->L, idx, i, &name, &n, &value, &len); i++)
    if (!add_field(o, name, n, value, len)) return false;
  return true;
}

/* --- the server's fields ------------------------------------------------- */

/* Is the end of the request's body too far away to be read for nothing? */
static bool is_far(const struct gev_http_conn *c) {
  if (c->body_done) return false;
  return c->fail || c->expect || c->h1.content_length > DRAIN_MAX;
}

static void add_coding(struct gev_http_head *o,
                       const struct gev_http_answer *a) {
  if (a->vary) add_literal(o, "Vary: Accept-Encoding\r\n");
  if (!a->coding) return;
  add_literal(o, "Content-Encoding: ");
  gev_http_add(o, a->coding, strlen(a->coding));
  add_literal(o, "\r\n");
  o->has_length = false;
}

static void add_length(struct gev_http_head *o, uint64_t n) {
  add_literal(o, "Content-Length: ");
  add_number(o, n);
  add_literal(o, "\r\n");
}

/* A body whose length is known only at its end. */
static void add_stream_framing(struct gev_http_head *o) {
  struct gev_http_conn *c = o->c;
  if (o->has_length) {
    add_length(o, o->length);
    c->counted = true;
    c->declared = o->length;
  } else if (c->head) {
    return;
  } else if (c->http10) {
    c->close = true;
  } else {
    add_literal(o, "Transfer-Encoding: chunked\r\n");
    c->chunked = true;
  }
}

static void add_framing(struct gev_http_head *o, unsigned status,
                        int64_t length) {
  struct gev_http_conn *c = o->c;
  if (status < 200 || status == 204) {
    c->bodyless = true;
  } else if (status == 304) {
    c->bodyless = true;
    if (o->has_length) add_length(o, o->length);
  } else if (length < 0) {
    add_stream_framing(o);
  } else if (c->head && length == 0 && o->has_length) {
    add_length(o, o->length);
  } else {
    add_length(o, (uint64_t)length);
  }
  if (c->head) c->bodyless = true;
}

static void add_connection(struct gev_http_head *o) {
  struct gev_http_conn *c = o->c;
  if (o->raw) return;
  if (!c->keep_alive || c->set->stopping || o->close || is_far(c) ||
      c->serial >= c->set->max_requests)
    c->close = true;
  if (c->close)
    add_literal(o, "Connection: close\r\n");
  else if (c->http10)
    add_literal(o, "Connection: keep-alive\r\n");
}

bool gev_http_compose(struct gev_http_head *o, lua_State *L,
                      struct gev_http_conn *c,
                      const struct gev_http_answer *a) {
  gev_http_head_init(o, L, c);
  o->skip = 0;
  o->coding = a->coding;
  o->raw = a->status == 101;
  o->has_date = o->has_type = o->has_length = o->close = false;
  if (!add_status(o, a->status, a->reason)) return false;
  if (a->headers && !add_headers(o, a->headers)) return false;
  if (a->own) {
    o->skip = a->headers;
    if (!add_headers(o, a->own)) return false;
  }
  gev_http_tick(c);
  if (!o->has_date) gev_http_add(o, c->set->date, GEV_HTTP_DATE_LINE);
  c->chunked = c->counted = c->bodyless = false;
  if (a->length && !o->has_type && a->status >= 200 && a->status != 204 &&
      a->status != 304)
    add_literal(o, "Content-Type: text/plain; charset=utf-8\r\n");
  if (a->vary) add_coding(o, a);
  add_framing(o, a->status, a->length);
  add_connection(o);
  add_literal(o, "\r\n");
  c->status = (uint16_t)a->status;
  c->begun = true;
  c->sent = 0;
  return true;
}

/* --- trailers ------------------------------------------------------------ */

/* What has to be known before the body, or is for the server to say. */
static bool may_trail(const char *name, size_t len) {
  static const char *const never[] = {
      "content-length", "transfer-encoding", "connection", "content-type",
      "content-encoding", "content-range", "host", "trailer", "te", "upgrade",
      "set-cookie", "date", "location", "vary", "cache-control",
      "www-authenticate", "authorization", "expires", "age", "keep-alive"};
  for (size_t i = 0; i < sizeof never / sizeof *never; i++)
    if (len == strlen(never[i]) && is_word(name, never[i], len)) return false;
  return true;
}

void gev_http_trailers(lua_State *L, int idx) {
  luaL_Buffer b;
  const char *name, *value;
  size_t n, len;
  if (lua_istable(L, idx)) {
    gev_http_headers_from(L, idx);
    lua_replace(L, idx);
  }
  luaL_argexpected(L, gev_test(L, idx, &gev_http_headers_class), idx - 1,
                   "table");
  luaL_buffinit(L, &b);
  for (lua_Integer i = 1;
       gev_http_headers_at(L, idx, i, &name, &n, &value, &len); i++) {
    if (!may_trail(name, n))
      luaL_error(L, "'%s' cannot be a trailer", name);
    luaL_addlstring(&b, name, n);
    luaL_addlstring(&b, ": ", 2);
    luaL_addlstring(&b, value, len);
    luaL_addlstring(&b, "\r\n", 2);
  }
  luaL_pushresult(&b);
  lua_replace(L, idx);
}
