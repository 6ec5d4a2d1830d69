/* base/except.h - layer: base. Exception classes and their instances.
 *
 * A class is a table that is also the metatable of its instances and is
 * called to make one: Class(message). Its parent stands under "__parent".
 * C code names the built-in classes by enum; they live in the registry. */
#ifndef GEV_BASE_EXCEPT_H
#define GEV_BASE_EXCEPT_H

#include <lua.h>
#include <stdbool.h>

enum gev_exc {
  GEV_EXC_ERROR, /* root of all */
  GEV_EXC_GREENLETEXIT,
  GEV_EXC_TIMEOUT, /* instances are userdata: core/timeout.c */
  GEV_EXC_LOOPEXIT,
  GEV_EXC_CONCURRENTUSE,
  GEV_EXC_BLOCKINGSWITCHOUT,
  GEV_EXC_INVALIDSWITCH,
  GEV_EXC_COUNT
};

/* Pushes the class. */
void gev_exc_class(lua_State *L, enum gev_exc kind);
/* Makes the table on the top of the stack the class of that kind. */
void gev_exc_setclass(lua_State *L, enum gev_exc kind);
/* Pushes a new instance with a formatted message. */
void gev_exc_push(lua_State *L, enum gev_exc kind, const char *fmt, ...);
/* Is the value at idx an instance of the class, or of one below it? */
bool gev_exc_is(lua_State *L, int idx, enum gev_exc kind);
/* Replaces a class on the top of the stack by a new instance of it; leaves
 * any other value as it is. */
void gev_exc_instance(lua_State *L);
/* Makes a class below the one at `parent` (0: none); leaves it on the stack. */
void gev_exc_newclass(lua_State *L, const char *name, int parent);

/* Adds the classes, `exception` and `isinstance` to the table on the top. */
void gev_open_except(lua_State *L);

#endif
