/* net/socket.h - layer: net. Sockets: a stream (io/stream.h) over a socket
 * descriptor, and what only sockets have: addresses, listen, connect, accept.
 *
 * A socket's metatable says its family, type and whether it is closed, so
 * these fields cost nothing: there is a class for each combination. */
#ifndef GEV_NET_SOCKET_H
#define GEV_NET_SOCKET_H

#include "io/stream.h"

#define gev_socket_class gev_stream_classes[GEV_STREAM_SOCKET]

struct gev_socket {
  const struct gev_class *cls;
  struct gev_stream s;
  int16_t family, type;
  bool listening;
};

/* Pushes a socket that has no descriptor yet: the owner exists before the
 * resource, which its maker puts into s.fd.fd. */
struct gev_socket *gev_socket_new(lua_State *L, int family, int type);

/* getsockname and the like: for any stream over a socket. */
extern const luaL_Reg gev_socket_name_methods[];

void gev_open_socket(lua_State *L, int hub);

#endif
