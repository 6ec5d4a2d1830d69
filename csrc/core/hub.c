/* core/hub.c - layer: core. See hub.h. The loop, and the only file besides
 * coroutine.c that resumes. Owns the uv loop, its waker, the timer
 * heap and the anchors; all are released by gev_hub_close. */
#include "core/hub.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/except.h"
#include "core/alarm.h"
#include "core/interrupt.h"
#include "core/park.h"
#include "core/report.h"
#include "core/sleep.h"
#include "core/timeout.h"
#include "core/tree.h"

void gev_panic(const char *what, const char *one, const char *two) {
  fprintf(stderr, "gevent: internal error: %s (%s; %s)\n", what, one, two);
  abort();
}

/* --- time ---------------------------------------------------------------- */

int64_t gev_deadline(double seconds) {
  if (seconds < 0 || seconds > 6e9) return GEV_NEVER;
  return gev_now() + (int64_t)ceil(seconds * 1e9);
}

double gev_remaining(int64_t deadline) {
  if (deadline == GEV_NEVER) return -1;
  int64_t left = deadline - gev_now();
  return left > 0 ? (double)left / 1e9 : 0;
}

void gev_timer_grow(lua_State *L, struct gev_hub *h) {
  if (!gev_heap_reserve(&h->timers)) luaL_error(L, "not enough memory");
}

static void fire(struct gev_hub *h, struct gev_timer *t) {
  switch (t->node.kind) {
    case GEV_TIMER_TIMEOUT: gev_timeout_fire(h, t); break;
    case GEV_TIMER_GREENLET: gev_greenlet_due(h, t); break;
    default: {
      struct gev_alarm *alarm = gev_container(t, struct gev_alarm, timer);
      alarm->due(h, alarm);
    }
  }
}

static void fire_timers(struct gev_hub *h) {
  struct gev_heapnode *node = gev_heap_top(&h->timers);
  if (!node || node->key / 1000000 > (int64_t)uv_now(h->loop))
    return; /* the loop has read the clock in this poll: it is not due */
  int64_t now = gev_now();
  if (node->key <= now) h->lag = now - node->key;
  for (; node && node->key <= now; node = gev_heap_top(&h->timers)) {
    gev_heap_remove(&h->timers, node);
    fire(h, gev_container(node, struct gev_timer, node));
  }
}

/* --- the loop ------------------------------------------------------------ */

static void waker_cb(uv_async_t *waker) { (void)waker; }

void gev_fill_streams(void) {
  int fd;
  do {
    fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) close(fd);
}

/* libuv's first loop takes a descriptor, then a pipe, and aborts where it finds
 * none for the pipe: are there as many? 0 or an error. */
static int check_descriptors(void) {
  int fds[2];
  if (pipe(fds) < 0) return -errno;
  int more = dup(fds[0]), err = more < 0 ? -errno : 0;
  close(fds[0]);
  close(fds[1]);
  if (more >= 0) close(more);
  return err;
}

uv_loop_t *gev_loop(lua_State *L, struct gev_hub *h) {
  if (h->loop) return h->loop;
  if (h->closing) luaL_error(L, "the Lua state is being closed");
  gev_fill_streams();
  uv_loop_t *loop = malloc(sizeof *loop);
  h->near = malloc(sizeof *h->near);
  h->waker = malloc(sizeof *h->waker);
  int err = loop && h->near && h->waker ? check_descriptors() : UV_ENOMEM;
  if (err == 0) err = uv_loop_init(loop);
  if (err == 0) {
    err = uv_async_init(loop, h->waker, waker_cb);
    if (err) uv_loop_close(loop);
  }
  if (err) {
    free(loop);
    free(h->near);
    free(h->waker);
    h->near = NULL;
    h->waker = NULL;
    luaL_error(L, "cannot start the event loop: %s", uv_strerror(err));
  }
  gev_handle_own(h->waker, &h->waker);
  loop->data = h;
  h->loop = loop;
  gev_alarms_open(h);
  return loop;
}

bool gev_hub_alive(const struct gev_hub *h) {
  return h->external > 0 || h->timers.n > h->unref_timers;
}

/* Calls what may be left undone, and nobody waits for, where memory is short:
 * no wait is to end by that. */
static void attempt(struct gev_hub *h, lua_CFunction f) {
  lua_State *L = h->L;
  if (!lua_checkstack(L, 2)) return;
  lua_pushcfunction(L, f);
  lua_pushlightuserdata(L, h);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) lua_pop(L, 1);
}

static int renew_sentinel(lua_State *L) {
  gev_sentinel_renew(lua_touserdata(L, 1));
  return 0;
}

static int trim_anchors(lua_State *L) {
  gev_anchors_trim(L, lua_touserdata(L, 1));
  return 0;
}

static int trim_tree(lua_State *L) {
  gev_tree_trim(L, lua_touserdata(L, 1));
  return 0;
}

/* After a peak: gives back memory that is no longer needed. */
static void trim(struct gev_hub *h) {
  if (h->nfree > GEV_TRIM_ABOVE) attempt(h, trim_anchors);
  if (h->nspawners > GEV_TRIM_ABOVE) attempt(h, trim_tree);
}

/* Each that is in the list now: one may come back to wait for the next poll. */
static void flush_held(struct gev_hub *h) {
  const struct gev_link *last = h->flushers.prev, *l;
  do {
    struct gev_flusher *f =
        gev_container(h->flushers.next, struct gev_flusher, link);
    l = &f->link;
    gev_unlink(&f->link);
    f->flush(h, f);
  } while (l != last);
}

void gev_flushers_forget(struct gev_hub *h) {
  while (!gev_list_empty(&h->flushers)) gev_unlink(h->flushers.next);
}

static void begin_slice(struct gev_hub *h) {
  h->run_since_check = 0;
  h->slice_start = 0;
  fire_timers(h);
}

/* Each poll hands all that is ready to the loop's callbacks, more than once
 * where that is more than a thousand: with ten thousand connections busy it
 * takes longer than a slice. It is to have a ninth of the time, not most. */
enum { WORK_PER_POLL = 8 };

static bool poll_is_due(const struct gev_hub *h) {
  return h->poll_cost * WORK_PER_POLL <= h->switch_interval ||
         gev_now() - h->polled >= h->poll_cost * WORK_PER_POLL;
}

static void poll_loop(struct gev_hub *h, bool block) {
  if (!gev_list_empty(&h->flushers)) flush_held(h);
  if (block) {
    gev_alarms_set(h);
    gev_sigint_watch(h);
    block = !h->interrupted;
  }
  int64_t begun = block ? 0 : gev_now();
  atomic_store_explicit(&h->polling, true, memory_order_relaxed);
  uv_run(h->loop, block ? UV_RUN_ONCE : UV_RUN_NOWAIT);
  atomic_store_explicit(&h->polling, false, memory_order_relaxed);
  h->polled = block ? 0 : gev_now();
  h->poll_cost = h->polled - begun;
  h->polls++;
  trim(h);
  begin_slice(h);
}

/* Greenlets have run for a slice: now it is the others' turn, timers first. */
static void end_slice(struct gev_hub *h) {
  if (poll_is_due(h))
    poll_loop(h, false);
  else
    begin_slice(h);
  if (h->interrupted) gev_sigint_deliver(h);
}

bool gev_slice_check_clock(struct gev_hub *h) {
  int64_t now = gev_now();
  if (h->slice_start == 0) h->slice_start = now;
  bool over = now - h->slice_start >= h->switch_interval;
  /* Whoever is told first may be a call that yields for it: then it is for
   * the hub, which asks next, to poll. */
  h->run_since_check = over ? GEV_CLOCK_EVERY : 0;
  return over;
}

/* --- resuming ------------------------------------------------------------ */

/* The hook that was there before, if any, goes back to its place. */
static void refuse_yield(lua_State *co, lua_Debug *ar) {
  (void)ar;
  gev_push_hub(co, NULL);
  struct gev_hub *h = lua_touserdata(co, -1);
  lua_sethook(co, h->user_hook, h->user_hook_mask, h->user_hook_count);
  luaL_error(co, "attempt to yield from a greenlet outside any coroutine of "
             "its own: use gevent.sleep(0) to let others run");
}

/* A yield that is no park: nobody is there to take the values. Makes it an
 * error at that very call, by a hook on its return. */
static int resume_refused(struct gev_hub *h, lua_State *co, int *n) {
  lua_pop(co, *n);
  h->user_hook = lua_gethook(co);
  h->user_hook_mask = lua_gethookmask(co);
  h->user_hook_count = lua_gethookcount(co);
  lua_sethook(co, refuse_yield, LUA_MASKRET, 0);
  return lua_resume(co, h->L, 0, n);
}

/* It has begun nothing yet: is its coroutine as it was left? */
static inline bool is_spoilt(const struct gev_greenlet *g) {
  return g->state == GEV_STARTING && lua_gettop(g->co) != g->nargs + 1;
}

/* LUA_YIELD: it has parked. Else it is over, with *n results or an error. */
static inline int resume(struct gev_hub *h, struct gev_greenlet *g, int *n) {
  lua_State *co = g->co;
  const char *below = h->floor;
  gev_count_switch(h);
  h->floor = __builtin_frame_address(0);
  h->current = g;
  h->running = co;
  g->state = GEV_RUNNING;
  int status = lua_resume(co, h->L, g->L == co ? g->nargs : 0, n);
  while (status == LUA_YIELD && !h->parking)
    status = resume_refused(h, co, n);
  h->parking = false;
  h->current = NULL;
  h->running = NULL;
  h->floor = below;
  return status;
}

static inline void run_greenlet(struct gev_hub *h, struct gev_greenlet *g) {
  int n;
  if (g->state == GEV_DEAD) {
    gev_greenlet_notify(h, g);
  } else if (g->state == GEV_ENDED) {
    gev_greenlet_finish(h, g, g->verdict, lua_gettop(g->co));
  } else if (is_spoilt(g)) {
    gev_greenlet_spoilt(h, g);
  } else {
    int status = resume(h, g, &n);
    if (status != LUA_YIELD) gev_greenlet_finish(h, g, status, n);
  }
}

void gev_greenlet_run(struct gev_hub *h, struct gev_task *t) {
  bool lent = h->lent;
  h->lent = true; /* the others are not to run before the caller goes on */
  run_greenlet(h, gev_task_greenlet(t));
  h->lent = lent;
}

/* --- lending ------------------------------------------------------------- */

/* Can gev_greenlet_finish neither raise nor run Lua? */
static inline bool ends_quietly(struct gev_hub *h,
                                const struct gev_greenlet *g, int status,
                                int n) {
  return status == LUA_OK && n <= 1 &&
         !(g->flags & (GEV_LINKED | GEV_EXPOSED)) && lua_checkstack(h->L, 8);
}

static void finish_later(struct gev_hub *h, struct gev_greenlet *g,
                         int status) {
  g->verdict = (uint8_t)status;
  g->state = GEV_ENDED;
  gev_list_prepend(&h->ready, &g->task.link);
}

/* Runs one greenlet on the host's stack; false where the hub has to go on. An
 * error on the main state would unwind it past the host: nothing that could
 * raise there is done here. */
static inline bool run_guest(struct gev_hub *h, struct gev_task *t) {
  struct gev_greenlet *g = gev_task_greenlet(t);
  int n;
  if (t->run != gev_greenlet_run || g == h->main || g->state >= GEV_ENDED ||
      is_spoilt(g))
    return false;
  gev_unlink(&t->link);
  int status = resume(h, g, &n);
  if (status == LUA_YIELD) return true;
  bool quiet = ends_quietly(h, g, status, n);
  if (quiet)
    gev_greenlet_finish(h, g, status, n);
  else
    finish_later(h, g, status);
  return quiet;
}

/* True: it is the host's turn, and the loop need not be looked at first. */
static inline bool run_guests(struct gev_hub *h, struct gev_greenlet *host) {
  while (!gev_slice_is_over(h) && !gev_list_empty(&h->ready)) {
    struct gev_task *t = gev_container(h->ready.next, struct gev_task, link);
    if (t == &host->task) return t->run == gev_greenlet_run;
    if (!run_guest(h, t)) return false;
  }
  return false;
}

/* A call that waits time and again, and goes on from within each time, would
 * grow the C stack without end. To yield takes it down. */
enum { MOST_STACK = 32768 };
static inline bool is_deep(const struct gev_hub *h) {
  ptrdiff_t depth = h->floor - (const char *)__builtin_frame_address(0);
  return depth > MOST_STACK || depth < -MOST_STACK;
}

bool gev_hub_lend(struct gev_hub *h) {
  struct gev_greenlet *g = h->current;
  if (is_deep(h)) return false;
  h->lent = true;
  h->host = g;
  h->parking = false;
  h->current = NULL;
  h->running = NULL;
  bool back = run_guests(h, g);
  h->lent = false;
  h->host = NULL;
  if (!back) return false;
  gev_unlink(&g->task.link);
  gev_count_switch(h);
  g->state = GEV_RUNNING;
  h->current = g;
  h->running = g->co;
  return true;
}

/* --- turns --------------------------------------------------------------- */

/* Runs tasks until none is left, the slice is over, or the main greenlet's
 * turn has come: then returns true. */
static bool run_ready(struct gev_hub *h) {
  while (!gev_list_empty(&h->ready)) {
    struct gev_task *t =
        gev_container(h->ready.next, struct gev_task, link);
    gev_unlink(&t->link);
    if (t == &h->main->task) return true;
    if (t->run == gev_greenlet_run) /* one return less to mispredict */
      run_greenlet(h, gev_task_greenlet(t));
    else
      t->run(h, t);
    if (gev_slice_is_over(h)) end_slice(h);
  }
  return false;
}

/* Nothing will ever happen: hub:join is over, anything else is LoopExit. */
static void starved(struct gev_hub *h) {
  if (gev_hub_join_over(h)) return;
  gev_push_loopexit(h->L, h);
  gev_raise_in(h->L, h, h->main); /* a shield does not keep it off */
}

static void wake_idlers(struct gev_hub *h) {
  while (!gev_list_empty(&h->idlers)) {
    struct gev_task *t =
        gev_container(h->idlers.next, struct gev_task, link);
    gev_unlink(&t->link);
    gev_wake(h, gev_task_greenlet(t), &h->idlers, GEV_WOKEN);
  }
}

/* One poll, blocking if it may; idlers wake when it finds nothing to do. */
static void step(struct gev_hub *h, bool block) {
  if (!gev_list_empty(&h->idlers)) {
    poll_loop(h, false);
    if (gev_list_empty(&h->ready)) wake_idlers(h);
  } else {
    poll_loop(h, block && gev_list_empty(&h->ready));
  }
}

void gev_hub_turn(struct gev_hub *h, bool block) {
  run_ready(h);
  step(h, block && gev_hub_alive(h));
  run_ready(h);
}

void gev_hub_run(struct gev_hub *h) {
  for (;;) {
    if (gev_slice_is_over(h)) end_slice(h); /* main alone may be busy */
    if (h->interrupted) gev_sigint_deliver(h);
    if (run_ready(h)) break;
    if (gev_hub_alive(h) || !gev_list_empty(&h->idlers))
      step(h, true);
    else
      starved(h);
  }
  gev_sigint_unwatch(h);
  trim(h);
  gev_count_switch(h);
  if (h->greenlets) attempt(h, renew_sentinel);
}

/* --- handles and requests ------------------------------------------------ */

static void free_handle(uv_handle_t *handle) { free(handle); }

void gev_handle_close(uv_handle_t *handle) {
  if (!handle || uv_is_closing(handle)) return;
  if (handle->data) *(void **)handle->data = NULL;
  handle->data = NULL;
  uv_close(handle, free_handle);
}

void gev_request_add(struct gev_hub *h, struct gev_request *r,
                     uv_req_t *req) {
  r->req = req;
  gev_list_append(&h->requests, &r->link);
}

void gev_request_done(struct gev_request *r) { gev_unlink(&r->link); }
