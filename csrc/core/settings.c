/* core/settings.c - layer: core. See settings.h. Owns nothing. */
#include "core/settings.h"

#include <lauxlib.h>

#include "core/hub.h"

/* monotonic() -> seconds of a clock that never goes back */
static int lib_monotonic(lua_State *L) {
  lua_pushnumber(L, (double)gev_now() / 1e9);
  return 1;
}

/* time() -> seconds since 1970, with fractions */
static int lib_time(lua_State *L) {
  uv_timeval64_t now;
  uv_gettimeofday(&now);
  lua_pushnumber(L, (double)now.tv_sec + (double)now.tv_usec / 1e6);
  return 1;
}

/* getswitchinterval() -> seconds */
static int lib_getswitchinterval(lua_State *L) {
  lua_pushnumber(L, (double)gev_hub(L)->switch_interval / 1e9);
  return 1;
}

/* setswitchinterval(seconds) */
static int lib_setswitchinterval(lua_State *L) {
  double seconds = gev_checkseconds(L, 1);
  luaL_argcheck(L, seconds <= 3600, 1, "more than an hour");
  gev_hub(L)->switch_interval = (int64_t)(seconds * 1e9);
  return 0;
}

/* trackstacks(boolean): record spawning_stack from now on */
static int lib_trackstacks(lua_State *L) {
  gev_hub(L)->track_stacks = lua_toboolean(L, 1);
  return 0;
}

static const luaL_Reg functions[] = {
    {"monotonic", lib_monotonic},
    {"time", lib_time},
    {"getswitchinterval", lib_getswitchinterval},
    {"setswitchinterval", lib_setswitchinterval},
    {"trackstacks", lib_trackstacks},
    {NULL, NULL}};

void gev_open_settings(lua_State *L, int hub) {
  lua_pushvalue(L, hub);
  luaL_setfuncs(L, functions, 1);
}
