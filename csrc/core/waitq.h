/* core/waitq.h - layer: core. Wait queue: those who wait for one object, in
 * the order of their coming. Lives inside the object; owns nothing: the
 * waiting greenlet's stack keeps the object alive, and the hub the greenlet.
 * The object's finalizer abandons the queue, as somebody may have closed that
 * stack by coroutine.close.
 *
 * An entry is the task of a parked greenlet, or a node of a multi-wait. */
#ifndef GEV_CORE_WAITQ_H
#define GEV_CORE_WAITQ_H

#include "core/hub.h"

struct gev_waitq {
  struct gev_link head;
};

static inline void gev_waitq_init(struct gev_waitq *q) {
  gev_list_init(&q->head);
}
static inline bool gev_waitq_empty(const struct gev_waitq *q) {
  return gev_list_empty(&q->head);
}
static inline void gev_waitq_add(struct gev_waitq *q, struct gev_task *t) {
  gev_list_append(&q->head, &t->link);
}

int gev_waitq_count(const struct gev_waitq *q);

/* Adds to the table on the top the maker of a class of waitables, under the
 * class's name: a function whose upvalues are the hub and the class. */
void gev_newwaitable(lua_State *L, int hub, const char *name,
                     const luaL_Reg *methods, lua_CFunction maker);

/* The usual cancel hook of a gev_waitop: unlinks the greenlet. */
void gev_waitq_cancel(struct gev_hub *h, struct gev_greenlet *g, void *on);
/* Takes the first out and wakes it: a greenlet gets GEV_WOKEN from `on`, any
 * other task is put in the ready queue. Returns false if there was none. */
bool gev_waitq_wake_one(struct gev_hub *h, struct gev_waitq *q,
                        const void *on);
/* The same for each that is in the queue now. */
void gev_waitq_wake_all(struct gev_hub *h, struct gev_waitq *q,
                        const void *on);
/* The object is being collected. Whoever waits has no stack any more: it is
 * made ready, so that the hub sees it and ends it. */
void gev_waitq_abandon(struct gev_hub *h, struct gev_waitq *q);

#endif
