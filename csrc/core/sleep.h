/* core/sleep.h - layer: core. Waits that have no object: sleep, idle, and
 * hub:join, which ends when nothing is left to wait for. */
#ifndef GEV_CORE_SLEEP_H
#define GEV_CORE_SLEEP_H

#include "core/hub.h"

/* If the main greenlet is in hub:join, wakes it and returns true. */
bool gev_hub_join_over(struct gev_hub *h);
/* hub:join([timeout]) -> bool */
int gev_hub_join(lua_State *L);
void gev_open_sleep(lua_State *L, int hub);

#endif
