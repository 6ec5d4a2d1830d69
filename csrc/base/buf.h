/* base/buf.h - layer: base. Bytes that grow at the end and are taken from the
 * front. Pure. Whoever holds one frees it; an empty one holds no memory. */
#ifndef GEV_BASE_BUF_H
#define GEV_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct gev_bytes {
  char *data; /* malloc'ed; NULL when empty */
  size_t off, len, cap; /* the bytes are data[off .. len) */
};

static inline size_t gev_bytes_count(const struct gev_bytes *b) {
  return b->len - b->off;
}
/* The first of them; never NULL. */
static inline const char *gev_bytes_front(const struct gev_bytes *b) {
  return b->data ? b->data + b->off : "";
}
/* Room for n bytes behind the last one, for the caller to fill and to add to
 * `len`; NULL out of memory. */
char *gev_bytes_room(struct gev_bytes *b, size_t n);
bool gev_bytes_add(struct gev_bytes *b, const void *data, size_t n);
/* Takes n bytes from the front. */
void gev_bytes_drop(struct gev_bytes *b, size_t n);
/* Frees the memory where nothing is left. */
void gev_bytes_trim(struct gev_bytes *b);
void gev_bytes_free(struct gev_bytes *b);

#endif
