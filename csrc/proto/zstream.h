/*
** Pure protocol layer, no Lua, no libuv: gzip, zlib and raw deflate streams,
** in both directions, over zlib. Each call is given input and room for output
** and says how far it came; nothing is ever produced beyond that room, so the
** caller decides how much a small input may become.
**
** Owns: one malloc'ed block per stream, and zlib's behind it. Anybody may call
** it; gev_zstream_free() releases all.
*/
#ifndef GEV_ZSTREAM_H
#define GEV_ZSTREAM_H

#include <stdbool.h>
#include <stddef.h>

enum gev_z_format {
  GEV_Z_GZIP, /* RFC 1952; decoding takes several members in a row */
  GEV_Z_DEFLATE, /* RFC 1950, HTTP's "deflate"; decoding takes raw too */
  GEV_Z_RAW /* RFC 1951 */
};

enum gev_z_result {
  GEV_Z_MORE, /* all input was taken, and what it gave is out */
  GEV_Z_FULL, /* the room is used up: call again, with the rest */
  GEV_Z_END, /* the stream is complete (input may be left, of no stream) */
  GEV_Z_BAD, /* decoding: this is no such stream; nothing helps */
  GEV_Z_NOMEM
};

enum gev_z_flush {
  GEV_Z_BUFFER, /* output comes when it pays */
  GEV_Z_SYNC, /* all that was put in can be decoded from what came out */
  GEV_Z_FINISH /* this was all: call until END */
};

struct gev_zstream;

/* Decoding needs that much room to begin with. */
enum { GEV_Z_ROOM = 16 };

/* What a call is given, and, afterwards, what is left of it. */
struct gev_z_io {
  const char *in;
  size_t in_len;
  char *out;
  size_t out_len;
};

/* NULL out of memory. */
struct gev_zstream *gev_inflate_new(enum gev_z_format format);
/* level: 1 (fast) to 9 (small), -1 for zlib's choice. NULL out of memory. */
struct gev_zstream *gev_deflate_new(enum gev_z_format format, int level);
/* Harmless for NULL. */
void gev_zstream_free(struct gev_zstream *z);

enum gev_z_result gev_inflate(struct gev_zstream *z, struct gev_z_io *io);
enum gev_z_result gev_deflate(struct gev_zstream *z, struct gev_z_io *io,
                              enum gev_z_flush flush);

/* Decoding: may the input end here? (At the end of a stream.) */
bool gev_inflate_is_whole(const struct gev_zstream *z);

#endif
