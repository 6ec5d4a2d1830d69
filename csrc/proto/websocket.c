/* proto/websocket.c - layer: proto, pure. See websocket.h. What comes in.
 *
 * The head of a frame is gathered here and handed to wslay whole: so what must
 * be refused is refused before a byte of the payload has come, and wslay never
 * holds bytes of the next frame. */
#include "proto/websocket.h"

#include <string.h>

#include "proto/websocket_int.h"

/* --- ends ---------------------------------------------------------------- */

static enum gev_ws_event fail(struct gev_ws *ws, uint16_t code,
                              const char *error) {
  ws->code = code;
  ws->error = error;
  ws->failed = true;
  gev_ws_close(ws, code, error, strlen(error));
  return GEV_WS_ERROR;
}

static enum gev_ws_event protocol_error(struct gev_ws *ws,
                                        const char *error) {
  return fail(ws, WSLAY_CODE_PROTOCOL_ERROR, error);
}

static enum gev_ws_event not_utf8(struct gev_ws *ws) {
  return fail(ws, WSLAY_CODE_INVALID_FRAME_PAYLOAD_DATA, "text is not UTF-8");
}

static enum gev_ws_event too_big(struct gev_ws *ws) {
  return fail(ws, WSLAY_CODE_MESSAGE_TOO_BIG, "message too big");
}

static enum gev_ws_event no_memory(struct gev_ws *ws) {
  return fail(ws, WSLAY_CODE_INTERNAL_SERVER_ERROR, "not enough memory");
}

/* --- the head of a frame ------------------------------------------------- */

/* As far as it is known; the mask comes last, when the rest is approved of. */
static size_t head_size(const struct gev_ws *ws) {
  if (ws->head_len < 2) return 2;
  unsigned length = ws->head[1] & 127;
  size_t size = 2 + (length == 126 ? 2 : length == 127 ? 8 : 0);
  return size + (ws->checked && (ws->head[1] & 128) ? 4 : 0);
}

static uint64_t payload_length(const struct gev_ws *ws) {
  uint64_t length = ws->head[1] & 127;
  size_t bytes = length == 126 ? 2 : length == 127 ? 8 : 0;
  if (bytes) length = 0;
  for (size_t i = 0; i < bytes; i++) length = length << 8 | ws->head[2 + i];
  return length;
}

/* Compression makes some data longer, but by no more than this. */
static bool is_too_long(const struct gev_ws *ws) {
  uint64_t most = ws->max_message;
  if (ws->compressed) most += (most >> 3) + 64;
  return ws->left > most || ws->received > most - ws->left;
}

static enum gev_ws_event begin_data(struct gev_ws *ws) {
  bool rsv1 = ws->head[0] & 64;
  if (ws->opcode == WSLAY_CONTINUATION_FRAME) {
    if (!ws->in_message)
      return protocol_error(ws, "continuation of no message");
    if (rsv1) return protocol_error(ws, "reserved bit");
  } else {
    if (ws->in_message)
      return protocol_error(ws, "message inside a message");
    if (rsv1 && !ws->deflate) return protocol_error(ws, "reserved bit");
    ws->in_message = true;
    ws->compressed = rsv1;
    ws->text = ws->opcode == WSLAY_TEXT_FRAME;
    ws->received = 0;
    ws->utf8 = (struct gev_utf8){0, 0, 0};
  }
  if (is_too_long(ws)) return too_big(ws);
  ws->received += ws->left;
  return GEV_WS_MORE;
}

static enum gev_ws_event begin_frame(struct gev_ws *ws) {
  ws->checked = true;
  ws->fin = ws->head[0] & 128;
  ws->opcode = ws->head[0] & 15;
  ws->left = payload_length(ws);
  if (ws->head[0] & 48) return protocol_error(ws, "reserved bit");
  if (!(ws->head[1] & 128) == ws->server)
    return protocol_error(ws, ws->server ? "frame without a mask"
                                         : "frame with a mask");
  if (wslay_is_ctrl_frame(ws->opcode)) {
    ws->control_len = 0;
    if (ws->opcode > WSLAY_PONG) return protocol_error(ws, "reserved opcode");
    if (ws->head[0] & 64) return protocol_error(ws, "reserved bit");
    return GEV_WS_MORE;
  }
  if (ws->opcode > WSLAY_BINARY_FRAME)
    return protocol_error(ws, "reserved opcode");
  return begin_data(ws);
}

/* --- its payload --------------------------------------------------------- */

/* Checks what a text has got from `from` on. */
static enum gev_ws_event check_text(struct gev_ws *ws, const char *data,
                                    size_t len) {
  if (ws->text && !gev_utf8_feed(&ws->utf8, data, len)) return not_utf8(ws);
  return GEV_WS_MORE;
}

static enum gev_ws_event unpack(struct gev_ws *ws, const char *data,
                                size_t len, bool last) {
  size_t before = gev_bytes_count(&ws->message);
  switch (gev_ws_inflate(ws->deflate, data, len, last, &ws->message,
                         ws->max_message)) {
    case GEV_WS_INFLATE_BAD:
      return fail(ws, WSLAY_CODE_INVALID_FRAME_PAYLOAD_DATA,
                  "compressed data is malformed");
    case GEV_WS_INFLATE_LARGE: return too_big(ws);
    case GEV_WS_INFLATE_NOMEM: return no_memory(ws);
    default: break;
  }
  return check_text(ws, gev_bytes_front(&ws->message) + before,
                    gev_bytes_count(&ws->message) - before);
}

/* Is it all that the message consists of? Then it need not be copied. */
static bool is_whole(const struct gev_ws *ws, size_t len) {
  return ws->fin && len == ws->left && !ws->message.data;
}

static enum gev_ws_event add_payload(struct gev_ws *ws, const uint8_t *bytes,
                                     size_t len) {
  const char *data = (const char *)bytes;
  if (wslay_is_ctrl_frame(ws->opcode)) {
    memcpy(ws->control + ws->control_len, data, len);
    ws->control_len = (uint8_t)(ws->control_len + len);
    return GEV_WS_MORE;
  }
  if (ws->compressed) return unpack(ws, data, len, false);
  if (is_whole(ws, len)) {
    ws->data = data;
    ws->data_len = len;
  } else if (!gev_bytes_add(&ws->message, data, len)) {
    return no_memory(ws);
  }
  return check_text(ws, data, len);
}

/* --- its end ------------------------------------------------------------- */

static enum gev_ws_event end_message(struct gev_ws *ws) {
  ws->in_message = false;
  if (ws->compressed) {
    enum gev_ws_event ev = unpack(ws, NULL, 0, true);
    if (ev != GEV_WS_MORE) return ev;
  }
  if (ws->text && !gev_utf8_whole(&ws->utf8)) return not_utf8(ws);
  if (ws->message.data) {
    ws->data = ws->message.data + ws->message.off;
    ws->data_len = gev_bytes_count(&ws->message);
  }
  return GEV_WS_MESSAGE;
}

/* The Close in `control`. The answer repeats its code. */
static enum gev_ws_event end_close(struct gev_ws *ws) {
  struct gev_utf8 utf8 = {0, 0, 0};
  unsigned code = 0;
  if (ws->control_len == 1) return protocol_error(ws, "half a close code");
  if (ws->control_len) {
    code = (unsigned)(ws->control[0] << 8 | ws->control[1]);
    if (!gev_ws_is_code(code)) return protocol_error(ws, "bad close code");
    ws->reason_len = (uint8_t)(ws->control_len - 2);
    memcpy(ws->reason, ws->control + 2, ws->reason_len);
    if (!gev_utf8_feed(&utf8, ws->reason, ws->reason_len) ||
        !gev_utf8_whole(&utf8))
      return fail(ws, WSLAY_CODE_INVALID_FRAME_PAYLOAD_DATA,
                  "close reason is not UTF-8");
  }
  ws->close_received = true;
  ws->code = code ? (uint16_t)code : WSLAY_CODE_NO_STATUS_RCVD;
  gev_ws_close(ws, code, NULL, 0);
  return GEV_WS_CLOSED;
}

static enum gev_ws_event end_frame(struct gev_ws *ws) {
  ws->in_frame = ws->checked = false;
  ws->head_len = 0;
  switch (ws->opcode) {
    case WSLAY_CONNECTION_CLOSE: return end_close(ws);
    case WSLAY_PING: gev_ws_pong(ws); return GEV_WS_MORE;
    case WSLAY_PONG: return GEV_WS_MORE;
    default: return ws->fin ? end_message(ws) : GEV_WS_MORE;
  }
}

/* --- feeding ------------------------------------------------------------- */

/* Lets wslay read the source; what it gives is the frame's payload. */
static enum gev_ws_event read_frame(struct gev_ws *ws) {
  struct wslay_frame_iocb io;
  memset(&io, 0, sizeof io);
  do {
    ssize_t got = wslay_frame_recv(ws->frames, &io);
    if (got == WSLAY_ERR_WANT_READ) return GEV_WS_MORE;
    if (got < 0) return protocol_error(ws, "malformed frame");
    if (got > 0) {
      enum gev_ws_event ev = add_payload(ws, io.data, (size_t)got);
      if (ev != GEV_WS_MORE) return ev;
      ws->left -= (uint64_t)got;
    }
    if (ws->left == 0) return end_frame(ws);
  } while (ws->source_len > 0);
  return GEV_WS_MORE;
}

static void set_source(struct gev_ws *ws, const void *data, size_t len) {
  ws->source = data;
  ws->source_len = len;
}

/* One step from data[0 .. len): bytes of a head, or of a payload. */
static enum gev_ws_event step(struct gev_ws *ws, const char *data, size_t len,
                              size_t *used) {
  if (ws->in_frame) {
    *used = ws->left < len ? (size_t)ws->left : len;
    set_source(ws, data, *used);
    return read_frame(ws);
  }
  size_t need = head_size(ws) - ws->head_len;
  *used = need < len ? need : len;
  memcpy(ws->head + ws->head_len, data, *used);
  ws->head_len = (uint8_t)(ws->head_len + *used);
  if (ws->head_len < head_size(ws)) return GEV_WS_MORE;
  if (!ws->checked) {
    enum gev_ws_event ev = begin_frame(ws);
    if (ev != GEV_WS_MORE || ws->head_len < head_size(ws)) return ev;
  }
  ws->in_frame = true;
  set_source(ws, ws->head, ws->head_len);
  return read_frame(ws);
}

enum gev_ws_event gev_ws_feed(struct gev_ws *ws, const char *data,
                              size_t len, size_t *used) {
  *used = len;
  if (ws->failed) return GEV_WS_ERROR;
  if (ws->close_received) return GEV_WS_CLOSED;
  if (!ws->in_message && ws->message.data) gev_bytes_free(&ws->message);
  if (!ws->in_message) ws->data = "", ws->data_len = 0;
  size_t at = 0, n;
  enum gev_ws_event ev = GEV_WS_MORE;
  while (at < len && ev == GEV_WS_MORE) {
    ev = step(ws, data + at, len - at, &n);
    at += n;
  }
  *used = at;
  return ev;
}
