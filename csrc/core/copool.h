/* core/copool.h - layer: core. Coroutines of finished greenlets, to be used
 * again: making one costs more than all the rest of a spawn.
 *
 * The pool's coroutines are anchored for good by a table in the registry, so
 * taking one and giving it back is C's business alone. Only a greenlet that
 * is started at once takes from it, for only that is sure to give back; any
 * other has a coroutine of its own, as its first user value. */
#ifndef GEV_CORE_COPOOL_H
#define GEV_CORE_COPOOL_H

#include "core/greenlet.h"

void gev_copool_prepare(lua_State *L);
/* A coroutine for the new greenlet, whose userdata is on the top. */
lua_State *gev_copool_take(lua_State *L, struct gev_hub *h,
                           struct gev_greenlet *g);
/* The greenlet has ended: gives its coroutine back, if it is of the pool. What
 * is left on its stack is dropped. */
void gev_copool_give(struct gev_hub *h, struct gev_greenlet *g);

#endif
