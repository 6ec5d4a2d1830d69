/* spec/host/states.c - several Lua states, each in a thread of its own with a
 * hub of its own, made and closed again and again.
 * usage: states THREADS ROUNDS SCRIPT
 * Runs the script in each; prints the first error and fails. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST = 64 };

struct thread {
  pthread_t id;
  int number, rounds;
  const char *script;
  int failed;
};

static int run_once(struct thread *t) {
  lua_State *L = luaL_newstate();
  if (!L) return 1;
  luaL_openlibs(L);
  lua_pushinteger(L, t->number);
  lua_setglobal(L, "THREAD");
  int status = luaL_dofile(L, t->script);
  if (status != LUA_OK)
    fprintf(stderr, "thread %d: %s\n", t->number, lua_tostring(L, -1));
  lua_close(L);
  return status != LUA_OK;
}

static void *run(void *arg) {
  struct thread *t = arg;
  for (int i = 0; i < t->rounds && !t->failed; i++) t->failed = run_once(t);
  return NULL;
}

int main(int argc, char **argv) {
  static struct thread threads[MOST];
  int n = argc > 3 ? atoi(argv[1]) : 0, failed = 0;
  if (n < 1 || n > MOST) {
    fprintf(stderr, "usage: states THREADS ROUNDS SCRIPT\n");
    return 2;
  }
  for (int i = 0; i < n; i++) {
    threads[i] = (struct thread){.number = i + 1, .rounds = atoi(argv[2]),
                                 .script = argv[3]};
    if (pthread_create(&threads[i].id, NULL, run, &threads[i])) return 2;
  }
  for (int i = 0; i < n; i++) {
    pthread_join(threads[i].id, NULL);
    failed |= threads[i].failed;
  }
  if (!failed) puts("ok");
  return failed;
}
