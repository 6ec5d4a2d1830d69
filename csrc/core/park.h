/* core/park.h - layer: core. How a greenlet blocks: the one contract that
 * every blocking call of the library follows.
 *
 *   static int recv_k(lua_State *L, int status, lua_KContext ctx) {
 *     struct gev_hub *h = gev_hub(L);
 *     enum gev_verdict v = gev_unpark(L, h);     // raises if interrupted
 *     ... turn v, and what the waker left on the stack, into results ...
 *   }
 *   static int m_recv(lua_State *L) {
 *     struct gev_greenlet *g = gev_park_begin(L, h, &op);  // may raise
 *     ... put &g->task into whatever will wake it ...
 *     return gev_park(L, h, g, &op, self, deadline, ctx, recv_k);
 *   }
 *
 * The greenlet waits on one thing: (op, on). A waker takes it out of its
 * queue and calls gev_wake(h, g, on, GEV_WOKEN); what it hands over goes to
 * gev_deliver before that, and is on the top of the stack in the
 * continuation. Time-out, kill and loop exit take the other path: the hub
 * calls op->cancel, which must take the greenlet out of its queue in O(1)
 * and forget it, then readies it with another verdict.
 *
 * After gev_park nothing of the C frame exists: treat it as return. */
#ifndef GEV_CORE_PARK_H
#define GEV_CORE_PARK_H

#include "core/greenlet.h"
#include "core/hub.h"

struct gev_waitop {
  const char *name; /* the blocking function, as messages call it */
  bool external;    /* the loop wakes it: I/O, a request, a signal */
  /* Takes g out of `on`. May not fail, raise, or run Lua. */
  void (*cancel)(struct gev_hub *h, struct gev_greenlet *g, void *on);
  /* Pushes a string that says what `on` is; NULL: the name says it all. */
  void (*describe)(lua_State *L, void *on);
};

/* What gev_park_begin has to do where it is not simply allowed. */
void gev_park_prepare(lua_State *L, struct gev_hub *h,
                      const struct gev_waitop *op);
/* First half: raises where a block is impossible (in the hub, in a foreign
 * coroutine, across a C call, in a closing state) or an interrupt is due;
 * reserves what gev_park needs. Returns the current greenlet. */
static inline struct gev_greenlet *
gev_park_begin(lua_State *L, struct gev_hub *h, const struct gev_waitop *op) {
  if (L != h->running || (L != h->L && !lua_isyieldable(L)) ||
      gev_has_pending(h->current) || !h->loop || gev_timers_full(h))
    gev_park_prepare(L, h, op);
  return h->current;
}
/* Second half: cannot fail. Returns k's results. */
int gev_park(lua_State *L, struct gev_hub *h, struct gev_greenlet *g,
             const struct gev_waitop *op, void *on, int64_t deadline,
             lua_KContext ctx, lua_KFunction k);
/* The same for sleep(0): in the ready queue at once, behind the others. `on`
 * is NULL unless op->cancel must be called if the greenlet never runs. */
int gev_park_ready(lua_State *L, struct gev_hub *h, struct gev_greenlet *g,
                   const struct gev_waitop *op, void *on, lua_KContext ctx,
                   lua_KFunction k);
/* What a continuation calls first. Raises a kill, a Timeout, LoopExit. */
enum gev_verdict gev_unpark(lua_State *L, struct gev_hub *h);

/* For core/coroutine.c: the resumer of a parked coroutine parks with it. True:
 * the wait is over, without a yield. Else gev_park_leave is to be returned. */
bool gev_park_stay(lua_State *L, struct gev_hub *h);
int gev_park_leave(lua_State *L, struct gev_hub *h, lua_KContext ctx,
                   lua_KFunction k);

/* Wakes a parked greenlet that the caller has taken out of its queue. `on` is
 * the token: a wake for something else is a bug and aborts. */
void gev_wake(struct gev_hub *h, struct gev_greenlet *g, const void *on,
              enum gev_verdict verdict);
/* The same where it may be that g, not NULL, does not wait for `on`. */
void gev_wake_waiting(struct gev_hub *h, struct gev_greenlet *g,
                      const void *on, enum gev_verdict verdict);
/* Moves the value on the top of L's stack to the parked g, for when it runs.
 * Raises out of memory; nothing has happened then. */
void gev_deliver(lua_State *L, struct gev_hub *h, struct gev_greenlet *g);
/* Is there room for it? Then it cannot fail. */
bool gev_can_deliver(struct gev_hub *h, struct gev_greenlet *g);
/* Ends a wait from outside, through op->cancel. */
void gev_wait_end(struct gev_hub *h, struct gev_greenlet *g,
                  enum gev_verdict verdict);
/* Raises the value on the top of L's stack (popped) in the parked g. */
void gev_raise_in(lua_State *L, struct gev_hub *h, struct gev_greenlet *g);
/* Raises the value on the top of L's stack (popped) in g: at once if it is
 * parked and not shielded, else at its next blocking call. */
void gev_interrupt(lua_State *L, struct gev_hub *h, struct gev_greenlet *g);

#endif
