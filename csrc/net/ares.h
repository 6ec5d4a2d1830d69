/* net/ares.h - layer: net. A c-ares channel driven by the hub's loop.
 *
 * c-ares opens its sockets when it has something to ask and closes them when
 * it has not; each has a poll handle that goes before its descriptor does. One
 * timer serves all queries. So an idle channel has nothing in the loop. What
 * c-ares calls back runs no Lua: it notes the answer and wakes. */
#ifndef GEV_NET_ARES_H
#define GEV_NET_ARES_H

#define CARES_NO_DEPRECATED /* what 1.18 has is old in 1.34, and works */
#include <ares.h>
#include <lua.h>

#include "net/lookup.h"

struct gev_ares {
  ares_channel channel; /* NULL: closed */
  struct gev_hub *hub;
  int timeout;              /* of a first try, milliseconds */
  uv_timer_t *timer;        /* NULL: nothing is under way */
  uint64_t due;             /* when it rings, on the loop's clock */
  struct gev_link sockets;  /* that c-ares has open */
  struct gev_link waiting;  /* queries that c-ares has not been given yet */
  unsigned under_way;       /* queries that it has */
  unsigned wanted;          /* of both kinds: those with tickets */
  bool deaf;                /* there was no memory to poll a socket */
  struct gev_link shared[128]; /* queries not answered, by hash of their key */
};

/* What to ask. The answer stays until the query is freed. */
struct gev_query {
  struct gev_lookup lookup; /* first */
  struct gev_link link;     /* in `shared` */
  struct gev_link waiting;  /* in the channel's queue */
  struct gev_ares *ares;    /* NULL: answered */
  int family;               /* AF_UNSPEC: both */
  bool reverse;             /* of an address: the one in text */
  bool started;
  int status;               /* ARES_SUCCESS ... */
  struct ares_addrinfo *info;
  char *name;
  char text[]; /* lower case */
};

/* Closed, until gev_ares_open has made the channel; that returns ARES_SUCCESS
 * or what is wrong. */
void gev_ares_init(struct gev_ares *a, struct gev_hub *h);
int gev_ares_open(struct gev_ares *a, struct ares_options *o, int mask);
/* Ends all queries with ARES_ECANCELLED. Idempotent. */
void gev_ares_close(struct gev_ares *a);

/* A query that asks the same and is not answered yet, or NULL. */
struct gev_query *gev_ares_find(struct gev_ares *a, const char *text,
                                int family, bool reverse);
/* A new one, to be joined by a ticket and then started; NULL: no memory. */
struct gev_query *gev_ares_query(struct gev_ares *a, const char *text,
                                 int family, bool reverse,
                                 const struct gev_lookup_ops *ops);
/* Joins a query; the first ticket starts it. It may be answered at once. */
void gev_ares_ask(struct gev_query *q, struct gev_ticket *t);

/* The hooks of gev_lookup_ops. */
void gev_query_unwanted(struct gev_lookup *l);
void gev_query_free(struct gev_lookup *l);

void gev_open_ares(lua_State *L, int hub);

#endif
