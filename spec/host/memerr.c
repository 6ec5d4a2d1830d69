/* spec/host/memerr.c - a script with an allocator of Lua memory that fails on
 * purpose: at the Nth request that needs more, and at the BURST-1 after it (the
 * first of them is Lua's second try, after a collection).
 * usage: memerr SCRIPT [SAMPLES [BURST [FROM [TO]]]]
 *
 * The script is run in a new state, with nothing failing, and returns a
 * function. For each N (SAMPLES of them; 0: all) in a state of its own the
 * function is called while the Nth request of it fails, then once more with
 * memory enough, and the state is closed; where the fault has not come by
 * then, it comes in closing. What must hold:
 *   - the first call succeeds, or ends by "not enough memory", or by something
 *     else of which a greenlet that failed so is the cause: the global function
 *     `lacked` knows (where more than two fail, reports are lost: by anything);
 *   - the second succeeds, and leaves nothing in the hub;
 *   - in the end no byte is allocated, and no more descriptors are open.
 * `settle` and `lacked` are in memerr/init.lua. */
#include <dirent.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of spec/c/preload/nomem.c: where that is loaded, the requests that fail are
 * not Lua's but those of the libraries and our C, and their errors are of any
 * kind. */
__attribute__((weak)) void nomem_arm(long first, long last);
__attribute__((weak)) void nomem_disarm(void);
__attribute__((weak)) long nomem_requests(void);
__attribute__((weak)) bool nomem_failed(void);
__attribute__((weak)) void nomem_exempt(bool exempt);

/* 0 unless this is a build with LeakSanitizer. */
__attribute__((weak)) int __lsan_do_recoverable_leak_check(void);

struct memory {
  size_t bytes;       /* in use */
  long requests;      /* for more, since `armed` */
  long first, last;   /* those that fail */
  bool armed;
  bool failed;        /* one has been refused */
};

static char where[200]; /* what is being done, for whoever reads of a crash */

/* A place for a debugger's breakpoint. */
__attribute__((noinline)) static void refused_here(struct memory *m) {
  m->failed = true;
}

static void arm(struct memory *m) {
  if (nomem_arm)
    nomem_arm(m->first, m->last);
  else
    m->armed = true;
}

static void disarm(struct memory *m) {
  m->armed = false;
  if (!nomem_arm) return;
  nomem_disarm();
  m->requests = nomem_requests();
  m->failed = nomem_failed();
}

static bool failed(const struct memory *m) {
  return nomem_failed ? nomem_failed() : m->failed;
}

static bool refused(struct memory *m) {
  if (!m->armed) return false;
  m->requests++;
  if (m->requests < m->first || m->requests > m->last) return false;
  refused_here(m);
  return true;
}

static void *allocate(void *arg, void *block, size_t old, size_t size) {
  struct memory *m = arg;
  if (!block) old = 0;
  if (size > old && refused(m)) return NULL;
  void *made = NULL;
  if (nomem_exempt) nomem_exempt(true);
  if (size == 0)
    free(block);
  else
    made = realloc(block, size);
  if (nomem_exempt) nomem_exempt(false);
  if (made || !size) m->bytes += size - old;
  return made;
}

static int count_descriptors(void) {
  DIR *dir = opendir("/proc/self/fd");
  int n = 0;
  if (!dir) return 0;
  while (readdir(dir)) n++;
  closedir(dir);
  return n;
}

static void died(int signal) {
  const char *what = signal == SIGALRM ? "\nhangs: " : "\ncrashes: ";
  if (write(2, what, strlen(what)) < 0 || write(2, where, strlen(where)) < 0)
    _exit(3);
  _exit(2);
}

static bool complain(const char *what, const char *text) {
  fprintf(stderr, "%s: %s%s%s\n", where, what, text ? ": " : "",
          text ? text : "");
  return false;
}

/* Calls the global of that name, which may be missing, with the value on the
 * top, which stays; returns whether the result is true. */
static bool ask(lua_State *L, const char *name) {
  lua_getglobal(L, name);
  lua_pushvalue(L, -2);
  if (lua_pcall(L, 1, 1, 0) != LUA_OK) complain(name, lua_tostring(L, -1));
  bool answer = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return answer;
}

static const char *text(lua_State *L) { return luaL_tolstring(L, -1, NULL); }

/* The first call, in which a request may fail. */
static bool first_call(lua_State *L, struct memory *m) {
  lua_pushvalue(L, 1);
  arm(m);
  int status = lua_pcall(L, 0, 0, 0);
  if (status == LUA_OK && !failed(m)) return true; /* stays armed */
  disarm(m);
  if (status == LUA_OK) return true;
  if (getenv("MEMERR_VERBOSE")) complain("ends by", text(L));
  if (!m->failed) return complain("fails by itself", text(L));
  bool lasting = m->last > m->first + 1; /* reports, too, lack memory */
  const char *judge = nomem_arm ? "ended" : "lacked";
  if (status != LUA_ERRMEM && !lasting && !ask(L, judge))
    return complain("the error is another", text(L));
  return true;
}

static bool second_call(lua_State *L) {
  lua_settop(L, 1);
  lua_getglobal(L, "settle");
  if (lua_pcall(L, 0, 0, 0) != LUA_OK) return complain("settle", text(L));
  lua_pushvalue(L, 1);
  if (lua_pcall(L, 0, 0, 0) != LUA_OK)
    return complain("does not work afterwards", text(L));
  lua_getglobal(L, "settle");
  if (lua_pcall(L, 0, 1, 0) != LUA_OK) return complain("settle", text(L));
  if (lua_toboolean(L, -1)) return complain("left in the hub", text(L));
  return true;
}

static int load(lua_State *L) {
  luaL_openlibs(L);
  if (luaL_dofile(L, "spec/host/memerr/init.lua") != LUA_OK ||
      luaL_dofile(L, lua_touserdata(L, 1)) != LUA_OK)
    return lua_error(L);
  return 1;
}

/* One N. Sets `m`, of which the caller learns whether the fault came. */
static bool run(const char *script, struct memory *m) {
  int descriptors = count_descriptors();
  lua_State *L = lua_newstate(allocate, m);
  if (!L) return complain("no state", NULL);
  lua_pushcfunction(L, load);
  lua_pushlightuserdata(L, (void *)script);
  bool ok = true;
  if (lua_pcall(L, 1, 1, 0) != LUA_OK)
    ok = complain("cannot be loaded", text(L));
  else
    ok = first_call(L, m);
  if (ok && (m->failed || !m->first)) {
    disarm(m);
    ok = second_call(L);
  }
  lua_settop(L, 0);
  lua_close(L);
  if (!m->failed) disarm(m);
  if (m->bytes) {
    char bytes[30];
    snprintf(bytes, sizeof bytes, "%zu", m->bytes);
    ok = complain("bytes are left", bytes);
  }
  if (m->first && count_descriptors() != descriptors)
    ok = complain("descriptors are left", NULL);
  if (__lsan_do_recoverable_leak_check && getenv("MEMERR_LEAKS") &&
      __lsan_do_recoverable_leak_check())
    ok = complain("memory is left", NULL);
  return ok;
}

static long argument(int argc, char **argv, int i, long otherwise) {
  return argc > i ? atol(argv[i]) : otherwise;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: memerr SCRIPT [SAMPLES [BURST [FROM [TO]]]]\n");
    return 2;
  }
  signal(SIGALRM, died);
  signal(SIGPIPE, SIG_IGN);
  if (!getenv("ASAN_OPTIONS")) {
    signal(SIGSEGV, died);
    signal(SIGABRT, died);
  }
  long samples = argument(argc, argv, 2, 0), burst = argument(argc, argv, 3, 2);
  long from = argument(argc, argv, 4, 1), to = argument(argc, argv, 5, 0);
  struct memory m = {.first = 0, .last = 0};
  snprintf(where, sizeof where, "%s", argv[1]);
  alarm(60);
  for (int i = 0; i < 2; i++) { /* what a process makes once is made then */
    m = (struct memory){.first = 0};
    if (!run(argv[1], &m)) return 1;
  }
  long all = m.requests, bad = 0, done = 0;
  double step = samples && samples < all ? (double)all / (double)samples : 1;
  for (double at = (double)from; !to || (long)at <= to; at += step) {
    long n = (long)at;
    m = (struct memory){.first = n, .last = n + burst - 1};
    snprintf(where, sizeof where, "%s, request %ld of %ld", argv[1], n, all);
    alarm(60);
    bad += !run(argv[1], &m);
    done++;
    if (!m.failed) break; /* there are not that many */
  }
  printf("%ld faults in %ld requests, %ld bad\n", done, all, bad);
  return bad != 0;
}
