/* io/posix.h - layer: io. System calls on descriptors that are nobody's
 * objects: what gevent.os is made of. */
#ifndef GEV_IO_POSIX_H
#define GEV_IO_POSIX_H

#include <lua.h>
#include <stdbool.h>

/* pipe(2), close-on-exec. 0, or -1 with errno. */
int gev_make_pipe(int *fds, bool nonblocking);

void gev_open_posix(lua_State *L, int hub);

#endif
