/* proto/websocket_utf8.h - layer: proto, pure. UTF-8 checked piece by piece:
 * says no at the first byte that cannot be part of a valid text. */
#ifndef GEV_PROTO_WEBSOCKET_UTF8_H
#define GEV_PROTO_WEBSOCKET_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero: at the start of a text. */
struct gev_utf8 {
  uint8_t need;   /* continuation bytes still to come */
  uint8_t lo, hi; /* the next one lies between them */
};

bool gev_utf8_feed(struct gev_utf8 *u, const char *s, size_t len);
/* Is no character cut in two? */
static inline bool gev_utf8_whole(const struct gev_utf8 *u) {
  return u->need == 0;
}

#endif
