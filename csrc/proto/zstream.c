/*
** Pure protocol layer: compressed streams. See zstream.h.
*/
#include "proto/zstream.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { WINDOW = 15, MEMORY = 8, GZIP_WRAP = 16 };

struct gev_zstream {
  z_stream z;
  bool deflates;
  bool begun; /* decoding: some input was taken since the last end */
  bool whole; /* decoding: at the end of a stream */
  bool several; /* another may follow */
  bool guess; /* zlib or raw: the first two bytes will tell */
  size_t nhead;
  unsigned char head[2];
};

static int window_of(enum gev_z_format format)
{
  switch (format) {
    case GEV_Z_GZIP: return WINDOW + GZIP_WRAP;
    case GEV_Z_DEFLATE: return WINDOW;
    default: return -WINDOW;
  }
}

struct gev_zstream *gev_inflate_new(enum gev_z_format format)
{
  struct gev_zstream *z = calloc(1, sizeof *z);
  if (z == NULL) return NULL;
  z->several = format == GEV_Z_GZIP;
  z->guess = format == GEV_Z_DEFLATE;
  if (inflateInit2(&z->z, window_of(format)) == Z_OK) return z;
  free(z);
  return NULL;
}

struct gev_zstream *gev_deflate_new(enum gev_z_format format, int level)
{
  struct gev_zstream *z = calloc(1, sizeof *z);
  if (z == NULL) return NULL;
  z->deflates = true;
  if (deflateInit2(&z->z, level, Z_DEFLATED, window_of(format), MEMORY,
                   Z_DEFAULT_STRATEGY) == Z_OK)
    return z;
  free(z);
  return NULL;
}

void gev_zstream_free(struct gev_zstream *z)
{
  if (z == NULL) return;
  if (z->deflates)
    deflateEnd(&z->z);
  else
    inflateEnd(&z->z);
  free(z);
}

static unsigned at_most(size_t n)
{
  return n < UINT_MAX ? (unsigned)n : UINT_MAX;
}

/* Lets zlib at `io` once; the result is zlib's. */
static int run(struct gev_zstream *z, struct gev_z_io *io, int flush)
{
  unsigned in = at_most(io->in_len), out = at_most(io->out_len);
  int r;
  z->z.next_in = (Bytef *)(size_t)io->in;
  z->z.avail_in = in;
  z->z.next_out = (Bytef *)io->out;
  z->z.avail_out = out;
  r = z->deflates ? deflate(&z->z, flush) : inflate(&z->z, flush);
  io->in += in - z->z.avail_in;
  io->in_len -= in - z->z.avail_in;
  io->out += out - z->z.avail_out;
  io->out_len -= out - z->z.avail_out;
  return r;
}

/*
** "deflate" means zlib's format, and some send a raw stream all the same: two
** bytes tell. They are kept, since they may come one by one, and given to zlib
** when both are there. False: more is needed.
*/
static bool choose(struct gev_zstream *z, struct gev_z_io *io)
{
  while (z->nhead < 2 && io->in_len > 0) {
    z->head[z->nhead++] = (unsigned char)*io->in++;
    io->in_len--;
  }
  if (z->nhead < 2) return false;
  if ((z->head[0] & 0x0f) != Z_DEFLATED ||
      (z->head[0] << 8 | z->head[1]) % 31 != 0)
    inflateReset2(&z->z, -WINDOW);
  z->guess = false;
  return true;
}

/* What choose() kept; a failure stays, and is seen again. */
static void run_head(struct gev_zstream *z, struct gev_z_io *io)
{
  struct gev_z_io head = {(const char *)z->head, 2, io->out, io->out_len};
  if (run(z, &head, Z_NO_FLUSH) == Z_STREAM_END) z->whole = true;
  io->out = head.out;
  io->out_len = head.out_len;
}

/* Another member after a complete one; anything else is an error. */
static enum gev_z_result again(struct gev_zstream *z)
{
  if (!z->several) return GEV_Z_BAD;
  if (inflateReset(&z->z) != Z_OK) return GEV_Z_BAD;
  z->whole = false;
  return GEV_Z_MORE;
}

enum gev_z_result gev_inflate(struct gev_zstream *z, struct gev_z_io *io)
{
  if (io->in_len > 0) z->begun = true;
  if (io->out_len < GEV_Z_ROOM) return GEV_Z_FULL;
  if (z->guess) {
    if (!choose(z, io)) return GEV_Z_MORE;
    run_head(z, io);
  }
  for (;;) {
    if (z->whole) {
      if (io->in_len == 0) return GEV_Z_END;
      if (again(z) != GEV_Z_MORE) return GEV_Z_BAD;
    }
    switch (run(z, io, Z_NO_FLUSH)) {
      case Z_STREAM_END:
        z->whole = true;
        break;
      case Z_OK:
      case Z_BUF_ERROR:
        if (io->out_len == 0) return GEV_Z_FULL;
        if (io->in_len == 0) return GEV_Z_MORE;
        break;
      case Z_MEM_ERROR: return GEV_Z_NOMEM;
      default: return GEV_Z_BAD;
    }
  }
}

bool gev_inflate_is_whole(const struct gev_zstream *z)
{
  return z->whole || !z->begun;
}

enum gev_z_result gev_deflate(struct gev_zstream *z, struct gev_z_io *io,
                              enum gev_z_flush flush)
{
  static const int flushes[] = {Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FINISH};
  for (;;) {
    switch (run(z, io, flushes[flush])) {
      case Z_STREAM_END: return GEV_Z_END;
      case Z_OK:
      case Z_BUF_ERROR:
        if (io->out_len == 0) return GEV_Z_FULL;
        if (io->in_len == 0 && flush != GEV_Z_FINISH) return GEV_Z_MORE;
        break;
      default: return GEV_Z_NOMEM;
    }
  }
}
