/* net/lookup.h - layer: net. A look-up under way, and who waits for it.
 *
 * A gev_lookup is malloc'ed by a resolver, as the first member of a struct of
 * its own. Who asks holds a ticket, a userdata on the stack of the call; one
 * look-up may have several. The greenlets park on their tickets, whose memory
 * outlives their finalizers; a wait that ends in any other way than by the
 * answer gives the ticket back at once. Without tickets an answered look-up is
 * freed; one under way is the resolver's to get rid of (`unwanted`), and if it
 * is answered after all, that frees it. */
#ifndef GEV_NET_LOOKUP_H
#define GEV_NET_LOOKUP_H

#include "core/park.h"

struct gev_lookup;

struct gev_lookup_ops {
  const struct gev_waitop *wait; /* its cancel is gev_ticket_cancel */
  int (*push)(lua_State *L, const struct gev_lookup *l); /* may raise */
  void (*unwanted)(struct gev_lookup *l);
  void (*free)(struct gev_lookup *l);
};

struct gev_lookup {
  const struct gev_lookup_ops *ops;
  struct gev_link tickets;
  bool answered;
};

struct gev_ticket;

void gev_lookup_init(struct gev_lookup *l, const struct gev_lookup_ops *ops);
static inline bool gev_lookup_wanted(const struct gev_lookup *l) {
  return !gev_list_empty(&l->tickets);
}
/* The answer is in place: wakes all who wait, or frees the look-up. */
void gev_lookup_answered(struct gev_hub *h, struct gev_lookup *l);

/* Pushes a ticket for no look-up yet. Its metatable is upvalue 2 of the
 * function that runs: see gev_open_lookup. */
struct gev_ticket *gev_ticket_new(lua_State *L);
/* Cannot fail. */
void gev_ticket_join(struct gev_ticket *t, struct gev_lookup *l);
/* Parks until the look-up that the ticket has joined is answered, unless it
 * is already; returns what `push` pushes. g is gev_park_begin's. */
int gev_ticket_wait(lua_State *L, struct gev_hub *h, struct gev_greenlet *g,
                    struct gev_ticket *t);
void gev_ticket_cancel(struct gev_hub *h, struct gev_greenlet *g, void *on);

/* Pushes the metatable of tickets. */
void gev_open_lookup(lua_State *L);

#endif
