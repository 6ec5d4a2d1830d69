/*
** Tests of compressed streams: what is deflated is inflated again, in pieces
** of any size, and never more than there is room for.
*/
#include "proto/zstream.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

enum { SIZE = 200000 };

static char text[SIZE], packed[SIZE * 2], back[SIZE + 65536];

/* Letters that repeat themselves, but not too regularly. */
static void fill(void)
{
  unsigned seed = 1;
  size_t i;
  for (i = 0; i < SIZE; i++) {
    seed = seed * 1103515245u + 12345u;
    text[i] = (char)('a' + (seed >> 16) % (i % 1000 < 500 ? 4 : 26));
  }
}

/* Deflates `len` bytes of text in pieces of `in`, to room of `out`. */
static size_t pack(enum gev_z_format format, size_t len, size_t in, size_t out)
{
  struct gev_zstream *z = gev_deflate_new(format, -1);
  size_t at = 0, made = 0;
  enum gev_z_result r = GEV_Z_MORE;
  if (z == NULL) abort();
  while (r != GEV_Z_END) {
    size_t n = len - at < in ? len - at : in;
    struct gev_z_io io = {text + at, n, packed + made, out};
    r = gev_deflate(z, &io, at + n == len ? GEV_Z_FINISH : GEV_Z_BUFFER);
    at += n - io.in_len;
    made += out - io.out_len;
    if (r == GEV_Z_NOMEM || made + out > sizeof packed) abort();
  }
  gev_zstream_free(z);
  return made;
}

/* Inflates `len` bytes of `packed` to `back`; the number of bytes, or -1. */
static long unpack(enum gev_z_format format, size_t len, size_t in, size_t out)
{
  struct gev_zstream *z = gev_inflate_new(format);
  size_t at = 0, made = 0;
  enum gev_z_result r = GEV_Z_MORE;
  bool whole;
  if (z == NULL) abort();
  while ((at < len || r == GEV_Z_FULL) && made + out <= sizeof back) {
    size_t n = len - at < in ? len - at : in;
    struct gev_z_io io = {packed + at, n, back + made, out};
    r = gev_inflate(z, &io);
    at += n - io.in_len;
    made += out - io.out_len;
    if (r == GEV_Z_BAD || r == GEV_Z_NOMEM) break;
  }
  whole = gev_inflate_is_whole(z) && r != GEV_Z_BAD && at == len;
  gev_zstream_free(z);
  return whole ? (long)made : -1;
}

static bool survives(enum gev_z_format format, size_t len, size_t in,
                     size_t out)
{
  size_t n = pack(format, len, in, out);
  long got = unpack(format, n, in, out);
  return got == (long)len && memcmp(text, back, len) == 0;
}

static void test_formats(void)
{
  static const enum gev_z_format formats[] = {GEV_Z_GZIP, GEV_Z_DEFLATE,
                                              GEV_Z_RAW};
  static const size_t lens[] = {0, 1, 2, 100, SIZE};
  size_t f, l;
  for (f = 0; f < 3; f++) {
    for (l = 0; l < sizeof lens / sizeof *lens; l++) {
      size_t len = lens[l], some = len < 3000 ? len : 3000;
      check(survives(formats[f], len, SIZE, 60000), "whole");
      check(survives(formats[f], len, 777, 100), "in pieces");
      check(survives(formats[f], some, 1, GEV_Z_ROOM), "byte by byte");
    }
  }
}

static void test_guess(void)
{
  size_t n = pack(GEV_Z_RAW, 1000, 1000, 2000);
  check(unpack(GEV_Z_DEFLATE, n, n, 2000) == 1000, "raw for deflate");
  check(unpack(GEV_Z_DEFLATE, n, 1, 2000) == 1000, "the same byte by byte");
  n = pack(GEV_Z_RAW, 0, 1, 100);
  check(n == 2 && unpack(GEV_Z_DEFLATE, n, 1, 100) == 0, "an empty raw one");
}

static void test_members(void)
{
  size_t n = pack(GEV_Z_GZIP, 10, 10, 1000);
  memcpy(packed + n, packed, n);
  check(unpack(GEV_Z_GZIP, 2 * n, 2 * n, 100) == 20, "two members");
  check(unpack(GEV_Z_GZIP, 2 * n, 1, 100) == 20, "the same byte by byte");
  check(unpack(GEV_Z_GZIP, 2 * n - 1, n, 100) == -1, "the second is cut");
  packed[n] = 'x';
  check(unpack(GEV_Z_GZIP, n + 1, n, 100) == -1, "no member behind one");
  n = pack(GEV_Z_DEFLATE, 10, 10, 1000);
  packed[n] = 'x';
  check(unpack(GEV_Z_DEFLATE, n + 1, n + 1, 100) == -1, "behind zlib's");
}

static void test_bad(void)
{
  size_t n = pack(GEV_Z_GZIP, 1000, 1000, 2000), cut;
  bool all = true;
  for (cut = 1; cut < n; cut++)
    if (unpack(GEV_Z_GZIP, cut, n, 2000) != -1) all = false;
  check(all, "cut anywhere it is not whole");
  packed[n - 6] ^= 1;
  check(unpack(GEV_Z_GZIP, n, n, 2000) == -1, "wrong checksum");
  memset(packed, 'x', 100);
  check(unpack(GEV_Z_GZIP, 100, 100, 2000) == -1, "no gzip at all");
}

static void test_sync(void)
{
  struct gev_zstream *z = gev_deflate_new(GEV_Z_RAW, 6);
  struct gev_zstream *y = gev_inflate_new(GEV_Z_RAW);
  struct gev_z_io in = {"hello", 5, packed, 100};
  struct gev_z_io out = {packed, 0, back, 100};
  if (z == NULL || y == NULL) abort();
  check(gev_deflate(z, &in, GEV_Z_SYNC) == GEV_Z_MORE, "flushed");
  out.in_len = 100 - in.out_len;
  check(gev_inflate(y, &out) == GEV_Z_MORE && out.out_len == 95 &&
          memcmp(back, "hello", 5) == 0,
        "all of it came out");
  check(!gev_inflate_is_whole(y), "and it is not the end");
  gev_zstream_free(z);
  gev_zstream_free(y);
  gev_zstream_free(NULL);
}

int main(void)
{
  fill();
  test_formats();
  test_guess();
  test_members();
  test_bad();
  test_sync();
  return report();
}
