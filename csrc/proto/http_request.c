/* proto/http_request.c - layer: proto. See http_conn.h. A request owns a copy
 * of its head, so it holds nothing that has to be released. */
#include "proto/http_conn.h"

#include <string.h>

const struct gev_class gev_http_req_class = {"http request", NULL, NULL};
static const char class_key = 0;

/* --- the copy of the head ------------------------------------------------ */

/* Where the text of the head ends that is worth keeping: its last field. */
static size_t text_size(const struct gev_h1 *p, const char *base) {
  size_t len;
  const char *end;
  if (p->nfields) {
    end = gev_h1_value(p, p->nfields - 1, &len);
    if (len == 0) { /* it is not a place in the text then */
      end = gev_h1_name(p, p->nfields - 1, &len);
    }
  } else {
    end = gev_h1_target(p, &len);
  }
  return (size_t)(end + len - base);
}

static struct gev_h1_span span_of(const char *base, const char *s,
                                  size_t len) {
  struct gev_h1_span span = {0, (uint32_t)len};
  if (len) span.off = (uint32_t)(s - base);
  return span;
}

static void copy_fields(struct gev_http_req *r, const struct gev_h1 *p,
                        const char *base) {
  size_t len;
  for (uint32_t i = 0; i < p->nfields; i++) {
    const char *s = gev_h1_name(p, i, &len);
    r->fields[i].name = span_of(base, s, len);
    s = gev_h1_value(p, i, &len);
    r->fields[i].value = span_of(base, s, len);
  }
}

/* The path and the query, without a fragment. */
static void split_path(struct gev_http_req *r, const char *base,
                       const char *s, size_t len) {
  const char *cut = len ? memchr(s, '#', len) : NULL;
  if (cut) len = (size_t)(cut - s);
  cut = len ? memchr(s, '?', len) : NULL;
  r->has_query = cut != NULL;
  if (cut) r->query = span_of(base, cut + 1, len - (size_t)(cut + 1 - s));
  r->path = span_of(base, s, cut ? (size_t)(cut - s) : len);
}

/* Is each % the start of an escape, and of none that stands for NUL? */
static bool is_escaped_well(const char *s, size_t len) {
  const char *end = s + len;
  char out[3];
  size_t n;
  while ((s = memchr(s, '%', (size_t)(end - s))) != NULL) {
    if (end - s < 3 || !gev_h1_unescape(s, 3, out, &n)) return false;
    s += 3;
    if (s == end) break;
  }
  return true;
}

void gev_http_push_req_class(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &class_key);
}

struct gev_http_req *gev_http_req_new(lua_State *L, struct gev_http_conn *c,
                                      int class) {
  const struct gev_h1 *p = &c->h1;
  size_t method_len, target_len, path_len, authority_len;
  const char *base = gev_h1_method(p, &method_len);
  const char *target = gev_h1_target(p, &target_len);
  const char *path = gev_h1_path(p, &path_len);
  const char *authority = gev_h1_authority(p, &authority_len);
  size_t text = text_size(p, base);
  size_t fixed = sizeof(struct gev_http_req) +
                 p->nfields * sizeof(struct gev_http_field);
  if (path_len && memchr(path, '%', path_len)) {
    const char *q = memchr(path, '?', path_len);
    if (!is_escaped_well(path, q ? (size_t)(q - path) : path_len))
      return NULL;
  }
  struct gev_http_req *r = lua_newuserdatauv(L, fixed + text, 4);
  r->cls = &gev_http_req_class;
  r->c = c;
  r->serial = c->serial;
  r->nfields = p->nfields;
  r->http10 = p->minor == 0;
  r->method = span_of(base, base, method_len);
  r->target = span_of(base, target, target_len);
  r->authority = span_of(base, authority, authority_len);
  r->query = r->path = (struct gev_h1_span){0, 0};
  split_path(r, base, path, path_len);
  copy_fields(r, p, base);
  memcpy((char *)r + fixed, base, text);
  lua_pushvalue(L, class);
  lua_setmetatable(L, -2);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, GEV_HTTP_UV_CONN);
  return r;
}

/* --- fields -------------------------------------------------------------- */

static void push_span(lua_State *L, const struct gev_http_req *r,
                      struct gev_h1_span span) {
  lua_pushlstring(L, gev_http_text(r, span), span.len);
}

static void get_method(lua_State *L, struct gev_http_req *r) {
  push_span(L, r, r->method);
}

static void get_target(lua_State *L, struct gev_http_req *r) {
  push_span(L, r, r->target);
}

static void get_path(lua_State *L, struct gev_http_req *r) {
  const char *s = gev_http_text(r, r->path);
  size_t len = r->path.len;
  if (len == 0 && r->authority.len && r->target.len != r->authority.len) {
    lua_pushliteral(L, "/"); /* http://host, which is no CONNECT */
  } else if (len && memchr(s, '%', len)) {
    luaL_Buffer b;
    gev_h1_unescape(s, len, luaL_buffinitsize(L, &b, len), &len);
    luaL_pushresultsize(&b, len);
  } else {
    lua_pushlstring(L, s, len);
  }
}

static void get_raw_path(lua_State *L, struct gev_http_req *r) {
  if (r->path.len)
    push_span(L, r, r->path);
  else
    get_path(L, r);
}

static void get_query(lua_State *L, struct gev_http_req *r) {
  if (r->has_query)
    push_span(L, r, r->query);
  else
    lua_pushnil(L);
}

static void get_version(lua_State *L, struct gev_http_req *r) {
  lua_pushstring(L, r->http10 ? "1.0" : "1.1");
}

static void get_headers(lua_State *L, struct gev_http_req *r) {
  (void)r;
  if (lua_getiuservalue(L, 1, GEV_HTTP_UV_HEADERS) != LUA_TNIL) return;
  gev_http_headers_new(L, 1);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, 1, GEV_HTTP_UV_HEADERS);
}

/* The target's own, else what the field says. */
static void get_host(lua_State *L, struct gev_http_req *r) {
  if (r->authority.len) {
    push_span(L, r, r->authority);
    return;
  }
  for (uint32_t i = 0; i < r->nfields; i++) {
    const struct gev_http_field *f = &r->fields[i];
    if (f->name.len == 4 &&
        gev_http_same(gev_http_text(r, f->name), "host", 4)) {
      push_span(L, r, f->value);
      return;
    }
  }
  lua_pushnil(L);
}

static void get_of_conn(lua_State *L, int n) {
  lua_getiuservalue(L, 1, GEV_HTTP_UV_CONN);
  lua_getiuservalue(L, -1, n);
}

static void get_remote_host(lua_State *L, struct gev_http_req *r) {
  (void)r;
  get_of_conn(L, 3);
}

static void get_remote_port(lua_State *L, struct gev_http_req *r) {
  (void)r;
  get_of_conn(L, 4);
}

static void get_scheme(lua_State *L, struct gev_http_req *r) {
  (void)r;
  get_of_conn(L, 6);
}

/* Keeps the value on the top, as if the handler had set it. */
static void keep(lua_State *L, const char *name) {
  lua_pushcfunction(L, gev_http_set_extra);
  lua_pushvalue(L, 1);
  lua_pushstring(L, name);
  lua_pushvalue(L, -4);
  lua_call(L, 3, 0);
}

/* Of a route: none, unless a router has set them. */
static void get_params(lua_State *L, struct gev_http_req *r) {
  (void)r;
  lua_newtable(L);
  keep(L, "params");
}

/* The fields after a chunked body, once that was read to its end: nil before,
 * and where nobody asked for them while the request was served. */
static void get_trailers(lua_State *L, struct gev_http_req *r) {
  struct gev_http_conn *c = r->c;
  if (r->serial != c->serial || !c->body_done) {
    lua_pushnil(L);
    return;
  }
  gev_http_headers_trailers(L, &c->h1);
  keep(L, "trailers");
}

static const struct {
  const char *name;
  void (*get)(lua_State *L, struct gev_http_req *r);
} getters[] = {
    {"method", get_method},           {"target", get_target},
    {"path", get_path},               {"query", get_query},
    {"version", get_version},         {"headers", get_headers},
    {"host", get_host},               {"remote_host", get_remote_host},
    {"remote_port", get_remote_port}, {"scheme", get_scheme},
    {"raw_path", get_raw_path},       {"params", get_params},
    {"trailers", get_trailers},
};

/* upvalue 2: names of fields -> numbers, names of methods -> functions. What
 * the handler has set itself goes first. */
static int m_index(lua_State *L) {
  struct gev_http_req *r = gev_check(L, 1, &gev_http_req_class);
  if (lua_getiuservalue(L, 1, GEV_HTTP_UV_EXTRA) == LUA_TTABLE) {
    lua_pushvalue(L, 2);
    if (lua_rawget(L, -2) != LUA_TNIL) return 1;
  }
  lua_settop(L, 2);
  lua_rawget(L, lua_upvalueindex(2));
  if (lua_type(L, 2) == LUA_TNUMBER) getters[lua_tointeger(L, 2)].get(L, r);
  return 1;
}

int gev_http_set_extra(lua_State *L) {
  if (lua_isnil(L, 2)) return luaL_error(L, "index is nil");
  if (lua_getiuservalue(L, 1, GEV_HTTP_UV_EXTRA) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 1, GEV_HTTP_UV_EXTRA);
  }
  lua_insert(L, 2);
  lua_rawset(L, 2);
  return 0;
}

static int m_newindex(lua_State *L) {
  gev_check(L, 1, &gev_http_req_class);
  lua_settop(L, 3);
  return gev_http_set_extra(L);
}

static int m_tostring(lua_State *L) {
  struct gev_http_req *r = gev_check(L, 1, &gev_http_req_class);
  push_span(L, r, r->method);
  push_span(L, r, r->target);
  lua_pushfstring(L, "<http request at %p: %s %s>", (void *)r,
                  lua_tostring(L, -2), lua_tostring(L, -1));
  return 1;
}

/* req:takeover() -> the stream, which is the caller's until the handler
 * returns; what came after the request's head is still in it. For WebSocket.
 * nil, "closed", "closed" once an answer has begun. */
static int m_takeover(lua_State *L) {
  struct gev_http_req *r = gev_check(L, 1, &gev_http_req_class);
  struct gev_http_conn *c = r->c;
  if (r->serial != c->serial || c->begun || !c->body_done || c->broken)
    return gev_failclosed(L);
  if (gev_http_send_held(c) != 0 && c->held.data) /* the rest, then the taker */
    if (!gev_bytes_add(&c->s->out, gev_bytes_front(&c->held),
                       gev_bytes_count(&c->held)))
      return gev_fail(L, ENOMEM);
  gev_http_hold_end(c);
  c->taken = true;
  c->serial++;
  get_of_conn(L, 1);
  return 1;
}

/* req:_refuse(status, message): the body is no good. The server answers so by
 * itself, and does not complain of an error that hands the message on. */
static int m_refuse(lua_State *L) {
  struct gev_http_req *r = gev_check(L, 1, &gev_http_req_class);
  lua_Integer status = luaL_checkinteger(L, 2);
  luaL_checkstring(L, 3);
  lua_settop(L, 3);
  if (r->serial != r->c->serial) return 0;
  r->c->fail = (uint16_t)status;
  r->c->close = true;
  gev_http_set_failure(L, r->c, 1);
  return 0;
}

/* req:_note(): conn:serve returns "log" when this request is over. */
static int m_note(lua_State *L) {
  struct gev_http_req *r = gev_check(L, 1, &gev_http_req_class);
  if (r->serial != r->c->serial) return 0;
  lua_getiuservalue(L, 1, GEV_HTTP_UV_CONN);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, GEV_HTTP_UV_LOGGED);
  r->c->noted = true;
  return 0;
}

static const luaL_Reg methods[] = {{"takeover", m_takeover},
                                   {"_refuse", m_refuse},
                                   {"_note", m_note},
                                   {NULL, NULL}};

void gev_open_http_request(lua_State *L, int hub) {
  static const luaL_Reg meta[] = {{"__newindex", m_newindex},
                                  {"__tostring", m_tostring},
                                  {NULL, NULL}};
  lua_pushvalue(L, hub);
  gev_newclass(L, "http request", meta, 1);
  lua_pushvalue(L, hub);
  lua_newtable(L);
  lua_pushvalue(L, hub);
  luaL_setfuncs(L, methods, 1);
  lua_pushvalue(L, hub);
  luaL_setfuncs(L, gev_http_body_methods, 1);
  for (size_t i = 0; i < sizeof getters / sizeof *getters; i++) {
    lua_pushinteger(L, (lua_Integer)i);
    lua_setfield(L, -2, getters[i].name);
  }
  lua_pushvalue(L, -1);
  lua_setfield(L, -5, "http_request_methods");
  lua_pushcclosure(L, m_index, 2);
  lua_setfield(L, -2, "__index");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &class_key);
}
