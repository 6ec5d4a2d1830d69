/* io/workers.h - layer: io. OS threads that do work for a hub: look-ups, Lua
 * functions.
 *
 * A piece of work is malloc'ed by its owner and begins with a gev_work. From
 * gev_workers_submit on it belongs to the threads, until `answered` gives it
 * back in the hub's loop. Who does not want it any more calls
 * gev_workers_forget: then nobody waits for it, neither a kill, nor close, nor
 * lua_close; the thread that has it frees it. The threads themselves are
 * detached, and the workers are freed by the last of their owner and them.
 * While there is work, and only then, one handle is open in the loop. After a
 * fork the child has the workers, without their threads and work. */
#ifndef GEV_IO_WORKERS_H
#define GEV_IO_WORKERS_H

#include "core/hub.h"

struct gev_workers;

struct gev_work {
  struct gev_link link;
  struct gev_workers *workers;
  unsigned generation;  /* of the workers, when they got it */
  bool running, orphan; /* begun; forgotten. Under the workers' lock */
};

struct gev_workers_ops {
  /* In the thread. `local` is what begin returned for it. */
  void (*run)(struct gev_work *w, void *local);
  /* In the hub's loop: no Lua. The work is its owner's again. */
  void (*answered)(struct gev_hub *h, struct gev_work *w);
  /* Frees it; in any thread. */
  void (*free)(struct gev_work *w);
  /* What a thread has for itself; either may be NULL. A begin that fails
   * returns NULL, and run sees it. */
  void *(*begin)(struct gev_workers *p);
  void (*end)(void *local);
  /* In any thread, when the workers are closed: what `local` runs is not
   * wanted any more. May be NULL. */
  void (*stop)(void *local);
};

/* `shared` must outlive the threads: it is malloc'ed, or NULL, and freed with
 * the workers. Threads that have had nothing to do for `idle` seconds end;
 * -1: never. NULL when memory is out (`shared` is then the caller's still). */
struct gev_workers *gev_workers_new(struct gev_hub *h, unsigned size,
                                    int idle,
                                    const struct gev_workers_ops *ops,
                                    void *shared);
void *gev_workers_shared(const struct gev_workers *p);
/* Reserves what submit needs: 0, or libuv's code of the error. Raises where
 * there is no loop. */
int gev_workers_prepare(lua_State *L, struct gev_workers *p);
/* Queues the work: 0, or the errno where no thread can be had for it; then it
 * remains the caller's. */
int gev_workers_submit(struct gev_workers *p, struct gev_work *w);
/* Frees the work, now or when its thread has done with it. */
void gev_workers_forget(struct gev_work *w);
/* The threads end after what they have begun. The owner has forgotten all
 * work before. */
void gev_workers_close(struct gev_workers *p);
/* At most so many threads; those that are too many end when they are idle. */
void gev_workers_resize(struct gev_workers *p, unsigned size);
unsigned gev_workers_threads(struct gev_workers *p);
#endif
