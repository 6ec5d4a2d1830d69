/* proto/websocket_send.c - layer: proto, pure. See websocket.h. What goes out,
 * and the making and freeing of an end. */
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "proto/websocket_int.h"

/* --- wslay's callbacks --------------------------------------------------- */

static ssize_t take(const uint8_t *data, size_t len, int flags, void *self) {
  struct gev_ws *ws = self;
  (void)flags;
  return gev_bytes_add(&ws->out, data, len) ? (ssize_t)len : -1;
}

/* wslay's demand is met by the head, then by what there is of the payload;
 * never by bytes of the next frame. */
static ssize_t give(uint8_t *buf, size_t len, int flags, void *self) {
  struct gev_ws *ws = self;
  size_t n = ws->source_len < len ? ws->source_len : len;
  (void)flags;
  if (n == 0) return -1;
  memcpy(buf, ws->source, n);
  ws->source += n;
  ws->source_len -= n;
  return (ssize_t)n;
}

/* A mask that the peer's scripts cannot foresee. */
static int mask(uint8_t *buf, size_t len, void *self) {
  struct gev_ws *ws = self;
  if (ws->random_left < len) {
    if (getentropy(ws->random, sizeof ws->random)) return -1;
    ws->random_left = sizeof ws->random;
  }
  ws->random_left -= len;
  memcpy(buf, ws->random + ws->random_left, len);
  return 0;
}

/* --- life ---------------------------------------------------------------- */

bool gev_ws_init(struct gev_ws *ws, const struct gev_ws_config *config) {
  static const struct wslay_frame_callbacks callbacks = {take, give, mask};
  memset(ws, 0, sizeof *ws);
  ws->server = config->server;
  ws->max_message = config->max_message;
  ws->fragment = config->fragment;
  if (config->deflate) {
    ws->deflate = gev_ws_deflate_new(config->deflate);
    if (!ws->deflate) return false;
  }
  return wslay_frame_context_init(&ws->frames, &callbacks, ws) == 0;
}

void gev_ws_free(struct gev_ws *ws) {
  if (ws->frames) wslay_frame_context_free(ws->frames);
  ws->frames = NULL;
  gev_ws_deflate_free(ws->deflate);
  ws->deflate = NULL;
  gev_bytes_free(&ws->out);
  gev_bytes_free(&ws->message);
}

/* --- frames -------------------------------------------------------------- */

static bool put_frame(struct gev_ws *ws, bool fin, bool rsv1, uint8_t opcode,
                      const char *data, size_t len) {
  struct wslay_frame_iocb io = {
      .fin = fin, .opcode = opcode, .payload_length = len,
      .rsv = rsv1 ? WSLAY_RSV1_BIT : WSLAY_RSV_NONE, .mask = !ws->server,
      .data = (const uint8_t *)data, .data_length = len};
  if (!ws->frames || !gev_bytes_room(&ws->out, len + GEV_WS_HEAD_MAX))
    return false;
  size_t before = ws->out.len;
  do {
    ssize_t put = wslay_frame_send(ws->frames, &io);
    if (put < 0) {
      ws->out.len = before; /* no randomness to be had */
      return false;
    }
    io.data += put;
    io.data_length -= (size_t)put;
  } while (io.data_length > 0);
  return true;
}

/* The data as frames of the message under way. */
static bool put_data(struct gev_ws *ws, bool text, bool rsv1,
                     const char *data, size_t len, bool last) {
  size_t most = ws->fragment ? ws->fragment : len;
  do {
    size_t n = len < most ? len : most;
    bool fin = last && n == len;
    uint8_t opcode = ws->sending ? WSLAY_CONTINUATION_FRAME
                     : text      ? WSLAY_TEXT_FRAME
                                 : WSLAY_BINARY_FRAME;
    if (!put_frame(ws, fin, rsv1 && !ws->sending, opcode, data, n))
      return false;
    ws->sending = !fin;
    data += n;
    len -= n;
  } while (len > 0);
  return true;
}

static bool put_deflated(struct gev_ws *ws, bool text, const char *data,
                         size_t len, bool last) {
  struct gev_bytes packed = {0};
  bool ok = gev_ws_deflate(ws->deflate, data, len, last, &packed) &&
            put_data(ws, text, true, packed.data, packed.len, last);
  gev_bytes_free(&packed);
  return ok;
}

/* --- messages ------------------------------------------------------------ */

static bool check_text(struct gev_ws *ws, const char *data, size_t len,
                       bool last) {
  struct gev_utf8 utf8 = ws->send_utf8;
  if (!gev_utf8_feed(&utf8, data, len)) return false;
  if (last && !gev_utf8_whole(&utf8)) return false;
  ws->send_utf8 = utf8;
  return true;
}

enum gev_ws_sent gev_ws_send(struct gev_ws *ws, bool text, const char *data,
                             size_t len, bool last) {
  if (ws->close_sent) return GEV_WS_CLOSING;
  if (!ws->sending) {
    ws->send_text = text;
    ws->send_utf8 = (struct gev_utf8){0, 0, 0};
    ws->send_deflated =
        len > 0 && ws->deflate && gev_ws_can_deflate(ws->deflate);
  }
  text = ws->send_text;
  if (text && !check_text(ws, data, len, last)) return GEV_WS_NOT_UTF8;
  if (len == 0 && !last) return GEV_WS_SENT;
  bool ok = ws->send_deflated ? put_deflated(ws, text, data, len, last)
                              : put_data(ws, text, false, data, len, last);
  return ok ? GEV_WS_SENT : GEV_WS_NOMEM;
}

/* --- control ------------------------------------------------------------- */

static enum gev_ws_sent put_control(struct gev_ws *ws, uint8_t opcode,
                                    const char *data, size_t len) {
  if (ws->close_sent) return GEV_WS_CLOSING;
  return put_frame(ws, true, false, opcode, data, len) ? GEV_WS_SENT
                                                       : GEV_WS_NOMEM;
}

enum gev_ws_sent gev_ws_ping(struct gev_ws *ws, const char *data,
                             size_t len) {
  return put_control(ws, WSLAY_PING, data, len);
}

void gev_ws_pong(struct gev_ws *ws) {
  if (gev_bytes_count(&ws->out) < GEV_WS_PONG_ROOM) {
    ws->pong_due = false;
    put_control(ws, WSLAY_PONG, (const char *)ws->control, ws->control_len);
  } else { /* a newer one makes it superfluous */
    memcpy(ws->pong, ws->control, ws->control_len);
    ws->pong_len = ws->control_len;
    ws->pong_due = true;
  }
}

enum gev_ws_sent gev_ws_close(struct gev_ws *ws, unsigned code,
                              const char *reason, size_t len) {
  char data[GEV_WS_CONTROL_MAX];
  size_t total = 0;
  if (code) {
    data[0] = (char)(code >> 8);
    data[1] = (char)(code & 255);
    if (len) memcpy(data + 2, reason, len);
    total = len + 2;
  }
  enum gev_ws_sent sent = put_control(ws, WSLAY_CONNECTION_CLOSE, data, total);
  ws->close_sent = true;
  return sent;
}

void gev_ws_written(struct gev_ws *ws, size_t n) {
  gev_bytes_drop(&ws->out, n);
  if (!ws->pong_due || gev_bytes_count(&ws->out)) return;
  ws->pong_due = false;
  put_control(ws, WSLAY_PONG, (const char *)ws->pong, ws->pong_len);
}

bool gev_ws_is_code(unsigned code) {
  if (code >= 3000 && code <= 4999) return true;
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}
