/* base/frozen.c - layer: base. See frozen.h.
 *
 * The bytes: how many values and how many tables, the values, then the pairs
 * of each table and an END. A table is named by its number wherever it
 * stands, so there is no recursion, whatever the depth. Numbers are in the
 * machine's own form: the bytes never leave the process. */
#include "base/frozen.h"

#include <lauxlib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/lualib.h"

enum tag { NIL, FALSE, TRUE, INTEGER, NUMBER, STRING, TABLE, END };
enum { LONGEST_PATH = 16 };

/* --- writing ------------------------------------------------------------- */

/* A userdata, so that an error on the way leaks nothing. */
struct writer {
  char *data;
  size_t len, cap;
  uint32_t ntables;
};

/* Stack of gev_freeze, above its arguments. */
struct frame {
  int numbers; /* table: number of each table met */
  int tables;  /* table: the tables, by number */
  struct writer *w;
};

static int writer_gc(lua_State *L) {
  struct writer *w = lua_touserdata(L, 1);
  free(w->data);
  w->data = NULL;
  return 0;
}

static void add(lua_State *L, struct writer *w, const void *data, size_t n) {
  if (w->len + n > w->cap) {
    size_t cap = w->cap * 2 > w->len + n ? w->cap * 2 : w->len + n + 256;
    char *grown = realloc(w->data, cap);
    if (!grown) luaL_error(L, "not enough memory");
    w->data = grown;
    w->cap = cap;
  }
  memcpy(w->data + w->len, data, n);
  w->len += n;
}

static void add_tagged(lua_State *L, struct writer *w, enum tag tag,
                       const void *data, size_t n) {
  char byte = (char)tag;
  add(L, w, &byte, 1);
  if (n) add(L, w, data, n);
}

static void add_string(lua_State *L, struct writer *w, int idx) {
  size_t len;
  const char *text = lua_tolstring(L, idx, &len);
  add_tagged(L, w, STRING, &len, sizeof len);
  add(L, w, text, len);
}

static void add_number(lua_State *L, struct writer *w, int idx) {
  if (lua_isinteger(L, idx)) {
    lua_Integer i = lua_tointeger(L, idx);
    add_tagged(L, w, INTEGER, &i, sizeof i);
  } else {
    lua_Number n = lua_tonumber(L, idx);
    add_tagged(L, w, NUMBER, &n, sizeof n);
  }
}

/* Gives a table that is new a number, and has its pairs written later. */
static void add_table(lua_State *L, struct frame *f, int idx) {
  lua_pushvalue(L, idx);
  uint32_t number;
  if (lua_rawget(L, f->numbers) == LUA_TNUMBER) {
    number = (uint32_t)lua_tointeger(L, -1);
  } else {
    number = ++f->w->ntables;
    lua_pushvalue(L, idx);
    lua_pushinteger(L, number);
    lua_rawset(L, f->numbers);
    lua_pushvalue(L, idx);
    lua_rawseti(L, f->tables, number);
  }
  lua_pop(L, 1);
  add_tagged(L, f->w, TABLE, &number, sizeof number);
}

/* Writes the value at idx; false for one that cannot be copied. */
static bool add_value(lua_State *L, struct frame *f, int idx) {
  switch (lua_type(L, idx)) {
    case LUA_TNIL: add_tagged(L, f->w, NIL, NULL, 0); break;
    case LUA_TBOOLEAN:
      add_tagged(L, f->w, lua_toboolean(L, idx) ? TRUE : FALSE, NULL, 0);
      break;
    case LUA_TNUMBER: add_number(L, f->w, idx); break;
    case LUA_TSTRING: add_string(L, f->w, idx); break;
    case LUA_TTABLE:
      if (lua_getmetatable(L, idx)) {
        lua_pop(L, 1);
        return false;
      }
      add_table(L, f, idx);
      break;
    default: return false;
  }
  return true;
}

/* --- what cannot be copied ----------------------------------------------- */

/* Replaces the key on the top by its step of a path, as written in Lua. */
static void make_step(lua_State *L) {
  int top = lua_gettop(L);
  luaL_tolstring(L, -1, NULL);
  bool name = lua_type(L, top) == LUA_TSTRING;
  lua_pushfstring(L, name ? ".%s" : "[%s]", lua_tostring(L, -1));
  lua_replace(L, top);
  lua_settop(L, top);
}

/* Replaces the value on the top by the key under which it stands in the table
 * at idx; false: it does not. A key that is a table stands for itself. */
static bool find_in(lua_State *L, int idx) {
  int value = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, idx);) {
    if (lua_rawequal(L, -1, value) || lua_rawequal(L, -2, value)) {
      lua_pop(L, 1);
      lua_replace(L, value);
      return true;
    }
    lua_pop(L, 1);
  }
  return false;
}

/* Which of the n values from `first` on is the one on the top; 0: none. */
static int find_root(lua_State *L, int first, int n) {
  for (int i = 0; i < n; i++)
    if (lua_rawequal(L, first + i, -1)) return i + 1;
  return 0;
}

/* Replaces table `number`, on the top, by the key under which a table of an
 * earlier number holds it, and returns that number. */
static uint32_t find_holder(lua_State *L, struct frame *f, uint32_t number) {
  for (uint32_t p = 1; p < number; p++) {
    lua_rawgeti(L, f->tables, p);
    lua_insert(L, -2);
    bool found = find_in(L, lua_gettop(L) - 1);
    lua_remove(L, -2);
    if (found) return p;
  }
  return number;
}

/* Puts the text on the top before the one below it. */
static void prepend(lua_State *L) {
  lua_insert(L, -2);
  lua_concat(L, 2);
}

/* Completes the path on the top, of something in table `number`. Only for
 * messages, so it may search. */
static void complete_path(lua_State *L, struct frame *f, uint32_t number,
                          int first, int n, int hidden, const char *what) {
  for (int steps = 0; steps < LONGEST_PATH; steps++) {
    lua_rawgeti(L, f->tables, number);
    int root = find_root(L, first, n);
    if (root) {
      lua_pop(L, 1);
      lua_pushfstring(L, "%s %d", what, root - hidden);
      prepend(L);
      return;
    }
    number = find_holder(L, f, number);
    make_step(L);
    prepend(L);
  }
  lua_pushfstring(L, "%s ...", what);
  prepend(L);
}

static const char *kind_of(lua_State *L, int idx) {
  return lua_istable(L, idx) ? "table with a metatable"
                             : luaL_typename(L, idx);
}

/* nil and a text: the value at `bad` stands at the path on the top. */
static int refuse(lua_State *L, int bad) {
  lua_pushnil(L);
  lua_pushfstring(L, "%s is a %s", lua_tostring(L, -2), kind_of(L, bad));
  return 2;
}

/* --- freezing ------------------------------------------------------------ */

static void begin(lua_State *L, struct frame *f) {
  f->w = lua_newuserdatauv(L, sizeof *f->w, 0);
  memset(f->w, 0, sizeof *f->w);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, writer_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_newtable(L);
  f->numbers = lua_gettop(L);
  lua_newtable(L);
  f->tables = lua_gettop(L);
}

/* Writes the pairs of table i; 0, or the index of what cannot be copied,
 * with its key on the top. */
static int add_pairs(lua_State *L, struct frame *f, uint32_t i) {
  lua_rawgeti(L, f->tables, i);
  int table = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
    if (!add_value(L, f, table + 1)) {
      lua_pushvalue(L, table + 1);
      return table + 1;
    }
    if (!add_value(L, f, table + 2)) {
      lua_pushvalue(L, table + 1);
      return table + 2;
    }
  }
  add_tagged(L, f->w, END, NULL, 0);
  lua_pop(L, 1);
  return 0;
}

static int freeze(lua_State *L, int first, int n, int hidden,
                  const char *what) {
  struct frame f;
  uint32_t head[2] = {(uint32_t)n, 0};
  begin(L, &f);
  add(L, f.w, head, sizeof head);
  for (int i = 0; i < n; i++) {
    if (add_value(L, &f, first + i)) continue;
    lua_pushfstring(L, "%s %d", what, i + 1 - hidden);
    return refuse(L, first + i);
  }
  for (uint32_t i = 1; i <= f.w->ntables; i++) {
    int bad = add_pairs(L, &f, i);
    if (!bad) continue;
    make_step(L);
    complete_path(L, &f, i, first, n, hidden, what);
    return refuse(L, bad);
  }
  head[1] = f.w->ntables;
  memcpy(f.w->data, head, sizeof head);
  lua_pushlstring(L, f.w->data, f.w->len);
  free(f.w->data);
  f.w->data = NULL;
  return 1;
}

int gev_freeze(lua_State *L, int first, int n, int hidden,
               const char *what) {
  luaL_checkstack(L, 16, NULL);
  int top = lua_gettop(L);
  int results = freeze(L, lua_absindex(L, first), n, hidden, what);
  for (int i = results; i > 0; i--) lua_replace(L, top + i);
  lua_settop(L, top + results);
  return results;
}

/* --- thawing ------------------------------------------------------------- */

struct reader {
  const char *at, *end;
  int tables; /* stack index of the tables, by number */
  uint32_t ntables;
};

static void take(lua_State *L, struct reader *r, void *to, size_t n) {
  if ((size_t)(r->end - r->at) < n) luaL_error(L, "malformed frozen values");
  memcpy(to, r->at, n);
  r->at += n;
}

static void push_string(lua_State *L, struct reader *r) {
  size_t len;
  take(L, r, &len, sizeof len);
  if ((size_t)(r->end - r->at) < len) luaL_error(L, "malformed frozen values");
  lua_pushlstring(L, r->at, len);
  r->at += len;
}

static void push_table(lua_State *L, struct reader *r) {
  uint32_t number;
  take(L, r, &number, sizeof number);
  if (number == 0 || number > r->ntables)
    luaL_error(L, "malformed frozen values");
  lua_rawgeti(L, r->tables, number);
}

static void push_number(lua_State *L, struct reader *r, enum tag tag) {
  lua_Integer i;
  lua_Number n;
  if (tag == INTEGER) {
    take(L, r, &i, sizeof i);
    lua_pushinteger(L, i);
  } else {
    take(L, r, &n, sizeof n);
    lua_pushnumber(L, n);
  }
}

/* Pushes the next value; false, and nothing, at an END. */
static bool push_value(lua_State *L, struct reader *r) {
  char tag;
  take(L, r, &tag, 1);
  switch (tag) {
    case NIL: lua_pushnil(L); break;
    case FALSE:
    case TRUE: lua_pushboolean(L, tag == TRUE); break;
    case INTEGER:
    case NUMBER: push_number(L, r, (enum tag)tag); break;
    case STRING: push_string(L, r); break;
    case TABLE: push_table(L, r); break;
    case END: return false;
    default: luaL_error(L, "malformed frozen values");
  }
  return true;
}

static void make_tables(lua_State *L, struct reader *r) {
  if (r->ntables > (size_t)(r->end - r->at)) /* each has an END at least */
    luaL_error(L, "malformed frozen values");
  lua_createtable(L, (int)r->ntables, 0);
  r->tables = lua_gettop(L);
  for (uint32_t i = 1; i <= r->ntables; i++) {
    lua_newtable(L);
    lua_rawseti(L, r->tables, i);
  }
}

static void fill_table(lua_State *L, struct reader *r, uint32_t i) {
  lua_rawgeti(L, r->tables, i);
  while (push_value(L, r)) {
    if (lua_isnil(L, -1) || !push_value(L, r))
      luaL_error(L, "malformed frozen values");
    lua_Number n = lua_type(L, -2) == LUA_TNUMBER ? lua_tonumber(L, -2) : 0;
    if (n != n) luaL_error(L, "malformed frozen values");
    lua_rawset(L, -3);
  }
  lua_pop(L, 1);
}

int gev_thaw(lua_State *L, const char *data, size_t len) {
  struct reader r = {data, data + len, 0, 0};
  uint32_t head[2];
  take(L, &r, head, sizeof head);
  if (head[0] > len) luaL_error(L, "malformed frozen values");
  int n = (int)head[0];
  r.ntables = head[1];
  luaL_checkstack(L, n + 8, "too many values");
  make_tables(L, &r);
  for (int i = 0; i < n; i++)
    if (!push_value(L, &r)) luaL_error(L, "malformed frozen values");
  for (uint32_t i = 1; i <= r.ntables; i++) fill_table(L, &r, i);
  lua_remove(L, r.tables);
  return n;
}

/* --- Lua ----------------------------------------------------------------- */

/* freeze(...) -> bytes; or nil and what cannot be copied */
static int lib_freeze(lua_State *L) {
  return gev_freeze(L, 1, lua_gettop(L), 0, "argument");
}

/* thaw(bytes) -> the values */
static int lib_thaw(lua_State *L) {
  size_t len;
  const char *data = luaL_checklstring(L, 1, &len);
  return gev_thaw(L, data, len);
}

static const luaL_Reg functions[] = {{"freeze", lib_freeze},
                                     {"thaw", lib_thaw},
                                     {NULL, NULL}};

void gev_open_frozen(lua_State *L, int hub) {
  lua_pushvalue(L, hub);
  luaL_setfuncs(L, functions, 1);
}
