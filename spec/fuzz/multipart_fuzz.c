/*
** Fuzzing of the multipart parser (libFuzzer): the input is parsed whole, byte
** by byte, and in pieces whose size its first byte gives. All three must tell
** the same story, and every chunk must be one.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(c) ((c) ? (void)0 : fail(#c, __LINE__))

static void fail(const char *what, int line)
{
  fprintf(stderr, "line %d: %s does not hold\n", line, what);
  abort();
}

struct story {
  uint64_t hash;
  uint64_t content; /* bytes of the parts */
  bool in_part;
};

static void tell(struct story *st, const char *s, size_t len)
{
  size_t i;
  for (i = 0; i < len; i++)
    st->hash = (st->hash ^ (unsigned char)s[i]) * 1099511628211u;
}

static void tell_text(struct story *st, const struct gev_mp_text *text)
{
  CHECK(text->s || text->len == 0);
  CHECK(text->len <= GEV_MP_MAX_FIELDS);
  if (text->s) tell(st, text->s, text->len);
  tell(st, text->s ? "|" : "0", 1);
}

static void tell_event(struct story *st, const struct gev_mp *p,
                       enum gev_mp_event event)
{
  if (event == GEV_MP_DATA) {
    CHECK(st->in_part && p->chunk_len > 0);
    st->content += p->chunk_len;
    tell(st, p->chunk, p->chunk_len);
    return;
  }
  tell(st, event == GEV_MP_PART ? "p" : event == GEV_MP_END ? "e"
           : event == GEV_MP_DONE ? "d" : "!", 1);
  if (event == GEV_MP_PART) {
    CHECK(!st->in_part);
    CHECK(p->name.s);
    tell_text(st, &p->name);
    tell_text(st, &p->filename);
    tell_text(st, &p->type);
  } else if (event == GEV_MP_END) {
    CHECK(st->in_part);
  } else if (event == GEV_MP_ERROR) {
    CHECK(p->error);
    tell(st, p->error, strlen(p->error));
  }
  st->in_part = event == GEV_MP_PART;
}

static struct story parse(const char *data, size_t size, size_t step)
{
  static struct gev_mp p;
  struct story st = {14695981039346656037u, 0, false};
  enum gev_mp_event event = GEV_MP_MORE;
  size_t at = 0, used;
  CHECK(gev_mp_init(&p, "bnd", 3));
  while (at < size && event != GEV_MP_ERROR) {
    size_t end = size - at < step ? size : at + step;
    do {
      event = gev_mp_feed(&p, data + at, end - at, &used);
      CHECK(used <= end - at);
      at += used;
      if (event != GEV_MP_MORE) tell_event(&st, &p, event);
    } while (event != GEV_MP_MORE && event != GEV_MP_ERROR);
    if (event == GEV_MP_MORE) CHECK(at == end);
  }
  CHECK(st.content <= size);
  return st;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  const char *text = (const char *)data + 1;
  struct story whole, single, pieces;
  char *out;
  size_t len;
  if (size < 1) return 0;
  whole = parse(text, size - 1, size);
  single = parse(text, size - 1, 1);
  pieces = parse(text, size - 1, data[0] % 61 + 2u);
  CHECK(whole.hash == single.hash && whole.content == single.content);
  CHECK(whole.hash == pieces.hash && whole.content == pieces.content);
  out = malloc(size);
  if (out && gev_mp_param(text, size - 1, "name", out, &len))
    CHECK(len < size);
  free(out);
  return 0;
}
