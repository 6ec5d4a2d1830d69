/*
** Fuzzing of the HTTP/1 parser (libFuzzer). The first bytes of the input choose
** the kind of message, the limits and how the rest is cut; it is parsed whole,
** byte by byte and in those pieces. All three must tell the same story, and
** every promise of http1.h that can be checked is checked.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/http1.h"
#include "proto/http1_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(c) ((c) ? (void)0 : fail(#c, __LINE__))

static void fail(const char *what, int line)
{
  fprintf(stderr, "line %d: %s does not hold\n", line, what);
  abort();
}

/* What happened, as one hash: of each event but MORE, and of all bytes. */
struct story {
  uint64_t hash;
  uint64_t body; /* length, of the current message */
  unsigned events;
  unsigned status;
};

static void tell(struct story *st, const char *s, size_t len)
{
  size_t i;
  for (i = 0; i < len; i++)
    st->hash = (st->hash ^ (unsigned char)s[i]) * 1099511628211u;
}

static void tell_part(struct story *st, const char *s, size_t len)
{
  tell(st, s, len);
  tell(st, "|", 1);
}

static void tell_fields(struct story *st, const struct gev_h1 *p, uint32_t i,
                        uint32_t to)
{
  for (; i < to; i++) {
    size_t len;
    const char *s = gev_h1_name(p, i, &len);
    CHECK(gev_h1_is_token(s, len));
    tell_part(st, s, len);
    s = gev_h1_value(p, i, &len);
    CHECK(gev_h1_is_value(s, len));
    CHECK(len == 0 || (s[0] != ' ' && s[len - 1] != ' '));
    tell_part(st, s, len);
  }
}

static void check_response(struct story *st, const struct gev_h1 *p)
{
  size_t len;
  const char *s = gev_h1_phrase(p, &len);
  CHECK(gev_h1_is_value(s, len));
  tell_part(st, s, len);
  CHECK(p->code >= 100 && p->code <= 999);
  CHECK(!p->until_close || (!p->chunked && !p->has_length));
  CHECK(!p->until_close || !p->keep_alive);
  CHECK(!p->has_body || (p->kind != GEV_H1_TO_HEAD && p->code >= 200 &&
                         p->code != 204 && p->code != 304));
}

static void check_request(struct story *st, const struct gev_h1 *p)
{
  size_t len;
  const char *s = gev_h1_method(p, &len);
  CHECK(gev_h1_is_token(s, len));
  tell_part(st, s, len);
  s = gev_h1_target(p, &len);
  CHECK(len > 0 && memchr(s, ' ', len) == NULL);
  tell_part(st, s, len);
  s = gev_h1_path(p, &len);
  tell_part(st, s, len);
  s = gev_h1_authority(p, &len);
  tell_part(st, s, len);
  CHECK(p->minor == 0 || gev_h1_find(p, "host", 0) >= 0);
}

static void check_head(struct story *st, const struct gev_h1 *p)
{
  if (p->kind == GEV_H1_REQUEST)
    check_request(st, p);
  else
    check_response(st, p);
  CHECK(p->major == 1 && p->minor <= 1);
  CHECK(p->nfields <= p->limits->max_fields);
  CHECK(!p->chunked || (!p->has_length && p->minor == 1));
  CHECK(!p->has_body || p->content_length <= p->limits->max_body);
  tell_fields(st, p, 0, p->nfields);
}

static void check_done(struct story *st, const struct gev_h1 *p)
{
  CHECK(p->chunked || p->until_close ||
        st->body == (p->has_body ? p->content_length : 0));
  CHECK(st->body <= p->limits->max_body);
  CHECK(p->chunked || p->ntrailers == 0);
  tell_fields(st, p, p->nfields, p->nfields + p->ntrailers);
  st->body = 0;
}

static void check_event(struct story *st, struct gev_h1 *p,
                        enum gev_h1_event ev)
{
  static const char names[] = "mhbde";
  if (ev == GEV_H1_MORE) return;
  if (ev == GEV_H1_BODY) {
    CHECK(p->chunk_len > 0);
    st->body += p->chunk_len;
    tell(st, p->chunk, p->chunk_len);
    return;
  }
  st->events++;
  tell(st, names + ev, 1);
  if (ev == GEV_H1_HEAD) check_head(st, p);
  if (ev == GEV_H1_DONE) check_done(st, p);
  if (ev == GEV_H1_ERROR) {
    CHECK(p->status >= 400 && p->status <= 505 && p->error != NULL);
    CHECK(gev_h1_reason(p->status) != NULL);
    st->status = p->status;
  }
}

/* Feeds one piece, in a block of exactly its size; false after an error. */
static bool feed(struct story *st, struct gev_h1 *p, const char *s,
                 size_t len)
{
  char *copy = malloc(len > 0 ? len : 1);
  size_t at = 0, used;
  enum gev_h1_event ev;
  CHECK(copy != NULL);
  memcpy(copy, s, len);
  do {
    ev = gev_h1_feed(p, copy + at, len - at, &used);
    CHECK(used <= len - at);
    CHECK(ev != GEV_H1_MORE || used == len - at);
    check_event(st, p, ev);
    at += used;
    if (ev == GEV_H1_DONE) gev_h1_next(p);
  } while (ev != GEV_H1_ERROR && (ev != GEV_H1_MORE || at < len));
  free(copy);
  return ev != GEV_H1_ERROR;
}

static struct story parse(enum gev_h1_kind kind,
                          const struct gev_h1_limits *limits, const char *s,
                          size_t len, const uint8_t *cuts, size_t ncuts)
{
  struct story st = {14695981039346656037u, 0, 0, 0};
  struct gev_h1 p;
  size_t at = 0, n, i = 0;
  bool good = true;
  gev_h1_init_response(&p, kind, limits);
  while (at < len && good) {
    n = ncuts > 0 ? cuts[i++ % ncuts] + 1u : len;
    if (n > len - at) n = len - at;
    good = feed(&st, &p, s + at, n);
    at += n;
  }
  if (good && gev_h1_idle(&p))
    tell(&st, "i", 1);
  else if (good)
    check_event(&st, &p, gev_h1_end(&p));
  gev_h1_free(&p);
  gev_h1_free(&p);
  return st;
}

static void check_same(struct story a, struct story b)
{
  CHECK(a.hash == b.hash && a.events == b.events && a.status == b.status);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const struct gev_h1_limits tight = {40, 200, 60, 3, 10, 40, 20};
  static const uint8_t one[] = {0};
  const struct gev_h1_limits *limits = NULL;
  const char *s;
  enum gev_h1_kind kind;
  struct story whole;
  if (size < 6) return 0;
  if ((data[0] & 3) == 0) limits = &tight;
  kind = (enum gev_h1_kind)(data[0] >> 2 & 3);
  s = (const char *)data + 5;
  size -= 5;
  whole = parse(kind, limits, s, size, NULL, 0);
  check_same(whole, parse(kind, limits, s, size, one, 1));
  check_same(whole, parse(kind, limits, s, size, data + 1, 4));
  return 0;
}
