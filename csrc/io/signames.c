/* io/signames.c - layer: io. See signames.h. Owns nothing. */
#include "io/signames.h"

#include <lauxlib.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

static const struct {
  const char *name; /* without "SIG" */
  int number;
} signals[] = {
    {"HUP", SIGHUP},       {"INT", SIGINT},   {"QUIT", SIGQUIT},
    {"ILL", SIGILL},       {"TRAP", SIGTRAP}, {"ABRT", SIGABRT},
    {"IOT", SIGABRT},      {"BUS", SIGBUS},   {"FPE", SIGFPE},
    {"KILL", SIGKILL},     {"USR1", SIGUSR1}, {"SEGV", SIGSEGV},
    {"USR2", SIGUSR2},     {"PIPE", SIGPIPE}, {"ALRM", SIGALRM},
    {"TERM", SIGTERM},     {"CHLD", SIGCHLD}, {"CONT", SIGCONT},
    {"STOP", SIGSTOP},     {"TSTP", SIGTSTP}, {"TTIN", SIGTTIN},
    {"TTOU", SIGTTOU},     {"URG", SIGURG},   {"XCPU", SIGXCPU},
    {"XFSZ", SIGXFSZ},     {"PROF", SIGPROF}, {"VTALRM", SIGVTALRM},
    {"WINCH", SIGWINCH},   {"IO", SIGIO},     {"SYS", SIGSYS},
#ifdef SIGPWR
    {"PWR", SIGPWR},
#endif
#ifdef SIGSTKFLT
    {"STKFLT", SIGSTKFLT},
#endif
};
enum { COUNT = sizeof signals / sizeof *signals };

int gev_signal_number(const char *name) {
  if (!strncasecmp(name, "SIG", 3)) name += 3;
  for (size_t i = 0; i < COUNT; i++)
    if (!strcasecmp(name, signals[i].name)) return signals[i].number;
  return 0;
}

int gev_check_signal(lua_State *L, int idx, int zero) {
  if (lua_type(L, idx) == LUA_TSTRING) {
    int number = gev_signal_number(lua_tostring(L, idx));
    luaL_argcheck(L, number > 0, idx, "unknown name of a signal");
    return number;
  }
  lua_Integer number = luaL_checkinteger(L, idx);
  luaL_argcheck(L, number >= !zero && number < NSIG, idx, "not a signal");
  return (int)number;
}

void gev_push_signals(lua_State *L) {
  for (size_t i = 0; i < COUNT; i++) {
    lua_pushfstring(L, "SIG%s", signals[i].name);
    lua_pushinteger(L, signals[i].number);
    lua_rawset(L, -3);
  }
}
