/* io/thread.c - layer: io. See thread.h. */
#include "io/thread.h"

#include <signal.h>
#include <time.h>

int gev_thread_start(pthread_t *thread, void *(*run)(void *), void *arg) {
  pthread_t detached;
  pthread_attr_t attr;
  sigset_t all, former;
  int err = pthread_attr_init(&attr);
  if (err) return err;
  if (!thread) pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &former);
  err = pthread_create(thread ? thread : &detached, &attr, run, arg);
  pthread_sigmask(SIG_SETMASK, &former, NULL);
  pthread_attr_destroy(&attr);
  return err;
}

void gev_thread_cond(pthread_cond_t *cond) {
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
#ifndef __APPLE__
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
#endif
  pthread_cond_init(cond, &attr);
  pthread_condattr_destroy(&attr);
}
