/*
** Pure protocol layer, part of the HTTP/1 parser: chunked bodies (RFC 9112,
** 7.1). The sizes are hexadecimal digits only, lines end in CRLF, extensions
** must have their grammar and are dropped. Owns nothing; http1.c calls it.
*/
#include "proto/http1_chars.h"
#include "proto/http1_int.h"

#define MAX_DIGITS 16u /* of a size; as many as 64 bits can have */

/* What a byte is in an extension; WORD bytes make tokens. */
enum kind { BAD, OTHER, WORD, BLANK, SEMI, EQUAL, QUOTE, ESCAPE, CR, KINDS };

/* Places in an extension, each a row of the table below. */
enum place {
  AT_NAME, /* after ";" */
  IN_NAME,
  AFTER_NAME, /* blanks after a name */
  AT_VALUE, /* after "=" */
  IN_VALUE,
  IN_QUOTES,
  AT_ESCAPED, /* after a backslash in quotes */
  AFTER_QUOTES,
  AFTER_VALUE, /* blanks after a value */
  PLACES,
  END = PLACES, /* CR seen */
  NO /* refused */
};

_Static_assert(GEV_H1_IN_EXT + PLACES == GEV_H1_AT_SIZE_LF, "states");

static const uint8_t next_place[PLACES][KINDS] = {
  /* BAD OTHER WORD BLANK SEMI EQUAL QUOTE ESCAPE CR */
  [AT_NAME] = {NO, NO, IN_NAME, AT_NAME, NO, NO, NO, NO, NO},
  [IN_NAME] = {NO, NO, IN_NAME, AFTER_NAME, AT_NAME, AT_VALUE, NO, NO, END},
  [AFTER_NAME] = {NO, NO, NO, AFTER_NAME, AT_NAME, AT_VALUE, NO, NO, NO},
  [AT_VALUE] = {NO, NO, IN_VALUE, AT_VALUE, NO, NO, IN_QUOTES, NO, NO},
  [IN_VALUE] = {NO, NO, IN_VALUE, AFTER_VALUE, AT_NAME, NO, NO, NO, END},
  [IN_QUOTES] = {NO, IN_QUOTES, IN_QUOTES, IN_QUOTES, IN_QUOTES, IN_QUOTES,
                 AFTER_QUOTES, AT_ESCAPED, NO},
  [AT_ESCAPED] = {NO, IN_QUOTES, IN_QUOTES, IN_QUOTES, IN_QUOTES, IN_QUOTES,
                  IN_QUOTES, IN_QUOTES, NO},
  [AFTER_QUOTES] = {NO, NO, NO, AFTER_VALUE, AT_NAME, NO, NO, NO, END},
  [AFTER_VALUE] = {NO, NO, NO, AFTER_VALUE, AT_NAME, NO, NO, NO, NO},
};

static enum kind kind_of(char c)
{
  switch (c) {
    case ' ':
    case '\t': return BLANK;
    case ';': return SEMI;
    case '=': return EQUAL;
    case '"': return QUOTE;
    case '\\': return ESCAPE;
    case '\r': return CR;
    default: break;
  }
  if (gev_h1_char_is(c, GEV_H1_TOKEN)) return WORD;
  return gev_h1_char_is(c, GEV_H1_VALUE) ? OTHER : BAD;
}

static void take_ext(struct gev_h1 *p, char c)
{
  unsigned place = p->state - (unsigned)GEV_H1_IN_EXT;
  unsigned next = next_place[place][kind_of(c)];
  if (next == NO)
    gev_h1_refuse(p, 400, "bad chunk extension");
  else if (++p->ext > p->limits->max_ext)
    gev_h1_refuse(p, 413, "chunk extensions too large");
  else
    p->state = (uint8_t)(GEV_H1_IN_EXT + next);
}

static void take_size(struct gev_h1 *p, char c)
{
  if (gev_h1_char_is(c, GEV_H1_HEX) && p->digits < MAX_DIGITS) {
    p->left = p->left << 4 | gev_h1_hex_value(c);
    p->digits++;
  } else if (p->digits > 0 && c == '\r') {
    p->state = GEV_H1_AT_SIZE_LF;
  } else if (p->digits > 0 && c == ';') {
    p->state = GEV_H1_IN_EXT + AT_NAME;
  } else {
    gev_h1_refuse(p, 400, "bad chunk size");
  }
}

/* The line of a size is complete. */
static void begin_chunk(struct gev_h1 *p)
{
  p->digits = 0;
  if (p->left > p->limits->max_body - p->total) {
    gev_h1_refuse(p, 413, "body too large");
    return;
  }
  p->total += p->left;
  p->state = p->left > 0 ? GEV_H1_IN_CHUNK : GEV_H1_AT_TRAILERS;
}

/* A byte that must be this one, and the state after it. */
static bool expect(struct gev_h1 *p, char c, char wanted, uint8_t next)
{
  if (c == wanted)
    p->state = next;
  else
    gev_h1_refuse(p, 400, "bad line end in chunked body");
  return c == wanted;
}

static void take(struct gev_h1 *p, char c)
{
  switch (p->state) {
    case GEV_H1_IN_SIZE:
      take_size(p, c);
      break;
    case GEV_H1_AT_SIZE_LF:
      if (expect(p, c, '\n', GEV_H1_AT_SIZE_LF)) begin_chunk(p);
      break;
    case GEV_H1_AT_CHUNK_CR:
      expect(p, c, '\r', GEV_H1_AT_CHUNK_LF);
      break;
    case GEV_H1_AT_CHUNK_LF:
      expect(p, c, '\n', GEV_H1_IN_SIZE);
      break;
    case GEV_H1_AT_LAST_LF:
      expect(p, c, '\n', GEV_H1_AT_END);
      break;
    default:
      take_ext(p, c);
      break;
  }
}

static enum gev_h1_event take_data(struct gev_h1 *p, const char **at,
                                   const char *end)
{
  size_t len = (size_t)(end - *at);
  if (len > p->left) len = (size_t)p->left;
  p->chunk = *at;
  p->chunk_len = len;
  *at += len;
  p->left -= len;
  if (p->left == 0) p->state = GEV_H1_AT_CHUNK_CR;
  return GEV_H1_BODY;
}

enum gev_h1_event gev_h1_dechunk(struct gev_h1 *p, const char **at,
                                 const char *end)
{
  while (*at != end) {
    if (p->state == GEV_H1_IN_CHUNK) return take_data(p, at, end);
    if (p->state == GEV_H1_AT_TRAILERS && **at != '\r') {
      gev_h1_begin_trailers(p);
      return GEV_H1_MORE;
    }
    if (p->state == GEV_H1_AT_TRAILERS)
      p->state = GEV_H1_AT_LAST_LF;
    else
      take(p, **at);
    if (p->state == GEV_H1_FAILED) return GEV_H1_ERROR;
    ++*at;
    if (p->state == GEV_H1_AT_END) return GEV_H1_DONE;
  }
  return GEV_H1_MORE;
}
