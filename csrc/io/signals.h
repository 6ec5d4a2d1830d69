/* io/signals.h - layer: io. Signals as events: a watcher calls a Lua function
 * in the hub each time its signal came. Any number of watchers for a signal.
 * They do not keep the loop alive. While one watches a signal its disposition
 * is libuv's; with the last one goes back what was there before. */
#ifndef GEV_IO_SIGNALS_H
#define GEV_IO_SIGNALS_H

#include <lua.h>

/* In the child of a fork: its new loop watches what the old one did. */
void gev_signals_forked(lua_State *L);
void gev_open_signals(lua_State *L, int hub);

#endif
