/* io/nudge.c - layer: io. See nudge.h. Owns the handler of the signal.
 *
 * NOTE: the disposition of a signal is of the process, and its handler has no
 * argument of ours, hence the static below: each thread has its own. It is
 * one pointer in the threads' static storage, since the dynamic one is not for
 * signal handlers (and leak checkers stumble over it). */
#include "io/nudge.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

enum { NUDGE = SIGURG };

#ifdef __ELF__
#define IN_HANDLERS __attribute__((tls_model("initial-exec")))
#else
#define IN_HANDLERS
#endif

static _Thread_local struct gev_nudge *first IN_HANDLERS;

static void on_signal(int signum) {
  (void)signum;
  for (struct gev_nudge *n = first; n; n = n->next) n->fn(n);
}

void gev_nudge_enter(struct gev_nudge *n, void (*fn)(struct gev_nudge *n)) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  sigset_t set;
  n->fn = fn;
  n->thread = pthread_self();
  n->next = first;
  atomic_signal_fence(memory_order_seq_cst);
  first = n;
  sigemptyset(&action.sa_mask);
  sigaction(NUDGE, &action, NULL);
  sigemptyset(&set);
  sigaddset(&set, NUDGE);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void gev_nudge_leave(struct gev_nudge *n) {
  struct gev_nudge **at = &first;
  while (*at && *at != n) at = &(*at)->next;
  if (*at) *at = n->next;
  atomic_signal_fence(memory_order_seq_cst);
}

void gev_nudge_send(const struct gev_nudge *n) {
  pthread_kill(n->thread, NUDGE);
}
