/*
** Pure protocol layer, no Lua, no libuv: a request line that starts like no
** method we know. Is it a request line at all? Then the method is unknown,
** 501; else the line is malformed, 400. Decided byte by byte, so that the
** answer is the same wherever the input is cut. Owns nothing; for http1.c.
*/
#include "proto/http1_int.h"

#include "proto/http1_chars.h"

/* What comes next; from IN_TAIL on, which byte of the tail. */
enum { IN_METHOD, AT_TARGET, IN_TARGET, IN_TAIL };

static const char tail[] = "HTTP/0.0\r\n"; /* 0 for any digit */

/* May the byte stand there? Then the next thing is due. */
static bool take(struct gev_h1 *p, char c)
{
  char want;
  switch (p->strange) {
    case IN_METHOD:
      if (c == ' ' && p->left > 0) p->strange = AT_TARGET;
      return p->strange == AT_TARGET || gev_h1_char_is(c, GEV_H1_TOKEN);
    case IN_TARGET:
      if (c == ' ') p->strange = IN_TAIL;
      return c == ' ' || gev_h1_char_is(c, GEV_H1_TARGET);
    case AT_TARGET:
      p->strange = IN_TARGET;
      return gev_h1_char_is(c, GEV_H1_TARGET);
    default:
      want = tail[p->strange++ - IN_TAIL];
      return want == '0' ? gev_h1_char_is(c, GEV_H1_DIGIT) : c == want;
  }
}

enum gev_h1_event gev_h1_strange_line(struct gev_h1 *p, const char **at,
                                      const char *end)
{
  for (; *at != end; ++*at) {
    if (p->left >= p->limits->max_line)
      return gev_h1_refuse(p, 414, "request line too long");
    if (!take(p, **at)) return gev_h1_refuse(p, 400, "bad request line");
    p->left++;
    if (p->strange == IN_TAIL + sizeof tail - 1)
      return gev_h1_refuse(p, 501, "unknown method");
  }
  return GEV_H1_MORE;
}

enum gev_h1_event gev_h1_strange_method(struct gev_h1 *p, const char **at,
                                        const char *end)
{
  p->state = GEV_H1_IN_STRANGE;
  p->strange = IN_METHOD;
  p->left = p->len;
  return gev_h1_strange_line(p, at, end);
}
