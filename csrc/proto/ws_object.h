/* proto/ws_object.h - layer: proto. WebSocket connections as Lua objects. */
#ifndef GEV_PROTO_WS_OBJECT_H
#define GEV_PROTO_WS_OBJECT_H

#include <lua.h>

/* Adds websocket, its class, and websocket_key and websocket_accept for the
 * handshake to the table on the top. */
void gev_open_websocket(lua_State *L, int hub);
/* Of ws_handshake.c: called by the former. */
void gev_open_ws_handshake(lua_State *L, int hub);

#endif
