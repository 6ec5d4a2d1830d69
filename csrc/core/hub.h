/* core/hub.h - layer: core. The hub: event loop, ready queue and timers of
 * one lua_State. Everything in core/ may look inside struct gev_hub; layers
 * above use the functions here and in park.h.
 *
 * RULES. libuv callbacks never run Lua and never allocate Lua memory: they
 * note a result and call gev_wake or gev_ready. Lua runs from the ready
 * queue, after uv_run has returned, on the main lua_State. */
#ifndef GEV_CORE_HUB_H
#define GEV_CORE_HUB_H

#include <lua.h>
#include <stdatomic.h>
#include <uv.h>

#include "base/heap.h"
#include "base/list.h"
#include "base/lualib.h"

struct gev_hub;
struct gev_greenlet;
struct gev_task;

enum { GEV_TRIM_ABOVE = 2048 }; /* free anchors, before it is worth a look */
enum { GEV_CLOCK_EVERY = 50 }; /* tasks between two looks at the clock */
enum { GEV_POOL = 128 }; /* coroutines kept for new greenlets, 1 KB each */

/* What the hub runs in its ready queue: a greenlet to resume, links to fire,
 * a watcher's callback. `run` may call Lua on h->L and may not block. */
typedef void (*gev_task_fn)(struct gev_hub *h, struct gev_task *t);
struct gev_task {
  struct gev_link link; /* in the ready queue, or in one wait queue */
  gev_task_fn run;
};

/* An entry of the timer heap: the deadline or start of a greenlet, a Timeout,
 * or an alarm. `kind` says what the hub does when it is due. */
enum gev_timer_kind {
  GEV_TIMER_GREENLET,
  GEV_TIMER_TIMEOUT,
  GEV_TIMER_ALARM
};
struct gev_timer {
  struct gev_heapnode node; /* key: absolute monotonic nanoseconds */
};

/* A timer of the layers above. `due` is called after a poll, out of the heap;
 * it may not run Lua. */
struct gev_alarm {
  struct gev_timer timer;
  void (*due)(struct gev_hub *h, struct gev_alarm *alarm);
};

struct gev_hub {
  const struct gev_class *cls;
  lua_State *L;       /* the main thread: Lua of the hub runs here */
  lua_State *mailbox; /* what is delivered to the main greenlet: while it is
                       * parked other frames stand on its own stack */
  uv_loop_t *loop;    /* NULL until first used, and after destroy */
  uv_timer_t *near;   /* core/alarm.c: these two wake the loop for the */
  uv_poll_t *far;     /* earliest of `timers`; far may be NULL */
  int far_fd;
  uv_async_t *waker;  /* keeps uv_run polling; wakes it from signals */
  struct gev_link ready;    /* gev_task: FIFO */
  struct gev_heap timers;   /* gev_timer: deadlines and Timeouts */
  struct gev_link idlers;   /* gev_task: greenlets in idle() */
  struct gev_link requests; /* gev_request: uv requests under way */
  struct gev_link closers;  /* gev_closer: who must hear of its end */
  struct gev_link witnesses; /* gev_witness: who hears of closed descriptors */
  struct gev_link flushers;  /* gev_flusher: who holds something back */
  int64_t near_due, far_due; /* what they are set to; GEV_NEVER: not set */

  struct gev_greenlet *current; /* whose Lua code runs; NULL: the hub's own */
  struct gev_greenlet *main;    /* the main chunk */
  struct gev_greenlet *host;    /* whose stack is lent, or NULL */
  lua_State *running; /* the one state that may park; NULL: none may */
  bool parking;       /* a yield on its way out to the hub is a park */
  bool lent;          /* nobody's stack may be lent: see gev_hub_lend */
  const char *floor;  /* where the C stack of the current greenlet begins */
  bool closing;       /* the state is being closed: nothing blocks any more */
  volatile int interrupted; /* SIGINT came */
  int pid;            /* the process that it was made in: see fork */
  uint32_t forks;     /* how often it was taken over by a child */
  bool forking;       /* requests are given up: others will do them */
  uint32_t sigint_watchers; /* of the user's: then SIGINT is theirs */

  uint32_t external;  /* parked greenlets and watchers the loop will wake */
  uint32_t unref_timers;    /* of `timers`: do not keep the loop alive */
  uint32_t greenlets;       /* started and not finished */
  uint32_t blocked;         /* coroutines inside greenlets: coroutine.c */
  uint32_t run_since_check; /* tasks run since the clock was looked at */
  int64_t slice_start;      /* first look at the clock since the last poll */
  int64_t switch_interval;  /* ns */
  _Atomic uint64_t switches; /* ever; a monitor's thread reads it, */
  _Atomic bool polling;      /* and whether the hub is in a poll */
  uint64_t polls;            /* ever */
  int64_t polled;    /* when the last one ended that did not wait, */
  int64_t poll_cost; /* and how long it took: ns */
  int64_t lag; /* ns by which the last timer was late */
  uint64_t next_serial;     /* greenlet serial numbers */

  int nfree, capfree, nref; /* free list of the anchor table */
  int *freerefs;
  int anchors; /* where the anchor table is in the registry */
  int nspawners; /* put into the table of spawners since it was made */
  int trim_ref; /* the anchor that stood in the way of a trim, or 0 */
  uint64_t next_trim; /* value of `polls` from which another may be tried */
  int nspare, npooled; /* coroutines to be used again: greenlet.c */
  lua_State *spare[GEV_POOL];
  int next_ident;      /* core/tree.c */
  int locals_ref;      /* the same: in the registry, what the tree of that */
  uint64_t locals_of;  /* greenlet shares; 0: of none */
  bool track_stacks;   /* config: record spawning_stack */
  lua_Hook user_hook;  /* of a greenlet whose yield is being refused */
  int user_hook_mask, user_hook_count;
  int sigint;          /* core/interrupt.c: who watches SIGINT */
  char *scratch;       /* io/stream.c: where input is read to; malloc'ed */
  void *sentinel;      /* the finalizer that lua_close runs first */
};

#define GEV_NEVER INT64_MAX
extern const struct gev_class gev_hub_class;

/* The hub of the running C function: each of ours has it as upvalue 1. */
static inline struct gev_hub *gev_hub(lua_State *L) {
  return (struct gev_hub *)lua_touserdata(L, lua_upvalueindex(1));
}

/* --- ready queue --------------------------------------------------------- */
static inline void gev_ready(struct gev_hub *h, struct gev_task *t) {
  gev_list_append(&h->ready, &t->link);
}

/* --- time ---------------------------------------------------------------- */
static inline int64_t gev_now(void) { return (int64_t)uv_hrtime(); }
/* Seconds from now as a deadline; -1 and what lies beyond 200 years: never. */
int64_t gev_deadline(double seconds);
/* The inverse, for calls that take the rest of a time-out: seconds >= 0. */
double gev_remaining(int64_t deadline);
/* Raises "not enough memory"; gev_timer_start cannot fail after it. */
void gev_timer_grow(lua_State *L, struct gev_hub *h);
static inline bool gev_timers_full(const struct gev_hub *h) {
  return h->timers.n == h->timers.cap;
}
static inline void gev_timer_reserve(lua_State *L, struct gev_hub *h) {
  if (gev_timers_full(h)) gev_timer_grow(L, h);
}
static inline void gev_timer_start(struct gev_hub *h, struct gev_timer *t,
                                   int64_t due) {
  t->node.key = due;
  gev_heap_insert(&h->timers, &t->node);
}
static inline void gev_timer_stop(struct gev_hub *h, struct gev_timer *t) {
  if (gev_heap_has(&t->node)) gev_heap_remove(&h->timers, &t->node);
}

static inline void gev_alarm_init(struct gev_alarm *alarm,
                                  void (*due)(struct gev_hub *h,
                                              struct gev_alarm *alarm)) {
  alarm->timer.node = (struct gev_heapnode){.kind = GEV_TIMER_ALARM};
  alarm->due = due;
}

/* --- the loop ------------------------------------------------------------ */
/* The uv loop, made at first use. Raises if the system has none to give. */
uv_loop_t *gev_loop(lua_State *L, struct gev_hub *h);
/* Runs the loop until the parked main greenlet has been woken. */
void gev_hub_run(struct gev_hub *h);
/* For the current greenlet, which is parked, on its own coroutine: runs what
 * is ready on its stack, in its order, in the hope that its turn comes, which
 * spares the yield and the resume. True: it has come. False: it must yield to
 * the hub, which has to go on. Only while h->lent is false. Never raises. */
bool gev_hub_lend(struct gev_hub *h);
/* One turn for a foreign main loop: what is ready, a poll, what is ready. */
void gev_hub_turn(struct gev_hub *h, bool block);
/* Has the switch interval passed since the last poll? Looks at the clock once
 * in 50 calls; the hub counts its tasks with it, and io/ the operations that
 * did not have to wait. */
bool gev_slice_check_clock(struct gev_hub *h);
static inline bool gev_slice_is_over(struct gev_hub *h) {
  return ++h->run_since_check >= GEV_CLOCK_EVERY && gev_slice_check_clock(h);
}
/* Will anything that is under way ever wake somebody? */
bool gev_hub_alive(const struct gev_hub *h);

static inline uint64_t gev_switches(const struct gev_hub *h) {
  return atomic_load_explicit(&h->switches, memory_order_relaxed);
}
static inline void gev_count_switch(struct gev_hub *h) {
  atomic_store_explicit(&h->switches, gev_switches(h) + 1,
                        memory_order_relaxed);
}
static inline bool gev_is_polling(const struct gev_hub *h) {
  return atomic_load_explicit(&h->polling, memory_order_relaxed);
}

/* --- handles ------------------------------------------------------------- */
/* A malloc'ed uv handle points back at the pointer that owns it:
 * handle->data == &owner->field. Closing clears that pointer and frees the
 * handle in its close callback; so whichever of owner and loop goes first,
 * nothing dangles. `field` may be NULL already. */
#define gev_handle_own(h, owner) ((h)->data = (void *)(owner))
void gev_handle_close(uv_handle_t *handle);

/* Who holds something back in the hope of more to go with it: `flush` is called
 * once, out of the list, before the hub polls next. It may not run Lua. Who
 * dies while it is in the list unlinks it. */
struct gev_flusher {
  struct gev_link link; /* in hub->flushers, or by itself */
  void (*flush)(struct gev_hub *h, struct gev_flusher *f);
};
/* In the child of a fork: what is held back is for the parent to send. */
void gev_flushers_forget(struct gev_hub *h);

/* For those who must hear of the loop's end or of a fork: what other threads
 * know of it. `close` is called before the loop is closed; it may be NULL. */
struct gev_closer {
  struct gev_link link; /* in hub->closers, all its life */
  void (*close)(struct gev_closer *c);
  /* In the child of a fork, before anything else: its threads are the
   * parent's, and so are the locks that these hold. NULL: it has none. May
   * leave the list. */
  void (*forked)(struct gev_closer *c);
};

/* A uv request under way. `cancelled` is called when the hub shuts down;
 * the request's own callback still comes and frees it. */
struct gev_request {
  struct gev_link link;
  uv_req_t *req;
};
void gev_request_add(struct gev_hub *h, struct gev_request *r, uv_req_t *req);
void gev_request_done(struct gev_request *r);

/* --- anchors: what must not be collected while C points at it ------------ */
/* Anchors the value at idx. Raises out of memory, and in a closing state. */
int gev_anchor(lua_State *L, struct gev_hub *h, int idx);
void gev_unanchor(lua_State *L, struct gev_hub *h, int ref);
void gev_push_anchored(lua_State *L, struct gev_hub *h, int ref);
/* After a peak: gives back what the anchors and timers no longer need. */
void gev_anchors_trim(lua_State *L, struct gev_hub *h);

/* --- errors -------------------------------------------------------------- */
/* Reports an uncaught error: hub.handle_error if set, else the traceback and
 * "<context> failed with <error>" to the exception stream. On h->L: context,
 * error, traceback (a string or nil) on the top; pops them. Never raises. */
void gev_report(struct gev_hub *h);
void gev_report_on(lua_State *L, struct gev_hub *h); /* with L for h->L */
/* Pushes the hub's userdata. */
void gev_push_hub(lua_State *L, struct gev_hub *h);
/* Broken invariant: says what and aborts. */
_Noreturn void gev_panic(const char *what, const char *one, const char *two);

/* --- life and death: core/lifecycle.c ------------------------------------ */
/* Makes the hub of this state; leaves its userdata on the stack. */
struct gev_hub *gev_hub_new(lua_State *L);
/* Closes all handles and the loop. The hub can be used again after it. */
void gev_hub_destroy(struct gev_hub *h);
/* lua_close: runs the pending <close> variables of the blocked greenlets,
 * then destroys the loop. Idempotent; nothing blocks after it. */
void gev_hub_close(struct gev_hub *h);
/* In a child that fork has made: drops the parent's greenlets, but for main
 * and the current one, without running anything of theirs; gives requests up;
 * closes the loop without disturbing the parent's. What the two wait for has
 * to be registered again. 0 or a negative errno. */
int gev_hub_forked(lua_State *L, struct gev_hub *h);
/* Makes gev_hub_close the first finalizer that lua_close will call. */
void gev_sentinel_renew(struct gev_hub *h);
/* Opens /dev/null for each standard stream that is closed: what is printed must
 * not go to a socket, and libuv aborts where it got such a descriptor. */
void gev_fill_streams(void);

#endif
