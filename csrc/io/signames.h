/* io/signames.h - layer: io. The names of signals. */
#ifndef GEV_IO_SIGNAMES_H
#define GEV_IO_SIGNAMES_H

#include <lua.h>

/* The signal at idx: a number, or a name with or without "SIG", in any case.
 * Raises for what is none; 0 is none unless `zero`. */
int gev_check_signal(lua_State *L, int idx, int zero);
/* The number of that name; 0: there is none. */
int gev_signal_number(const char *name);
/* Adds the names, as keys of their numbers, to the table on the top. */
void gev_push_signals(lua_State *L);

#endif
