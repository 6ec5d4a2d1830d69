/* net/sockopt.h - layer: net. setsockopt and getsockopt for Lua, by name.
 *
 * Names are those of C, in any case, with or without SO_, TCP_, IP_, IPV6_.
 * Without, a name that IP and IPv6 share means that of the socket's family.
 * Flags are booleans and the rest integers, except:
 *
 *   BINDTODEVICE, CONGESTION   a string
 *   LINGER                     seconds, or false
 *   ERROR                      "ECONNREFUSED" or false; it is cleared
 *   PEERCRED                   {pid=, uid=, gid=}; unix sockets only
 *   IP_MULTICAST_IF            an interface's address
 *   ADD_MEMBERSHIP, DROP_MEMBERSHIP (IPV6_JOIN_GROUP, IPV6_LEAVE_GROUP)
 *                              a group's address or {group=, interface=}: the
 *                              interface's address for IP, name or index for
 *                              IPv6
 *
 * RCVTIMEO and SNDTIMEO are refused: timeouts are settimeout's.
 *
 * Anybody with a descriptor may call these; they own nothing. */
#ifndef GEV_NET_SOCKOPT_H
#define GEV_NET_SOCKOPT_H

#include <lua.h>

/* The name is at idx, the value at idx + 1. Returns true, or nil, message,
 * code. Raises on a name that is unknown here or not to be set, and on a value
 * of the wrong type or range. */
int gev_sockopt_set(lua_State *L, int fd, int idx);
/* The name is at idx. Returns the value, or nil, message, code. Raises on a
 * name that is unknown here or not to be read. */
int gev_sockopt_get(lua_State *L, int fd, int idx);

/* Pushes a list of all names, with their prefixes. */
void gev_sockopt_names(lua_State *L);

#endif
