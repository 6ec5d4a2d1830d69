/*
** Fuzzing of the WebSocket layer (libFuzzer). The first bytes of the input
** choose the role, the limits, the compression, and how the rest is cut. The
** rest comes in as frames, whole, byte by byte and in those pieces: all three
** must tell the same story, within the limits. Then it is sent as a message,
** which the other end must receive.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(c) ((c) ? (void)0 : fail(#c, __LINE__))

static void fail(const char *what, int line)
{
  fprintf(stderr, "line %d: %s does not hold\n", line, what);
  abort();
}

/* What happened, as one hash of all events and their bytes. */
struct story {
  uint64_t hash;
  unsigned events;
  size_t out; /* bytes of output; a client's differ in their masks */
};

static void tell(struct story *st, const char *s, size_t len)
{
  for (size_t i = 0; i < len; i++)
    st->hash = (st->hash ^ (unsigned char)s[i]) * 1099511628211u;
}

static void check_message(struct story *st, const struct gev_ws *ws)
{
  struct gev_utf8 utf8 = {0, 0, 0};
  CHECK(ws->data_len <= ws->max_message);
  if (ws->text) {
    CHECK(gev_utf8_feed(&utf8, ws->data, ws->data_len));
    CHECK(gev_utf8_whole(&utf8));
  }
  tell(st, ws->text ? "t" : "b", 1);
  tell(st, ws->data, ws->data_len);
}

static void check_event(struct story *st, struct gev_ws *ws,
                        enum gev_ws_event ev)
{
  char code[2] = {(char)(ws->code >> 8), (char)ws->code};
  CHECK(gev_bytes_count(&ws->message) <= ws->max_message + 1);
  CHECK(gev_bytes_count(&ws->out) <= 2 * GEV_WS_PONG_ROOM);
  if (ev == GEV_WS_MORE) return;
  st->events++;
  if (ev == GEV_WS_MESSAGE) {
    CHECK(!ws->close_received && !ws->failed);
    check_message(st, ws);
    return;
  }
  CHECK(ws->close_sent);
  CHECK(ev == GEV_WS_CLOSED || ws->error != NULL);
  CHECK(ev == GEV_WS_ERROR || ws->code == 1005 || gev_ws_is_code(ws->code));
  tell(st, ev == GEV_WS_CLOSED ? "c" : "e", 1);
  /* Compressed data with several faults: which is seen first depends on how
   * it comes. */
  if (ev == GEV_WS_CLOSED || !ws->deflate) tell(st, code, 2);
  if (ev == GEV_WS_CLOSED) tell(st, ws->reason, ws->reason_len);
}

/* One piece, in a block of exactly its size; false: it is over. */
static bool feed(struct story *st, struct gev_ws *ws, const char *s,
                 size_t len)
{
  char *copy = malloc(len > 0 ? len : 1);
  size_t at = 0, used;
  enum gev_ws_event ev = GEV_WS_MORE;
  CHECK(copy != NULL);
  memcpy(copy, s, len);
  while (at < len && ev <= GEV_WS_MESSAGE) {
    ev = gev_ws_feed(ws, copy + at, len - at, &used);
    CHECK(used <= len - at);
    CHECK(ev != GEV_WS_MORE || used == len - at);
    check_event(st, ws, ev);
    at += used;
  }
  free(copy);
  return ev <= GEV_WS_MESSAGE;
}

static struct story parse(const struct gev_ws_config *config, const char *s,
                          size_t len, const uint8_t *cuts, size_t ncuts)
{
  struct story st = {14695981039346656037u, 0, 0};
  struct gev_ws ws;
  size_t at = 0, n, i = 0;
  bool good = true;
  CHECK(gev_ws_init(&ws, config));
  while (at < len && good) {
    n = ncuts > 0 ? cuts[i++ % ncuts] + 1u : len;
    if (n > len - at) n = len - at;
    good = feed(&st, &ws, s + at, n);
    at += n;
  }
  if (!ws.failed || !ws.deflate) st.out = gev_bytes_count(&ws.out);
  gev_ws_free(&ws);
  return st;
}

static void check_same(struct story a, struct story b)
{
  CHECK(a.hash == b.hash && a.events == b.events && a.out == b.out);
}

/* The data goes out in one or in two parts, and arrives. */
static void roundtrip(const struct gev_ws_config *config, const char *s,
                      size_t len, size_t part)
{
  struct gev_ws_deflate_config back;
  struct gev_ws_config other = *config;
  struct gev_ws from, to;
  size_t used;
  if (config->deflate) {
    back = *config->deflate;
    back.own_bits = config->deflate->peer_bits;
    back.peer_bits = config->deflate->own_bits;
    back.own_reset = config->deflate->peer_reset;
    back.peer_reset = config->deflate->own_reset;
    other.deflate = &back;
  }
  other.server = !config->server;
  other.max_message = len;
  if (part > len) part = len;
  CHECK(gev_ws_init(&from, config) && gev_ws_init(&to, &other));
  for (int i = 0; i < 3; i++) {
    CHECK(gev_ws_send(&from, false, s, part, false) == GEV_WS_SENT);
    CHECK(gev_ws_send(&from, false, s + part, len - part, true) ==
          GEV_WS_SENT);
    CHECK(gev_ws_feed(&to, from.out.data + from.out.off,
                      gev_bytes_count(&from.out), &used) == GEV_WS_MESSAGE);
    CHECK(used == gev_bytes_count(&from.out));
    CHECK(to.data_len == len && memcmp(to.data, s, len) == 0);
    gev_ws_written(&from, used);
  }
  gev_ws_free(&from);
  gev_ws_free(&to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const uint8_t one[] = {0};
  struct gev_ws_deflate_config deflate;
  struct gev_ws_config config;
  struct story whole;
  const char *s;
  if (size < 8) return 0;
  deflate = (struct gev_ws_deflate_config){
    8 + (data[1] & 7), 8 + (data[1] >> 3 & 7), data[1] & 64, data[1] & 128,
    data[2] % 10};
  config = (struct gev_ws_config){data[0] & 1, data[0] & 2 ? 100 : 100000,
                                  data[0] & 4 ? 5 : 0,
                                  data[0] & 8 ? &deflate : NULL};
  s = (const char *)data + 7;
  size -= 7;
  whole = parse(&config, s, size, NULL, 0);
  check_same(whole, parse(&config, s, size, one, 1));
  check_same(whole, parse(&config, s, size, data + 3, 4));
  roundtrip(&config, s, size, data[3]);
  return 0;
}
