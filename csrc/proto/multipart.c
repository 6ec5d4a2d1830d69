/*
** Pure protocol layer. See multipart.h. A delimiter is CRLF, "--" and the
** boundary. CR stands nowhere in it but at its start, so what was matched in
** vain is given out as content, and no part of it can begin another match.
*/
#include "proto/multipart.h"

#include <stddef.h>
#include <string.h>

#include "proto/http1_chars.h"

enum state {
  PREAMBLE, /* looking for the first delimiter */
  CONTENT, /* looking for the next one */
  DELIMITED, /* it was found: "--", or blanks, then CRLF */
  DASH, /* after "-" */
  PADDED, /* after a blank */
  CR, /* after CR */
  FIELDS, /* of a part, up to the empty line */
  EPILOGUE,
  FAILED
};

/* --- the start ----------------------------------------------------------- */

static bool is_boundary(const char *s, size_t len)
{
  size_t i;
  if (len == 0 || len > GEV_MP_MAX_BOUNDARY || s[len - 1] == ' ')
    return false;
  for (i = 0; i < len; i++) {
    char c = s[i];
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') continue;
    if (c >= '0' && c <= '9') continue;
    if (c == '\0' || !strchr("'()+_,-./:=? ", c)) return false;
  }
  return true;
}

bool gev_mp_init(struct gev_mp *p, const char *boundary, size_t len)
{
  if (!is_boundary(boundary, len)) return false;
  memset(p, 0, offsetof(struct gev_mp, delimiter));
  memcpy(p->delimiter, "\r\n--", 4);
  memcpy(p->delimiter + 4, boundary, len);
  p->delimiter_len = (uint32_t)len + 4;
  p->state = PREAMBLE;
  p->matched = 2; /* the first delimiter needs no CRLF before it */
  return true;
}

static enum gev_mp_event fail(struct gev_mp *p, const char *why)
{
  p->state = FAILED;
  p->error = why;
  return GEV_MP_ERROR;
}

/* --- parameters ---------------------------------------------------------- */

static bool is_blank(char c)
{
  return c == ' ' || c == '\t';
}

static size_t skip_blanks(const char *s, size_t i, size_t len)
{
  while (i < len && is_blank(s[i])) i++;
  return i;
}

/* The end of a token that starts at i. */
static size_t token_end(const char *s, size_t i, size_t len)
{
  while (i < len && gev_h1_char_is(s[i], GEV_H1_TOKEN)) i++;
  return i;
}

/*
** Takes the value at i, a token or a quoted string, to `out`. Only quotes and
** backslashes are escaped by a backslash: some send paths of Windows as they
** are. Returns where it ends, 0 where it is malformed.
*/
static size_t take_value(const char *s, size_t i, size_t len, char *out,
                         size_t *out_len)
{
  size_t n = 0, end;
  if (i < len && s[i] == '"') {
    for (i++; i < len && s[i] != '"'; i++) {
      if (s[i] == '\\' && i + 1 < len && (s[i + 1] == '"' || s[i + 1] == '\\'))
        i++;
      out[n++] = s[i];
    }
    *out_len = n;
    return i < len ? i + 1 : 0;
  }
  end = token_end(s, i, len);
  memmove(out, s + i, end - i);
  *out_len = end - i;
  return end > i ? end : 0;
}

bool gev_mp_param(const char *value, size_t len, const char *name, char *out,
                  size_t *out_len)
{
  size_t i = 0, wanted = strlen(name);
  while (i < len && value[i] != ';') i++;
  while (i < len) {
    size_t start = skip_blanks(value, i + 1, len);
    size_t end = token_end(value, start, len);
    if (end == start || end == len || value[end] != '=') return false;
    i = take_value(value, end + 1, len, out, out_len);
    if (i == 0) return false;
    i = skip_blanks(value, i, len);
    if (i < len && value[i] != ';') return false;
    if (end - start == wanted && gev_h1_same(value + start, name, wanted))
      return true;
  }
  return false;
}

/* --- the fields of a part ------------------------------------------------ */

static struct gev_mp_text take_param(const struct gev_mp_text *value,
                                     const char *name, char *room)
{
  struct gev_mp_text text = {room, 0};
  if (!gev_mp_param(value->s, value->len, name, room, &text.len))
    text = (struct gev_mp_text){NULL, 0};
  return text;
}

static bool is_disposition(const struct gev_mp_text *value)
{
  size_t end = token_end(value->s, 0, value->len);
  return end == 9 && gev_h1_same(value->s, "form-data", 9);
}

/* One line, `len` bytes without its CRLF. NULL, or what is wrong. */
static const char *read_field(char *s, size_t len,
                              struct gev_mp_text *disposition,
                              struct gev_mp_text *type)
{
  size_t n = token_end(s, 0, len);
  struct gev_mp_text value;
  if (n == 0 || n == len || s[n] != ':') return "bad field of a part";
  value.s = s + skip_blanks(s, n + 1, len);
  value.len = (size_t)(s + len - value.s);
  while (value.len && is_blank(value.s[value.len - 1])) value.len--;
  if (!gev_h1_chars_are(value.s, value.len, GEV_H1_VALUE))
    return "bad field of a part";
  if (n == 19 && gev_h1_same(s, "content-disposition", n)) {
    if (disposition->s) return "a part with two Content-Disposition fields";
    *disposition = value;
  } else if (n == 12 && gev_h1_same(s, "content-type", n)) {
    *type = value;
  }
  return NULL;
}

/* The fields are complete, with the empty line after them. */
static enum gev_mp_event read_fields(struct gev_mp *p)
{
  struct gev_mp_text disposition = {NULL, 0}, type = {NULL, 0};
  char *s = p->fields, *end = p->fields + p->fields_len - 2;
  while (s < end) {
    char *eol = memchr(s, '\r', (size_t)(end - s));
    const char *wrong;
    if (!eol || eol[1] != '\n') return fail(p, "bad field of a part");
    wrong = read_field(s, (size_t)(eol - s), &disposition, &type);
    if (wrong) return fail(p, wrong);
    s = eol + 2;
  }
  if (!disposition.s || !is_disposition(&disposition))
    return fail(p, "a part without Content-Disposition: form-data");
  p->name = take_param(&disposition, "name", p->params[0]);
  if (!p->name.s) return fail(p, "a part without a name");
  p->filename = take_param(&disposition, "filename", p->params[1]);
  p->type = type;
  p->state = CONTENT;
  p->matched = 2; /* the empty line may be the CRLF of a delimiter, too */
  p->owed = true;
  return GEV_MP_PART;
}

static bool ends_fields(const struct gev_mp *p)
{
  const char *end = p->fields + p->fields_len;
  if (p->fields_len == 2) return memcmp(p->fields, "\r\n", 2) == 0;
  return p->fields_len > 3 && memcmp(end - 4, "\r\n\r\n", 4) == 0;
}

static enum gev_mp_event feed_fields(struct gev_mp *p, const char *data,
                                     size_t len, size_t *used)
{
  while (*used < len) {
    char c = data[(*used)++];
    if (p->fields_len == GEV_MP_MAX_FIELDS) {
      p->too_large = true;
      return fail(p, "the fields of a part are too large");
    }
    p->fields[p->fields_len++] = c;
    if (c == '\n' && ends_fields(p)) return read_fields(p);
  }
  return GEV_MP_MORE;
}

/* --- content ------------------------------------------------------------- */

/* What was matched in vain is content. False: there is nothing of it. */
static bool give_back(struct gev_mp *p)
{
  uint32_t from = p->owed ? 2 : 0;
  p->chunk = p->delimiter + from;
  p->chunk_len = p->matched - from;
  p->matched = 0;
  p->owed = false;
  return p->chunk_len > 0;
}

/* Goes on with a match. True: the whole delimiter has been seen. */
static bool match(struct gev_mp *p, const char *data, size_t len,
                  size_t *used)
{
  while (*used < len && data[*used] == p->delimiter[p->matched]) {
    ++*used;
    if (++p->matched < p->delimiter_len) continue;
    p->matched = 0;
    p->owed = false;
    return true;
  }
  return false;
}

/* Where the content ends in data[at .. len): at what may be a delimiter. */
static size_t content_end(const struct gev_mp *p, const char *data, size_t at,
                          size_t len)
{
  const char *cr;
  while ((cr = memchr(data + at, '\r', len - at)) != NULL) {
    size_t from = (size_t)(cr - data), n = 1;
    while (n < p->delimiter_len && from + n < len && cr[n] == p->delimiter[n])
      n++;
    if (n == p->delimiter_len || from + n == len) return from;
    at = from + n;
  }
  return len;
}

static enum gev_mp_event feed_content(struct gev_mp *p, const char *data,
                                      size_t len, size_t *used)
{
  size_t end;
  if (p->matched == 0) {
    end = content_end(p, data, *used, len);
    p->chunk = data + *used;
    p->chunk_len = end - *used;
    *used = end;
    if (p->chunk_len) return GEV_MP_DATA;
  }
  if (match(p, data, len, used)) {
    p->state = DELIMITED;
    return GEV_MP_END;
  }
  return *used < len && give_back(p) ? GEV_MP_DATA : GEV_MP_MORE;
}

static void feed_preamble(struct gev_mp *p, const char *data, size_t len,
                          size_t *used)
{
  while (*used < len && p->state == PREAMBLE) {
    const char *cr;
    if (p->matched == 0) {
      cr = memchr(data + *used, '\r', len - *used);
      *used = cr ? (size_t)(cr - data) : len;
    }
    if (match(p, data, len, used))
      p->state = DELIMITED;
    else if (*used < len)
      p->matched = 0;
  }
}

/* --- after a delimiter --------------------------------------------------- */

static enum gev_mp_event after_delimiter(struct gev_mp *p, char c)
{
  switch (p->state) {
    case DELIMITED:
      if (c == '-') {
        p->state = DASH;
        return GEV_MP_MORE;
      }
      /* fall through */
    case PADDED:
      if (c != '\r' && !is_blank(c)) return fail(p, "bad boundary line");
      p->state = c == '\r' ? CR : PADDED;
      return GEV_MP_MORE;
    case DASH:
      if (c != '-') return fail(p, "bad boundary line");
      p->state = EPILOGUE;
      return GEV_MP_DONE;
    default:
      if (c != '\n') return fail(p, "bad boundary line");
      p->state = FIELDS;
      p->fields_len = 0;
      return GEV_MP_MORE;
  }
}

/* --- all of it ----------------------------------------------------------- */

enum gev_mp_event gev_mp_feed(struct gev_mp *p, const char *data, size_t len,
                              size_t *used)
{
  *used = 0;
  while (*used < len) {
    enum gev_mp_event event = GEV_MP_MORE;
    switch (p->state) {
      case PREAMBLE: feed_preamble(p, data, len, used); break;
      case CONTENT: event = feed_content(p, data, len, used); break;
      case FIELDS: event = feed_fields(p, data, len, used); break;
      case EPILOGUE: *used = len; break;
      case FAILED: return GEV_MP_ERROR;
      default: event = after_delimiter(p, data[(*used)++]); break;
    }
    if (event != GEV_MP_MORE) return event;
  }
  return p->state == FAILED ? GEV_MP_ERROR : GEV_MP_MORE;
}
