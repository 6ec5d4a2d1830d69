/* proto/websocket_int.h - layer: proto, pure. What websocket.c and
 * websocket_send.c share among them and with nobody else. */
#ifndef GEV_PROTO_WEBSOCKET_INT_H
#define GEV_PROTO_WEBSOCKET_INT_H

#include "proto/websocket.h"

/* Answers the ping in `control`. */
void gev_ws_pong(struct gev_ws *ws);

#endif
