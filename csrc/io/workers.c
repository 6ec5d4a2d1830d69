/* io/workers.c - layer: io. See workers.h. Owns the threads' queue, their
 * answers, and the handle in the loop. */
#include "io/workers.h"

#include <stdlib.h>
#include <time.h>

#include "io/thread.h"

struct gev_workers {
  pthread_mutex_t lock; /* for the fields up to `async` */
  pthread_cond_t work;
  struct gev_link queue;   /* work that no thread has begun */
  struct gev_link answers; /* work that is done, for the hub */
  struct gev_link members; /* the threads that take work */
  unsigned queued, idle, size;
  unsigned threads, alive; /* that take work; that have not ended yet */
  bool closed;       /* the owner has gone; the threads end */
  uv_async_t *async; /* open while there is work that is wanted */

  struct gev_closer closer; /* in the hub */
  unsigned generation;      /* how often it has become another process's */
  struct gev_hub *hub;
  const struct gev_workers_ops *ops;
  void *shared;
  int patience;    /* seconds that an idle thread waits; -1: for ever */
  unsigned wanted; /* submitted, neither answered nor forgotten; the hub's */
};

static void lock(struct gev_workers *p) { pthread_mutex_lock(&p->lock); }
static void unlock(struct gev_workers *p) { pthread_mutex_unlock(&p->lock); }

static void free_workers(struct gev_workers *p) {
  pthread_cond_destroy(&p->work);
  pthread_mutex_destroy(&p->lock);
  free(p->shared);
  free(p);
}

/* A thread, on its own stack. */
struct member {
  struct gev_link link;
  void *local;
};

/* --- the threads --------------------------------------------------------- */

/* With the lock, which it gives up meanwhile. False: nothing came in time. */
static bool wait_for_work(struct gev_workers *p) {
  struct timespec until;
  int err = 0;
  p->idle++;
  if (p->patience < 0) {
    pthread_cond_wait(&p->work, &p->lock);
  } else {
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += p->patience;
    err = pthread_cond_timedwait(&p->work, &p->lock, &until);
  }
  p->idle--;
  return err == 0;
}

/* With the lock: work, or NULL where the thread is to end. */
static struct gev_work *next_work(struct gev_workers *p) {
  while (!p->closed && gev_list_empty(&p->queue) && p->threads <= p->size)
    if (!wait_for_work(p) && gev_list_empty(&p->queue)) return NULL;
  if (p->closed || p->threads > p->size) return NULL;
  struct gev_work *w = gev_container(p->queue.next, struct gev_work, link);
  gev_unlink(&w->link);
  p->queued--;
  w->running = true;
  return w;
}

static void *thread_main(void *arg) {
  struct gev_workers *p = arg;
  void *local = p->ops->begin ? p->ops->begin(p) : NULL;
  struct member self = {.local = local};
  lock(p);
  gev_list_append(&p->members, &self.link);
  for (struct gev_work *w; (w = next_work(p)) != NULL;) {
    unlock(p);
    p->ops->run(w, local);
    lock(p);
    if (w->orphan) {
      p->ops->free(w);
      continue;
    }
    gev_list_append(&p->answers, &w->link);
    if (p->async) uv_async_send(p->async);
  }
  p->threads--;
  gev_unlink(&self.link);
  unlock(p);
  if (local) p->ops->end(local);
  lock(p);
  bool last = --p->alive == 0 && p->closed;
  unlock(p);
  if (last) free_workers(p);
  return NULL;
}

/* With the lock. */
static int start_thread(struct gev_workers *p) {
  int err = gev_thread_start(NULL, thread_main, p);
  if (!err) p->threads++;
  if (!err) p->alive++;
  return err;
}

/* --- the hub's side ------------------------------------------------------ */

static void close_async(struct gev_workers *p) {
  lock(p);
  gev_handle_close((uv_handle_t *)p->async);
  unlock(p);
}

/* The loop is about to go, not so the threads. */
static void hub_closes(struct gev_closer *c) {
  close_async(gev_container(c, struct gev_workers, closer));
}

/* Work has left; the handle goes with the last that was wanted. */
static void leave(struct gev_workers *p) {
  if (--p->wanted == 0 && p->async) close_async(p);
}

static void answers_cb(uv_async_t *async) {
  struct gev_workers *p =
      gev_container(async->data, struct gev_workers, async);
  struct gev_link done;
  gev_list_init(&done);
  lock(p);
  while (!gev_list_empty(&p->answers)) {
    struct gev_link *first = p->answers.next;
    gev_unlink(first);
    gev_list_append(&done, first);
  }
  unlock(p);
  while (!gev_list_empty(&done)) {
    struct gev_work *w = gev_container(done.next, struct gev_work, link);
    gev_unlink(&w->link);
    leave(p);
    p->ops->answered(p->hub, w);
  }
}

int gev_workers_prepare(lua_State *L, struct gev_workers *p) {
  if (p->async) return 0;
  uv_loop_t *loop = gev_loop(L, p->hub);
  uv_async_t *async = malloc(sizeof *async);
  int err = async ? uv_async_init(loop, async, answers_cb) : UV_ENOMEM;
  if (err) {
    free(async);
    return err;
  }
  gev_handle_own(async, &p->async);
  lock(p);
  p->async = async;
  if (!gev_list_empty(&p->answers)) uv_async_send(async);
  unlock(p);
  return 0;
}

int gev_workers_submit(struct gev_workers *p, struct gev_work *w) {
  int err = 0;
  gev_list_init(&w->link);
  w->workers = p;
  w->generation = p->generation;
  w->running = w->orphan = false;
  p->wanted++;
  lock(p);
  if (p->queued >= p->idle && p->threads < p->size) err = start_thread(p);
  if (p->threads > 0) err = 0; /* it has to wait for its turn */
  if (!err) {
    gev_list_append(&p->queue, &w->link);
    p->queued++;
    pthread_cond_signal(&p->work);
  }
  unlock(p);
  if (err) leave(p);
  return err;
}

void gev_workers_forget(struct gev_work *w) {
  struct gev_workers *p = w->workers;
  if (w->generation != p->generation) { /* the parent's: nobody has it here */
    p->ops->free(w);
    return;
  }
  lock(p);
  bool here = !gev_list_empty(&w->link); /* queued, or answered */
  if (here && !w->running) p->queued--;
  gev_unlink(&w->link);
  w->orphan = true;
  unlock(p);
  if (here) p->ops->free(w);
  leave(p);
}

/* --- life ---------------------------------------------------------------- */

static void init_locks(struct gev_workers *p) {
  gev_thread_cond(&p->work);
  pthread_mutex_init(&p->lock, NULL);
}

/* The child of a fork has no threads; the parent does what was theirs to do. */
static void hub_forked(struct gev_closer *c) {
  struct gev_workers *p = gev_container(c, struct gev_workers, closer);
  struct gev_link *const lists[] = {&p->queue, &p->answers};
  init_locks(p); /* a thread may have had the lock */
  p->generation++;
  for (int i = 0; i < 2; i++)
    while (!gev_list_empty(lists[i])) gev_unlink(lists[i]->next);
  gev_list_init(&p->members);
  p->queued = p->idle = p->threads = p->alive = p->wanted = 0;
}

struct gev_workers *gev_workers_new(struct gev_hub *h, unsigned size,
                                    int idle,
                                    const struct gev_workers_ops *ops,
                                    void *shared) {
  struct gev_workers *p = calloc(1, sizeof *p);
  if (!p) return NULL;
  init_locks(p);
  gev_list_init(&p->queue);
  gev_list_init(&p->answers);
  gev_list_init(&p->members);
  p->size = size;
  p->hub = h;
  p->closer.close = hub_closes;
  p->closer.forked = hub_forked;
  gev_list_append(&h->closers, &p->closer.link);
  p->ops = ops;
  p->shared = shared;
  p->patience = idle;
  return p;
}

void *gev_workers_shared(const struct gev_workers *p) { return p->shared; }

/* With the lock: none of them ends meanwhile. */
static void stop_members(struct gev_workers *p) {
  if (!p->ops->stop) return;
  for (struct gev_link *l = p->members.next; l != &p->members; l = l->next) {
    struct member *m = gev_container(l, struct member, link);
    if (m->local) p->ops->stop(m->local);
  }
}

void gev_workers_close(struct gev_workers *p) {
  gev_unlink(&p->closer.link);
  close_async(p); /* it points to what is freed below */
  lock(p);
  p->closed = true;
  stop_members(p);
  pthread_cond_broadcast(&p->work);
  bool last = p->alive == 0;
  unlock(p);
  if (last) free_workers(p);
}

void gev_workers_resize(struct gev_workers *p, unsigned size) {
  lock(p);
  p->size = size;
  while (p->threads < p->size && p->threads < p->queued &&
         start_thread(p) == 0) {
  }
  pthread_cond_broadcast(&p->work);
  unlock(p);
}

unsigned gev_workers_threads(struct gev_workers *p) {
  lock(p);
  unsigned n = p->threads;
  unlock(p);
  return n;
}
