/* io/nudge.h - layer: io. Makes a thread that runs Lua look up: a function is
 * called in it, in a signal handler, from where lua_sethook may be called, as
 * the lua program does for Ctrl-C. A hook that is always set would cost each
 * instruction a call. The signal is SIGURG, which does no harm to who does
 * not expect it. */
#ifndef GEV_IO_NUDGE_H
#define GEV_IO_NUDGE_H

#include <pthread.h>

struct gev_nudge {
  /* In the thread, whatever that was at. May also be called for nothing. */
  void (*fn)(struct gev_nudge *n);
  pthread_t thread;
  struct gev_nudge *next; /* of the same thread */
};

/* From now on the calling thread can be nudged. */
void gev_nudge_enter(struct gev_nudge *n, void (*fn)(struct gev_nudge *n));
/* In the same thread. Nobody nudges it any more. */
void gev_nudge_leave(struct gev_nudge *n);
/* In any thread, between enter and leave: the caller sees to that. */
void gev_nudge_send(const struct gev_nudge *n);

#endif
