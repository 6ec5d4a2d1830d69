/* sync/queue.h - layer: sync. Queues of every order, and the rendezvous
 * channel. */
#ifndef GEV_SYNC_QUEUE_H
#define GEV_SYNC_QUEUE_H

#include <lua.h>

void gev_open_queue(lua_State *L, int hub);

#endif
