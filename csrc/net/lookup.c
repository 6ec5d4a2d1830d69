/* net/lookup.c - layer: net. See lookup.h. Owns the tickets; a look-up is
 * its resolver's. */
#include "net/lookup.h"

#include <lauxlib.h>

struct gev_ticket {
  const struct gev_class *cls;
  struct gev_link link;        /* in the look-up's tickets */
  struct gev_lookup *lookup;   /* NULL: none yet, or given back */
  struct gev_greenlet *waiter; /* parked on this ticket, or NULL */
};

static const struct gev_class ticket_class = {"look-up", NULL, NULL};
static const char ticket_key = 0;

/* --- the look-up --------------------------------------------------------- */

void gev_lookup_init(struct gev_lookup *l, const struct gev_lookup_ops *ops) {
  l->ops = ops;
  l->answered = false;
  gev_list_init(&l->tickets);
}

void gev_lookup_answered(struct gev_hub *h, struct gev_lookup *l) {
  l->answered = true;
  if (!gev_lookup_wanted(l)) {
    l->ops->free(l);
    return;
  }
  for (struct gev_link *at = l->tickets.next; at != &l->tickets;
       at = at->next) {
    struct gev_ticket *t = gev_container(at, struct gev_ticket, link);
    if (t->waiter) gev_wake(h, t->waiter, t, GEV_WOKEN);
    t->waiter = NULL;
  }
}

/* --- the ticket ---------------------------------------------------------- */

static void give_back(struct gev_ticket *t) {
  struct gev_lookup *l = t->lookup;
  t->lookup = NULL;
  t->waiter = NULL;
  gev_unlink(&t->link);
  if (!l || gev_lookup_wanted(l)) return;
  if (l->answered)
    l->ops->free(l);
  else
    l->ops->unwanted(l);
}

static int ticket_gc(lua_State *L) {
  give_back(gev_check(L, 1, &ticket_class));
  return 0;
}

void gev_ticket_cancel(struct gev_hub *h, struct gev_greenlet *g, void *on) {
  (void)h, (void)g;
  give_back(on);
}

struct gev_ticket *gev_ticket_new(lua_State *L) {
  struct gev_ticket *t = lua_newuserdatauv(L, sizeof *t, 0);
  *t = (struct gev_ticket){.cls = &ticket_class};
  gev_list_init(&t->link);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  return t;
}

void gev_ticket_join(struct gev_ticket *t, struct gev_lookup *l) {
  t->lookup = l;
  gev_list_append(&l->tickets, &t->link);
}

/* Its results; the ticket is given back, also if that raises (by its gc). */
static int take(lua_State *L, struct gev_ticket *t) {
  int n = t->lookup->ops->push(L, t->lookup);
  give_back(t);
  return n;
}

static int wait_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  gev_unpark(L, gev_hub(L));
  return take(L, (struct gev_ticket *)ctx);
}

int gev_ticket_wait(lua_State *L, struct gev_hub *h, struct gev_greenlet *g,
                    struct gev_ticket *t) {
  if (t->lookup->answered) return take(L, t);
  t->waiter = g;
  return gev_park(L, h, g, t->lookup->ops->wait, t, GEV_NEVER,
                  (lua_KContext)t, wait_k);
}

static const luaL_Reg ticket_methods[] = {{"__gc", ticket_gc}, {NULL, NULL}};

void gev_open_lookup(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &ticket_key) == LUA_TTABLE) return;
  lua_pop(L, 1);
  gev_newclass(L, "look-up", ticket_methods, 0);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &ticket_key);
}
