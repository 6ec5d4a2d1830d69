/* net/resolve.h - layer: net. What all resolvers share: options, results and
 * errors of look-ups, and the ones that need no network. */
#ifndef GEV_NET_RESOLVE_H
#define GEV_NET_RESOLVE_H

#include <lua.h>
#include <netdb.h>

#include "net/addr.h"

/* Reads family, type and flags as Lua names them ("inet" | nil, "dgram" | nil,
 * "passive,canonname,..." | nil) at idx, idx + 1 and idx + 2. */
void gev_read_hints(lua_State *L, int idx, struct addrinfo *hints);
/* The NI_ flags in the string at idx: "numerichost,namereqd,..." */
int gev_nameinfo_flags(lua_State *L, int idx);
/* Pushes a list of {family=, type=, host=, port=, canonname=}. */
int gev_push_addrinfo(lua_State *L, const struct addrinfo *ai);
/* Pushes {family=, host=, port=}. */
void gev_push_address(lua_State *L, const struct sockaddr *sa, socklen_t len);

/* Pushes nil, message, "EAI_..." and returns 3. The first is for libuv's
 * codes (UV_EAI_NONAME ...), the second for those of getaddrinfo(3), where
 * err is the errno that belongs to EAI_SYSTEM. */
int gev_fail_eai(lua_State *L, int uv_code);
int gev_fail_gai(lua_State *L, int eai, int err);

void gev_open_resolve(lua_State *L, int hub);

#endif
