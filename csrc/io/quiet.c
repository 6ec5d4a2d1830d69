/* io/quiet.c - layer: io. See quiet.h. Owns nothing. */
#include "io/quiet.h"

#include <errno.h>
#include <pthread.h>

static bool is_pending(void) {
  sigset_t pending;
  sigpending(&pending);
  return sigismember(&pending, SIGPIPE);
}

static void only_pipe(sigset_t *set) {
  sigemptyset(set);
  sigaddset(set, SIGPIPE);
}

void gev_quiet_begin(struct gev_quiet *q) {
  sigset_t pipe;
  only_pipe(&pipe);
  q->was_pending = is_pending();
  pthread_sigmask(SIG_BLOCK, &pipe, &q->before);
}

void gev_quiet_end(const struct gev_quiet *q, bool broken) {
  int err = errno, signum;
  sigset_t pipe;
  only_pipe(&pipe);
  if (broken && !q->was_pending && is_pending()) sigwait(&pipe, &signum);
  pthread_sigmask(SIG_SETMASK, &q->before, NULL);
  errno = err;
}
