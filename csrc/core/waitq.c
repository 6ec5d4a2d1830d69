/* core/waitq.c - layer: core. See waitq.h. */
#include "core/waitq.h"

#include "core/park.h"

int gev_waitq_count(const struct gev_waitq *q) {
  int n = 0;
  for (struct gev_link *l = q->head.next; l != &q->head; l = l->next) n++;
  return n;
}

void gev_newwaitable(lua_State *L, int hub, const char *name,
                     const luaL_Reg *methods, lua_CFunction maker) {
  lua_pushvalue(L, hub);
  lua_pushvalue(L, hub);
  gev_newclass(L, name, methods, 1);
  lua_pushboolean(L, true);
  lua_setfield(L, -2, "__waitable");
  lua_pushcclosure(L, maker, 2);
  lua_setfield(L, -2, name);
}

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

void gev_waitq_abandon(struct gev_hub *h, struct gev_waitq *q) {
  while (!gev_waitq_empty(q)) {
    struct gev_task *t = gev_container(q->head.next, struct gev_task, link);
    gev_unlink(&t->link);
    if (t->run != gev_greenlet_run) continue; /* of a multi-wait, dead too */
    struct gev_greenlet *g = gev_task_greenlet(t);
    gev_wake(h, g, g->on, GEV_CLOSED);
  }
}

void gev_waitq_wake_all(struct gev_hub *h, struct gev_waitq *q,
                        const void *on) {
  while (gev_waitq_wake_one(h, q, on)) {
  }
}
