/* spec/fuzz/lua/host.c - a fuzzer (libFuzzer) whose target is written in Lua:
 * the script beside this file with the program's name, without `_fuzz`. It is
 * run once, in a state that has the library linked in, and returns a function,
 * which is called with each input as a string. An error of it is a finding.
 *
 * Of C, libFuzzer sees by itself what is reached; of Lua it is told here, line
 * by line. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNTERS = 1 << 15 };

/* libFuzzer looks for this section, and clears it before each input. */
__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t
    counters[COUNTERS];

int luaopen_gevent__core(lua_State *L);
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static lua_State *state;

/* From which line to which: a branch, mostly. */
static void count_line(lua_State *L, lua_Debug *ar) {
  static uint32_t last;
  uint32_t here = (uint32_t)ar->currentline * 2654435761u;
  lua_getinfo(L, "S", ar);
  here ^= (uint32_t)((uintptr_t)ar->source >> 4) * 40503u;
  counters[(here ^ last) % COUNTERS]++;
  last = here >> 1;
}

static int fail(lua_State *L) {
  luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
  fprintf(stderr, "%s\n", lua_tostring(L, -1));
  abort();
}

/* "path/to/NAME_fuzz" -> "spec/fuzz/lua/NAME.lua" */
static void script_of(char *to, size_t size, const char *program) {
  const char *slash = strrchr(program, '/');
  const char *name = slash ? slash + 1 : program;
  const char *end = strstr(name, "_fuzz");
  int len = end ? (int)(end - name) : (int)strlen(name);
  snprintf(to, size, "spec/fuzz/lua/%.*s.lua", len, name);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  char script[200];
  (void)argc;
  script_of(script, sizeof script, (*argv)[0]);
  state = luaL_newstate();
  if (!state) abort();
  luaL_openlibs(state);
  lua_sethook(state, count_line, LUA_MASKLINE, 0);
  luaL_getsubtable(state, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(state, luaopen_gevent__core);
  lua_setfield(state, -2, "gevent._core");
  lua_settop(state, 0);
  lua_pushcfunction(state, fail);
  if (luaL_loadfile(state, script) != LUA_OK ||
      lua_pcall(state, 0, 1, 1) != LUA_OK) {
    fprintf(stderr, "%s\n", lua_tostring(state, -1));
    exit(2);
  }
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  lua_settop(state, 2); /* the function that fails, and the script's */
  lua_pushvalue(state, 2);
  lua_pushlstring(state, (const char *)data, size);
  lua_pcall(state, 1, 0, 1);
  return 0;
}
