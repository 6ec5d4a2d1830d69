/* proto/websocket.h - layer: proto, pure. One end of a WebSocket (RFC 6455)
 * over memory: bytes that came go in, messages come out; messages go in, bytes
 * to be sent pile up in `out`. Frames are wslay's; messages, the closing
 * handshake, limits and compression are here. It answers pings by itself.
 *
 * `out` ends with a whole frame at any time, so frames of control may be added
 * between those of a message. After an error, or a Close, nothing more comes
 * in; after a Close of ours nothing more goes out. */
#ifndef GEV_PROTO_WEBSOCKET_H
#define GEV_PROTO_WEBSOCKET_H

#include <stdint.h>
#include <wslay/wslay.h>

#include "base/buf.h"
#include "proto/websocket_deflate.h"
#include "proto/websocket_utf8.h"

enum {
  GEV_WS_HEAD_MAX = 14,     /* bytes of a frame's head */
  GEV_WS_CONTROL_MAX = 125, /* of the payload of a control frame */
  GEV_WS_PONG_ROOM = 4096,  /* pending output beyond which pongs wait, and
                             * only the last of those that wait is sent */
  GEV_WS_RANDOM = 256,      /* bytes of randomness fetched at a time */
};

struct gev_ws_config {
  bool server;
  uint64_t max_message; /* bytes of one that comes in */
  size_t fragment;      /* payload of a frame that goes out; 0: no limit */
  const struct gev_ws_deflate_config *deflate; /* NULL: not negotiated */
};

enum gev_ws_event {
  GEV_WS_MORE,    /* all input is used */
  GEV_WS_MESSAGE, /* ws->data, valid until the next feed */
  GEV_WS_CLOSED,  /* the peer's Close: code and reason; it is answered */
  GEV_WS_ERROR,   /* the peer's fault, or no memory: code and error; a Close
                   * that says so is in the output */
};

struct gev_ws {
  /* events */
  const char *data;
  size_t data_len;
  bool text;
  uint16_t code; /* 1005: a Close without one */
  char reason[GEV_WS_CONTROL_MAX + 1]; /* a string, and its length, for it */
  uint8_t reason_len;                  /* may hold zeros */
  const char *error;

  /* state to look at */
  struct gev_bytes out;
  bool close_sent, close_received, failed;

  /* the rest is internal */
  bool server;
  uint64_t max_message;
  size_t fragment;
  struct gev_ws_deflate *deflate;
  wslay_frame_context_ptr frames;
  const uint8_t *source; /* what wslay is to read */
  size_t source_len;
  uint8_t head[GEV_WS_HEAD_MAX];
  uint8_t head_len;
  bool checked;       /* all of it but the mask is there, and allowed */
  bool in_frame;      /* the head is complete */
  bool in_message;    /* frames of one have come, and not the last */
  bool compressed;    /* it is */
  bool fin;           /* of the frame at hand, as the next two */
  uint8_t opcode;
  uint64_t left;      /* of its payload */
  uint64_t received;  /* of the message, as sent */
  struct gev_utf8 utf8;
  struct gev_bytes message;
  uint8_t control[GEV_WS_CONTROL_MAX];
  uint8_t control_len;
  uint8_t pong[GEV_WS_CONTROL_MAX]; /* one that waits */
  uint8_t pong_len;
  bool pong_due;
  bool sending;       /* frames of a message of ours are out, not the last */
  bool send_text;
  bool send_deflated;
  struct gev_utf8 send_utf8;
  uint8_t random[GEV_WS_RANDOM];
  size_t random_left;
};

/* False: no memory. Free it in any case. */
bool gev_ws_init(struct gev_ws *ws, const struct gev_ws_config *config);
void gev_ws_free(struct gev_ws *ws); /* idempotent */

/* Takes input until something has happened or all is used. */
enum gev_ws_event gev_ws_feed(struct gev_ws *ws, const char *data,
                              size_t len, size_t *used);

enum gev_ws_sent {
  GEV_WS_SENT,
  GEV_WS_NOT_UTF8, /* a text is not; nothing was added */
  GEV_WS_CLOSING,  /* a Close is out */
  GEV_WS_NOMEM,
};
/* A part of a message: the first one begins it, the `last` one ends it. */
enum gev_ws_sent gev_ws_send(struct gev_ws *ws, bool text, const char *data,
                             size_t len, bool last);
/* At most GEV_WS_CONTROL_MAX bytes. */
enum gev_ws_sent gev_ws_ping(struct gev_ws *ws, const char *data, size_t len);
/* Code 0: a Close without one. The reason, at most 123 bytes, is UTF-8. */
enum gev_ws_sent gev_ws_close(struct gev_ws *ws, unsigned code,
                              const char *reason, size_t len);
/* So many bytes of the output are on their way. */
void gev_ws_written(struct gev_ws *ws, size_t n);
/* May a Close carry it? */
bool gev_ws_is_code(unsigned code);

#endif
