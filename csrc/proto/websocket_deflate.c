/* proto/websocket_deflate.c - layer: proto, pure. See websocket_deflate.h. */
#include "proto/websocket_deflate.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { STEP = 1 << 30, ROOM = 4096 };
static const unsigned char tail[4] = {0, 0, 0xff, 0xff};

struct gev_ws_deflate {
  struct gev_ws_deflate_config config;
  z_stream in, out;
  bool inflating, deflating; /* the stream is initialised */
};

struct gev_ws_deflate *gev_ws_deflate_new(
    const struct gev_ws_deflate_config *config) {
  struct gev_ws_deflate *d = calloc(1, sizeof *d);
  if (d) d->config = *config;
  return d;
}

void gev_ws_deflate_free(struct gev_ws_deflate *d) {
  if (!d) return;
  if (d->inflating) inflateEnd(&d->in);
  if (d->deflating) deflateEnd(&d->out);
  free(d);
}

bool gev_ws_can_deflate(const struct gev_ws_deflate *d) {
  return d->config.own_bits > 8;
}

/* --- out ----------------------------------------------------------------- */

static bool begin_deflate(struct gev_ws_deflate *d) {
  if (d->deflating) return true;
  d->deflating = deflateInit2(&d->out, d->config.level, Z_DEFLATED,
                              -d->config.own_bits, 8,
                              Z_DEFAULT_STRATEGY) == Z_OK;
  return d->deflating;
}

/* One call of deflate; does it have more to give? */
static bool deflate_some(z_stream *z, struct gev_bytes *to, int flush,
                         bool *more) {
  size_t room = deflateBound(z, z->avail_in) + 16;
  char *out = gev_bytes_room(to, room);
  if (!out) return false;
  z->next_out = (unsigned char *)out;
  z->avail_out = (uInt)room;
  deflate(z, flush);
  to->len += room - z->avail_out;
  *more = z->avail_out == 0;
  return true;
}

/* The end of a message all of which was flushed before: an empty block, of
 * which the peer supplies all but the first byte. */
static bool end_parts(struct gev_bytes *to) {
  return gev_bytes_add(to, "", 1);
}

static bool deflate_all(z_stream *z, const char *data, size_t len,
                        struct gev_bytes *to) {
  bool more;
  do {
    size_t n = len < STEP ? len : STEP;
    z->next_in = (unsigned char *)(uintptr_t)data;
    z->avail_in = (uInt)n;
    data += n;
    len -= n;
    do {
      if (!deflate_some(z, to, len ? Z_NO_FLUSH : Z_SYNC_FLUSH, &more))
        return false;
    } while (more);
  } while (len > 0);
  return true;
}

bool gev_ws_deflate(struct gev_ws_deflate *d, const char *data, size_t len,
                    bool last, struct gev_bytes *to) {
  if (!begin_deflate(d)) return false;
  if (!(len ? deflate_all(&d->out, data, len, to) : end_parts(to)))
    return false;
  if (!last) return true;
  if (len) to->len -= sizeof tail; /* which a flush always ends with */
  return !d->config.own_reset || deflateReset(&d->out) == Z_OK;
}

/* --- in ------------------------------------------------------------------ */

static bool begin_inflate(struct gev_ws_deflate *d) {
  if (d->inflating) return true;
  d->inflating = inflateInit2(&d->in, -d->config.peer_bits) == Z_OK;
  return d->inflating;
}

/* All of the input that is set. A block may be marked as the final one: what
 * follows is a stream of its own. */
static enum gev_ws_inflated inflate_all(z_stream *z, struct gev_bytes *to,
                                        size_t max, int flush) {
  for (;;) {
    size_t room = ROOM, count = gev_bytes_count(to);
    if (room < 2 * (size_t)z->avail_in) room = 2 * (size_t)z->avail_in;
    if (room > max - count) room = max - count + 1; /* to see that it ends */
    char *out = gev_bytes_room(to, room);
    if (!out) return GEV_WS_INFLATE_NOMEM;
    z->next_out = (unsigned char *)out;
    z->avail_out = (uInt)room;
    int err = inflate(z, flush);
    to->len += room - z->avail_out;
    if (gev_bytes_count(to) > max) return GEV_WS_INFLATE_LARGE;
    if (err == Z_STREAM_END) err = inflateReset(z);
    if (err == Z_MEM_ERROR) return GEV_WS_INFLATE_NOMEM;
    if (err != Z_OK && err != Z_BUF_ERROR) return GEV_WS_INFLATE_BAD;
    if (z->avail_in == 0 && z->avail_out > 0) return GEV_WS_INFLATED;
  }
}

static enum gev_ws_inflated inflate_step(z_stream *z, const void *data,
                                         size_t len, struct gev_bytes *to,
                                         size_t max, int flush) {
  z->next_in = (unsigned char *)(uintptr_t)data;
  z->avail_in = (uInt)len;
  return inflate_all(z, to, max, flush);
}

/* Is it between two blocks, on a byte's edge? Z_BLOCK tells, see data_type in
 * zlib.h. */
static bool is_at_edge(const z_stream *z) {
  return (z->data_type & 128) && (z->data_type & 7) == 0;
}

enum gev_ws_inflated gev_ws_inflate(struct gev_ws_deflate *d,
                                    const char *data, size_t len, bool last,
                                    struct gev_bytes *to, size_t max) {
  enum gev_ws_inflated r = GEV_WS_INFLATED;
  if (!begin_inflate(d)) return GEV_WS_INFLATE_NOMEM;
  while (len > 0 && r == GEV_WS_INFLATED) {
    size_t n = len < STEP ? len : STEP;
    r = inflate_step(&d->in, data, n, to, max, Z_SYNC_FLUSH);
    data += n;
    len -= n;
  }
  if (!last || r != GEV_WS_INFLATED) return r;
  r = inflate_step(&d->in, tail, sizeof tail, to, max, Z_BLOCK);
  if (r == GEV_WS_INFLATED && !is_at_edge(&d->in)) r = GEV_WS_INFLATE_BAD;
  if (d->config.peer_reset) inflateReset(&d->in);
  return r;
}
