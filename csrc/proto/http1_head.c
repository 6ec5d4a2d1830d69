/*
** Pure protocol layer, part of the HTTP/1 parser: is the head (or the trailer
** section) that llhttp let through good for us, and how is the body framed?
** First the layout: the lines found must be all there is in the text, each
** ended by CRLF, without any other CR. Then the meaning of the few
** fields that decide on the framing. Owns nothing; http1.c calls it.
*/
#include <string.h>

#include "proto/http1_chars.h"
#include "proto/http1_int.h"

static bool refuse(struct gev_h1 *p, unsigned status, const char *why)
{
  gev_h1_refuse(p, status, why);
  return false;
}

/* HTTP/d.d SP 3DIGIT [SP reason] CRLF, from the start of the text. */
static bool check_status_line(struct gev_h1 *p, uint32_t *end)
{
  const char *s = p->buf, *cr = memchr(s, '\r', p->len);
  uint32_t at = cr == NULL ? 0 : (uint32_t)(cr - s);
  if (at < 12 || memcmp(s, "HTTP/", 5) != 0 || s[6] != '.' || s[8] != ' ' ||
      !gev_h1_chars_are(s + 9, 3, GEV_H1_DIGIT) || s[9] == '0' ||
      (at > 12 && s[12] != ' ') || s[at + 1] != '\n' ||
      !gev_h1_chars_are(s + 12, at - 12, GEV_H1_VALUE))
    return refuse(p, 400, "bad status line");
  if (s[5] != '1' || (s[7] != '0' && s[7] != '1'))
    return refuse(p, 505, "unknown HTTP version");
  *end = at + 2;
  if (*end > p->limits->max_line)
    return refuse(p, 414, "status line too long");
  p->code = (uint16_t)(gev_h1_hex_value(s[9]) * 100 +
                       gev_h1_hex_value(s[10]) * 10 +
                       gev_h1_hex_value(s[11]));
  p->phrase.off = at > 12 ? 13 : 12;
  p->phrase.len = at - p->phrase.off;
  p->major = 1;
  p->minor = (uint8_t)(s[7] - '0');
  return true;
}

/* METHOD SP target SP HTTP/d.d CRLF, from the start of the text. */
static bool check_request_line(struct gev_h1 *p, uint32_t *end)
{
  uint32_t off = p->target.off;
  uint32_t at = off + p->target.len;
  const char *s = p->buf + at;
  if (off < 2 || p->target.len == 0 || at + 11 > p->len ||
      p->buf[off - 1] != ' ' || p->buf[off - 2] == ' ' ||
      memcmp(s, " HTTP/", 6) != 0 || s[7] != '.' || s[9] != '\r' ||
      s[10] != '\n')
    return refuse(p, 400, "bad request line");
  if (s[6] != '1' || (s[8] != '0' && s[8] != '1'))
    return refuse(p, 505, "unknown HTTP version");
  *end = at + 11;
  if (*end > p->limits->max_line)
    return refuse(p, 414, "request line too long");
  p->method_len = off - 1;
  p->major = 1;
  p->minor = (uint8_t)(s[8] - '0');
  return true;
}

/*
** Only llhttp's strict mode keeps spaces out of names; if this is not known
** to be it, look again.
*/
static bool is_name(const char *s, size_t len)
{
#if LLHTTP_STRICT_MODE
  (void)s;
  return len > 0;
#else
  return len > 0 && gev_h1_chars_are(s, len, GEV_H1_TOKEN);
#endif
}

/*
** Finds the value in the line of f, which goes from its name to `end`; false
** if it is no good line. The CR that must be near its end is the only one.
*/
static inline bool split_field(const char *s, struct gev_h1_field *f,
                               uint32_t end)
{
  uint32_t from = f->name.off + f->name.len + 1;
  uint32_t to = end - 2;
  if (from > to || !is_name(s + f->name.off, f->name.len) ||
      s[from - 1] != ':' || s[end - 1] != '\n' ||
      memchr(s + from, '\r', end - from) != s + to)
    return false;
  while (from < to && gev_h1_char_is(s[from], GEV_H1_BLANK)) from++;
  while (from < to && gev_h1_char_is(s[to - 1], GEV_H1_BLANK)) to--;
  f->value.off = from;
  f->value.len = to - from;
  return true;
}

/* The fields from `first` on are the text from `at` to its empty line. */
static bool check_fields(struct gev_h1 *p, uint32_t first, uint32_t at)
{
  const char *s = p->buf;
  uint32_t last = p->len - 2, left = p->count - first;
  uint32_t max = p->limits->max_field;
  struct gev_h1_field *f = gev_h1_slot(p, first);
  if (p->count > p->limits->max_fields)
    return refuse(p, 431, "too many header fields");
  for (; left > 0; left--, f--) {
    uint32_t end = left > 1 ? f[-1].name.off : last;
    if (f->name.off != at || !split_field(s, f, end))
      return refuse(p, 400, "bad field line");
    if (end - at > max) return refuse(p, 431, "field line too long");
    at = end;
  }
  if (at != last || s[last] != '\r' || s[last + 1] != '\n')
    return refuse(p, 400, "bad end of header fields");
  return true;
}

/* What the fields said, for rules that concern several of them. */
struct notes {
  unsigned hosts;
  unsigned lengths;
  unsigned types;
  bool coded; /* there is a Transfer-Encoding, */
  bool chunked; /* whose last member so far is this one, */
  bool miscoded; /* and one that may not be there */
  bool expects;
  bool close;
  bool keep;
  bool to_upgrade; /* Connection names it */
  bool upgrades; /* the field Upgrade itself */
};

static bool check_host(struct gev_h1 *p, struct notes *n,
                       struct gev_h1_span v)
{
  if (++n->hosts > 1) return refuse(p, 400, "several Host fields");
  if (v.len > 0 && !gev_h1_is_host(p->buf + v.off, v.len, false))
    return refuse(p, 400, "bad Host");
  return true;
}

static bool check_length(struct gev_h1 *p, struct notes *n,
                         struct gev_h1_span v)
{
  const char *s = p->buf + v.off;
  uint64_t sum = 0;
  uint32_t i;
  if (++n->lengths > 1) return refuse(p, 400, "several Content-Length fields");
  if (v.len == 0 || !gev_h1_chars_are(s, v.len, GEV_H1_DIGIT))
    return refuse(p, 400, "bad Content-Length");
  for (i = 0; i < v.len; i++) {
    unsigned d = gev_h1_hex_value(s[i]);
    if (sum > (UINT64_MAX - d) / 10)
      return refuse(p, 400, "Content-Length overflow");
    sum = sum * 10 + d;
  }
  p->has_length = true;
  p->content_length = sum;
  return true;
}

static void note_option(struct notes *n, const char *s, size_t len)
{
  if (len == 5 && gev_h1_same(s, "close", 5)) n->close = true;
  if (len == 7 && gev_h1_same(s, "upgrade", 7)) n->to_upgrade = true;
  if (len == 10 && gev_h1_same(s, "keep-alive", 10)) n->keep = true;
}

/*
** The first member of the list from *s to `end`, without blanks around; *s
** goes behind its comma, NULL after the last one. Members may be empty.
*/
static const char *take_member(const char **s, const char *end, size_t *len)
{
  const char *from = *s, *to = memchr(from, ',', (size_t)(end - from));
  *s = to == NULL ? NULL : to + 1;
  if (to == NULL) to = end;
  while (from < to && gev_h1_char_is(*from, GEV_H1_BLANK)) from++;
  while (from < to && gev_h1_char_is(to[-1], GEV_H1_BLANK)) to--;
  *len = (size_t)(to - from);
  return from;
}

static void note_connection(struct notes *n, const char *s, size_t len)
{
  const char *end = s + len;
  while (s != NULL) {
    const char *option = take_member(&s, end, &len);
    note_option(n, option, len);
  }
}

/* Codings that may come before "chunked": they change nothing in the framing,
** and are left to whoever reads the body. */
static bool is_coding(const char *s, size_t len)
{
  static const char *const known[] = {"gzip", "x-gzip", "deflate", "compress",
                                      "x-compress", "identity"};
  size_t i;
  for (i = 0; i < sizeof known / sizeof *known; i++) {
    if (strlen(known[i]) == len && gev_h1_same(s, known[i], len)) return true;
  }
  return false;
}

/* Several fields are one list. */
static void note_codings(const struct gev_h1 *p, struct notes *n,
                         const char *s, size_t len)
{
  const char *end = s + len;
  n->coded = true;
  while (s != NULL) {
    const char *coding = take_member(&s, end, &len);
    if (n->chunked) n->miscoded = true; /* it has to be the last one */
    if (len == 7 && gev_h1_same(coding, "chunked", 7))
      n->chunked = true;
    else if (p->kind != GEV_H1_REQUEST || !is_coding(coding, len))
      n->miscoded = true;
  }
}

static bool is_named(const struct gev_h1 *p, const struct gev_h1_field *f,
                     const char *lower)
{
  return gev_h1_same(p->buf + f->name.off, lower, f->name.len);
}

/* Few names matter, and most others have another length. */
static bool note_field(struct gev_h1 *p, struct notes *n,
                       const struct gev_h1_field *f)
{
  const char *s = p->buf + f->value.off;
  switch (f->name.len) {
    case 4:
      return p->kind != GEV_H1_REQUEST || !is_named(p, f, "host") ||
             check_host(p, n, f->value);
    case 6:
      if (is_named(p, f, "expect") && f->value.len == 12 &&
          gev_h1_same(s, "100-continue", 12))
        n->expects = true;
      return true;
    case 7:
      if (is_named(p, f, "upgrade") && f->value.len > 0) n->upgrades = true;
      return true;
    case 10:
      if (is_named(p, f, "connection")) note_connection(n, s, f->value.len);
      return true;
    case 12:
      if (p->kind != GEV_H1_REQUEST || !is_named(p, f, "content-type") ||
          ++n->types == 1)
        return true;
      return refuse(p, 400, "several Content-Type fields");
    case 14:
      return !is_named(p, f, "content-length") ||
             check_length(p, n, f->value);
    case 17:
      if (is_named(p, f, "transfer-encoding"))
        note_codings(p, n, s, f->value.len);
      return true;
    default:
      return true;
  }
}

/* RFC 9112, 6.3, strict side: nothing that two readers may read two ways. */
static bool check_coding(struct gev_h1 *p, const struct notes *n)
{
  if (!n->coded) return true;
  if (n->lengths > 0)
    return refuse(p, 400, "Content-Length with Transfer-Encoding");
  if (p->minor == 0) return refuse(p, 400, "Transfer-Encoding in HTTP/1.0");
  if (n->miscoded || !n->chunked)
    return refuse(p, 501, "unknown Transfer-Encoding");
  p->chunked = true;
  return true;
}

static bool check_framing(struct gev_h1 *p, const struct notes *n)
{
  if (p->minor > 0 && n->hosts == 0) return refuse(p, 400, "no Host");
  if (!check_coding(p, n)) return false;
  if (p->content_length > p->limits->max_body)
    return refuse(p, 413, "body too large");
  p->has_body = p->chunked || p->content_length > 0;
  if (p->has_body && p->method_len == 4 && !memcmp(p->buf, "HEAD", 4))
    return refuse(p, 400, "HEAD with a body"); /* RFC 9110, 9.3.2 */
  p->keep_alive = !n->close && (p->minor > 0 || n->keep);
  p->upgrade = p->minor > 0 && n->to_upgrade && n->upgrades;
  p->expect_continue = p->minor > 0 && n->expects && p->has_body;
  return true;
}

/* Does what the response answers, or its status, say that nothing follows? */
static bool is_bodyless(const struct gev_h1 *p)
{
  return p->kind == GEV_H1_TO_HEAD || p->code < 200 || p->code == 204 ||
         p->code == 304 ||
         (p->kind == GEV_H1_TO_CONNECT && p->code / 100 == 2);
}

/*
** RFC 9112, 6.3, for responses. One that announces a body where none may be
** is from a server that perhaps sends it: the connection is not to be used
** again, and in front of another response it cannot be understood at all.
*/
static bool check_response_framing(struct gev_h1 *p, const struct notes *n)
{
  if (!check_coding(p, n)) return false;
  p->keep_alive = !n->close && (p->minor > 0 || n->keep);
  p->upgrade = p->code == 101;
  if (is_bodyless(p)) {
    bool announced = p->chunked || p->content_length > 0;
    if (p->code < 200 && announced)
      return refuse(p, 400, "interim response with a body");
    if (p->code == 204 && announced) p->keep_alive = false;
    p->chunked = false;
    return true;
  }
  if (p->content_length > p->limits->max_body)
    return refuse(p, 413, "body too large");
  p->until_close = !p->chunked && !p->has_length;
  p->has_body = p->chunked || p->content_length > 0 || p->until_close;
  if (p->until_close) p->keep_alive = false;
  return true;
}

static bool check_line(struct gev_h1 *p, uint32_t *end)
{
  return p->kind == GEV_H1_REQUEST ? check_request_line(p, end)
                                   : check_status_line(p, end);
}

bool gev_h1_check_head(struct gev_h1 *p)
{
  struct notes n = {0};
  uint32_t at, i;
  if (!check_line(p, &at) || !check_fields(p, 0, at)) return false;
  if (p->kind == GEV_H1_REQUEST && !gev_h1_check_target(p)) return false;
  for (i = 0; i < p->count; i++) {
    if (!note_field(p, &n, gev_h1_slot(p, i))) return false;
  }
  p->nfields = p->count;
  return p->kind == GEV_H1_REQUEST ? check_framing(p, &n)
                                   : check_response_framing(p, &n);
}

/* Fields of framing and routing may not come after the body. */
static bool is_forbidden(const struct gev_h1 *p, const struct gev_h1_field *f)
{
  switch (f->name.len) {
    case 4: return is_named(p, f, "host");
    case 14: return is_named(p, f, "content-length");
    case 17: return is_named(p, f, "transfer-encoding");
    default: return false;
  }
}

bool gev_h1_check_trailers(struct gev_h1 *p)
{
  uint32_t i;
  if (!check_fields(p, p->nfields, p->mark)) return false;
  for (i = p->nfields; i < p->count; i++) {
    if (is_forbidden(p, gev_h1_slot(p, i)))
      return refuse(p, 400, "forbidden trailer");
  }
  p->ntrailers = p->count - p->nfields;
  return true;
}
