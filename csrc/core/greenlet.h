/* core/greenlet.h - layer: core. A greenlet: a coroutine that the hub runs,
 * with an outcome, links, and the state of its one wait.
 *
 * User values of the userdata: 1 the coroutine, and when it is done the
 * outcome; 2 a table for whatever is rare (user's fields, links, name,
 * traceback), made when needed; 3 the locals of its spawn tree.
 * A started greenlet is anchored by the hub until it is finished. */
#ifndef GEV_CORE_GREENLET_H
#define GEV_CORE_GREENLET_H

#include "core/hub.h"
#include "core/waitq.h"

enum gev_verdict {
  GEV_WOKEN,    /* the wait is over */
  GEV_TIMEDOUT, /* the deadline of the call has passed */
  GEV_CLOSED,   /* what was waited on is closed */
  GEV_RAISED,   /* an exception is on the top of the stack */
};

enum gev_state {
  GEV_NEW,      /* not started */
  GEV_STARTING, /* in the ready queue or on the start timer; never run */
  GEV_RUNNING,  /* its Lua code runs (or it waits in a hub callback) */
  GEV_PARKED,   /* in a wait */
  GEV_READY,    /* woken, in the ready queue */
  GEV_ENDED,    /* has returned or failed: next in the ready queue, to finish */
  GEV_DEAD,
};

enum gev_flags {
  GEV_MAIN = 1,       /* the main chunk */
  GEV_RAW = 2,        /* spawn_raw: no outcome, no links */
  GEV_FAILED = 4,     /* outcome is an exception */
  GEV_MULTI = 8,      /* outcome is a packed table of several values */
  GEV_NOTIFYING = 16, /* dead, in the ready queue to fire its links */
  GEV_LINKED = 32,    /* has links in its extra table */
  GEV_PENDING = 64,   /* has pending kills in its extra table */
  GEV_SPAWNER = 128,  /* is in the weak table of spawners */
  GEV_BEGUN = 256,    /* was started once */
  GEV_TIMEOUT_DUE = 512, /* a Timeout fired that is to be raised */
  GEV_NOVALUE = 1024, /* it returned nothing at all */
  GEV_POOLED = 2048,  /* its coroutine is of the hub's pool; to
                       * gev_greenlet_new: will be started at once */
  GEV_EXPOSED = 8192, /* somebody holds its coroutine */
  GEV_QUIET = 4096,   /* its failure is not reported: somebody sees to it */
  GEV_EXTRA = 16384,  /* has a table of rare things */
  GEV_RETRIED = 32768, /* a link had no memory, and was called again */
};

/* A link is {kind, function} in the list under gev_key_links. */
enum gev_link_kind {
  GEV_LINK_REMOVED,
  GEV_LINK_ALL,
  GEV_LINK_VALUE,
  GEV_LINK_EXCEPTION,
  GEV_LINK_RAW, /* called in the hub; the others get a greenlet each */
};

struct gev_waitop;
struct gev_timeout;

struct gev_greenlet {
  const struct gev_class *cls;
  struct gev_task task;   /* ready queue or wait queue */
  struct gev_timer timer; /* deadline of the wait, or time of the start */
  lua_State *co;          /* its coroutine; NULL when it is done */
  lua_State *L;           /* where it parked: co, or a coroutine inside it */
  const struct gev_waitop *op; /* what it waits in, while parked */
  void *on;                    /* what it waits on: the token of its wake */
  uint16_t nargs;              /* values delivered for the next resume */
  uint16_t flags;
  uint16_t shield; /* depth of shield() */
  uint8_t state, verdict;
  /* Up to here: what each wait touches, side by side. */
  struct gev_waitq joiners;     /* those who wait for its end */
  struct gev_timeout *timeouts; /* started by it, pending or due */
  uint64_t serial, parent;      /* spawn tree; 0: none */
  int ref;                      /* anchor */
  int ident;                    /* minimal_ident; 0: not asked for yet */
};

extern const struct gev_class gev_greenlet_class;

static inline struct gev_greenlet *gev_task_greenlet(struct gev_task *t) {
  return gev_container(t, struct gev_greenlet, task);
}
static inline bool gev_has_pending(const struct gev_greenlet *g) {
  return (g->flags & (GEV_PENDING | GEV_TIMEOUT_DUE)) != 0;
}

/* Resumes a greenlet: the `run` of its task, and what tells greenlets from
 * other tasks. In core/hub.c. */
void gev_greenlet_run(struct gev_hub *h, struct gev_task *t);

/* Pushes a new, unstarted greenlet of the class at index `cls` that will call
 * the function at index `first` with the `nargs` values that follow it. The
 * last `shown` of them can be asked for. */
struct gev_greenlet *gev_greenlet_new(lua_State *L, struct gev_hub *h,
                                      int cls, int first, int nargs,
                                      int shown, uint16_t flags);
/* Queues the greenlet on the top of the stack, now or at `due` (else 0).
 * Only the first start counts. */
void gev_greenlet_start(lua_State *L, struct gev_hub *h,
                        struct gev_greenlet *g, int64_t due);
/* Its timer has come: the deadline of its wait, or the time to start. */
void gev_greenlet_due(struct gev_hub *h, struct gev_timer *t);
/* Its coroutine has ended, with `n` results or an error on its stack. */
void gev_greenlet_finish(struct gev_hub *h, struct gev_greenlet *g,
                         int status, int n);
/* It is to begin, but its coroutine is not as it was left: fails it. */
void gev_greenlet_spoilt(struct gev_hub *h, struct gev_greenlet *g);
/* It is dead and was queued to fire its links. */
void gev_greenlet_notify(struct gev_hub *h, struct gev_greenlet *g);
/* kill(): the exception is on the top of L's stack (popped), the greenlet's
 * userdata at idx. Never blocks; does nothing to a dead one. */
void gev_greenlet_throw(lua_State *L, struct gev_hub *h, int idx);

/* Pushes the userdata of a started greenlet, or of the main one. */
void gev_push_greenlet(lua_State *L, struct gev_hub *h,
                       const struct gev_greenlet *g);
/* Adds the exception on the top (popped) to the greenlet's pending ones. */
void gev_add_pending(lua_State *L, struct gev_hub *h,
                     struct gev_greenlet *g);
/* Takes the value at exc out of the pending ones of the userdata at idx;
 * false: it is not there, it has been raised. */
bool gev_drop_pending(lua_State *L, int idx, int exc);
/* Pushes the next pending kill or due Timeout; false if there is none that
 * passes its shield. */
bool gev_take_pending(lua_State *L, struct gev_hub *h,
                      struct gev_greenlet *g);

/* The table of rare things of the userdata at idx, which is there where
 * GEV_EXTRA is set: pushes it or nil. */
bool gev_push_extra(lua_State *L, int idx);
/* The same; makes it where there is none. */
void gev_make_extra(lua_State *L, int idx);
/* Keys into it, by address. */
extern const char gev_key_links, gev_key_pending, gev_key_traceback,
    gev_key_stack, gev_key_joined;

/* Pushes the class of raw greenlets. */
void gev_push_rawclass(lua_State *L, struct gev_hub *h);
/* Sets all fields of a new one. */
void gev_greenlet_init(struct gev_greenlet *g, uint16_t flags);
/* Makes the main greenlet. */
void gev_greenlet_newmain(lua_State *L, struct gev_hub *h);
/* Adds the class Greenlet, spawn and friends to the table on the top. */
void gev_open_greenlet(lua_State *L, int hub);

#endif
