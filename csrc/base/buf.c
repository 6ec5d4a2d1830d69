/* base/buf.c - layer: base. See buf.h. */
#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

char *gev_bytes_room(struct gev_bytes *b, size_t n) {
  if (b->len + n > b->cap && b->off > 0) {
    memmove(b->data, b->data + b->off, b->len - b->off);
    b->len -= b->off;
    b->off = 0;
  }
  if (b->len + n > b->cap || !b->data) {
    size_t cap = b->cap * 2 > b->len + n ? b->cap * 2 : b->len + n;
    if (cap < 256) cap = 256;
    char *grown = realloc(b->data, cap);
    if (!grown) return NULL;
    b->data = grown;
    b->cap = cap;
  }
  return b->data + b->len;
}

bool gev_bytes_add(struct gev_bytes *b, const void *data, size_t n) {
  char *room = gev_bytes_room(b, n);
  if (!room) return false;
  memcpy(room, data, n);
  b->len += n;
  return true;
}

void gev_bytes_trim(struct gev_bytes *b) {
  if (b->off == b->len) gev_bytes_free(b);
}

void gev_bytes_drop(struct gev_bytes *b, size_t n) {
  b->off += n;
  gev_bytes_trim(b);
}

void gev_bytes_free(struct gev_bytes *b) {
  free(b->data);
  *b = (struct gev_bytes){0};
}
