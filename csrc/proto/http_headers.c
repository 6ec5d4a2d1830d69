/* proto/http_headers.c - layer: proto. See http_conn.h. The fields of a
 * message as Lua sees them: case does not matter in names, order and spelling
 * are kept. Those of a message that was read are a view of its head until they
 * are changed: of the request that has it, or of a copy of their own. All
 * others are a list {name, value, name, value, ...}, user value 1. What is in
 * a list is acceptable: it was checked when it was set. */
#include "proto/http_conn.h"

#include <string.h>

#include "proto/http1_chars.h"

const struct gev_class gev_http_headers_class = {"headers", NULL, NULL};
static const char class_key = 0;

struct headers {
  const struct gev_class *cls;
  const struct gev_http_field *view; /* NULL: a list */
  const char *text; /* to which the fields of the view refer */
  uint32_t nfields; /* of the view */
  struct gev_http_field own[]; /* of a copy; its text follows */
};

static struct headers *check(lua_State *L, int idx) {
  return gev_check(L, idx, &gev_http_headers_class);
}

static struct headers *push_new(lua_State *L, size_t more) {
  struct headers *hs = lua_newuserdatauv(L, sizeof *hs + more, 1);
  hs->cls = &gev_http_headers_class;
  hs->view = NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &class_key);
  lua_setmetatable(L, -2);
  return hs;
}

void gev_http_headers_new(lua_State *L, int req) {
  if (req) req = lua_absindex(L, req);
  struct headers *hs = push_new(L, 0);
  if (req) {
    const struct gev_http_req *r = lua_touserdata(L, req);
    hs->view = r->fields;
    hs->text = gev_http_text(r, (struct gev_h1_span){0, 0});
    hs->nfields = r->nfields;
    lua_pushvalue(L, req); /* it has to stay */
  } else {
    lua_newtable(L);
  }
  lua_setiuservalue(L, -2, 1);
}

static struct gev_h1_span copy(char **at, const char *base, const char *s,
                               size_t len) {
  struct gev_h1_span span = {(uint32_t)(*at - base), (uint32_t)len};
  memcpy(*at, s, len);
  *at += len;
  return span;
}

void gev_http_headers_copy(lua_State *L, const struct gev_h1 *p) {
  size_t total = 0, len;
  for (uint32_t i = 0; i < p->nfields; i++) {
    gev_h1_name(p, i, &len);
    total += len;
    gev_h1_value(p, i, &len);
    total += len;
  }
  size_t fields = p->nfields * sizeof(struct gev_http_field);
  struct headers *hs = push_new(L, fields + total);
  char *base = (char *)(hs->own + p->nfields), *at = base;
  for (uint32_t i = 0; i < p->nfields; i++) {
    const char *s = gev_h1_name(p, i, &len);
    hs->own[i].name = copy(&at, base, s, len);
    s = gev_h1_value(p, i, &len);
    hs->own[i].value = copy(&at, base, s, len);
  }
  hs->view = hs->own;
  hs->text = base;
  hs->nfields = p->nfields;
}

/* --- looking ------------------------------------------------------------- */

static char lower(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool gev_http_same(const char *a, const char *b, size_t len) {
  for (size_t i = 0; i < len; i++)
    if (lower(a[i]) != lower(b[i])) return false;
  return true;
}

/* Pushes and pops the list's strings: they live as long as the list. */
bool gev_http_headers_at(lua_State *L, int idx, lua_Integer i,
                         const char **name, size_t *name_len,
                         const char **value, size_t *value_len) {
  const struct headers *hs = lua_touserdata(L, idx);
  if (hs->view) {
    if (i > hs->nfields) return false;
    const struct gev_http_field *f = &hs->view[i - 1];
    *name = hs->text + f->name.off;
    *name_len = f->name.len;
    *value = hs->text + f->value.off;
    *value_len = f->value.len;
    return true;
  }
  lua_getiuservalue(L, idx, 1);
  lua_rawgeti(L, -1, 2 * i - 1);
  lua_rawgeti(L, -2, 2 * i);
  *name = lua_tolstring(L, -2, name_len);
  *value = lua_tolstring(L, -1, value_len);
  lua_pop(L, 3);
  return *name != NULL;
}

/* The first field with that name at i or after it; 0 if there is none. */
static lua_Integer find(lua_State *L, int idx, lua_Integer i,
                        const char *wanted, size_t len, const char **value,
                        size_t *value_len) {
  const char *name;
  size_t name_len;
  for (; gev_http_headers_at(L, idx, i, &name, &name_len, value, value_len);
       i++)
    if (name_len == len && gev_http_same(name, wanted, len)) return i;
  return 0;
}

/* The value on the top, popped, of a field in a plain table; the first one
 * of a list. It is the table's, so it outlives the stack. */
static const char *table_value(lua_State *L, size_t *len) {
  if (lua_istable(L, -1)) {
    lua_rawgeti(L, -1, 1);
    lua_replace(L, -2);
  }
  const char *value = "";
  *len = 0;
  if (lua_type(L, -1) == LUA_TSTRING) value = lua_tolstring(L, -1, len);
  lua_pop(L, 1);
  return value;
}

static const char *table_get(lua_State *L, int idx, const char *wanted,
                             size_t len, size_t *value_len) {
  for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
    size_t n;
    if (lua_type(L, -2) != LUA_TSTRING) continue;
    const char *name = lua_tolstring(L, -2, &n);
    if (n == len && gev_http_same(name, wanted, n)) {
      const char *value = table_value(L, value_len);
      lua_pop(L, 1);
      return value;
    }
  }
  return NULL;
}

const char *gev_http_headers_get(lua_State *L, int idx, const char *name,
                                 size_t len, size_t *value_len) {
  const char *value;
  if (lua_istable(L, idx)) return table_get(L, idx, name, len, value_len);
  return find(L, idx, 1, name, len, &value, value_len) ? value : NULL;
}

bool gev_http_headers_has(lua_State *L, int idx, const char *name,
                          size_t len) {
  size_t value_len;
  return gev_http_headers_get(L, idx, name, len, &value_len) != NULL;
}

/* h[name] -> value, several joined by ", "; nil */
static int push_joined(lua_State *L) {
  size_t len, n;
  const char *value, *name = lua_tolstring(L, 2, &len);
  lua_Integer i = find(L, 1, 1, name, len, &value, &n);
  if (!i) return 0;
  lua_pushlstring(L, value, n);
  while ((i = find(L, 1, i + 1, name, len, &value, &n)) != 0) {
    lua_pushliteral(L, ", ");
    lua_pushlstring(L, value, n);
    lua_concat(L, 3);
  }
  return 1;
}

/* upvalue 2: the methods */
static int m_index(lua_State *L) {
  check(L, 1);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(2)) != LUA_TNIL) return 1;
  return lua_type(L, 2) == LUA_TSTRING ? push_joined(L) : 0;
}

/* h:get_all(name) -> list of values */
static int m_get_all(lua_State *L) {
  size_t len, n;
  const char *value;
  check(L, 1);
  const char *name = luaL_checklstring(L, 2, &len);
  lua_newtable(L);
  lua_Integer i = 0, count = 0;
  while ((i = find(L, 1, i + 1, name, len, &value, &n)) != 0) {
    lua_pushlstring(L, value, n);
    lua_rawseti(L, 3, ++count);
  }
  return 1;
}

static lua_Integer count(lua_State *L, int idx) {
  const struct headers *hs = lua_touserdata(L, idx);
  if (hs->view) return hs->nfields;
  lua_getiuservalue(L, idx, 1);
  lua_Integer n = (lua_Integer)lua_rawlen(L, -1) / 2;
  lua_pop(L, 1);
  return n;
}

/* #h: the number of fields */
static int m_len(lua_State *L) {
  check(L, 1);
  lua_pushinteger(L, count(L, 1));
  return 1;
}

/* Upvalues: the headers, the number of the last field given. */
static int each_next(lua_State *L) {
  const char *name, *value;
  size_t name_len, value_len;
  lua_Integer i = lua_tointeger(L, lua_upvalueindex(2)) + 1;
  lua_settop(L, 0);
  lua_pushvalue(L, lua_upvalueindex(1));
  if (!gev_http_headers_at(L, 1, i, &name, &name_len, &value, &value_len))
    return 0;
  lua_pushinteger(L, i);
  lua_replace(L, lua_upvalueindex(2));
  lua_pushlstring(L, name, name_len);
  lua_pushlstring(L, value, value_len);
  return 2;
}

/* for name, value in h:each() do; also pairs(h) */
static int m_each(lua_State *L) {
  check(L, 1);
  lua_settop(L, 1);
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, each_next, 2);
  return 1;
}

/* --- changing ------------------------------------------------------------ */

static void check_name(lua_State *L, int idx) {
  size_t len;
  const char *name = luaL_checklstring(L, idx, &len);
  if (!gev_h1_is_token(name, len))
    luaL_error(L, "bad header name '%s' (a token expected)", name);
}

/* Pushes the value at idx as a string. */
static void push_value(lua_State *L, int idx, const char *name) {
  size_t len;
  int type = lua_type(L, idx);
  if (type != LUA_TSTRING && type != LUA_TNUMBER)
    luaL_error(L, "bad value of header '%s' (string or list of strings "
               "expected, got %s)", name, luaL_typename(L, idx));
  lua_pushvalue(L, idx);
  const char *value = lua_tolstring(L, -1, &len);
  if (!gev_h1_is_value(value, len))
    luaL_error(L, "bad value of header '%s' (CR, LF, NUL and other control "
               "characters are not allowed)", name);
}

/* Pushes the list; a view becomes one first. */
static void push_list(lua_State *L, struct headers *hs) {
  if (!hs->view) {
    lua_getiuservalue(L, 1, 1);
    return;
  }
  lua_Integer n = hs->nfields;
  lua_createtable(L, (int)n * 2, 0);
  for (lua_Integer i = 1; i <= n; i++) {
    const struct gev_http_field *f = &hs->view[i - 1];
    lua_pushlstring(L, hs->text + f->name.off, f->name.len);
    lua_rawseti(L, -2, 2 * i - 1);
    lua_pushlstring(L, hs->text + f->value.off, f->value.len);
    lua_rawseti(L, -2, 2 * i);
  }
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, 1, 1);
  hs->view = NULL;
}

/* Appends the name at 2 and the value on the top (popped) to the list. */
static void append(lua_State *L, int list) {
  lua_Integer n = (lua_Integer)lua_rawlen(L, list);
  lua_rawseti(L, list, n + 2); /* first: no hole if it fails */
  lua_pushvalue(L, 2);
  lua_rawseti(L, list, n + 1);
}

/* Takes all fields with the name at 2 out of the list. */
static void remove_all(lua_State *L, int list) {
  size_t len, n;
  const char *name = lua_tolstring(L, 2, &len);
  lua_Integer size = (lua_Integer)lua_rawlen(L, list), to = 1;
  for (lua_Integer from = 1; from < size; from += 2) {
    lua_rawgeti(L, list, from);
    const char *other = lua_tolstring(L, -1, &n);
    if (n == len && gev_http_same(other, name, len)) {
      lua_pop(L, 1);
      continue;
    }
    lua_rawseti(L, list, to++);
    lua_rawgeti(L, list, from + 1);
    lua_rawseti(L, list, to++);
  }
  for (lua_Integer i = size; i >= to; i--) {
    lua_pushnil(L);
    lua_rawseti(L, list, i);
  }
}

/* h:add(name, value): beside those that are there */
static int m_add(lua_State *L) {
  struct headers *hs = check(L, 1);
  lua_settop(L, 3);
  check_name(L, 2);
  push_list(L, hs);
  push_value(L, 3, lua_tostring(L, 2));
  append(L, 4);
  return 0;
}

/* The values of the list at 3, checked, on the stack from `first` on. */
static lua_Integer push_values(lua_State *L) {
  lua_Integer n = (lua_Integer)lua_rawlen(L, 3);
  luaL_checkstack(L, (int)n + 3, "too many values");
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, 3, i);
    push_value(L, -1, lua_tostring(L, 2));
    lua_remove(L, -2);
  }
  return n;
}

/* h[name] = value | list | nil: instead of those that are there */
static int m_newindex(lua_State *L) {
  struct headers *hs = check(L, 1);
  lua_Integer n = 0;
  lua_settop(L, 3);
  check_name(L, 2);
  push_list(L, hs);
  if (lua_istable(L, 3)) {
    n = push_values(L);
  } else if (!lua_isnil(L, 3)) {
    push_value(L, 3, lua_tostring(L, 2));
    n = 1;
  }
  remove_all(L, 4);
  for (lua_Integer i = 0; i < n; i++) {
    lua_pushvalue(L, 5 + (int)i);
    append(L, 4);
  }
  return 0;
}

/* Pushes an object with what the table at idx says: {name = value or list}. */
void gev_http_headers_from(lua_State *L, int idx) {
  idx = lua_absindex(L, idx);
  gev_http_headers_new(L, 0);
  int self = lua_gettop(L);
  luaL_checkstack(L, 8, NULL);
  for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
    lua_pushcfunction(L, m_newindex);
    lua_pushvalue(L, self);
    lua_pushvalue(L, -4);
    lua_pushvalue(L, -4);
    lua_call(L, 3, 0);
  }
}

void gev_http_headers_trailers(lua_State *L, const struct gev_h1 *p) {
  gev_http_headers_new(L, 0);
  lua_getiuservalue(L, -1, 1);
  for (uint32_t i = 0; i < p->ntrailers; i++) {
    size_t len;
    const char *s = gev_h1_name(p, p->nfields + i, &len);
    lua_pushlstring(L, s, len);
    lua_rawseti(L, -2, 2 * (lua_Integer)i + 1);
    s = gev_h1_value(p, p->nfields + i, &len);
    lua_pushlstring(L, s, len);
    lua_rawseti(L, -2, 2 * (lua_Integer)i + 2);
  }
  lua_pop(L, 1);
}

/* http_headers([table]) -> headers */
static int lib_headers(lua_State *L) {
  if (lua_isnoneornil(L, 1)) {
    gev_http_headers_new(L, 0);
  } else {
    luaL_checktype(L, 1, LUA_TTABLE);
    gev_http_headers_from(L, 1);
  }
  return 1;
}

static int m_tostring(lua_State *L) {
  struct headers *hs = check(L, 1);
  lua_pushfstring(L, "<headers at %p: %I fields>", (void *)hs, count(L, 1));
  return 1;
}

static const luaL_Reg methods[] = {
    {"get_all", m_get_all}, {"add", m_add}, {"each", m_each}, {NULL, NULL}};

void gev_open_http_headers(lua_State *L, int hub) {
  static const luaL_Reg meta[] = {{"__newindex", m_newindex},
                                  {"__len", m_len},
                                  {"__pairs", m_each},
                                  {"__tostring", m_tostring},
                                  {NULL, NULL}};
  lua_pushvalue(L, hub);
  gev_newclass(L, "headers", meta, 1);
  lua_pushvalue(L, hub);
  luaL_newlibtable(L, methods);
  lua_pushvalue(L, hub);
  luaL_setfuncs(L, methods, 1);
  lua_pushcclosure(L, m_index, 2);
  lua_setfield(L, -2, "__index");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &class_key);
  lua_pushvalue(L, hub);
  lua_pushcclosure(L, lib_headers, 1);
  lua_setfield(L, -2, "http_headers");
}
