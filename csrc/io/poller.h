/* io/poller.h - layer: io. Waiting for many descriptors at once: an epoll
 * instance of its own, itself waited for as one descriptor. So it may watch
 * descriptors that sockets watch too, and any number of them. */
#ifndef GEV_IO_POLLER_H
#define GEV_IO_POLLER_H

#include <lua.h>

void gev_open_poller(lua_State *L, int hub);

#endif
