/* core/timeout.h - layer: core. The Timeout object: raises itself, or another
 * exception, in the greenlet that started it, when its time has come.
 *
 * While it is pending the hub anchors it, so a Timeout that nobody holds
 * still fires. It fires once: at once where its greenlet is parked, else it is
 * "due" and raised at the greenlet's next blocking call, unless it has been
 * cancelled by then. Collected or closed: never fires. */
#ifndef GEV_CORE_TIMEOUT_H
#define GEV_CORE_TIMEOUT_H

#include "core/greenlet.h"

void gev_timeout_fire(struct gev_hub *h, struct gev_timer *t);
/* Pushes the exception of the first due Timeout that passes the greenlet's
 * shield; false if there is none. */
bool gev_timeout_take(lua_State *L, struct gev_hub *h,
                      struct gev_greenlet *g);
/* The greenlet is dead: what was due for it is void. */
void gev_timeouts_forget(struct gev_greenlet *g);
/* Raises a new Timeout for the own time-out of a call like get(). */
int gev_timeout_raise(lua_State *L, double seconds);
void gev_open_timeout(lua_State *L, int hub);

#endif
