/*
** Pure protocol layer, part of the HTTP/1 parser: the four forms of request
** targets (RFC 9112, 3.2) and hosts. Owns nothing.
**
** The characters of a path are not looked at further than "visible ASCII":
** browsers send quotes and bars, and what they mean is not for us to say.
*/
#include <string.h>

#include "proto/http1_chars.h"
#include "proto/http1_int.h"

/* ":digits", or nothing if the port is not needed. */
static bool is_port(const char *s, size_t len, bool needed)
{
  if (len == 0) return !needed;
  if (*s != ':' || (len == 1 && needed) || len > 6) return false;
  return gev_h1_chars_are(s + 1, len - 1, GEV_H1_DIGIT);
}

/* Length of "[...]" at the start of s, 0 if it is not one. */
static size_t measure_literal(const char *s, size_t len)
{
  const char *close = memchr(s, ']', len);
  size_t i, n = close != NULL ? (size_t)(close - s) : 0;
  if (n < 3) return 0;
  for (i = 1; i < n; i++) {
    if (s[i] != ':' && !gev_h1_char_is(s[i], GEV_H1_NAME)) return 0;
  }
  return n + 1;
}

bool gev_h1_is_host(const char *s, size_t len, bool port_needed)
{
  size_t n = 0;
  if (len == 0) return false;
  if (*s == '[')
    n = measure_literal(s, len);
  else
    while (n < len && gev_h1_char_is(s[n], GEV_H1_NAME)) n++;
  return n > 0 && is_port(s + n, len - n, port_needed);
}

/* Length of "http://" or "https://" at the start of s, else 0. */
static size_t measure_scheme(const char *s, size_t len)
{
  if (len > 7 && gev_h1_same(s, "http://", 7)) return 7;
  if (len > 8 && gev_h1_same(s, "https://", 8)) return 8;
  return 0;
}

/* Absolute form; names of users are allowed, and left out. */
static bool split_absolute(struct gev_h1 *p, const char *s, size_t len)
{
  size_t from = measure_scheme(s, len);
  size_t to = from, i;
  if (from == 0) return false;
  while (to < len && strchr("/?#", s[to]) == NULL) to++;
  for (i = from; i < to && s[i] != '@'; i++) {
    if (s[i] != ':' && !gev_h1_char_is(s[i], GEV_H1_NAME)) break;
  }
  if (i < to && s[i] == '@') from = i + 1;
  if (!gev_h1_is_host(s + from, to - from, false)) return false;
  p->authority.off = p->target.off + (uint32_t)from;
  p->authority.len = (uint32_t)(to - from);
  p->path.off = p->target.off + (uint32_t)to;
  p->path.len = (uint32_t)(len - to);
  return true;
}

static bool split_target(struct gev_h1 *p, const char *s, size_t len)
{
  if (p->connect) {
    p->authority = p->target;
    return gev_h1_is_host(s, len, true);
  }
  p->path = p->target;
  if (*s == '/') return true;
  if (len == 1 && *s == '*')
    return p->ll.method == HTTP_OPTIONS || p->ll.method == HTTP_MSEARCH;
  return split_absolute(p, s, len);
}

bool gev_h1_check_target(struct gev_h1 *p)
{
  const char *s = p->buf + p->target.off;
  size_t len = p->target.len;
  p->connect = p->ll.method == HTTP_CONNECT;
  if (gev_h1_chars_are(s, len, GEV_H1_TARGET) && split_target(p, s, len))
    return true;
  gev_h1_refuse(p, 400, "bad request target");
  return false;
}
