/* proto/ws_int.h - layer: proto. What the ws_*.c files share among them and
 * with nobody else:
 *
 *   ws_object.c     the object and its fields
 *   ws_send.c       what goes out
 *   ws_receive.c    what comes in, and the closing handshake
 *   ws_handshake.c  cryptography for the opening handshake
 *
 * A WebSocket owns the memory of the frame layer, which goes with it; the
 * stream belongs to user value 1. Who receives has the stream's read side; all
 * that goes out is in one buffer that ends with a whole frame, and whoever has
 * come to write writes what is there, in its order. */
#ifndef GEV_PROTO_WS_INT_H
#define GEV_PROTO_WS_INT_H

#include <lauxlib.h>

#include "io/stream.h"
#include "proto/websocket.h"

extern const struct gev_class gev_websocket_class;

/* User values: 1 the stream, 2 a table of its fields, the user's included. */
enum { GEV_WS_UV_STREAM = 1, GEV_WS_UV_FIELDS };
struct gev_websocket {
  const struct gev_class *cls;
  struct gev_stream *s;
  struct gev_ws ws;
  uint16_t code;  /* how it ends: of a Close */
  bool ending;    /* nothing more is received or sent */
  bool turn;      /* somebody has the turn to send, in Lua */
};

/* In all of these the object is at index 1. */
static inline struct gev_websocket *gev_websocket_check(lua_State *L) {
  return gev_check(L, 1, &gev_websocket_class);
}

/* --- ws_object.c --------------------------------------------------------- */

/* Nothing comes after it; the reason is on the top (popped). */
void gev_websocket_end(lua_State *L, struct gev_websocket *w, unsigned code);
/* nil, reason, "closed", code */
int gev_websocket_push_end(lua_State *L, struct gev_websocket *w);
/* Calls a function of the class with the object; it does not block. */
void gev_websocket_hook(lua_State *L, const char *name);

/* --- ws_send.c ----------------------------------------------------------- */

/* What reading has added to the output goes out, now or later. */
void gev_websocket_settle(lua_State *L, struct gev_websocket *w);
extern const luaL_Reg gev_websocket_send_methods[];

/* --- ws_receive.c -------------------------------------------------------- */

extern const luaL_Reg gev_websocket_receive_methods[];

#endif
