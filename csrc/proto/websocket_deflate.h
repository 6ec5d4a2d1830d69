/* proto/websocket_deflate.h - layer: proto, pure. The compression of messages
 * that RFC 7692 describes, over zlib. What zlib needs is allocated with the
 * first message of a direction. */
#ifndef GEV_PROTO_WEBSOCKET_DEFLATE_H
#define GEV_PROTO_WEBSOCKET_DEFLATE_H

#include "base/buf.h"

/* What was negotiated, as seen from one side. */
struct gev_ws_deflate_config {
  int own_bits, peer_bits;   /* size of the windows, 8 to 15 */
  bool own_reset, peer_reset; /* each message begins with an empty window */
  int level;                 /* zlib's; -1: its default */
};

struct gev_ws_deflate;

/* NULL: no memory. */
struct gev_ws_deflate *gev_ws_deflate_new(
    const struct gev_ws_deflate_config *config);
void gev_ws_deflate_free(struct gev_ws_deflate *d); /* NULL is fine */

/* zlib has no window of 256 bytes to compress with: such messages go out as
 * they are, which the RFC leaves to the sender. */
bool gev_ws_can_deflate(const struct gev_ws_deflate *d);

/* Adds the compressed data to `to`. `last`: the message ends with it. False:
 * no memory. */
bool gev_ws_deflate(struct gev_ws_deflate *d, const char *data, size_t len,
                    bool last, struct gev_bytes *to);

enum gev_ws_inflated {
  GEV_WS_INFLATED,
  GEV_WS_INFLATE_BAD,   /* not what deflate makes */
  GEV_WS_INFLATE_LARGE, /* `to` would exceed max bytes */
  GEV_WS_INFLATE_NOMEM,
};
/* Adds what the data stands for to `to`, which holds what came before of the
 * same message. */
enum gev_ws_inflated gev_ws_inflate(struct gev_ws_deflate *d,
                                    const char *data, size_t len, bool last,
                                    struct gev_bytes *to, size_t max);

#endif
