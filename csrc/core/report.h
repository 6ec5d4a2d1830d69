/* core/report.h - layer: core. What the hub tells people: uncaught errors,
 * what each greenlet waits on, why nothing can go on. */
#ifndef GEV_CORE_REPORT_H
#define GEV_CORE_REPORT_H

#include "core/greenlet.h"

/* Pushes "<Greenlet "w" at 0x...: worker <app.lua:12>>" for the userdata at
 * idx. */
void gev_push_description(lua_State *L, int idx);
/* Pushes "Event:wait on <Event ...> at app.lua:12", or the like. */
void gev_push_wait(lua_State *L, const struct gev_greenlet *g);
/* Pushes one line for each blocked greenlet, the main one first. */
void gev_push_blocked(lua_State *L, struct gev_hub *h);
/* Pushes the LoopExit that says why the main greenlet would block forever. */
void gev_push_loopexit(lua_State *L, struct gev_hub *h);

#endif
