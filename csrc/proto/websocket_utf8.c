/* proto/websocket_utf8.c - layer: proto, pure. See websocket_utf8.h. */
#include "proto/websocket_utf8.h"

#include <string.h>

static bool is_ascii8(const char *s) {
  uint64_t word;
  memcpy(&word, s, sizeof word);
  return (word & 0x8080808080808080u) == 0;
}

/* The first byte of a character that is not ASCII. The bounds of the second
 * one keep out overlong forms, surrogates, and what is above U+10FFFF. */
static bool lead(struct gev_utf8 *u, uint8_t c) {
  u->lo = 0x80;
  u->hi = 0xbf;
  if (c < 0xc2 || c > 0xf4) return false;
  u->need = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
  if (c == 0xe0) u->lo = 0xa0;
  if (c == 0xed) u->hi = 0x9f;
  if (c == 0xf0) u->lo = 0x90;
  if (c == 0xf4) u->hi = 0x8f;
  return true;
}

bool gev_utf8_feed(struct gev_utf8 *u, const char *s, size_t len) {
  const char *end = s + len;
  while (s < end) {
    if (u->need == 0 && end - s >= 8 && is_ascii8(s)) {
      s += 8;
      continue;
    }
    uint8_t c = (uint8_t)*s++;
    if (u->need > 0) {
      if (c < u->lo || c > u->hi) return false;
      u->lo = 0x80;
      u->hi = 0xbf;
      u->need--;
    } else if (c >= 0x80 && !lead(u, c)) {
      return false;
    }
  }
  return true;
}
