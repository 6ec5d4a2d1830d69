/* Fuzzing of the thread pool's serialiser (libFuzzer), in a Lua state: bytes
 * that are not of freeze are an error and nothing worse; what has been thawed
 * can be frozen, and comes back as many values of the same types. */
#include <lauxlib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/frozen.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(c) ((c) ? (void)0 : fail(#c, __LINE__))

static void fail(const char *what, int line) {
  fprintf(stderr, "line %d: %s does not hold\n", line, what);
  abort();
}

struct input {
  const char *bytes;
  size_t size;
};

static int again(lua_State *L) {
  const struct input *in = lua_touserdata(L, 1);
  lua_settop(L, 0);
  int n = gev_thaw(L, in->bytes, in->size);
  CHECK(n == lua_gettop(L));
  CHECK(gev_freeze(L, 1, n, 0, "value") == 1);
  size_t len;
  const char *bytes = lua_tolstring(L, -1, &len);
  CHECK(gev_thaw(L, bytes, len) == n);
  CHECK(lua_gettop(L) == 2 * n + 1);
  for (int i = 1; i <= n; i++) {
    CHECK(lua_type(L, i) == lua_type(L, n + 1 + i));
    if (!lua_istable(L, i) && lua_compare(L, i, i, LUA_OPEQ)) /* no NaN */
      CHECK(lua_rawequal(L, i, n + 1 + i));
  }
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static lua_State *L;
  if (!L) L = luaL_newstate();
  char *copy = malloc(size ? size : 1); /* of that size, for the sanitizer */
  if (!L || !copy) return 0;
  if (size) memcpy(copy, data, size);
  struct input in = {copy, size};
  lua_pushcfunction(L, again);
  lua_pushlightuserdata(L, &in);
  lua_pcall(L, 1, 0, 0);
  lua_settop(L, 0);
  free(copy);
  return 0;
}
