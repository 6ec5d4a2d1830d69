/* base/lualib.h - layer: base. What every binding needs from Lua: classes of
 * userdata, argument checks, and the two kinds of failure.
 *
 * A userdata of ours starts with a pointer to its gev_class. That pointer, not
 * the metatable, says what it is: the check costs a load and a compare, and
 * holds for subclasses, whose metatables are the user's. */
#ifndef GEV_BASE_LUALIB_H
#define GEV_BASE_LUALIB_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

struct gev_waitq;

struct gev_class {
  const char *name; /* as error messages say it: "Greenlet" */
  /* Waitables only: is a wait over, and who is to be told when it is? */
  bool (*is_ready)(const void *self);
  struct gev_waitq *(*waiters)(void *self);
};

struct gev_object {
  const struct gev_class *cls;
};

/* The userdata at idx if it is of class cls, else NULL. */
static inline void *gev_test(lua_State *L, int idx,
                             const struct gev_class *cls) {
  if (lua_type(L, idx) != LUA_TUSERDATA) return NULL;
  struct gev_object *o = (struct gev_object *)lua_touserdata(L, idx);
  if (lua_rawlen(L, idx) < sizeof *o || o->cls != cls) return NULL;
  return o;
}

/* The same; raises "bad argument" where it is something else. */
void *gev_check(lua_State *L, int idx, const struct gev_class *cls);

/* Is the value on the top a waitable: a userdata of ours whose metatable has
 * __waitable = true, or an object of Lua whose __waitable is a function that
 * gives such a userdata? Replaces the value by it and returns it, or NULL. */
struct gev_object *gev_towaitable(lua_State *L);

/* A number of seconds >= 0; nil or none gives -1, "for ever". Raises on
 * negative numbers, NaN and other types. */
double gev_opttimeout(lua_State *L, int idx);
/* luaL_checkinteger, with fewer calls where it is one. */
static inline lua_Integer gev_checkinteger(lua_State *L, int idx) {
  int is;
  lua_Integer n = lua_tointegerx(L, idx, &is);
  return is ? n : luaL_checkinteger(L, idx);
}
/* The same for luaL_checklstring. */
static inline const char *gev_checklstring(lua_State *L, int idx,
                                           size_t *len) {
  const char *text = lua_tolstring(L, idx, len);
  return text ? text : luaL_checklstring(L, idx, len);
}
/* A number of seconds >= 0, no default. */
double gev_checkseconds(lua_State *L, int idx);
bool gev_callable(lua_State *L, int idx);
/* Raises unless the value at idx can be called. */
void gev_checkcallable(lua_State *L, int idx);

/* Pushes nil, message, code for a failure of the world and returns 3.
 * err is a positive errno. */
int gev_fail(lua_State *L, int err);
/* The same with words of our own. */
int gev_failmsg(lua_State *L, const char *msg, const char *code);
/* nil, "timed out", "timeout" */
int gev_failtimeout(lua_State *L);
/* The errno's name ("ECONNREFUSED") and its message ("connection refused").
 * gev_errmsg writes to buf and returns it. */
const char *gev_errname(int err);
/* The errno of that name, or 0. */
int gev_errno(const char *name);
const char *gev_errmsg(int err, char *buf, size_t size);

/* Makes a class table: the metatable of the instances, its own __index, with
 * __name set; methods get `nup` upvalues from the stack top (popped).
 * Leaves the class on the stack. */
void gev_newclass(lua_State *L, const char *name, const luaL_Reg *methods,
                  int nup);

/* Pushes a new table with weak keys ("k") or values ("v"). */
void gev_weaktable(lua_State *L, const char *mode);

/* Raises "bad argument #n to 'name' (text)", for functions whose arguments
 * do not stand where the user put them. */
int gev_argerror(lua_State *L, int n, const char *name, const char *text);

/* Pushes {n = n, ...} of the n values from index `first` on. */
void gev_pack(lua_State *L, int first, int n);

#endif
