/* io/fdwait.h - layer: io. Waiting for a file descriptor.
 *
 * A gev_fd lives inside the object that owns the descriptor. It has one
 * uv_poll handle for both directions, made at the first wait, which stays
 * registered as long as its events are waited for: in steady state a wait
 * costs no system call. One reader and one writer at a time: whoever comes
 * second gets ConcurrentObjectUseError. Which of the two an operation is, its
 * role, need not be the direction it waits for: over TLS a reader may have to
 * write first. Closing wakes both with GEV_CLOSED, stops the handle, and
 * closes the descriptor, in this order. */
#ifndef GEV_IO_FDWAIT_H
#define GEV_IO_FDWAIT_H

#include "core/park.h"

enum gev_dir { GEV_READ, GEV_WRITE };

struct gev_fd {
  uv_poll_t *poll; /* NULL: never waited for, or the loop is gone */
  int fd;          /* -1: closed */
  uint8_t events;  /* what the handle is registered for */
  /* Nothing was left at the last read: wait before the next one. Cleared by
   * an event; only set while the handle is registered for it. */
  bool drained;
  /* Not polled: requests are made of it, and their completions wake by
   * gev_fd_wake. */
  bool by_request;
  uint8_t crossed; /* bit of a role: it waits for the other direction */
  struct gev_greenlet *user[2]; /* by role: in an operation that has waited */
};

/* Who watches descriptors that other objects own. While it is in the hub's
 * list, `closing` is called with each one that is about to be closed or given
 * away; it may wake, and must neither run Lua nor change the list. */
struct gev_witness {
  struct gev_link link;
  void (*closing)(struct gev_hub *h, struct gev_witness *w, int fd);
};

void gev_fd_init(struct gev_fd *f, int fd);
void gev_fd_refuse(lua_State *L, struct gev_hub *h, struct gev_fd *f,
                   enum gev_dir dir, const struct gev_waitop *op);
/* Raises ConcurrentObjectUseError if another greenlet is in an operation of
 * that direction. `op` names ours. */
static inline void gev_fd_claim(lua_State *L, struct gev_hub *h,
                                struct gev_fd *f, enum gev_dir dir,
                                const struct gev_waitop *op) {
  if (f->user[dir] && f->user[dir] != h->current)
    gev_fd_refuse(L, h, f, dir, op);
}
/* Makes the handle, which a wait does by itself. 0 or -errno: UV_EPERM where
 * the system cannot poll such a thing. */
int gev_fd_prepare(lua_State *L, struct gev_hub *h, struct gev_fd *f);
/* Parks until the descriptor is ready; as gev_park. The first thing that k
 * does is gev_fd_resume. Raises, or returns nil, message, code, where the
 * descriptor cannot be polled. */
int gev_fd_wait(lua_State *L, struct gev_hub *h, struct gev_fd *f,
                enum gev_dir dir, const struct gev_waitop *op,
                int64_t deadline, lua_KContext ctx, lua_KFunction k);
/* The same for an operation of a role that waits for either direction. It
 * resumes in its role. */
int gev_fd_wait_as(lua_State *L, struct gev_hub *h, struct gev_fd *f,
                   enum gev_dir role, enum gev_dir dir,
                   const struct gev_waitop *op, int64_t deadline,
                   lua_KContext ctx, lua_KFunction k);
static inline enum gev_verdict gev_fd_resume(lua_State *L, struct gev_hub *h,
                                             struct gev_fd *f,
                                             enum gev_dir dir) {
  if (f->user[dir] == h->current) f->user[dir] = NULL;
  return gev_unpark(L, h);
}
/* The deadline of the wait that has just ended, for the next one. */
static inline int64_t gev_fd_deadline(const struct gev_hub *h) {
  return h->current->timer.node.key;
}
/* The loop is to turn once f is ready in that direction, though nobody waits.
 * Only for what was waited for before. */
void gev_fd_expect(struct gev_fd *f, enum gev_dir dir);
/* Is the handle registered for reading, so that `drained` may be set? */
static inline void gev_fd_drained(struct gev_fd *f) {
  f->drained = (f->events & UV_READABLE) != 0;
}
/* After a fork: the greenlet that is parked on it is to be woken by the new
 * loop. */
void gev_fd_rearm(lua_State *L, struct gev_hub *h, struct gev_fd *f);
/* Wakes whoever waits in a role (both: gev_fd_release). */
void gev_fd_wake(struct gev_hub *h, struct gev_fd *f, enum gev_dir dir,
                 enum gev_verdict verdict);
/* Wakes all, gives up the handle; the descriptor stays open and is returned.
 * f->fd is -1 after it. */
int gev_fd_release(struct gev_hub *h, struct gev_fd *f);
/* The same, and closes the descriptor. Idempotent; for __gc and __close. */
void gev_fd_close(struct gev_hub *h, struct gev_fd *f);

/* The cancel and describe hooks of the operations on a gev_fd. */
void gev_fd_cancel(struct gev_hub *h, struct gev_greenlet *g, void *on);
void gev_fd_describe(lua_State *L, void *on);

/* So many bytes keep a greenlet busy as an operation for each KiB would. */
static inline void gev_count_bytes(struct gev_hub *h, size_t n) {
  h->run_since_check += (uint32_t)(n >> 10);
}
/* After an operation that did not have to wait: has its greenlet run for so
 * long that others must have their turn? Not where an interrupt is due: what
 * the operation has done must not be lost to it. */
static inline bool gev_must_yield(lua_State *L, struct gev_hub *h) {
  return gev_slice_is_over(h) && L == h->running &&
         (L == h->L || lua_isyieldable(L)) && !gev_has_pending(h->current);
}

/* The n values on the top are the results of `op`, which did not have to wait:
 * returns them, after the others' turn if the greenlet has had its slice. */
int gev_fd_give_turn(lua_State *L, struct gev_hub *h,
                     const struct gev_waitop *op, int n);
static inline int gev_fd_give(lua_State *L, struct gev_hub *h,
                              const struct gev_waitop *op, int n) {
  return gev_must_yield(L, h) ? gev_fd_give_turn(L, h, op, n) : n;
}

void gev_open_fdwait(lua_State *L, int hub);

#endif
