/* net/sendfile.h - layer: net. Sending a file over a socket: by the system
 * call where it takes the file, else through memory. */
#ifndef GEV_NET_SENDFILE_H
#define GEV_NET_SENDFILE_H

#include <lauxlib.h>

extern const luaL_Reg gev_sendfile_methods[];
/* Metamethods of the job; its class stands in those of the sockets, under
 * "__sendfile". */
extern const luaL_Reg gev_sendfile_job[];

#endif
