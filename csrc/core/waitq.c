/* core/waitq.c - layer: core. See waitq.h. */
#include "core/waitq.h"

#include "core/park.h"

void gev_waitq_cancel(struct gev_hub *h, struct gev_greenlet *g, void *on) {
  (void)h;
  (void)on;
  gev_unlink(&g->task.link);
}

bool gev_waitq_wake_one(struct gev_hub *h, struct gev_waitq *q,
                        const void *on) {
  if (gev_waitq_empty(q)) return false;
  struct gev_task *t =
      gev_container(q->head.next, struct gev_task, link);
  gev_unlink(&t->link);
  if (t->run == gev_greenlet_run)
    gev_wake(h, gev_task_greenlet(t), on, GEV_WOKEN);
  else
    gev_ready(h, t);
  return true;
}

void gev_waitq_wake_all(struct gev_hub *h, struct gev_waitq *q,
                        const void *on) {
  while (gev_waitq_wake_one(h, q, on)) {
  }
}
