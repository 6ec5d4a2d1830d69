/* core/interrupt.c - layer: core. See interrupt.h.
 *
 * NOTE: the one place with process-wide mutable state, because a signal's
 * disposition is process-wide. The hub that parks its main greenlet first
 * has it; the hubs of other threads leave SIGINT alone meanwhile. */
#include "core/interrupt.h"

#include <errno.h>
#include <lauxlib.h>
#include <signal.h>
#include <stdatomic.h>

#include "core/park.h"

enum { OFF, WATCHING, LEFT_ALONE };

static _Atomic(struct gev_hub *) watcher;
static struct sigaction previous; /* the watcher's alone */
static struct sigaction at_load;  /* lua's handler, where lua is the host */
static atomic_flag loaded = ATOMIC_FLAG_INIT;

void gev_sigint_init(void) {
  if (!atomic_flag_test_and_set(&loaded)) sigaction(SIGINT, NULL, &at_load);
}

static void on_sigint(int signum) {
  int saved = errno;
  struct gev_hub *h = atomic_load(&watcher);
  if (h && !h->interrupted) {
    h->interrupted = 1;
    uv_async_send(h->waker);
  } else {
    signal(signum, SIG_DFL);
    raise(signum);
  }
  errno = saved;
}

/* lua's own handler may have had the signal while a greenlet was computing:
 * it left SIGINT at its default, and on the main state, which does not run
 * now, a hook that would raise. */
static bool taken_by_lua(lua_State *L) {
  enum { ALL = LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT };
  return previous.sa_handler == SIG_DFL && lua_gethookmask(L) == ALL &&
         lua_gethookcount(L) == 1;
}

void gev_sigint_watch(struct gev_hub *h) {
  struct gev_hub *none = NULL;
  if (h->sigint != OFF || h->sigint_watchers) return;
  h->sigint = LEFT_ALONE;
  if (!atomic_compare_exchange_strong(&watcher, &none, h)) return;
  struct sigaction action = {.sa_handler = on_sigint};
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &previous);
  if (previous.sa_handler == SIG_IGN) {
    sigaction(SIGINT, &previous, NULL);
    atomic_store(&watcher, NULL);
  } else {
    h->sigint = WATCHING;
    if (taken_by_lua(h->L)) {
      lua_sethook(h->L, NULL, 0, 0);
      h->interrupted = 1;
      previous = at_load; /* to be in force again when main runs */
    }
  }
}

void gev_sigint_unwatch(struct gev_hub *h) {
  if (h->sigint == WATCHING) {
    struct sigaction current;
    sigaction(SIGINT, &previous, &current);
    if (current.sa_handler != on_sigint) /* somebody else's by now */
      sigaction(SIGINT, &current, NULL);
    atomic_store(&watcher, NULL);
  }
  h->sigint = OFF;
}

void gev_sigint_deliver(struct gev_hub *h) {
  h->interrupted = 0;
  lua_pushliteral(h->L, "interrupted!");
  gev_interrupt(h->L, h, h->main);
}
